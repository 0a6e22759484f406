"""Layers for images: convolution, pooling, batch normalisation."""

from collections.abc import Sequence

from .._core import (
    Module,
    Tensor,
    avg_pool2d,
    batch_norm,
    conv2d,
    empty,
    max_pool2d,
    ones,
    tensor,
    zeros,
)
from .._core import uniform_ as _uniform_
from ._modules import Parameter

Size = int | Sequence[int]


def _pair(size: Size) -> tuple[int, int]:
    """(height, width) of one number or of two."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


class Conv2d(Module):
    """conv2d with filters of its own: weight (out, in / groups, kh, kw), bias (out,) or None.

    Both are uniform in +-1/sqrt(fan_in), as in PyTorch. Sizes are one number or (height, width).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d: {groups} groups do not divide {in_channels} and {out_channels} channels"
            )
        kh, kw = _pair(kernel_size)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups = groups
        self.weight = Parameter(empty(out_channels, in_channels // groups, kh, kw))
        self.bias = Parameter(empty(out_channels)) if bias else None
        fan_in = in_channels // groups * kh * kw
        bound = fan_in**-0.5 if fan_in else 0.0
        for parameter in self.parameters():
            _uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """x (n, in, height, width) -> (n, out, height', width')."""
        return conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class MaxPool2d(Module):
    """max_pool2d as a layer; the stride is the kernel size by default."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """x (n, channels, height, width) -> (n, channels, height', width')."""
        return max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(Module):
    """avg_pool2d as a layer; the stride is the kernel size by default."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """x (n, channels, height, width) -> (n, channels, height', width')."""
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class _BatchNorm(Module):
    """What BatchNorm1d and BatchNorm2d share: weight and bias, and the running statistics."""

    _ndims: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None
        self.running_mean = self.running_var = None
        if track_running_stats:
            self.register_buffer("running_mean", zeros(num_features))
            self.register_buffer("running_var", ones(num_features))
            self.register_buffer("num_batches_tracked", tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """x -> the same shape, every channel with mean 0 and variance 1 (before weight and bias).

        Training: over this batch, and the running statistics follow. Else: by the running ones.
        """
        if x.ndim not in self._ndims:
            wanted = " or ".join(str(n) for n in self._ndims)
            raise ValueError(
                f"{type(self).__name__}: x has shape {x.shape}; wanted {wanted} axes, channels 2nd"
            )
        track = self.running_mean is not None
        batch = self.training or not track
        y = batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            batch,
            self.momentum,
            self.eps,
        )
        if batch and track:
            self.num_batches_tracked += 1
        return y


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of x (n, channels) or (n, channels, length): arXiv 1502.03167."""

    _ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of x (n, channels, height, width): arXiv 1502.03167."""

    _ndims = (4,)
