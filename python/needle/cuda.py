"""CUDA devices: what the GPU is and how much of its memory is in use. (Lesson 04)"""

from typing import NamedTuple

from . import _core
from ._core import is_available as _is_available

__all__ = ["Memory", "device_name", "empty_cache", "is_available", "memory", "synchronize"]


class Memory(NamedTuple):
    """Bytes of the GPU's memory: all of it, held by arrays, released and kept for the next ones.

    `requests` is how often the driver was asked for more so far.
    """

    total: int
    in_use: int
    cached: int
    requests: int


def is_available() -> bool:
    """Whether this build has the CUDA backend and the machine a device for it."""
    return _is_available("cuda")


def device_name() -> str:
    """The GPU's name. RuntimeError, with what to do, if there is none; so do all others here."""
    return _core.gpu_name("cuda")


def memory() -> Memory:
    """How much of the GPU's memory is in use."""
    return Memory(*_core.gpu_memory("cuda"))


def empty_cache() -> None:
    """Returns the memory that no array holds to the driver."""
    _core.gpu_empty_cache("cuda")


def synchronize() -> None:
    """Waits until the GPU has done all that was asked of it: time nothing without it.

    RuntimeError if a kernel faulted; every array on the device is then lost.
    """
    _core.synchronize("cuda")
