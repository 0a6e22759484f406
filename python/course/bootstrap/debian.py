"""Debian packages: reads packages.txt and installs what is missing with apt-get."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .steps import SetupError, Step, failure, run_logged

LIST = Path(__file__).resolve().parent.parent / "packages.txt"
APT_OPTIONS = [
    "-y",
    "--no-install-recommends",
    "-o",
    "DPkg::Lock::Timeout=300",
    "-o",
    "Dpkg::Options::=--force-confold",
]


@dataclass(frozen=True)
class Package:
    """One line of packages.txt."""

    name: str
    why: str
    group: str


def read_packages(path: Path = LIST) -> list[Package]:
    """All packages of the list, in its order. A line without a reason or a group is an error."""
    packages: list[Package] = []
    group = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text, _, comment = line.partition("#")
        text = text.strip()
        if text.startswith("[") and text.endswith("]"):
            group = text[1:-1]
        elif text:
            if not group or not comment.strip() or len(text.split()) != 1:
                raise SetupError(f"{path.name}, line {number}: want 'name  # why' in a [group].")
            packages.append(Package(text, comment.strip(), group))
    return packages


def wanted(groups: set[str]) -> list[Package]:
    """The packages of these groups; [system-python] comes with [base] where it applies, [oracle]
    with [test], as the Python packages do.
    """
    if "base" in groups and sys.base_prefix == "/usr":
        groups = groups | {"system-python"}
    if "test" in groups:
        groups = groups | {"oracle"}
    return [package for package in read_packages() if package.group in groups]


def missing(packages: list[Package]) -> list[Package]:
    """Those that dpkg does not call installed. Without dpkg (not a Debian system): none."""
    if not packages or not shutil.which("dpkg-query"):
        return []
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"]
    names = [package.name for package in packages]
    answer = subprocess.run([*query, *names], capture_output=True, text=True, check=False)
    installed = {
        line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")
    }
    return [package for package in packages if package.name not in installed]


def install(groups: set[str]) -> None:
    """Installs what is missing of these groups. Raises SetupError with the command to type."""
    if not shutil.which("dpkg-query") or not shutil.which("apt-get"):
        _check_foreign_system()
        return
    names = [package.name for package in missing(wanted(groups))]
    if not names:
        return
    prefix = _privilege(names)
    with Step(f"Debian packages, {len(names)} to install") as step:
        step.report("reading the package lists")
        if "sudo" in prefix and "-n" not in prefix:
            step.pause()
        asks = bool(prefix)
        update = run_logged(
            [*prefix, "apt-get", "update"], "apt-update.log", on_line=step.report, keep_stdin=asks
        )
        status = run_logged(
            [*prefix, *_environment(), "apt-get", "install", *APT_OPTIONS, *names],
            "apt-install.log",
            on_line=step.report,
            keep_stdin=asks,
        )
        if status:
            # Old package lists are no harm as long as the packages can be had.
            log = "apt-update.log" if update else "apt-install.log"
            raise failure(f"apt-get could not install: {' '.join(names)}.", log)


def command_to_type(names: list[str], sudo: bool) -> str:
    """The shell command that installs these packages."""
    start = "sudo " if sudo else ""
    return (
        f"{start}apt-get update && {start}apt-get install -y --no-install-recommends "
        + " ".join(names)
    )


def _environment() -> list[str]:
    # Through `env`, because sudo drops variables. Nothing may ask a question.
    return ["env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1"]


def _privilege(names: list[str]) -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
            return ["sudo", "-n"]
        if sys.stdin.isatty():
            print(
                f"course: {len(names)} Debian packages are missing; sudo may ask for a password.",
                file=sys.stderr,
            )
            return ["sudo"]
    raise SetupError(
        "Debian packages are missing, and only root may install them. Have this typed, then start "
        f"again:\n    {command_to_type(names, sudo=bool(shutil.which('sudo')))}"
    )


def _check_foreign_system() -> None:
    """Not Debian: we cannot install, but a machine that has the tools may go on."""
    if not shutil.which("g++"):
        names = " ".join(package.name for package in wanted({"base"}))
        raise SetupError(
            "This system has no apt-get, and g++ is missing. Install what your system calls these "
            f"Debian packages, then start again:\n    {names}"
        )
