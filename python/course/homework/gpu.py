"""Kernels of CUDA on a GPU, where the machine has one that a box can use.

Cases of the group "right" that say device cuda_sim are then asked again on device cuda; what they
expect is the same. A GPU neither watches nor counts: the other groups stay with the simulator.
"""

from dataclasses import replace
from pathlib import Path

from ..paths import RELEASE
from .build import Package
from .oracle import Case, Oracle
from .session import Ended, open_box
from .spec import Question
from .units import GPU_LIBRARY

GROUP = "right"
SIMULATED, DEVICE = "cuda_sim", "cuda"
SECONDS = 20.0  # to start its driver


def folder() -> Path | None:
    """The build folder with a library for the GPU of this machine; None if it has no GPU."""
    here = Path("/dev/nvidiactl").exists() and (RELEASE / GPU_LIBRARY).exists()
    return RELEASE if here else None


def fault(package: Package, driver: Path) -> str:
    """What keeps a box from using the GPU, or nothing."""
    try:
        with open_box(package.folder, driver, SECONDS, gpu=True) as box:
            box.ask(DEVICE, {}, 0)
    except Ended as ended:
        return str(ended)
    return ""


def cases(question: Question, oracle: Oracle) -> list[Case]:
    """The cases for the GPU."""
    return [
        replace(case, args=case.args | {"device": DEVICE})
        for case in oracle.cases(question.id)
        if case.group == GROUP and case.args.get("device") == SIMULATED
    ]
