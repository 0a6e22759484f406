"""Where things are in the tree. Standard library only: the bootstrap uses it too."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
BUILD = ROOT / "build"
RELEASE = BUILD / "release"
SANITIZE = BUILD / "sanitize"
THREADS = BUILD / "threads"
CUDA = BUILD / "cuda"
LOGS = BUILD / "logs"
DEMO = BUILD / "demo"
SERVER = RELEASE / "needle-serve"


def shown(path: Path) -> str:
    """The path as a person at the top of the tree would type it."""
    try:
        return str(path.relative_to(ROOT))
    except ValueError:
        return str(path)
