"""A graph of many small operations: built, differentiated, dropped. Against PyTorch eager.

Arrays of two elements, so that next to all of the time is the graph's. `chain` is one long line of
products and sums, `dag` mixes the last eight values. From C++ the same graphs are made by
tests/bench/autograd.cc, with PyTorch's Python as the peer.
"""

import gc
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from harness import ROOT, Row, compare, main, peer

import needle as ndl

OPS = 100_000
SHAPES = ("chain", "dag")


def chain(x: Any, w: Any, ops: int) -> Any:
    """((x * w + x) * w + x) ..."""
    y = x
    for _ in range(ops // 2):
        y = y * w
        y = y + x
    return y


def dag(x: Any, w: Any, ops: int) -> Any:
    """Sums of two of the last eight values and, so that nothing grows, products with w."""
    recent = [x * w for _ in range(8)]
    for k in range((ops - 8) // 2):
        y = recent[k % 8] + recent[(3 * k + 1) % 8]
        recent[k % 8] = y * w
    return recent[k % 8]


GRAPHS = {"chain": chain, "dag": dag}


def leaves(framework: Any) -> tuple[Any, Any, Any]:
    """x, w, and the gradient of the result."""
    x = framework.tensor([1.0, 2.0], requires_grad=True)
    w = framework.tensor([0.5, 0.25], requires_grad=True)
    return x, w, framework.tensor([1.0, 1.0])


def run(framework: Any, shape: str, ops: int) -> float:
    """Seconds to build the graph, differentiate it and drop it."""
    x, w, dy = leaves(framework)
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    GRAPHS[shape](x, w, ops).backward(dy)
    seconds = time.perf_counter() - start
    gc.enable()
    return seconds


class Program:
    """tests/bench/autograd.cc: reads `chain 100000`, answers with seconds."""

    def __init__(self) -> None:
        path = ROOT / "build" / "release" / "tests" / "bench_autograd"
        if not path.exists():
            raise SystemExit(f"bench: {path} is missing; build it: ./course build")
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)  # fmt: skip

    def run(self, shape: str, ops: int) -> float:
        self.process.stdin.write(f"{shape} {ops}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def _status(field: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def bytes_per_node(name: str, shape: str, ops: int) -> float:
    """By how much the peak of this process's memory grows. Run in a process of its own."""
    framework = __import__(name)
    run(framework, shape, 100)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _status("VmRSS")
    run(framework, shape, ops)
    return (_status("VmHWM") - before) / ops


def measured_apart(name: str, shape: str) -> float:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, __file__, "--memory", name, shape]
    return float(subprocess.check_output(command, env=environment, text=True))


def rows() -> list[Row]:
    torch = peer("torch", "pip install torch==2.13.0")
    torch.set_num_threads(1)
    program = Program()
    out = []
    for shape in SHAPES:
        case = f"{OPS} nodes, {shape}"
        out += compare(
            "autograd",
            {
                f"python, {case}": partial(run, ndl, shape, OPS),
                f"c++, {case}": partial(program.run, shape, OPS),
            },
            {"PyTorch, Python": partial(run, torch, shape, OPS)},
        )
        out += compare(
            "autograd",
            {f"peak memory, {case}": partial(measured_apart, "needle", shape)},
            {"PyTorch, Python": partial(measured_apart, "torch", shape)},
            unit="bytes/node",
            scale=1,
        )
    return out


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        print(bytes_per_node(sys.argv[2], sys.argv[3], OPS))
    else:
        main(rows)
