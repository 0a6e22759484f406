"""What is done to the gradients between backward() and step()."""

from .._core import clip_grad_norm_

__all__ = ["clip_grad_norm_"]
