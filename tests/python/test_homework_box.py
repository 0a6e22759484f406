"""Attacks on the grader: each is a `needle` that a student could have written. None may score."""

import contextlib
import re
import time
from pathlib import Path

import numpy as np
import pytest

from course.homework import frames, sandbox
from course.homework.session import Ended, open_box

DRIVER = """
def ask(ndl, args):
    return ndl.answer(args)

QUESTIONS = {"q": ask}
"""
# Finds the pipe for answers as an attacker would: it is the only one that can be written.
FORGE = """
import os, sys, struct, json
def answer(args):
    out = int(sys.argv[2])
    {code}
"""
CASE = {"x": np.arange(3.0)}


@pytest.fixture(params=[True, False], ids=["sandbox", "limits"])
def tier(request, monkeypatch) -> str:
    """Both kinds of isolation, where both work; with limits only, the tests run once more."""
    if request.param:
        return sandbox.isolation()
    monkeypatch.setattr(sandbox, "isolation", lambda: sandbox.PROCESS_LIMITS)
    return sandbox.PROCESS_LIMITS


def ask(tmp_path: Path, code: str, times: int = 1, seconds: float = 3.0) -> list[np.ndarray]:
    """Runs the student's code and asks it; gives the last answer."""
    package = tmp_path / "package"
    (package / "needle").mkdir(parents=True)
    (package / "needle" / "__init__.py").write_text(code)
    (tmp_path / "driver.py").write_text(DRIVER)
    with open_box(package, tmp_path / "driver.py", seconds) as box:
        for _ in range(times):
            got = box.ask("q", CASE, 24)
        return got


def verdict(tmp_path: Path, code: str, times: int = 1, seconds: float = 3.0) -> str:
    with pytest.raises(Ended) as caught:
        ask(tmp_path, code, times, seconds)
    return f"{caught.value.verdict}: {caught.value}"


def test_an_honest_answer_with_noise(tmp_path: Path, tier: str) -> None:
    code = "def answer(args):\n    print('noise' * 1000)\n    return [args['x'] * 2, args['x'] > 0]"
    first, second = ask(tmp_path, code, times=3)
    assert first.tolist() == [0, 2, 4]
    assert second.dtype == bool


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def answer(args): raise ValueError('no')", "RTE: ValueError: no"),
        ("def answer(args): raise MemoryError", "MLE: "),
        ("def answer(args): return None", "RTE: TypeError"),
        ("def answer(args): return [object()]", "RTE: TypeError: an array of dtype object"),
        ("import no_such_module", "RTE: ModuleNotFoundError"),
        ("def answer(args", "RTE: SyntaxError"),
        ("import os\nos._exit(0)", "PROTO: it ended (exit status 0) without an answer"),
        ("import os\ndef answer(a): os._exit(0)", "PROTO: it ended (exit status 0)"),
        ("import sys\ndef answer(a): sys.exit(0)", "PROTO: it ended (exit status 0)"),
        ("import sys\ndef answer(a): sys.exit(7)", "RTE: it ended with exit status 7"),
        ("import os\ndef answer(a): os.abort()", "RTE: it crashed: SIGABRT"),
        ("import os\ndef answer(a): os.kill(os.getpid(), 11)", "RTE: it crashed: SIGSEGV"),
        ("def answer(a):\n    while True: print('x' * 9999)", "OLE: it printed more than 1024 KiB"),
        ("def answer(a): return [bytearray(6 << 30)]", "MLE: "),
        ("def answer(a): open('f', 'wb').write(bytes(99 << 20))", "RTE: "),
    ],
)
def test_how_it_can_end(tmp_path: Path, code: str, expected: str) -> None:
    assert verdict(tmp_path, code).startswith(expected)


def test_endless_loop_and_sleep(tmp_path: Path) -> None:
    began = time.monotonic()
    assert verdict(tmp_path, "def answer(a):\n    while True: pass", 1, 0.4).startswith("TLE: ")
    (tmp_path / "2").mkdir()
    sleep = "import time\ndef answer(a): time.sleep(99)"
    assert verdict(tmp_path / "2", sleep, 1, 0.4) == "TLE: no answer within 1 s"
    assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("os.write(out, b'OK 100/100'*9)", "PROTO: the answer is not one: it does not begin"),
        ("os.write(out, struct.pack('<4sIQ', b'NDL1', 9, 2**63))", "PROTO: .* it claims"),
        ("os.write(out, struct.pack('<4sIQ', b'NDL1', 3, 0) + b'{}}')", "PROTO: .* no JSON"),
        ("send({'nonce': 'x', 'arrays': []})", "PROTO: the answer belongs to no question"),
        ("send({'nonce': 'x'})", "PROTO: .* names no arrays"),
        ("send([1])", "PROTO: .* names no arrays"),
        ("send({'arrays': [{'dtype': 'O', 'shape': []}]})", "PROTO: .* unknown dtype"),
        ("send({'arrays': [{'dtype': 'int8', 'shape': [float('nan')]}]})", "PROTO: .* impossible"),
        ("send({'arrays': [{'dtype': 'int8', 'shape': [-1]}]})", "PROTO: .* impossible"),
        ("send({'arrays': [{'dtype': 'int8', 'shape': [True]}]})", "PROTO: .* impossible"),
        ("send({'arrays': [{'dtype': 'int8', 'shape': [2**30] * 3}]})", "PROTO: .* impossible"),
        ("send({'arrays': [{'dtype': 'int8', 'shape': [9]}]})", "PROTO: .* longer"),
        ("send({'arrays': [], 'nonce': ''}, b'12')", "PROTO: .* more bytes"),
        ("send({'arrays': [], 'error': 7, 'nonce': args['n']})", "PROTO: .*no question"),
        ("os.close(out); import time; time.sleep(9)", "PROTO: it closed the pipe"),
    ],
)
def test_forged_answers(tmp_path: Path, code: str, expected: str) -> None:
    send = (
        "def send(h, data=b''):\n"
        "        h = json.dumps(h).encode()\n"
        "        os.write(out, struct.pack('<4sIQ', b'NDL1', len(h), len(data)) + h + data)\n"
        "    args['n'] = 'guess'\n    "
    )
    said = verdict(tmp_path, FORGE.format(code=send + code), 1, 2.0)
    assert re.match(expected, said), said


def test_an_answer_too_many(tmp_path: Path) -> None:
    code = "import os, sys\ndef answer(a):\n    os.write(int(sys.argv[2]), b'')\n    return []"
    assert ask(tmp_path, code, times=2) == []
    (tmp_path / "2").mkdir()
    # A thread repeats the first answer later: its nonce is stale, or it stands before the next.
    late = (
        "import os\nreal = os.write\n"
        "def write(fd, data):\n    real(fd, data); return real(fd, data)\n"
        "os.write = write\ndef answer(a): return [a['x']]"
    )
    assert verdict(tmp_path / "2", late, times=2).startswith("PROTO: ")


def test_what_it_started_ends_with_it(tmp_path: Path, tier: str) -> None:
    code = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(77.25)'],\n"
        "                         start_new_session=True)\n"
        "def answer(a): return [a['x']]"
    )
    assert len(ask(tmp_path, code)) == 1
    deadline = time.monotonic() + 3
    while any(b"77.25" in line for line in command_lines()):
        assert time.monotonic() < deadline, "a process outlived its box"
        time.sleep(0.05)


def command_lines() -> list[bytes]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes())
    return lines


def test_environment_and_folder_hold_nothing(tmp_path: Path, tier: str, monkeypatch) -> None:
    monkeypatch.setenv("COURSE_SECRET", "x")
    code = (
        "import os, numpy as np\n"
        "def answer(a):\n"
        "    near = os.listdir(os.path.dirname(os.path.abspath(__import__('sys').argv[0])))\n"
        "    return [np.array(['COURSE_SECRET' in os.environ, bool(os.listdir('.')),\n"
        "                      'oracle.py' in near])]"
    )
    assert not ask(tmp_path, code)[0].any()


def test_own_numpy_in_the_working_directory_is_not_found(tmp_path: Path) -> None:
    code = (
        "import os\n"
        "open('numpy.py', 'w').write('raise SystemExit(0)')\n"
        "def answer(a): import numpy; return [numpy.array(1)]"
    )
    assert ask(tmp_path, code)[0] == 1


def test_an_array_that_equals_everything_is_bytes_here(tmp_path: Path) -> None:
    code = (
        "import numpy as np\nclass All(np.ndarray):\n    def __eq__(self, other): return True\n"
        "def answer(a): return [a['x'].view(All)]"
    )
    (got,) = ask(tmp_path, code)
    assert type(got) is np.ndarray


def test_a_driver_that_does_not_start_is_the_graders_fault(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text("QUESTIONS = no_such_name")
    with pytest.raises(Ended) as caught, open_box(tmp_path, tmp_path / "driver.py", 1.0):
        pass
    assert caught.value.verdict == "IE"
    assert "no_such_name" in str(caught.value)


@pytest.mark.parametrize("dtype", sorted(frames.DTYPES))
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3)])
def test_arrays_there_and_back(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    header, (back,) = frames.unpack(frames.pack({"n": 1}, [array]))
    assert (back.dtype, back.shape, header["n"]) == (array.dtype, shape, 1)
    assert np.array_equal(back, array)


def test_arguments_there_and_back() -> None:
    args = {"a": [1, (2.5, None)], "x": {"y": np.eye(2)[:, ::-1]}, "n": np.int64(3)}
    arrays: list[np.ndarray] = []
    header, found = frames.unpack(frames.pack({"args": frames.encode(args, arrays)}, arrays))
    back = frames.decode(header["args"], found)
    assert back["a"] == args["a"]
    assert np.array_equal(back["x"]["y"], args["x"]["y"])
    assert back["n"] == 3
