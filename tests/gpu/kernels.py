"""The slots of device cuda against PyTorch, on one GPU: results, time, and fraction of copy bandwidth.

Usage: kernels.py libneedle_slots.so [--json FILE]
The bytes of a case are those that must cross memory: each input read once, each output written once.
"""

import ctypes
import json
import math
import statistics
import sys

import torch
import torch.nn.functional as F

DTYPES = {
    torch.bool: 0,
    torch.int32: 1,
    torch.int64: 2,
    torch.float16: 3,
    torch.bfloat16: 4,
    torch.float32: 5,
    torch.float64: 6,
}
UNARY = [
    "neg",
    "abs",
    "exp",
    "log",
    "log1p",
    "sqrt",
    "rsqrt",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "relu",
    "gelu",
    "silu",
    "erf",
]


class Array(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 8),
        ("strides", ctypes.c_int64 * 8),
    ]


def view(x):
    if x is None:
        return Array(None, 0, -1)
    pad = (0,) * (8 - x.dim())
    return Array(x.data_ptr(), DTYPES[x.dtype], x.dim(), tuple(x.shape) + pad, x.stride() + pad)


library = ctypes.CDLL(sys.argv[1])
library.needle_call.restype = ctypes.c_char_p


def call(slot, op, reals, *arrays):
    """A function that makes the call: the arguments are packed once."""
    views = (Array * len(arrays))(*map(view, arrays))
    numbers = (ctypes.c_double * max(len(reals), 1))(*reals)

    def run():
        if error := library.needle_call(slot.encode(), op, numbers, views):
            raise RuntimeError(error.decode())

    return run


def milliseconds(run, rounds=7):
    """Median over rounds of the time of one call, by events around as many as take a few ms."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    run()
    torch.cuda.synchronize()
    begin.record()
    run()
    end.record()
    torch.cuda.synchronize()
    calls = max(1, min(50, int(4 / max(begin.elapsed_time(end), 0.01))))
    times = []
    for _ in range(rounds):
        begin.record()
        for _ in range(calls):
            run()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / calls)
    return statistics.median(times)


def randn(*shape, dtype=torch.float32):
    return torch.randn(*shape, device="cuda").to(dtype)


results = []
bandwidth = 0.0


def case(name, bytes_, ours, peer=None, check=None, peer_name="torch"):
    """check() gives pairs (got, want) after `ours` ran once."""
    row = {"case": name}
    try:
        ours()
        torch.cuda.synchronize()
        for got, want in check() if check else ():
            got, want = got.double(), want.double()
            scale = want.abs().max().item() + 1e-30
            row["error"] = max(row.get("error", 0), (got - want).abs().max().item() / scale)
        row["ms"] = milliseconds(ours)
        row["GB/s"] = bytes_ / row["ms"] / 1e6
        row["of copy"] = row["GB/s"] / bandwidth
        if peer:
            row["peer ms"] = milliseconds(peer)
            row["ratio"] = row["peer ms"] / row["ms"]
    except Exception as error:  # one failing case must not end the run
        row["failed"] = str(error)[:300]
    results.append(row)
    shown = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items() if k != "case"}
    print(f"{name:44}", "  ".join(f"{k} {v}" for k, v in shown.items()), flush=True)
    torch.cuda.empty_cache()


def elementwise():
    n = 1 << 27
    a, b, out = randn(n), randn(n), torch.empty(n, device="cuda")
    case(
        "binary add float32",
        12 * n,
        call("binary", 0, [], a, b, out),
        lambda: torch.add(a, b, out=out),
        lambda: [(out, a + b)],
    )
    for op in ["exp", "tanh", "gelu", "silu", "sigmoid", "relu"]:
        f = getattr(torch, op, None) or getattr(F, op)
        case(
            f"unary {op} float32",
            8 * n,
            call("unary", UNARY.index(op), [], a, out),
            lambda f=f: f(a),
            lambda f=f: [(out, f(a))],
        )
    y = torch.tanh(a)
    case(
        "unary_backward tanh float32",
        12 * n,
        call("unary_backward", UNARY.index("tanh"), [], a, y, b, out),
        lambda: torch.ops.aten.tanh_backward(b, y),
        lambda: [(out, b * (1 - y * y))],
    )
    case(
        "unary_backward gelu float32",
        12 * n,
        call("unary_backward", UNARY.index("gelu"), [], a, y, b, out),
        lambda: torch.ops.aten.gelu_backward(b, a),
        lambda: [(out, torch.ops.aten.gelu_backward(b, a))],
    )
    truth = torch.empty(n, device="cuda", dtype=torch.bool)
    case(
        "compare less float32",
        9 * n,
        call("compare", 2, [], a, b, truth),
        lambda: torch.lt(a, b, out=truth),
        lambda: [(truth, a < b)],
    )
    case(
        "where float32",
        13 * n,
        call("where", 0, [], truth, a, b, out),
        lambda: torch.where(truth, a, b),
        lambda: [(out, torch.where(truth, a, b))],
    )
    case(
        "fill float32",
        4 * n,
        call("fill", 0, [1.5], out),
        lambda: out.fill_(1.5),
        lambda: [(out, torch.full_like(out, 1.5))],
    )
    x, row = a.view(-1, 1024), b[:1024]
    o = out.view(-1, 1024)
    case(
        "binary add a row, float32",
        8 * n,
        call("binary", 0, [], x, row.expand_as(x), o),
        lambda: torch.add(x, row, out=o),
        lambda: [(o, x + row)],
    )
    column = b[: n // 1024].view(-1, 1)
    case(
        "binary mul a column, float32",
        8 * n,
        call("binary", 2, [], x, column.expand_as(x), o),
        lambda: torch.mul(x, column, out=o),
        lambda: [(o, x * column)],
    )


def copies():
    n = 1 << 27
    a = randn(n)
    types = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool]
    for source, to in [(0, 1), (1, 0), (0, 2), (2, 0), (0, 3), (3, 0), (0, 4), (4, 0), (0, 5)]:
        x, out = a.to(types[source]), torch.empty(n, device="cuda", dtype=types[to])
        name = f"copy {types[source]} to {types[to]}".replace("torch.", "")
        case(
            name,
            n * (x.element_size() + out.element_size()),
            call("copy", 0, [], x, out),
            lambda x=x, out=out: out.copy_(x),
            lambda x=x, out=out: [(out, x.to(out.dtype))],
        )
    for dtype in (torch.float32, torch.bfloat16, torch.float64, torch.bool):
        x = randn(8192, 16384).to(dtype)
        out = torch.empty(16384, 8192, device="cuda", dtype=dtype)
        case(
            f"transpose {dtype}".replace("torch.", ""),
            2 * x.numel() * x.element_size(),
            call("copy", 0, [], x.T, out),
            lambda x=x, out=out: out.copy_(x.T),
            lambda x=x, out=out: [(out, x.T)],
        )
    x = randn(16, 1024, 16, 256)
    out = torch.empty(16, 16, 1024, 256, device="cuda")
    heads = x.transpose(1, 2)
    case(
        "copy (batch, time, heads, d) to heads first",
        8 * x.numel(),
        call("copy", 0, [], heads, out),
        lambda: out.copy_(heads),
        lambda: [(out, heads)],
    )


def reductions():
    x = randn(131072, 1024)
    for op, code, f in (("sum", 0, torch.sum), ("max", 2, torch.amax)):
        for name, axes, shape in (
            ("all", (0, 1), (1, 1)),
            ("last", 1, (131072, 1)),
            ("first", 0, (1, 1024)),
        ):
            out = torch.empty(shape, device="cuda")
            case(
                f"reduce {op} {name} axis float32",
                4 * x.numel(),
                call("reduce", code, [], x, out),
                lambda f=f, axes=axes: f(x, axes),
                lambda f=f, axes=axes, out=out: [(out, f(x.double(), axes).view_as(out))],
            )
    wide = randn(64, 1 << 21)
    for axis, shape in ((1, (64, 1)), (0, (1, 1 << 21))):
        out = torch.empty(shape, device="cuda")
        case(
            f"reduce sum (64, 2M) axis {axis}",
            4 * wide.numel(),
            call("reduce", 0, [], wide, out),
            lambda axis=axis: torch.sum(wide, axis),
            lambda axis=axis, out=out: [(out, wide.double().sum(axis).view_as(out))],
        )
    index = torch.empty(131072, 1, device="cuda", dtype=torch.int64)
    case(
        "arg_reduce last axis",
        4 * x.numel(),
        call("arg_reduce", 0, [1], x, index),
        lambda: torch.argmax(x, 1),
        lambda: [(index, torch.argmax(x, 1, keepdim=True))],
    )


def rows():
    for shape in ((1 << 20, 128), (131072, 1024), (32768, 4096), (2048, 50257)):
        x, dy, out = randn(*shape), randn(*shape), torch.empty(shape, device="cuda")
        n = x.numel()
        y = torch.softmax(x, 1)
        case(
            f"softmax {shape}",
            8 * n,
            call("softmax", 0, [], x, out),
            lambda: torch.softmax(x, 1, dtype=torch.float32),
            lambda: [(out, y)],
        )
        case(
            f"log_softmax {shape}",
            8 * n,
            call("softmax", 1, [], x, out),
            lambda: torch.log_softmax(x, 1),
            lambda: [(out, torch.log_softmax(x, 1))],
        )
        case(
            f"softmax_backward {shape}",
            12 * n,
            call("softmax_backward", 0, [], y, dy, out),
            lambda: torch._softmax_backward_data(dy, y, 1, torch.float32),
            lambda: [(out, torch._softmax_backward_data(dy, y, 1, torch.float32))],
        )
        labels = torch.randint(shape[1], (shape[0],), device="cuda")
        loss, lse = torch.empty(2, shape[0], device="cuda")
        case(
            f"cross_entropy {shape}",
            4 * n,
            call("cross_entropy", 0, [], x, labels, loss, lse),
            lambda: F.cross_entropy(x, labels, reduction="none"),
            lambda: [
                (loss, F.cross_entropy(x, labels, reduction="none")),
                (lse, torch.logsumexp(x, 1)),
            ],
        )
        one = torch.ones(shape[0], device="cuda")
        want = (y - F.one_hot(labels, shape[1])) if n < 1 << 27 else y
        case(
            f"cross_entropy_backward {shape}",
            8 * n,
            call("cross_entropy_backward", 0, [], x, labels, lse, one, out),
            None,
            lambda: [(out, want)] if n < 1 << 27 else [],
        )


def norms():
    for shape in ((1 << 20, 128), (131072, 1024), (32768, 4096), (4096, 32768)):
        x, dy, out = randn(*shape), randn(*shape), torch.empty(shape, device="cuda")
        n, size = x.numel(), shape[1]
        w, b, dw, db = randn(4, size)
        mean, rstd = torch.empty(2, shape[0], device="cuda")
        case(
            f"layer norm {shape}",
            8 * n,
            call("norm", 1, [1e-5], x, w, b, out, mean, rstd),
            lambda: F.layer_norm(x, (size,), w, b),
            lambda: [(out, F.layer_norm(x, (size,), w, b))],
        )
        _, m, r = torch.native_layer_norm(x, (size,), w, b, 1e-5)
        back = lambda: torch.ops.aten.native_layer_norm_backward(  # noqa: E731
            dy, x, (size,), m, r, w, b, [True, True, True]
        )
        case(
            f"layer norm backward {shape}",
            12 * n,
            call("norm_backward", 1, [], x, w, mean, rstd, dy, out, dw, db),
            back,
            lambda: list(zip((out, dw, db), back(), strict=True)),
        )
        case(
            f"rms norm {shape}",
            8 * n,
            call("norm", 0, [1e-5], x, w, None, out, None, rstd),
            lambda: F.rms_norm(x, (size,), w, 1e-5),
            lambda: [(out, F.rms_norm(x, (size,), w, 1e-5))],
        )
        case(
            f"rms norm backward {shape}",
            12 * n,
            call("norm_backward", 0, [], x, w, None, rstd, dy, out, dw, None),
        )


def training():
    n = 1 << 26
    p, g, m, v = randn(n), randn(n), torch.zeros(n, device="cuda"), torch.zeros(n, device="cuda")
    q = torch.nn.Parameter(p.clone())
    q.grad = g
    optimizer = torch.optim.AdamW(
        [q], lr=0.01, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=True
    )
    optimizer.step()
    case(
        "adamw",
        28 * n,
        call("adamw", 0, [0.01, 0.9, 0.95, 1e-8, 0.1, 1 - 0.9, 1 - 0.95], p, g, m, v),
        optimizer.step,
        lambda: [(p, q.data)],
        "torch fused",
    )
    x, out = randn(1 << 27), torch.empty(1 << 27, device="cuda")
    n = x.numel()
    case(
        "dropout",
        8 * n,
        call("dropout", 0, [0.1], x, out),
        lambda: F.dropout(x, 0.1),
        lambda: [
            (out[out != 0], (x / 0.9)[out != 0]),
            ((out == 0).double().mean(), torch.tensor(0.1, device="cuda")),
        ],
    )
    case("random uniform", 4 * n, call("random", 0, [], out), lambda: out.uniform_())
    case(
        "random normal",
        4 * n,
        call("random", 1, [], out),
        lambda: out.normal_(),
        lambda: [(out.std(), torch.ones((), device="cuda"))],
    )


def lookups():
    table, out = randn(50257, 768), torch.empty(65536, 768, device="cuda")
    index = torch.randint(50257, (65536,), device="cuda")
    case(
        "gather (50257, 768) 65536",
        8 * out.numel(),
        call("gather", 0, [], table, index, out),
        lambda: F.embedding(index, table),
        lambda: [(out, table[index])],
    )
    for count in (8192, 65536):
        x, at = randn(count, 768), index[:count]
        total = torch.zeros(50257, 768, device="cuda")
        want = torch.zeros_like(total).index_add_(0, at, x)
        case(
            f"scatter_add (50257, 768) {count}",
            12 * x.numel(),
            call("scatter_add", 0, [], at, x, total),
            lambda at=at, x=x: torch.ops.aten.embedding_dense_backward(x, at, 50257, -1, False),
            lambda total=total, want=want: [(total, want)],
        )
    x = randn(16, 16, 2048, 64)
    out = torch.empty_like(x)
    angle = randn(2048, 32)
    c, s = torch.cos(angle), torch.sin(angle)
    first, second = x[..., :32], x[..., 32:]
    case(
        "rotary",
        8 * x.numel(),
        call("rotary", 0, [], x, c, s, out),
        lambda: torch.cat((first * c - second * s, second * c + first * s), -1),
        lambda: [(out, torch.cat((first * c - second * s, second * c + first * s), -1))],
    )


def products():
    """Bound by arithmetic: GFLOP/s stand in the column GB/s, and `of copy` means nothing."""
    q, k, v, dout = (randn(8, 12, 1024, 64) for _ in range(4))
    out, dq, dk, dv = (torch.empty_like(q) for _ in range(4))
    lse = torch.empty(8, 12, 1024, device="cuda")
    scale = 1 / math.sqrt(64)
    flops = 4 * 8 * 12 * 1024 * 1024 * 64 / 2
    sdpa = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)  # noqa: E731
    case(
        "attention causal (8, 12, 1024, 64)",
        flops,
        call("attention", 1, [scale], q, k, v, out, lse),
        sdpa,
        lambda: [(out, sdpa())],
    )
    inputs = [x.clone().requires_grad_() for x in (q, k, v)]
    y = F.scaled_dot_product_attention(*inputs, is_causal=True)
    back = lambda: torch.autograd.grad(y, inputs, dout, retain_graph=True)  # noqa: E731
    case(
        "attention_backward causal",
        2.5 * flops,
        call("attention_backward", 1, [scale], q, k, v, out, lse, dout, dq, dk, dv),
        back,
        lambda: list(zip((dq, dk, dv), back(), strict=True)),
    )
    a, b, c = randn(4096, 4096), randn(4096, 4096), torch.empty(4096, 4096, device="cuda")
    case(
        "matmul float32 4096",
        2 * 4096**3,
        call("matmul", 0, [], a, b, c),
        lambda: torch.matmul(a, b, out=c),
        lambda: [(c, a @ b)],
    )
    x, w, y = randn(32, 64, 56, 56), randn(64, 64, 3, 3), torch.empty(32, 64, 56, 56, device="cuda")
    torch.backends.cudnn.allow_tf32 = False
    case(
        "conv2d (32, 64, 56, 56) 3x3",
        2 * 32 * 64 * 64 * 9 * 56 * 56,
        call("conv2d", 0, [], x, w, y),
        lambda: F.conv2d(x, w, padding=1),
        lambda: [(y, F.conv2d(x, w, padding=1))],
    )


def main():
    global bandwidth
    torch.manual_seed(0)
    source, to = randn(1 << 28), torch.empty(1 << 28, device="cuda")
    bandwidth = 8 * source.numel() / milliseconds(lambda: to.copy_(source), 15) / 1e6
    del source, to
    print(
        f"{torch.cuda.get_device_name()}: copies move {bandwidth:.0f} GB/s; torch {torch.__version__}"
    )
    for part in (elementwise, copies, reductions, rows, norms, training, lookups, products):
        try:
            part()
        except Exception as error:
            print(part.__name__, "ended:", error)
        torch.cuda.empty_cache()
    if "--json" in sys.argv:
        with open(sys.argv[sys.argv.index("--json") + 1], "w") as file:
            json.dump(
                {"gpu": torch.cuda.get_device_name(), "copy GB/s": bandwidth, "rows": results},
                file,
                indent=1,
            )


if __name__ == "__main__":
    main()
