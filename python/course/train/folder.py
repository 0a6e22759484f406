"""Replaces a whole folder at once: at any moment, a complete one can be found.

A plain rename cannot replace a folder with something in it. Linux can exchange two folders in one
step (renameat2); where the file system refuses, the old folder is moved aside to `.NAME.old` first
and `recover` moves it back if the process died in between.
"""

import ctypes
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

AT_FDCWD = -100
RENAME_EXCHANGE = 2


def replace_folder(
    target: Path, write: Callable[[Path], None], obsolete: frozenset[str] = frozenset()
) -> None:
    """Lets `write` fill a temporary sibling, makes it durable, and puts it in the target's place.

    Files of the old target whose names the new one does not have are kept, but for the `obsolete`
    ones. If `write` fails, the target is as it was and the error goes on.
    """
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.parent / f".{target.name}.new-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir()
        write(fresh)
        _keep_others(target, fresh, obsolete)
        _sync_tree(fresh)
        _put_in_place(fresh, target)
    finally:
        # Holds the old target after an exchange, the incomplete new one after an error.
        shutil.rmtree(fresh, ignore_errors=True)
    sync(target.parent)


def recover(target: Path) -> None:
    """After a kill: moves a set-aside folder back if there is no target, removes leftovers."""
    target = target.resolve()
    old = _set_aside(target)
    if old.exists():
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(target)
    pattern = re.compile(re.escape(f".{target.name}.new-") + r"(\d+)")
    for path in target.parent.glob(".*.new-*"):
        match = pattern.fullmatch(path.name)
        if match and not _alive(int(match.group(1))):
            shutil.rmtree(path, ignore_errors=True)


def sync(path: Path) -> None:
    """fsync of a file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put_in_place(fresh: Path, target: Path) -> None:
    if not target.exists():
        fresh.rename(target)
    elif not _exchange(fresh, target):
        old = _set_aside(target)
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        fresh.rename(target)
        sync(target.parent)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(a: Path, b: Path) -> bool:
    """Swaps two folders in one step. False if kernel, C library or file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    result = renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE)
    if result == 0:
        sync(b.parent)  # before the old one, now called `a`, is deleted
    return result == 0


def _set_aside(target: Path) -> Path:
    return target.parent / f".{target.name}.old"


def _keep_others(target: Path, fresh: Path, obsolete: frozenset[str]) -> None:
    if not target.is_dir():
        return
    for path in target.iterdir():
        copy = fresh / path.name
        if copy.exists() or path.is_symlink() or path.name in obsolete:
            continue
        if path.is_dir():
            shutil.copytree(path, copy, symlinks=True)
        else:
            shutil.copy2(path, copy)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
