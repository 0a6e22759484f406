"""What the simulator counts for a rung, and what a GPU can then do at most."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import needle as ndl

from ..errors import CourseError
from .cases import Arrays
from .gpu_cases import GpuCase
from .gpu_check import check_rung

KINDS = ["global_reads", "global_writes", "global_atomics", "shared_reads", "shared_writes"]
SECTOR = 32  # bytes


@dataclass(frozen=True)
class Machine:
    """A GPU's rates. L1 and shared memory of a multiprocessor deliver 128 bytes a cycle."""

    name: str
    multiprocessors: int
    peak: float  # FLOP/s of float32
    memory: float  # bytes/s

    @property
    def cycles(self) -> float:
        """Of all multiprocessors in a second. One does 128 multiply-adds of float32 in a cycle."""
        return self.peak / 256


# NVIDIA H200 Tensor Core GPU, datasheet: 67 TFLOP/s, 4.8 TB/s. NVIDIA H100 Tensor Core GPU
# Architecture, 2022: the same chip, 132 multiprocessors of 128 lanes; that is 1.98 GHz.
H200 = Machine("H200", 132, 67e12, 4.8e12)


@dataclass(frozen=True)
class Count:
    """Accesses of one kind: `units` are sectors of global memory, wavefronts of shared memory."""

    requests: int = 0
    units: int = 0
    ideal: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        """Units a request, and what they could be."""
        if self.requests == 0:
            return "-"
        return f"{self.units / self.requests:.1f} ({self.ideal / self.requests:.1f})"


@dataclass(frozen=True)
class Counted:
    """A rung at one size. `l1_cycles`: of multiprocessors, for what L1 and shared memory do."""

    name: str
    idea: str
    file: str
    is_available: bool
    threads: int = 0
    barriers: int = 0
    branches: int = 0
    divergent: int = 0
    l1_cycles: float = 0
    counts: dict[str, Count] = field(default_factory=dict)

    @property
    def global_bytes(self) -> int:
        """That L1 is asked for, and that L2 or memory deliver if L1 has none of them."""
        return SECTOR * sum(c.units for kind, c in self.counts.items() if kind[0] == "g")


@dataclass(frozen=True)
class Counts:
    """One ladder at one size."""

    ladder: str
    size: int
    unit: str
    flops: float
    least_bytes: float
    rungs: list[Counted]

    def rate(self, rung: Counted, machine: Machine, cached: bool = True) -> tuple[float, str]:
        """Most work a second, in `unit`, that the machine can do so; and what limits it.

        "FMA", "L1" (its and shared memory's port), or "memory". `cached`: the caches keep
        everything that is read again; else nothing. "atomics": additions to one address, for which
        there is no model; the rate is then 0.
        """
        if rung.counts["global_atomics"].requests > self.least_bytes / 4 / 256:
            return 0.0, "atomics"
        seconds = {
            "FMA": self.flops / machine.peak if self.unit == "GFLOP/s" else 0.0,
            "L1": rung.l1_cycles / machine.cycles,
            "memory": (self.least_bytes if cached else rung.global_bytes) / machine.memory,
        }
        limit = max(seconds, key=lambda name: seconds[name])
        work = self.flops if self.unit == "GFLOP/s" else self.least_bytes
        return work / seconds[limit] / 1e9, limit


def count(case: GpuCase, size: int) -> Counts:
    """Runs every rung in the simulator, checked, at this size; CourseError for a wrong one."""
    arrays = case.operands(size)
    rungs = [_count(case, rung, arrays) for rung in case.rungs("cuda_sim")]
    return Counts(case.name, size, case.unit, case.flops(size), case.least_bytes(size), rungs)


def _count(case: GpuCase, rung: ndl.ladder.GpuRung, arrays: Arrays) -> Counted:
    if not rung.is_available:
        return Counted(rung.name, rung.idea, rung.file, False)
    ndl.sim.clear()
    with ndl.sim.watch(check=True, count=True):
        check_rung(case, rung, "cuda_sim", arrays)
    kernels = ndl.sim.report().kernels
    ndl.sim.clear()
    return from_report(kernels, rung.name, rung.idea, rung.file)


def from_report(
    kernels: list[dict[str, Any]], name: str = "", idea: str = "", file: str = ""
) -> Counted:
    """Adds up what ndl.sim.report().kernels has."""

    def total(key: str) -> int:
        return sum(kernel["total"][key] for kernel in kernels)

    counts = {}
    for kind in KINDS:
        parts = [kernel["total"].get(kind, {}) for kernel in kernels]
        sums = (sum(p.get(key, 0) for p in parts) for key in Count.__dataclass_fields__)
        counts[kind] = Count(*sums)
    lines = [line for kernel in kernels for line in kernel["lines"]]
    return Counted(
        name, idea, file, True,
        sum(kernel["threads"] for kernel in kernels),
        total("barriers"), total("branches"), total("divergent"),
        sum(map(_cycles, lines)), counts,
    )  # fmt: skip


def _cycles(line: dict[str, Any]) -> float:
    """Cycles of the port: a request takes at least one, and 128 bytes pass in a cycle."""
    cycles = 0.0
    for kind in ("global_reads", "global_writes"):
        if kind in line:
            cycles += max(line[kind]["requests"], line[kind]["units"] * SECTOR / 128)
    for kind in ("shared_reads", "shared_writes"):
        if kind in line:
            cycles += line[kind]["units"]
    return cycles


def write(results: list[Counts], path: Path) -> None:
    """Writes a JSON list of results."""
    text = json.dumps([asdict(result) for result in results], indent=1) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CourseError(f"{path}: {error.strerror}.") from None


def read(path: Path) -> list[Counts]:
    """What write() wrote."""
    return [
        Counts(**one | {"rungs": [
            Counted(**rung | {"counts": {k: Count(**c) for k, c in rung["counts"].items()}})
            for rung in one["rungs"]
        ]})
        for one in json.loads(path.read_text(encoding="utf-8"))
    ]  # fmt: skip
