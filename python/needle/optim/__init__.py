"""Optimisers and learning-rate schedules (lesson 5)."""

from .._core import SGD, Adam, AdamW, Optimizer
from . import lr_scheduler

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
