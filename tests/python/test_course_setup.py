"""The setup of ./course: package lists, apt-get, error reports, steps. Nothing is installed."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from course.bootstrap import debian, steps, venv
from course.bootstrap.build import _first_error
from course.bootstrap.steps import SetupError

ROOT = Path(__file__).resolve().parents[2]
Tool = Callable[[str, str], None]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Makes a program of the given shell text; PATH holds only such programs."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(steps, "LOGS", tmp_path / "logs")
    (tmp_path / "bin").mkdir()

    def make(name: str, text: str) -> None:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)

    make("env", 'exec /usr/bin/env "$@"')
    return make


def dpkg_without(*names: str) -> str:
    """A dpkg-query that knows all packages but these."""
    lines = "\n".join(
        f"echo '{package.name} installed'"
        for package in debian.read_packages()
        if package.name not in names
    )
    return f"{lines}\necho '{names[0] if names else 'x'} not-installed'\nexit 1"


def test_package_list_is_well_formed() -> None:
    packages = debian.read_packages()
    names = [package.name for package in packages]
    assert len(names) == len(set(names))
    groups = {"base", "system-python", "oracle", "test", "portability"}
    assert {package.group for package in packages} == groups
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) for name in names)
    assert all(len(package.why) > 5 for package in packages)
    assert {"g++", "bible-kjv", "ccache"} <= set(names)


@pytest.mark.parametrize("text", ["g++  # early\n", "[base]\ng++\n", "[base]\na b  # two\n"])
def test_malformed_package_list_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "packages.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SetupError, match=r"line [12]"):
        debian.read_packages(path)


@pytest.mark.parametrize("group", venv.REQUIREMENTS)
def test_every_requirement_is_pinned(group: str) -> None:
    lines = venv.REQUIREMENTS[group].read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith(("#", "-r requirements-"))]
    assert pins
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)


def test_nothing_is_called_if_nothing_is_missing(tool: Tool) -> None:
    tool("dpkg-query", dpkg_without())
    tool("apt-get", "echo must not be called; exit 9")
    debian.install({"base", "test"})
    assert not steps.log_path("apt-install.log").exists()


def test_root_installs_just_what_is_missing(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    tool("dpkg-query", dpkg_without("ccache", "g++"))
    tool("apt-get", 'echo "called: $DEBIAN_FRONTEND $*"')
    debian.install({"base"})
    called = steps.log_path("apt-install.log").read_text(encoding="utf-8")
    assert "called: noninteractive install -y --no-install-recommends" in called
    assert called.rstrip().endswith("g++ ccache")


def test_without_sudo_the_command_is_printed(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    tool("dpkg-query", dpkg_without("chromium"))
    tool("apt-get", "exit 9")
    with pytest.raises(SetupError) as caught:
        debian.install({"test"})
    command = "apt-get update && apt-get install -y --no-install-recommends chromium"
    assert str(caught.value).endswith(command)


def test_sudo_without_password_is_used(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    tool("dpkg-query", dpkg_without("chromium"))
    tool("apt-get", 'echo "called: $*"')
    tool("true", "exit 0")
    tool("sudo", '[ "$1" = -n ] && shift && exec "$@"')
    debian.install({"test"})
    assert "called: install" in steps.log_path("apt-install.log").read_text(encoding="utf-8")


def test_failed_apt_names_packages_log_and_cause(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    tool("dpkg-query", dpkg_without("ccache"))
    tool("apt-get", "echo 'E: Temporary failure resolving the mirror'; exit 100")
    with pytest.raises(SetupError) as caught:
        debian.install({"base"})
    text = str(caught.value)
    assert "ccache" in text
    assert "network" in text
    assert "Temporary failure" in text
    assert "apt-" in text.splitlines()[-1]


def test_other_systems_may_go_on_if_they_have_a_compiler(tool: Tool) -> None:
    with pytest.raises(SetupError, match="libxsimd-dev"):
        debian.install({"base"})
    tool("g++", "exit 0")
    debian.install({"base"})


def test_first_error_leaves_out_what_follows(tool: Tool) -> None:
    log = steps.log_path("build.log")
    log.parent.mkdir()
    log.write_text(
        "[1/9] ok\n[2/9] bad\nFAILED: a.o\nc++ -c a.cc\n"
        "In file included from a.cc:1:\n\x1b[01m\x1b[Ka.h:3:5:\x1b[m\x1b[K "
        "\x1b[01;31m\x1b[Kerror: \x1b[m\x1b[Kno such thing\n    3 | thing\n"
        "[3/9] more\nb.cc:1:1: error: another\n",
        encoding="utf-8",
    )
    shown = _first_error("build.log")
    assert shown.splitlines()[:3] == [
        "    In file included from a.cc:1:",
        "    a.h:3:5: error: no such thing",
        "        3 | thing",
    ]
    assert "another" not in shown


def test_a_missing_program_is_reported_not_raised(tool: Tool) -> None:
    assert steps.run_logged(["no-such-program"], "x.log") == 127
    assert "No such file" in steps.log_path("x.log").read_text(encoding="utf-8")


def test_old_python_is_told_what_is_needed() -> None:
    program = (
        "import sys, runpy\nsys.version_info = (3, 9, 2)\nrunpy.run_path('course')"  # as if older
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "3.11 or newer, and this is 3.9.2" in done.stderr


def test_bootstrap_needs_the_standard_library_only() -> None:
    program = "import course.bootstrap, course.doctor"
    # -S leaves out site-packages, -I the environment.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, 'python'); {program}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
