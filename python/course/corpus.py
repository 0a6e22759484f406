"""The demo's text: the King James Bible from Debian's bible-kjv, one verse a line."""

import re
import shutil
import subprocess

from .errors import CourseError

WHOLE_TEXT = "Gen1:1-Rev22:21"
VERSES = 31102
# `bible -f` prints "Ge1:1 In the beginning ..."; book names are abbreviated and have no spaces.
REFERENCE = re.compile(rb"^[1-3]?[A-Za-z]+\d+:\d+ ")


def bible_text() -> bytes:
    """The whole text, 4.1 MB of ASCII. Raises CourseError if the program is missing or differs."""
    if not shutil.which("bible"):
        raise CourseError("The demo's text is missing: install Debian's bible-kjv, or use train.")
    # With -f each verse is one line; stdin closed, so that it cannot become interactive.
    run = subprocess.run(
        ["bible", "-f", WHOLE_TEXT], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if run.returncode:
        raise CourseError(f"bible -f {WHOLE_TEXT} failed: {run.stderr.decode(errors='replace')}")
    return strip_references(run.stdout)


def strip_references(printed: bytes) -> bytes:
    """Removes the reference at the start of each line; every line must have one."""
    verses = []
    for line in printed.splitlines():
        verse, found = REFERENCE.subn(b"", line)
        if not found:
            raise CourseError(f"A line of the bible program has no verse reference: {line[:60]!r}.")
        verses.append(verse.strip())
    if len(verses) != VERSES:
        raise CourseError(
            f"The bible program printed {len(verses)} verses; {VERSES} were expected."
        )
    return b"\n".join(verses) + b"\n"
