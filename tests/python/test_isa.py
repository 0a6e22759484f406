"""The cpu backend's copies per instruction set stay apart, and NEEDLE_ISA chooses among them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import needle as ndl

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


# --- instructions ---

# BMI came with AVX2 and is encoded like it. AVX-512 is known by its registers, or by the numbers of
# registers that only it can name.
AVX = re.compile(
    r"\t(?:v(?!err|erw)|(?:andn|bextr|blsi|blsmsk|blsr|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx)\b)"
    r"|%ymm"
)
AVX512 = re.compile(r"%zmm|%k[0-7]|%[xy]mm(?:1[6-9]|2\d|3[01])")
LEVELS = ["no AVX", "AVX2", "AVX-512"]


def allowed(symbol: str) -> int:
    """Of LEVELS, what a function may use, by its mangled name.

    It belongs to a namespace of ours, or is a template of xsimd for such a type. What runs when the
    program starts may use nothing, wherever it stands.
    """
    if symbol.startswith("_GLOBAL__"):
        return 0
    return 2 if "6avx512" in symbol or "8avx512" in symbol else 1 if "4avx2" in symbol else 0


def faults(program: Path) -> tuple[list[str], list[int]]:
    """What is used where it may not be; and how many instructions of each of LEVELS there are."""
    command = ["objdump", "--disassemble", "--no-show-raw-insn", program]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, counts, symbol = [], [0, 0, 0], ""
    for line in listing.splitlines():
        if line.endswith(">:"):
            symbol = line.split("<", 1)[1][:-2]
        elif ":\t" in line:
            level = 2 if AVX512.search(line) else 1 if AVX.search(line) else 0
            counts[level] += 1
            if level > allowed(symbol):
                found.append(f"{LEVELS[level]} in {symbol}: {line.strip()}")
    return found, counts


def programs() -> list[Path]:
    """The module and a C++ program: what the linker made of all copies together."""
    release = ROOT / "build" / "release"
    return [*(release / "python").glob("_core*.so"), release / "tests" / "conformance"]


@pytest.mark.parametrize("program", programs(), ids=lambda path: path.name)
def test_wide_instructions_stand_in_their_namespaces_alone(program):
    found, counts = faults(program)
    assert not found, f"{len(found)} faults; the first: {found[0]}"
    assert min(counts) > 10000, f"instructions by level: {counts}"


@pytest.mark.parametrize(("flag", "level"), [("-msse2", 0), ("-mavx2", 1), ("-mavx512f", 2)])
@pytest.mark.parametrize("namespace", ["avx2", "avx512", "elsewhere"])
def test_the_search_finds_them(tmp_path, flag, level, namespace):
    source = "typedef float V __attribute__((vector_size(64)));\n"
    source += f"namespace needle::{namespace} {{ void f(V* a) {{ *a += *a; }} }}\n"
    (tmp_path / "f.cc").write_text(source, encoding="utf-8")
    command = ["g++", "-O1", flag, "-c", "f.cc", "-o", "f.o"]
    subprocess.run(command, cwd=tmp_path, check=True)
    found, counts = faults(tmp_path / "f.o")
    assert counts[level] > 0
    assert counts[level + 1 :] == [0] * (2 - level)
    assert bool(found) == (level > {"elsewhere": 0, "avx2": 1, "avx512": 2}[namespace])


def test_what_runs_at_the_start_may_use_nothing():
    assert allowed("_GLOBAL__sub_I__ZN6needle4avx25tableE") == 0
    assert allowed("_ZN6needle4avx26matmulE") == 1


# --- NEEDLE_ISA ---


def run_isa(isa: str) -> subprocess.CompletedProcess:
    code = (
        "import needle as ndl; y = ndl.ones((65, 3)) @ ndl.ones((3, 7)); "
        "print(ndl.cpu.isa(), float(y.sum()))"
    )
    environment = os.environ | {"NEEDLE_ISA": isa, "PYTHONPATH": str(ROOT / "python")}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def flags() -> set[str]:
    """What Linux says that this CPU has."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return set(re.search(r"^flags\s*:(.*)$", info, re.MULTILINE)[1].split())


def test_isas_are_those_of_the_cpu():
    need = {
        "avx512": {"avx512f", "avx512cd", "avx512dq", "avx512bw"},
        "avx2": {"avx2", "fma"},
        "sse2": {"sse2"},
    }
    assert ndl.cpu.isas() == [isa for isa, wanted in need.items() if wanted <= flags()]
    assert ndl.cpu.isa() in ndl.cpu.isas()


@pytest.mark.parametrize("isa", ["avx512", "avx2", "sse2"])
def test_needle_isa_names_the_one_to_use_or_is_refused(isa):
    done = run_isa(isa)
    if isa in ndl.cpu.isas():
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [isa, "1365.0"]
    else:
        has = ", ".join(ndl.cpu.isas())
        assert f"ValueError: NEEDLE_ISA={isa}: this CPU has only {has}" in done.stderr


def test_without_needle_isa_the_best_is_used():
    assert run_isa("").stdout.split() == [ndl.cpu.isas()[0], "1365.0"]


@pytest.mark.parametrize("isa", ["sse9", "neon", "AVX2"])
def test_an_unknown_needle_isa_is_refused_in_words(isa):
    done = run_isa(isa)
    assert done.returncode != 0
    assert f"ValueError: NEEDLE_ISA={isa}: not one of avx512, avx2, sse2" in done.stderr
