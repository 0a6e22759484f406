"""Llama-style language models and their checkpoints (lesson 6)."""

from ._core import Config, Decoder, KVCache, load_pretrained, save_pretrained

__all__ = ["Config", "Decoder", "KVCache", "load_pretrained", "save_pretrained"]
