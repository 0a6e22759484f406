"""Homework 2, the part that runs with the student's code: carries out one case, returns raw arrays.

Nothing here knows what is right; that is in oracle.py, in another process. PEERS does in NumPy what
the cases of the group "fast" do, in a third process, where the student's code is not loaded.
"""

from typing import Any

import numpy as np

# --- part A: the processor ---


def adamw(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """The memory around the parameter after some steps."""
    ndl.set_num_threads(case["threads"])
    memory = case["memory"].copy()
    n = case["gradients"].shape[1]
    p = ndl.nn.Parameter(ndl.from_numpy(memory[case["first"] :][:n]))
    optimizer = ndl.optim.AdamW([p], **case["options"])
    gradients = [ndl.from_numpy(g) for g in case["gradients"]]
    for _ in range(case["rounds"]):
        for g in gradients:
            p.grad = g
            optimizer.step()
    return [memory]


def adamw_peer(case: dict[str, Any]) -> list[np.ndarray]:
    """The same, with one operation after the other."""
    memory, o = case["memory"].copy(), case["options"]
    p = memory[case["first"] :][: case["gradients"].shape[1]]
    beta1, beta2 = o["betas"]
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t in range(1, case["rounds"] * len(case["gradients"]) + 1):
        g = case["gradients"][(t - 1) % len(case["gradients"])]
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        p *= 1 - o["lr"] * o["weight_decay"]
        p -= o["lr"] / (1 - beta1**t) * m / (np.sqrt(v / (1 - beta2**t)) + o["eps"])
    return [memory]


def row_sum(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """The sums of rows, which are the first n columns of a matrix."""
    ndl.set_num_threads(1)
    x = ndl.from_numpy(case["x"])[:, : case["n"]]
    total = x.sum(1)
    for _ in range(case["rounds"] - 1):
        total = x.sum(1)
    return [total.numpy()]


def row_sum_peer(case: dict[str, Any]) -> list[np.ndarray]:
    """The same with numpy.sum."""
    x = case["x"][:, : case["n"]]
    total = x.sum(1)
    for _ in range(case["rounds"] - 1):
        total = x.sum(1)
    return [total]


def operand(ndl: Any, case: dict[str, Any], which: int, device: str = "cpu") -> Any:
    """a or b, of the case's dtype; a transposed one is stored by columns."""
    x = case["ab"[which]]
    turned = case["transposed"][which]
    stored = ndl.from_numpy(x.T.copy() if turned else x).to(getattr(ndl, case["dtype"])).to(device)
    return stored.transpose(0, 1) if turned else stored


def wide(ndl: Any, y: Any) -> np.ndarray:
    """A result on the host; of two bytes in float32."""
    y = y.to("cpu")
    return np.array((y.to(ndl.float32) if y.dtype.itemsize == 2 else y).numpy())


def tile(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """A product of matrices; from operands of two bytes back in float32."""
    ndl.set_num_threads(1)
    a, b = operand(ndl, case, 0), operand(ndl, case, 1)
    y = ndl.matmul(a, b)
    for _ in range(case["rounds"] - 1):
        y = ndl.matmul(a, b)
    return [wide(ndl, y)]


def tile_peer(case: dict[str, Any]) -> list[np.ndarray]:
    """The same with NumPy's BLAS."""
    y = case["a"] @ case["b"]
    for _ in range(case["rounds"] - 1):
        y = case["a"] @ case["b"]
    return [y]


def parallel(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """The pieces of a loop, (count, 2); or what a kernel with such a loop computes."""
    ndl.set_num_threads(case["threads"])
    if "x" in case:
        return [ndl.exp(ndl.from_numpy(case["x"])).numpy()]
    found = ndl.cpu.pieces(case["n"], case["grain"], case["nested"])
    return [np.array(found, np.int64).reshape(-1, 2)]


# --- part B: the simulator, and a GPU where there is one ---

STEPS = 1 << 20  # without getting further: then a kernel is endless
COUNTS = ["units", "ideal", "requests", "bytes"]
PLACES = ["global_reads", "global_writes", "shared_reads", "shared_writes", "global_atomics"]


def watched(ndl: Any, case: dict[str, Any], kernel: str, work: Any) -> list[np.ndarray]:
    """What work() gives; with `watch`, also what the simulator found, and counted of the kernel.

    The counts are those of PLACES, (5, 4) by COUNTS, and then barriers and launches.
    """
    ndl.sim.clear()
    if not case["watch"]:
        ndl.sim.set_options(step_limit=STEPS)
        return [work()]
    with ndl.sim.watch(collect=True, order=case["order"], seed=case["seed"], step_limit=STEPS):
        result = work()
    report = ndl.sim.report()
    text = "\n".join(finding.text for finding in report.findings)
    counts = np.zeros((len(PLACES), len(COUNTS)), np.int64)
    others = np.zeros(2, np.int64)
    for entry in report.kernels:
        if entry["kernel"].startswith(kernel):
            total = entry["total"]
            counts += [[total.get(p, {}).get(c, 0) for c in COUNTS] for p in PLACES]
            others += [total["barriers"], entry["launches"]]
    return [result, np.frombuffer(text.encode(), np.uint8), counts, others]


def on_device(ndl: Any, case: dict[str, Any], name: str) -> Any:
    """An array of the case on the device: its views are made there."""
    x = ndl.from_numpy(case[name]).to(case["device"])
    for step, *arguments in case["views"]:
        if step == "permute":
            x = ndl.permute(x, arguments)
        elif step == "broadcast":
            x = ndl.broadcast_to(x, arguments)
        else:
            axis, start, stop, hop = arguments
            x = x[(*[slice(None)] * axis, slice(start, stop, hop))]
    return x


def host(x: Any) -> np.ndarray:
    """The elements on the host."""
    return np.array(x.to("cpu").numpy())


def copy(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """The elements of a view, compact."""
    x = on_device(ndl, case, "x")
    return watched(ndl, case, "copy_kernel", lambda: host(x.contiguous()))


def argmax(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """The places of the largest or smallest elements along an axis."""
    x = on_device(ndl, case, "x")
    find = ndl.argmin if case["smallest"] else ndl.argmax
    return watched(ndl, case, "arg_rows_kernel", lambda: host(find(x, case["axis"])))


def matmul(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """A product; from operands of two bytes back in float32."""
    a, b = (operand(ndl, case, which, case["device"]) for which in (0, 1))
    return watched(ndl, case, "matmul_kernel", lambda: wide(ndl, ndl.matmul(a, b)))


def transpose(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """A matrix, or a batch of them, with the last two axes exchanged."""
    x = on_device(ndl, case, "x")
    last = len(x.shape) - 1
    y = x.transpose(last - 1, last)
    return watched(ndl, case, "transpose_kernel", lambda: host(y.contiguous()))


def softmax(ndl: Any, case: dict[str, Any]) -> list[np.ndarray]:
    """Softmax of the rows, or its logarithm."""
    x = on_device(ndl, case, "x")
    work = ndl.log_softmax if case["log"] else ndl.softmax
    return watched(ndl, case, "softmax_kernel", lambda: host(work(x, -1)))


def gpu(ndl: Any, _case: dict[str, Any]) -> list[np.ndarray]:
    """What the grader asks first where there is a GPU: whether it can be used from here."""
    return [host(ndl.ones(2).to("cuda"))]


QUESTIONS = {
    "cuda": gpu,
    "adamw": adamw,
    "row_sum": row_sum,
    "tile": tile,
    "parallel": parallel,
    "copy": copy,
    "argmax": argmax,
    "matmul": matmul,
    "transpose": transpose,
    "softmax": softmax,
}

PEERS = {"adamw": adamw_peer, "row_sum": row_sum_peer, "tile": tile_peer}
