"""The cpu backend's copies per instruction set stay apart, and NEEDLE_ISA chooses among them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What marks a function as belonging to one instruction set: its namespace, or xsimd's architecture.
ARCHITECTURE = {
    "sse2": "xsimd::sse2",
    "avx2": "xsimd::fma3<xsimd::avx2>",
    "avx512": "xsimd::avx512bw",
}


def shared_symbols(isa: str) -> list[str]:
    """Functions that the linker may take from this copy for all of them (weak ones)."""
    archive = ROOT / "build/release/needle" / f"libneedle_cpu_{isa}.a"
    listing = subprocess.run(
        ["nm", "--demangle", "--defined-only", archive], capture_output=True, text=True, check=True
    ).stdout
    symbols = re.findall(r"^[0-9a-f]+ [VWu] (.*)$", listing, re.MULTILINE)
    assert symbols, f"nm found no symbol in {archive.name}"
    return symbols


@pytest.mark.parametrize("isa", ARCHITECTURE)
def test_no_function_can_leak_into_another_instruction_set(isa):
    harmless = ("DW.ref.__gxx_personality_v0",)
    own = (f"needle::{isa}::", ARCHITECTURE[isa])
    leaks = [
        s for s in shared_symbols(isa) if s not in harmless and not any(mark in s for mark in own)
    ]
    assert not leaks, f"{leaks[0]}: make it always_inline, or keep it out of backend/cpu"


def run_isa(isa: str) -> subprocess.CompletedProcess:
    code = (
        "import needle as ndl; y = ndl.ones((65, 3)) @ ndl.ones((3, 7)); "
        "print(ndl.cpu.isa(), float(y.sum()))"
    )
    environment = os.environ | {"NEEDLE_ISA": isa, "PYTHONPATH": str(ROOT / "python")}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_needle_isa_forces_a_lower_one():
    done = run_isa("sse2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["sse2", "1365.0"]


def test_an_unknown_needle_isa_is_refused_in_words():
    done = run_isa("sse9")
    assert done.returncode != 0
    assert "NEEDLE_ISA=sse9: not one of avx512, avx2, sse2" in done.stderr
