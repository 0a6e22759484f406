"""Configures with Meson and builds with ninja, both of .venv, and shows how far it is."""

import json
import os
import re
import shutil
from pathlib import Path

from ..paths import ROOT, VENV, shown
from .steps import SetupError, Step, failure, log_path, run_logged

PROGRESS = re.compile(r"^\[(\d+)/(\d+)\] (.*)")
FAULT = re.compile(r"(: (fatal )?error: |undefined reference|: error:|^ninja: error:)")
CONTEXT = re.compile(r"(: In |^In file included|^ +from )")
COLOUR = re.compile("\x1b\\[[0-9;]*[mK]")
SHOWN_LINES = 20
WATCHED = [
    "-Db_lundef=false",
    # Several files compiled as one, without optimisation: sanitizers triple the time that takes.
    # The kernels are optimised all the same: see needle/meson.build.
    "-Doptimization=0",
    "-Dunity=on",
    "-Dunity_size=8",
    "-Db_pch=false",
    "-Dpython=disabled",
    "-Dcuda=disabled",
]
SANITIZE_OPTIONS = ["-Db_sanitize=address,undefined", *WATCHED]
THREADS_OPTIONS = ["-Db_sanitize=thread", *WATCHED]


def build(
    folder: Path,
    options: list[str] | None = None,
    targets: list[str] | None = None,
    keep_going: bool = False,
) -> None:
    """Brings a build folder up to date; raises SetupError with the compiler's first error, at once
    or, to keep going, when all that does not depend on it is made."""
    _configure(folder, options or [])
    name = f"build-{folder.name}.log"
    with Step(f"Build {shown(folder)}") as step:

        def on_line(line: str) -> None:
            if match := PROGRESS.match(line):
                done, total, what = match.groups()
                step.report(f"[{done}/{total}] {what.split()[-1] if what else ''}")

        jobs = os.environ.get("NINJA_JOBS", "")
        command = [_tool("ninja"), "-C", folder, *(["-j", jobs] if jobs else []), *(targets or [])]
        command += ["-k", "0"] if keep_going else []
        if run_logged(command, name, on_line=on_line, env=_environment()):
            step.report()
            raise SetupError(f"The build failed.\n{_first_error(name)}")
    _link_module(folder)


def _link_module(folder: Path) -> None:
    """Puts links to what was built into the package, so that `import needle` finds it."""
    modules = [*folder.glob("python/_core*.so")]
    if modules:  # or else the libraries are only compiled, to be looked at
        modules += folder.glob("cuda/libneedle_cuda*.so")
    for module in modules:
        link = ROOT / "python" / "needle" / module.name
        target = os.path.relpath(module, link.parent)
        if not link.is_symlink() or str(link.readlink()) != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)


def _configure(folder: Path, options: list[str]) -> None:
    if not (ROOT / "meson.build").exists():
        raise SetupError("There is no meson.build: this is not a complete copy of needle.")
    stamp = folder / "course-options"
    asked = "\n".join(options)
    is_made = (folder / "build.ninja").exists() and _source_root(folder) == str(ROOT)
    if is_made and stamp.exists() and stamp.read_text(encoding="utf-8") == asked:
        return
    # A folder without build.ninja, or made for another place or otherwise, is of no use.
    shutil.rmtree(folder, ignore_errors=True)
    with Step(f"Configure {shown(folder)}") as step:
        step.report("meson setup")
        name = f"meson-{folder.name}.log"
        command = [_tool("meson"), "setup", folder, ROOT, *options]
        if run_logged(command, name, on_line=step.report, env=_environment(), cwd=ROOT):
            raise failure("meson could not configure the build.", name)
    stamp.write_text(asked, encoding="utf-8")


def _source_root(folder: Path) -> str:
    """Where the folder's sources are, by Meson's own record; "" if there is no sound record."""
    record = folder / "meson-info" / "meson-info.json"
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["directories"]["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _tool(name: str) -> Path:
    tool = VENV / "bin" / name
    if not tool.exists():
        raise SetupError(f"{shown(tool)} is missing. Start ./course build, which installs it.")
    return tool


def _environment() -> dict[str, str]:
    """The venv first in PATH, so that Meson finds its Python, pybind11 and ninja."""
    env = dict(os.environ)
    env["PATH"] = f"{VENV / 'bin'}{os.pathsep}{env.get('PATH', '')}"
    env["VIRTUAL_ENV"] = str(VENV)
    env["NINJA_STATUS"] = "[%f/%t] "
    env["LC_ALL"] = "C.UTF-8"
    # What ccache needs to work beside a precompiled header, and to find in one build folder what
    # was compiled in another: the paths in our debug information are relative.
    env["CCACHE_SLOPPINESS"] = "pch_defines,time_macros"
    env["CCACHE_NOHASHDIR"] = "1"
    return env


def _first_error(name: str) -> str:
    """The first error of the log with what stands around it, not the pages that follow from it."""
    text = COLOUR.sub("", log_path(name).read_text(encoding="utf-8", errors="replace"))
    lines = text.splitlines()
    where = next((i for i, line in enumerate(lines) if FAULT.search(line)), None)
    if where is None:
        part = lines[-SHOWN_LINES:]
    else:
        start = where
        while start > 0 and CONTEXT.search(lines[start - 1]):
            start -= 1
        end = next(
            (i for i in range(where + 1, len(lines)) if PROGRESS.match(lines[i])), len(lines)
        )
        part = [line for line in lines[start : min(end, start + SHOWN_LINES)] if len(line) < 1000]
    return "\n".join("    " + line for line in part) + f"\n  Full log: {shown(log_path(name))}"
