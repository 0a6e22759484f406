"""What the tests of the Python package share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import needle as ndl

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    ndl.manual_seed(0)


@pytest.fixture
def run_script() -> Callable[..., subprocess.CompletedProcess]:
    """Runs Python source in a process of its own: what may crash, or needs other settings."""

    def run(source: str, **environment: str) -> subprocess.CompletedProcess:
        env = os.environ | {"PYTHONPATH": str(Path(ndl.__file__).parents[1])} | environment
        return subprocess.run(
            [sys.executable, "-c", source],
            capture_output=True,
            text=True,
            env=env,
            timeout=120,
            check=False,
        )

    return run
