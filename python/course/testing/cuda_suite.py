"""The CUDA backend as nvcc compiles it, on machines without a GPU, too."""

import os
import shutil

from ..bootstrap.build import build
from ..bootstrap.steps import SetupError
from ..paths import CUDA
from .pytest_suite import run_pytest
from .recorder import Recorder

OPTIONS = ["-Dcuda=enabled", "-Dprograms=false", "-Dpython=disabled"]
LIBRARY = "cuda/libneedle_cuda.so"


def run_cuda(recorder: Recorder, pattern: str | None) -> None:
    """Compiles every kernel for every GPU, which takes minutes, and looks at what came out."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/cuda/bin"])
    if not shutil.which("nvcc", path=path):
        recorder.skipped("nvcc", "it is not installed; it comes with the toolkit of the vendor")
        return
    recorder.now("compiling with nvcc")
    try:
        build(CUDA, OPTIONS, [LIBRARY])
    except SetupError as error:
        recorder.failed("build of cuda", str(error))
        return
    run_pytest(recorder, ["tests/cuda"], pattern)
