"""CUDA devices."""

from ._core import is_available as _is_available

__all__ = ["is_available"]


def is_available() -> bool:
    """Whether this build has the CUDA backend and the machine a device for it."""
    return _is_available("cuda")
