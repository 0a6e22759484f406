"""The conformance program on every instruction set, also on processors that this machine is not."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ..bootstrap.steps import SetupError
from ..paths import RELEASE
from . import aarch64
from .doctest_suite import run_doctest
from .recorder import Recorder

HOST = RELEASE / "tests" / "conformance"
# Intel's of 2008: it has SSE4.2, and stops at the first AVX instruction.
WITHOUT_AVX = ["qemu-x86_64", "-cpu", "Nehalem"]
# So small that every loop over blocks runs more than once.
SMALL_CACHES = "4K,16K,64K"
# The layouts for AVX512_BF16 and for AMX, where neither is there.
EMULATED = ["emulated-pairs", "emulated-tiles"]
# Large arrays are not given back to the kernel each time: fresh pages are slow, in QEMU above all.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}


@dataclass(frozen=True)
class Run:
    """The program once; `isa` is the instruction set that it must say it runs on."""

    name: str
    isa: str
    command: Sequence[str | os.PathLike[str]] = (HOST,)
    env: dict[str, str] = field(default_factory=dict)
    only: str = ""  # part of the names of its test cases


def run_portability(recorder: Recorder, pattern: str | None) -> None:
    """Compiles for ARM, then runs all, the slow ones first."""
    recorder.now("compiling for aarch64")
    wanted = runs(recorder)
    try:
        aarch64.build_conformance()
    except SetupError as error:
        recorder.failed("aarch64", str(error))
        wanted = [one for one in wanted if one.name != "aarch64"]
    # What is set from outside must not choose: the program without AVX has to by itself.
    env = {name: value for name, value in os.environ.items() if not name.startswith("NEEDLE_")}
    env |= {"NEEDLE_DEVICE": "cpu"} | KEEP_MEMORY

    def run(one: Run) -> None:
        run_doctest(recorder, one.command, pattern or one.only, env | one.env, one.name, one.isa)

    # As many at once as there are processors: each has one thread most of the time.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for done in [pool.submit(run, one) for one in wanted]:
            done.result()


def runs(recorder: Recorder) -> list[Run]:
    """All that this machine can do. AVX-512 is missing on many, and QEMU does not have it."""
    import needle  # not at the top: it may just have been built

    here = needle.cpu.isas()
    all_runs = [
        Run("x86-64 without AVX", "sse2", [*WITHOUT_AVX, HOST]),
        Run("aarch64", "neon", [*aarch64.RUN, aarch64.PROGRAM]),
        Run("small caches", here[0], env={"NEEDLE_CACHES": SMALL_CACHES}),
        *[
            Run(
                f"bfloat16 {way}, {isa}",
                isa,
                env={"NEEDLE_ISA": isa, "NEEDLE_BF16": way, "NEEDLE_CACHES": SMALL_CACHES},
                only="two-byte",
            )
            for way in EMULATED
            for isa in here
        ],
    ]
    for isa in ["sse2", "avx2", "avx512"]:
        if isa == "avx512" and isa not in here:
            recorder.skipped(isa, "this CPU does not have it")
        else:
            all_runs.append(Run(isa, isa, env={"NEEDLE_ISA": isa}))
    return all_runs
