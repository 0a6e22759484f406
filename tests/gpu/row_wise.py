"""Softmax, cross entropy and the norms, row by row: limited by the bytes that they move."""

import torch
import torch.nn.functional as F  # noqa: N812
from slots import Bench, Pairs, empty, randn

RMS, LAYER = 0, 1  # Norm of kernels.h
SHAPES = ((1 << 20, 128), (131072, 1024), (32768, 4096), (2048, 50257))


def softmax(bench: Bench) -> None:
    for shape in SHAPES:
        softmax_of(bench, shape)
        cross_entropy_of(bench, shape)


def softmax_of(bench: Bench, shape: tuple[int, int]) -> None:
    x, dy, out = randn(*shape), randn(*shape), empty(*shape)
    n, y = x.numel(), torch.softmax(x, 1)
    slopes = torch._softmax_backward_data
    bench.case(
        f"softmax {shape}",
        bench.call("softmax", 0, [], x, out),
        lambda: torch.softmax(x, 1),
        lambda: [(out, y)],
        moved=8 * n,
    )
    bench.case(
        f"log_softmax {shape}",
        bench.call("softmax", 1, [], x, out),
        lambda: torch.log_softmax(x, 1),
        lambda: [(out, torch.log_softmax(x, 1))],
        moved=8 * n,
    )
    bench.case(
        f"softmax_backward {shape}",
        bench.call("softmax_backward", 0, [], y, dy, out),
        lambda: slopes(dy, y, 1, torch.float32),
        lambda: [(out, slopes(dy, y, 1, torch.float32))],
        moved=12 * n,
    )


def cross_entropy_of(bench: Bench, shape: tuple[int, int]) -> None:
    x, out = randn(*shape), empty(*shape)
    n, classes = x.numel(), shape[1]
    labels = torch.randint(classes, shape[:1], device="cuda")
    loss, lse = empty(shape[0]), empty(shape[0])
    one = torch.ones(shape[0], device="cuda")

    def losses() -> Pairs:
        want = F.cross_entropy(x, labels, reduction="none")
        return [(loss, want), (lse, torch.logsumexp(x, 1))]

    def slopes() -> Pairs:
        want = torch.softmax(x, 1)
        want[torch.arange(shape[0], device="cuda"), labels] -= 1
        return [(out, want)]

    bench.case(
        f"cross_entropy {shape}",
        bench.call("cross_entropy", 0, [], x, labels, loss, lse),
        lambda: F.cross_entropy(x, labels, reduction="none"),
        losses,
        moved=4 * n,
    )
    ours = bench.call("cross_entropy_backward", 0, [], x, labels, lse, one, out)
    bench.case(f"cross_entropy_backward {shape}", ours, None, slopes, moved=8 * n)


def norms(bench: Bench) -> None:
    for shape in (*SHAPES[:3], (4096, 32768)):
        norms_of(bench, shape)


def norms_of(bench: Bench, shape: tuple[int, int]) -> None:
    x, dy, out = randn(*shape), randn(*shape), empty(*shape)
    n, size = x.numel(), shape[1:]
    w, b = randn(*size), randn(*size)
    dw, db, mean, rstd = empty(*size), empty(*size), empty(shape[0]), empty(shape[0])
    bench.case(
        f"layer norm {shape}",
        bench.call("norm", LAYER, [1e-5], x, w, b, out, mean, rstd),
        lambda: F.layer_norm(x, size, w, b),
        lambda: [(out, F.layer_norm(x, size, w, b))],
        moved=8 * n,
    )
    _, m, r = torch.native_layer_norm(x, size, w, b, 1e-5)

    def layer_slopes() -> tuple[torch.Tensor, ...]:
        wanted = [True, True, True]
        return torch.ops.aten.native_layer_norm_backward(dy, x, size, m, r, w, b, wanted)

    bench.case(
        f"layer norm backward {shape}",
        bench.call("norm_backward", LAYER, [], x, w, mean, rstd, dy, out, dw, db),
        layer_slopes,
        lambda: list(zip((out, dw, db), layer_slopes(), strict=True)),
        moved=12 * n,
    )
    bench.case(
        f"rms norm {shape}",
        bench.call("norm", RMS, [1e-5], x, w, None, out, None, rstd),
        lambda: F.rms_norm(x, size, w, 1e-5),
        lambda: [(out, F.rms_norm(x, size, w, 1e-5))],
        moved=8 * n,
    )
    inputs = [t.clone().requires_grad_() for t in (x, w)]
    y = F.rms_norm(inputs[0], size, inputs[1], 1e-5)

    def rms_slopes() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(y, inputs, dy, retain_graph=True)

    bench.case(
        f"rms norm backward {shape}",
        bench.call("norm_backward", RMS, [], x, w, None, rstd, dy, out, dw, None),
        rms_slopes,
        lambda: list(zip((out, dw), rms_slopes(), strict=True)),
        moved=12 * n,
    )


PARTS = (softmax, norms)
