"""Runs in the box, as the student's process: takes requests, calls the driver, returns arrays.

    python -I box.py REQUESTS REPLIES PACKAGE DRIVER

It knows inputs only, never an expectation. Standard library and NumPy, beside frames.py.
"""

import os
import sys
import traceback
from typing import Any

MESSAGE = 600


def main() -> None:
    """Answers frames until there are no more."""
    requests, replies = int(sys.argv[1]), int(sys.argv[2])
    package, driver = sys.argv[3:5]
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    import frames
    import numpy as np

    names = _load(driver)
    questions = names["QUESTIONS"]
    peers = {f"{name}.peer": work for name, work in names.get("PEERS", {}).items()}
    # From here on, whatever fails is the student's.
    _send(replies, frames.pack({"ready": sorted(questions)}, []))
    sys.path.insert(0, package)
    ndl: Any = None
    while frame := _receive(requests, frames):
        header, arrays = frames.unpack(frame)
        try:
            question, args = header["question"], frames.decode(header["args"], arrays)
            if question in peers:  # without the student's code
                result = peers[question](args)
            else:
                if ndl is None:
                    import needle as ndl
                result = questions[question](ndl, args)
            out = [np.array(array, subok=False) for array in result]
            reply = frames.pack({"nonce": header["nonce"]}, out)
        except Exception as error:  # whatever it is, it goes back as a sentence
            fault = {
                "type": type(error).__name__,
                "memory": isinstance(error, MemoryError),
                "text": str(error)[:MESSAGE],
                "where": _where(error, package),
            }
            reply = frames.pack({"nonce": header["nonce"], "error": fault}, [])
        sys.stdout.flush()
        _send(replies, reply)


def _load(path: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "driver", "__file__": path}
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        exec(compile(file.read(), path, "exec"), names)
    return names


def _where(error: BaseException, package: str) -> list[Any]:
    """The innermost Python line of the student's package."""
    for entry in reversed(traceback.extract_tb(error.__traceback__)):
        if entry.filename.startswith(package):
            return [entry.filename[len(package) + 1 :], entry.lineno]
    return []


def _receive(fd: int, frames: Any) -> bytes:
    prefix = _read(fd, frames.PREFIX.size)
    return prefix + _read(fd, frames.size(prefix, 1 << 40) - len(prefix)) if prefix else b""


def _read(fd: int, count: int) -> bytes:
    parts = []
    while count:
        part = os.read(fd, min(count, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _send(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


if __name__ == "__main__":
    main()
