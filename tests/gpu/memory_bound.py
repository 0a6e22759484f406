"""Functions of elements, copies, sums, lookups, AdamW: limited by the bytes that they move."""

import torch
import torch.nn.functional as F  # noqa: N812
from slots import Bench, Run, empty, randn

ADD, MUL = 0, 2  # Binary of kernels.h
LESS = 2  # Compare
UNARY = {"exp": 2, "tanh": 9, "sigmoid": 10, "relu": 11, "gelu": 12, "silu": 13}  # Unary
SUM, MAX = 0, 2  # Reduce
N = 1 << 27  # elements; 512 MiB of float32


def elementwise(bench: Bench) -> None:
    a, b, out = randn(N), randn(N), empty(N)
    call = bench.call
    bench.case(
        "binary add",
        call("binary", ADD, [], a, b, out),
        lambda: torch.add(a, b, out=out),
        lambda: [(out, a + b)],
        moved=12 * N,
    )
    for name, op in UNARY.items():
        unary(bench, name, op, a, out)
    y = torch.tanh(a)
    bench.case(
        "unary_backward tanh",
        call("unary_backward", UNARY["tanh"], [], a, y, b, out),
        lambda: torch.ops.aten.tanh_backward(b, y),
        lambda: [(out, b * (1 - y * y))],
        moved=12 * N,
    )
    bench.case(
        "unary_backward gelu",
        call("unary_backward", UNARY["gelu"], [], a, y, b, out),
        lambda: torch.ops.aten.gelu_backward(b, a),
        lambda: [(out, torch.ops.aten.gelu_backward(b, a))],
        moved=12 * N,
    )
    truth = empty(N, dtype=torch.bool)
    bench.case(
        "compare less",
        call("compare", LESS, [], a, b, truth),
        lambda: torch.lt(a, b, out=truth),
        lambda: [(truth, a < b)],
        moved=9 * N,
    )
    bench.case(
        "where",
        call("where", 0, [], truth, a, b, out),
        lambda: torch.where(truth, a, b),
        lambda: [(out, torch.where(truth, a, b))],
        moved=13 * N,
    )
    bench.case(
        "fill",
        call("fill", 0, [1.5], out),
        lambda: out.fill_(1.5),
        lambda: [(out, torch.full_like(out, 1.5))],
        moved=4 * N,
    )


def unary(bench: Bench, name: str, op: int, a: torch.Tensor, out: torch.Tensor) -> None:
    f = getattr(torch, name, None) or getattr(F, name)
    ours = bench.call("unary", op, [], a, out)
    bench.case(f"unary {name}", ours, lambda: f(a), lambda: [(out, f(a))], moved=8 * N)


def broadcasts(bench: Bench) -> None:
    x, out = randn(N // 1024, 1024), empty(N // 1024, 1024)
    row, column = randn(1024), randn(N // 1024, 1)
    bench.case(
        "binary add a row",
        bench.call("binary", ADD, [], x, row.expand_as(x), out),
        lambda: torch.add(x, row, out=out),
        lambda: [(out, x + row)],
        moved=8 * N,
    )
    bench.case(
        "binary mul a column",
        bench.call("binary", MUL, [], x, column.expand_as(x), out),
        lambda: torch.mul(x, column, out=out),
        lambda: [(out, x * column)],
        moved=8 * N,
    )


def copies(bench: Bench) -> None:
    def copy(name: str, x: torch.Tensor, out: torch.Tensor) -> None:
        bench.case(
            f"copy {name}".replace("torch.", ""),
            bench.call("copy", 0, [], x, out),
            lambda: out.copy_(x),
            lambda: [(out, x.to(out.dtype))],
            moved=x.numel() * (x.element_size() + out.element_size()),
        )

    single = torch.float32
    for dtype in (torch.bfloat16, torch.float16, torch.float64, torch.int64):
        copy(f"{single} to {dtype}", randn(N), empty(N, dtype=dtype))
        copy(f"{dtype} to {single}", randn(N).to(dtype), empty(N))
    copy(f"{single} to {torch.bool}", randn(N), empty(N, dtype=torch.bool))
    for dtype in (single, torch.bfloat16, torch.float64, torch.bool):
        x = randn(8192, 16384).to(dtype)
        copy(f"a transpose, {dtype}", x.T, empty(16384, 8192, dtype=dtype))
    x = randn(16, 1024, 16, 256).transpose(1, 2)
    copy("(batch, time, heads, d) to heads first", x, empty(16, 16, 1024, 256))


def reductions(bench: Bench) -> None:
    def reduce(name: str, op: int, f: Run, x: torch.Tensor, axes: tuple[int, ...]) -> None:
        out = empty(*[1 if axis in axes else n for axis, n in enumerate(x.shape)])
        bench.case(
            f"reduce {name}, {tuple(x.shape)} axis {', '.join(map(str, axes))}",
            bench.call("reduce", op, [], x, out),
            lambda: f(x, axes),
            lambda: [(out, f(x.double(), axes).view_as(out))],
            moved=4 * x.numel(),
        )

    x = randn(131072, 1024)
    for axes in ((0, 1), (1,), (0,)):
        reduce("sum", SUM, torch.sum, x, axes)
        reduce("max", MAX, torch.amax, x, axes)
    wide = randn(64, 1 << 21)
    reduce("sum", SUM, torch.sum, wide, (1,))
    reduce("sum", SUM, torch.sum, wide, (0,))
    index = empty(131072, 1, dtype=torch.int64)
    bench.case(
        "arg_reduce last axis",
        bench.call("arg_reduce", 0, [1], x, index),
        lambda: torch.argmax(x, 1),
        lambda: [(index, torch.argmax(x, 1, keepdim=True))],
        moved=4 * x.numel(),
    )


def training(bench: Bench) -> None:
    n = N // 2
    p, g, m, v = randn(n), randn(n), torch.zeros(n, device="cuda"), torch.zeros(n, device="cuda")
    q = torch.nn.Parameter(p.clone())
    q.grad = g
    options = {"lr": 0.01, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}
    optimizer = torch.optim.AdamW([q], fused=True, **options)
    optimizer.step()
    bench.case(
        "adamw",
        bench.call("adamw", 0, [0.01, 0.9, 0.95, 1e-8, 0.1, 1 - 0.9, 1 - 0.95], p, g, m, v),
        optimizer.step,
        lambda: [(p, q.data)],
        moved=28 * n,
    )
    x, out = randn(N), empty(N)
    bench.case(
        "dropout",
        bench.call("dropout", 0, [0.1], x, out),
        lambda: F.dropout(x, 0.1),
        lambda: [
            (out[out != 0], (x / 0.9)[out != 0]),
            ((out == 0).double().mean(), torch.tensor(0.1, device="cuda")),
        ],
        moved=8 * N,
    )
    uniform, normal = bench.call("random", 0, [], out), bench.call("random", 1, [], out)
    half, one = torch.tensor(0.5, device="cuda"), torch.ones((), device="cuda")
    mean, spread = lambda: [(out.mean(), half)], lambda: [(out.std(), one)]
    bench.case("random uniform", uniform, lambda: out.uniform_(), mean, moved=4 * N)
    bench.case("random normal", normal, lambda: out.normal_(), spread, moved=4 * N)


def lookups(bench: Bench) -> None:
    rows, width, many = 50257, 768, 65536
    table, out = randn(rows, width), empty(many, width)
    index = torch.randint(rows, (many,), device="cuda")
    bench.case(
        f"gather ({rows}, {width}) {many}",
        bench.call("gather", 0, [], table, index, out),
        lambda: F.embedding(index, table),
        lambda: [(out, table[index])],
        moved=8 * out.numel(),
    )

    def scatter_rows(count: int) -> None:
        x, at, total = randn(count, width), index[:count], torch.empty_like(table)
        want = torch.zeros_like(total).index_add_(0, at, x)
        bench.case(
            f"scatter_rows ({rows}, {width}) {count}",
            bench.call("scatter_rows", 0, [], at, x, total),
            lambda: torch.ops.aten.embedding_dense_backward(x, at, rows, -1, False),
            lambda: [(total, want)],
            moved=4 * (x.numel() + total.numel()),
        )

    scatter_rows(8192)
    scatter_rows(many)


PARTS = (elementwise, broadcasts, copies, reductions, training, lookups)
