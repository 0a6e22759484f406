"""Matrix products, attention, convolution: limited by arithmetic."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from slots import Bench, empty, randn


def rotary(bench: Bench) -> None:
    x = randn(16, 16, 2048, 64)
    out, angle = torch.empty_like(x), randn(2048, 32)
    c, s = torch.cos(angle), torch.sin(angle)
    first, second = x[..., :32], x[..., 32:]

    def rotated() -> torch.Tensor:
        return torch.cat((first * c - second * s, second * c + first * s), -1)

    ours = bench.call("rotary", 0, [], x, c, s, out)
    bench.case("rotary", ours, rotated, lambda: [(out, rotated())], moved=8 * x.numel())


def attention(bench: Bench) -> None:
    shape = (8, 12, 1024, 64)
    q, k, v, dout = (randn(*shape) for _ in range(4))
    out, dq, dk, dv = (torch.empty_like(q) for _ in range(4))
    lse, scale = empty(*shape[:3]), 1 / math.sqrt(shape[3])
    flops = 4 * q.numel() * shape[2] / 2  # causal: half of it
    inputs = [x.clone().requires_grad_() for x in (q, k, v)]
    y = F.scaled_dot_product_attention(*inputs, is_causal=True)

    def theirs() -> torch.Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def slopes() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(y, inputs, dout, retain_graph=True)

    bench.case(
        f"attention causal {shape}",
        bench.call("attention", 1, [scale], q, k, v, out, lse),
        theirs,
        lambda: [(out, theirs())],
        flops=flops,
    )
    bench.case(
        f"attention_backward causal {shape}",
        bench.call("attention_backward", 1, [scale], q, k, v, out, lse, dout, dq, dk, dv),
        slopes,
        lambda: list(zip((dq, dk, dv), slopes(), strict=True)),
        flops=2.5 * flops,
    )


def matmul(bench: Bench) -> None:
    def product(m: int, n: int, k: int, dtype: torch.dtype) -> None:
        a, b, c = randn(m, k, dtype=dtype), randn(k, n, dtype=dtype), empty(m, n, dtype=dtype)
        bench.case(
            f"matmul {m}x{n}x{k} {dtype}".replace("torch.", ""),
            bench.call("matmul", 0, [], a, b, c),
            lambda: torch.matmul(a, b, out=c),
            lambda: [(c, a @ b)],
            flops=2 * m * n * k,
        )

    for n in (1024, 2048, 4096):
        product(n, n, n, torch.float32)
    product(4095, 4095, 4095, torch.float32)
    product(2048, 2048, 2048, torch.float64)
    for n in (2048, 4096, 8192):
        product(n, n, n, torch.bfloat16)
    product(4096, 4096, 4096, torch.float16)
    for m in (1, 8, 128):
        product(m, 4096, 4096, torch.bfloat16)
        product(m, 4096, 4096, torch.float32)


def conv2d(bench: Bench) -> None:
    x, w, y = randn(32, 64, 56, 56), randn(64, 64, 3, 3), empty(32, 64, 56, 56)
    bench.case(
        "conv2d (32, 64, 56, 56) 3x3",
        bench.call("conv2d", 0, [], x, w, y),
        lambda: F.conv2d(x, w, padding=1),
        lambda: [(y, F.conv2d(x, w, padding=1))],
        flops=2 * x.numel() * 64 * 9,
    )


PARTS = (rotary, attention, matmul, conv2d)
