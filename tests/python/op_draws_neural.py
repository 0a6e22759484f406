"""Random arguments for the operations of neural networks, and for those that take an index."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from op_draws import SIZES, Call, Draw, Input, op

import needle as ndl


@op("gather", "take_along_dim", "scatter_add")
def _along(d: Draw, name: str) -> Call:
    shape = d.shape(1, 3)
    axis = d.axis(shape)
    picked = [n if name == "take_along_dim" else d.between(0, n) for n in shape]
    picked[axis] = d.one(SIZES) if shape[axis] else 0
    index = d.index(tuple(picked), shape[axis])
    ours, theirs = ndl.tensor(index), torch.tensor(index)
    note = f"axis {axis}, index {index.shape}"
    if name == "scatter_add":
        return Call([d.input(shape), d.input(index.shape)],
                    lambda x, s: x.scatter_add(axis, ours, s),
                    lambda x, s: x.scatter_add(axis, theirs, s), note)  # fmt: skip
    if name == "gather":
        return Call([d.input(shape)], lambda x: x.gather(axis, ours),
                    lambda x: x.gather(axis, theirs), note)  # fmt: skip
    return Call([d.input(shape)], lambda x: x.take_along_dim(ours, axis),
                lambda x: x.take_along_dim(theirs, axis), note)  # fmt: skip


@op("index_select", "embedding", "gather_rows", "scatter_rows")
def _rows(d: Draw, name: str) -> Call:
    shape = d.shape(1, 3)
    axis = d.axis(shape) if name == "index_select" else 0
    sizes = (d.one(SIZES),) if name == "index_select" else d.shape(0, 2)
    index = d.index(sizes if shape[axis] else (0,), shape[axis])
    ours, theirs = ndl.tensor(index), torch.tensor(index)
    if name == "index_select":
        return Call([d.input(shape)], lambda x: x.index_select(axis, ours),
                    lambda x: x.index_select(axis, theirs), f"axis {axis}")  # fmt: skip
    f = ndl.embedding if name == "embedding" else lambda x, i: x[i]
    return Call([d.input(shape)], lambda x: f(x, ours), lambda x: x[theirs], f"{index.shape}")


@op("sort", "topk")
def _sorted(d: Draw, name: str) -> Call:
    shape = d.shape(1, 3)
    axis, flag = d.axis(shape), d.flag()
    k = d.between(0, shape[axis])
    x, note = d.input(shape, "kinked"), f"{axis} {flag} {k}"
    if name == "topk":
        f = lambda x: x.topk(k, axis, flag)[0]  # noqa: E731
        return Call([x], f, f, note)
    return Call([x], lambda x: x.sort(axis, flag)[0],
                lambda x: x.sort(axis, descending=flag)[0], note)  # fmt: skip


@op("mse_loss")
def _mse_loss(d: Draw) -> Call:
    shape = d.shape(smallest=1)
    return Call([d.input(shape), d.input(shape)], ndl.mse_loss, F.mse_loss)


@op("cross_entropy")
def _cross_entropy(d: Draw) -> Call:
    n, classes = d.between(1, 6), d.between(1, 7)
    labels = np.where(d.rng.random(n) < 0.2, -100, d.index((n,), classes))
    labels[0] = 0  # at least one row counts
    ours, theirs = ndl.tensor(labels), torch.tensor(labels)
    return Call([d.input((n, classes))], lambda x: ndl.cross_entropy(x, ours),
                lambda x: F.cross_entropy(x, theirs))  # fmt: skip


@op("rms_norm", "layer_norm")
def _norm(d: Draw, name: str) -> Call:
    shape = (*d.shape(0, 2), d.between(2, 7))
    n = shape[-1:]
    inputs = [d.input(shape), d.input(n)]
    # Rows of equal elements (a broadcast axis) have no variance: a large eps keeps 1/sqrt tame.
    if name == "rms_norm":
        return Call(inputs, lambda x, w: ndl.rms_norm(x, w, 0.1),
                    lambda x, w: F.rms_norm(x, n, w, 0.1))  # fmt: skip
    return Call([*inputs, d.input(n)], lambda x, w, b: ndl.layer_norm(x, w, b, 0.1),
                lambda x, w, b: F.layer_norm(x, n, w, b, 0.1))  # fmt: skip


@op("batch_norm")
def _batch_norm(d: Draw) -> Call:
    n, channels = d.between(2, 4), d.between(1, 3)
    shape = (n, channels, *d.shape(0, 2, 1))
    inputs = [d.input(shape), d.input((channels,)), d.input((channels,))]

    def torch_f(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        # The gradient of PyTorch 2.13 on the CPU is wrong for some layouts of x and w (differences
        # of values say so, and the formula written out), so it gets compact ones.
        x, w, b = (t.contiguous() for t in (x, w, b))
        return F.batch_norm(x, None, None, w, b, True, eps=0.1)

    return Call(inputs, lambda x, w, b: ndl.batch_norm(x, None, None, w, b, True, eps=0.1), torch_f)


@op("dropout")
def _dropout(d: Draw) -> Call:
    return Call([d.input(d.shape())], lambda x: x.dropout(0.5, training=False), lambda x: x * 1)


@op("rotary_embedding")
def _rotary(d: Draw) -> Call:
    batch, heads, seq, half = (d.between(1, 4) for _ in range(4))
    angles = d.values((seq, half), "normal")

    def torch_f(x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, -1)
        cos, sin = (torch.tensor(f(angles)).to(x) for f in (np.cos, np.sin))
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def f(x: ndl.Tensor) -> ndl.Tensor:
        cos, sin = (ndl.tensor(g(angles)).to(x.dtype) for g in (np.cos, np.sin))
        return ndl.rotary_embedding(x, cos, sin)

    return Call([d.input((batch, heads, seq, 2 * half))], f, torch_f)


@op("scaled_dot_product_attention")
def _attention(d: Draw) -> Call:
    batch, kv_heads, group, tq, width = (d.between(1, 3) for _ in range(5))
    tk = tq + d.between(0, 3)
    causal, scale = d.flag(), d.one([0.3, width**-0.5])

    def torch_f(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        k, v = (x.repeat_interleave(group, 1) for x in (k, v))
        scores = q @ k.transpose(-1, -2) * scale
        if causal:
            hidden = ~torch.ones(tq, tk, dtype=torch.bool).tril(tk - tq)
            scores = scores.masked_fill(hidden, -torch.inf)
        return scores.softmax(-1) @ v

    def f(q: ndl.Tensor, k: ndl.Tensor, v: ndl.Tensor) -> ndl.Tensor:
        return ndl.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale)

    kv = (batch, kv_heads, tk, width)
    inputs = [d.input((batch, kv_heads * group, tq, width)), d.input(kv), d.input(kv)]
    return Call(inputs, f, torch_f, f"causal {causal}")


def _image(d: Draw, channels: int, reach: tuple[int, int], padding: tuple[int, int]) -> Input:
    """(n, channels, height, width), large enough for a window that reaches this far."""
    sizes = [max(1, r - 2 * p) + d.between(0, 4) for r, p in zip(reach, padding, strict=True)]
    return d.input((d.between(0, 2), channels, *sizes))


def _pair(d: Draw, low: int, high: int) -> tuple[int, int]:
    return d.between(low, high), d.between(low, high)


@op("conv2d", "conv_transpose2d")
def _conv(d: Draw, name: str) -> Call:
    groups, inside, outside = (d.between(1, 2) for _ in range(3))
    kernel, stride, dilation = _pair(d, 1, 3), _pair(d, 1, 3), _pair(d, 1, 2)
    padding = _pair(d, 0, 1)
    reach = tuple(e * (k - 1) + 1 for k, e in zip(kernel, dilation, strict=True))
    note = f"stride {stride}, padding {padding}, dilation {dilation}, groups {groups}"
    bias = d.input((outside * groups,))
    if name == "conv2d":
        inputs = [_image(d, inside * groups, reach, padding),
                  d.input((outside * groups, inside, *kernel)), bias]  # fmt: skip
        options = (stride, padding, dilation, groups)
        return Call(inputs, lambda x, w, b: ndl.conv2d(x, w, b, *options),
                    lambda x, w, b: F.conv2d(x, w, b, *options), note)  # fmt: skip
    extra = tuple(d.between(0, max(s, e) - 1) for s, e in zip(stride, dilation, strict=True))
    x = d.input((d.between(0, 2), inside * groups, *(d.between(3, 5) for _ in range(2))))
    options = (stride, padding, extra, groups, dilation)
    return Call([x, d.input((inside * groups, outside, *kernel)), bias],
                lambda x, w, b: ndl.conv_transpose2d(x, w, b, *options),
                lambda x, w, b: F.conv_transpose2d(x, w, b, *options), note)  # fmt: skip


@op("max_pool2d", "avg_pool2d")
def _pool(d: Draw, name: str) -> Call:
    kernel, stride = _pair(d, 1, 3), _pair(d, 1, 3)
    padding = tuple(d.between(0, k // 2) for k in kernel)
    sizes = [max(1, k - 2 * p) + d.between(0, 4) for k, p in zip(kernel, padding, strict=True)]
    x = d.input((d.between(1, 2), d.between(1, 2), *sizes), "kinked")
    torch_f: Callable = getattr(F, name)
    return Call([x], lambda x: getattr(ndl, name)(x, kernel, stride, padding),
                lambda x: torch_f(x, kernel, stride, padding),
                f"{kernel} {stride} {padding}")  # fmt: skip
