"""`./course doctor`: what this machine has, what needle uses of it, and what to do about each gap.

Standard library only, so that it works before anything is installed; with Rich the same rows
become a table.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .bootstrap import debian, venv
from .paths import RELEASE, ROOT, SERVER, VENV_PYTHON, shown

CPU_FEATURES = ["sse2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512cd", "avx512dq", "avx512bw"]
INSTRUCTION_SETS = {
    "avx512": {"avx512f", "avx512cd", "avx512dq", "avx512bw", "avx2", "fma", "f16c"},
    "avx2": {"avx2", "fma", "f16c"},
    "sse2": {"sse2"},
}
ENOUGH_MEMORY_GIB = 4.0
ENOUGH_DISK_GIB = 6.0


@dataclass(frozen=True)
class Finding:
    """One row. `advice` is empty where nothing has to be done; `gap` means a command will fail."""

    what: str
    found: str
    advice: str = ""
    gap: bool = False


def examine() -> list[Finding]:
    """All rows, in the order in which a person would look."""
    return [
        _python(),
        _compiler(),
        _debian("base", "demo, train, serve, build"),
        _debian("test", "./course test"),
        _debian("portability", "./course test portability"),
        _packages("base"),
        _packages("test"),
        _ccache(),
        _built(),
        *_processor(),
        _memory(),
        _disk(),
        *_cuda(),
    ]


def main() -> int:
    """Prints the rows. Exit status 1 if something is missing that a command needs."""
    findings = examine()
    try:
        _print_table(findings)
    except ImportError:
        for row in findings:
            print(f"{row.what:18} {row.found}")
            if row.advice:
                print(f"{'':18} -> {row.advice}")
    gaps = [row.what for row in findings if row.gap]
    print(f"To do: {', '.join(gaps)}." if gaps else "Nothing is missing.")
    return 1 if gaps else 0


def _print_table(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("what", "found", "what to do", title="needle on this machine")
    for row in findings:
        style = "red" if row.gap else "yellow" if row.advice else "green"
        table.add_row(row.what, Text(row.found, style=style), row.advice)
    Console().print(table)


def _output(*command: str) -> str:
    """What a command prints, or nothing if it is not there or fails."""
    if not shutil.which(command[0]):
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _python() -> Finding:
    found = f"{platform.python_version()} ({sys.executable})"
    return Finding("Python", found)


def _compiler() -> Finding:
    version = _output("g++", "-dumpfullversion")
    if not version:
        return Finding("g++", "not found", "./course build installs it", gap=True)
    old = int(version.split(".")[0]) < 12
    return Finding("g++", version, "install g++ 12 or newer: needle is C++20" if old else "", old)


def _debian(group: str, what_for: str) -> Finding:
    label = f"Debian, {group}"
    if not shutil.which("dpkg-query"):
        return Finding(label, "not a Debian system", "install the packages' equivalents yourself")
    wanted = debian.wanted({group})
    missing = [package.name for package in debian.missing(wanted)]
    found = f"{len(wanted) - len(missing)} of {len(wanted)} installed"
    if not missing:
        return Finding(label, found)
    command = debian.command_to_type(missing, sudo=os.geteuid() != 0)
    return Finding(label, found, f"{command} (for {what_for})", gap=group == "base")


def _packages(group: str) -> Finding:
    """Compares the pins with what .venv holds, by its own record."""
    label = f"Python, {group}"
    first = "./course build" if group == "base" else "./course test"
    if not VENV_PYTHON.exists():
        return Finding(label, "no .venv", f"{first} makes it", gap=group == "base")
    program = (
        "import importlib.metadata as m, json;"
        "print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
    )
    answer = _output(str(VENV_PYTHON), "-c", program)
    try:
        have = json.loads(answer)
    except ValueError:
        return Finding(label, ".venv does not start", "remove .venv; ./course makes it anew", True)
    pins = re.findall(
        r"^([\w-]+)==(\S+)", venv.REQUIREMENTS[group].read_text(encoding="utf-8"), re.MULTILINE
    )
    # A local label such as 2.13.0+cpu is still version 2.13.0.
    wrong = [name for name, pin in pins if have.get(name.lower(), "").split("+")[0] != pin]
    found = f"{len(pins) - len(wrong)} of {len(pins)} as pinned"
    if not wrong:
        return Finding(label, found)
    return Finding(label, found, f"{first} installs: {', '.join(wrong)}", gap=group == "base")


def _ccache() -> Finding:
    version = _output("ccache", "--version").split("\n")[0].removeprefix("ccache version ")
    return Finding("ccache", version or "not found", "" if version else "optional: faster rebuilds")


def _built() -> Finding:
    if SERVER.exists():
        return Finding("build", shown(RELEASE))
    return Finding("build", "nothing yet", "./course build")


def _processor() -> list[Finding]:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8", errors="replace") if info.exists() else ""
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    flags_line = re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)
    flags = set(flags_line.group(1).split()) if flags_line else set()
    threads = len(os.sched_getaffinity(0))
    rows = [
        Finding("CPU", model.group(1) if model else platform.machine()),
        Finding("CPU features", " ".join(f for f in CPU_FEATURES if f in flags) or "unknown"),
        Finding("threads", f"{threads} usable of {os.cpu_count()}"),
    ]
    can = next((name for name, need in INSTRUCTION_SETS.items() if need <= flags), "")
    used = _instruction_set_in_use()
    if used:
        lower = bool(can) and list(INSTRUCTION_SETS).index(can) < _rank(used)
        why = "NEEDLE_ISA forces it" if os.environ.get("NEEDLE_ISA") else "rebuild: ./course build"
        advice = f"the CPU has {can}; {why}" if lower else ""
        rows.append(Finding("needle runs on", used, advice))
    else:
        rows.append(Finding("needle would use", can or "sse2", "known for sure after a build"))
    return rows


def _rank(name: str) -> int:
    names = list(INSTRUCTION_SETS)
    return names.index(name) if name in names else 0


def _instruction_set_in_use() -> str:
    """Asks the built library, in a process of its own: a broken build must not end the doctor."""
    if not VENV_PYTHON.exists() or not list((ROOT / "python" / "needle").glob("_core*.so")):
        return ""
    path = str(ROOT / "python")
    program = f"import sys; sys.path.insert(0, {path!r}); import needle; print(needle.cpu.isa())"
    return _output(str(VENV_PYTHON), "-c", program)


def _memory() -> Finding:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    little = gib < ENOUGH_MEMORY_GIB
    advice = "compiling needs 1 to 2 GiB a job: NINJA_JOBS=1 ./course build" if little else ""
    return Finding("memory", f"{gib:.1f} GiB", advice)


def _disk() -> Finding:
    gib = shutil.disk_usage(ROOT).free / 2**30
    little = gib < ENOUGH_DISK_GIB
    return Finding("free disk", f"{gib:.1f} GiB", "tests and build need 6 GiB" if little else "")


def _cuda() -> list[Finding]:
    compiler = re.search(r"release ([\d.]+)", _output("nvcc", "--version"))
    query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    gpu = _output("nvidia-smi", *query).replace("\n", "; ")
    fine_without = "not needed: needle runs on the CPU"
    return [
        Finding("GPU, driver", gpu or "none found", "" if gpu else fine_without),
        Finding(
            "CUDA compiler",
            f"nvcc {compiler.group(1)}" if compiler else "none found",
            "" if compiler else "with a GPU: install the CUDA Toolkit" if gpu else fine_without,
        ),
    ]
