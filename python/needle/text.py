"""Text to token ids and back (lesson 6)."""

from ._core import Tokenizer

__all__ = ["Tokenizer"]
