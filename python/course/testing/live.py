"""A pytest plugin: writes the outcome of each test, as it comes, to the pipe of `./course test`.

Loaded by `-p course.testing.live`; the pipe's file descriptor is in COURSE_TEST_EVENTS.
"""

import json
import os
from typing import Any, TextIO

import pytest

VARIABLE = "COURSE_TEST_EVENTS"
_pipe: TextIO | None = None


def pytest_configure() -> None:
    """Opens the pipe."""
    global _pipe
    if VARIABLE in os.environ:
        _pipe = os.fdopen(int(os.environ.pop(VARIABLE)), "w", encoding="utf-8")


def pytest_runtest_logstart(nodeid: str) -> None:
    """A test begins."""
    _emit(kind="start", name=nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One of the three phases of a test has ended: only what decides the outcome is written."""
    if report.failed:
        what = "" if report.when == "call" else f" ({report.when})"
        _emit(kind="failed", name=report.nodeid + what, detail=_detail(report))
    elif report.skipped:
        if hasattr(report, "wasxfail"):
            _emit(kind="passed", name=report.nodeid)
        else:
            _emit(kind="skipped", name=report.nodeid, detail=_reason(report))
    elif report.when == "call":
        _emit(kind="passed", name=report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A test file that cannot be imported counts as a failure, one that skips itself as skipped."""
    if report.failed:
        _emit(kind="failed", name=report.nodeid, detail=str(report.longrepr))
    elif report.skipped:
        _emit(kind="skipped", name=report.nodeid, detail=_reason(report))


def _detail(report: pytest.TestReport) -> str:
    sections = [f"--- {title}\n{text[-4000:]}" for title, text in report.sections if text.strip()]
    return "\n".join([report.longreprtext, *sections])


def _reason(report: Any) -> str:
    where = report.longrepr
    return str(where[2] if isinstance(where, tuple) else where).removeprefix("Skipped: ")


def _emit(**event: str) -> None:
    if _pipe:
        _pipe.write(json.dumps(event) + "\n")
        _pipe.flush()
