"""What the learner has done, in .course/state.json, which git ignores."""

import datetime
import json
from pathlib import Path
from typing import Any

from .paths import ROOT, shown

FOLDER = ".course"


def folder(root: Path = ROOT) -> Path:
    """Where the learner's own things are: state.json, mine/, reference/."""
    return root / FOLDER


def load(root: Path = ROOT) -> dict[str, Any]:
    """The state; empty if there is none. A file that cannot be read is put aside, not lost."""
    path = folder(root) / "state.json"
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        state = None
    if not isinstance(state, dict):
        path.replace(path.with_suffix(".broken"))
        print(
            f"course: {shown(path)} was unreadable; it is now {path.with_suffix('.broken').name}."
        )
        return {}
    return state


def record(section: str, key: str, entry: dict[str, Any], root: Path = ROOT) -> None:
    """Adds to the entry `key` of a section, and writes the file in one step."""
    state = load(root)
    old = state.setdefault(section, {}).get(key, {})
    state[section][key] = old | entry
    path = folder(root) / "state.json"
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(state, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)


def today() -> str:
    """2026-01-31"""
    return datetime.date.today().isoformat()
