"""The .venv: made once, filled from the pinned requirement files, known by a stamp."""

import hashlib
import subprocess
import sys
from pathlib import Path

from ..paths import ROOT, VENV, VENV_PYTHON
from . import debian
from .steps import Step, failure, run_logged

HERE = Path(__file__).resolve().parent.parent
REQUIREMENTS = {
    "base": HERE / "requirements.txt",
    "oracle": HERE / "requirements-oracle.txt",
    "test": HERE / "requirements-test.txt",
}
FOR = {"base": "needle", "oracle": "comparisons", "test": "tests"}


def ready(group: str) -> bool:
    """Whether this group was installed from the lists as they are now. Costs no process."""
    stamp = _stamp(group)
    return (
        VENV_PYTHON.exists()
        and stamp.exists()
        and stamp.read_text(encoding="utf-8") == _fingerprint(group)
    )


def install(group: str) -> None:
    """Makes .venv if needed, installs the group's Python packages, leaves a stamp.

    The stamp speaks for the Debian packages too: install those first.
    """
    if not _works():
        _create()
    with Step(f"Python packages for {FOR[group]}") as step:
        step.report("asking pip")
        command = [VENV_PYTHON, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        command += ["--no-compile"]  # most modules are never imported; those that are compile then
        log = f"pip-{group}.log"
        if run_logged([*command, "-r", REQUIREMENTS[group]], log, on_line=step.report):
            raise failure("pip could not install the Python packages.", log)
    _write_path_file()
    _stamp(group).write_text(_fingerprint(group), encoding="utf-8")


def _create() -> None:
    with Step("Python environment .venv") as step:
        step.report("python -m venv")
        if run_logged([sys.executable, "-m", "venv", "--clear", VENV], "venv.log"):
            raise failure("python3 -m venv failed.", "venv.log")


def _works() -> bool:
    """Whether .venv has a Python that starts and a pip: not after a move or a broken install."""
    pip = VENV / "bin" / "pip"
    # Its programs name their Python by its full path.
    if not VENV_PYTHON.exists() or not pip.exists() or str(VENV) not in pip.read_text()[:500]:
        return False
    try:
        probe = subprocess.run([VENV_PYTHON, "-c", "import pip"], capture_output=True, check=False)
    except OSError:
        return False
    return probe.returncode == 0


def _write_path_file() -> None:
    """Lets `.venv/bin/python -c "import needle"` find the package in the tree."""
    for site in (VENV / "lib").glob("python3.*/site-packages"):
        (site / "needle-tree.pth").write_text(f"{ROOT / 'python'}\n", encoding="utf-8")


def _stamp(group: str) -> Path:
    return VENV / f".course-{group}"


def _fingerprint(group: str) -> str:
    """Changes when a list changes or the tree moves (a moved .venv does not work)."""
    text = [str(ROOT), REQUIREMENTS[group].read_text(encoding="utf-8")]
    text += [package.name for package in debian.read_packages() if package.group == group]
    return hashlib.sha256("\n".join(text).encode()).hexdigest() + "\n"
