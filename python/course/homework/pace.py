"""The speed of a question: in turns with a peer, `PEERS` of driver.py, the same work in NumPy.

The clock is here. Both processes get and send the same arrays; that of the peer never loads the
student's code. Of each the least of several times counts: what else a machine does can only add.
"""

import threading
import time
from pathlib import Path

from .build import Package
from .oracle import Case, Oracle
from .session import Session, open_box
from .spec import Question

GROUP = "fast"  # of the cases whose time counts
TURNS = 7
SECONDS = 10.0  # of the processor, for all turns
_alone = threading.Lock()


def fault(question: Question, package: Package, driver: Path, oracle: Oracle) -> tuple[Case, str]:
    """The first case that takes too long, and a sentence: "" if there is none. Raises Ended."""
    cases = [case for case in oracle.cases(question.id) if case.group == GROUP]
    with (
        _alone,
        open_box(package.folder, driver, SECONDS) as own,
        open_box(package.folder, driver, SECONDS) as peer,
    ):
        for case in cases:
            if text := _fault(question, case, own, peer, oracle):
                return case, text
    return cases[0], ""


def _fault(question: Question, case: Case, own: Session, peer: Session, oracle: Oracle) -> str:
    least = peers = float("inf")
    for _ in range(TURNS):
        start = time.perf_counter()
        got = own.ask(question.id, case.args, case.expected_bytes)
        between = time.perf_counter()
        peer.ask(f"{question.id}.peer", case.args, case.expected_bytes)
        end = time.perf_counter()
        least, peers = min(least, between - start), min(peers, end - between)
        if difference := oracle.difference(question.id, case, got):
            return difference.text
    if least <= question.pace * peers:
        return ""
    return (
        f"right, but it takes {least / peers:.1f} times as long as NumPy; at most "
        f"{question.pace:g} times as long is asked for"
    )
