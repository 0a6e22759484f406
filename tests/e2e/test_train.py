"""./course train as a person uses it: interrupted, resumed, killed, given bad input."""

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    *("--vocab-size", "300", "--hidden-size", "32", "--layers", "2", "--heads", "2"),
    *("--kv-heads", "1", "--seq", "32", "--batch", "4", "--threads", "2"),
]
STEPS = 1500
OURS = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
OURS |= {"tokenizer_config.json", "optimizer.safetensors", "training_state.json", "log.csv"}


def environment() -> dict[str, str]:
    return dict(os.environ) | {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{ROOT}/python"}


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "course", "train", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train(*arguments: str | Path) -> tuple[int, str]:
    child = start(*arguments)
    said, _ = child.communicate(timeout=300)
    return child.returncode, said


def numbers(folder: Path) -> list[list[str]]:
    """The log without the column of seconds."""
    with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
        return [row[:4] for row in csv.reader(file)]


def step_of(folder: Path) -> int:
    state = json.loads((folder / "training_state.json").read_text(encoding="utf-8"))
    return state["progress"]["step"]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences of made-up words, 60 KB, the same every time."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghij", k=chance.randint(2, 7))) for _ in range(300)]
    sentences = [" ".join(chance.choices(words, k=8)) + ".\n" for _ in range(1400)]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(sentences), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole") / "model"
    status, said = train("--text", text, "--steps", str(STEPS), "--out", out, *TINY)
    assert status == 0, said
    return out


def interrupt(child: subprocess.Popen[str], out: Path, number: int) -> str:
    """Lets the run write to its log a little, then sends the signal; gives what it said."""
    assert child.stdout
    said = ""
    while "held out; a decoder" not in said:
        line = child.stdout.readline()
        assert line, said
        said += line
    time.sleep(random.Random(number + len(str(out))).uniform(0.1, 0.4))
    child.send_signal(number)
    rest, _ = child.communicate(timeout=120)
    return said + rest


def test_result(whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} == OURS | {"loss.png"}
    assert (whole / "loss.png").read_bytes().startswith(b"\x89PNG")
    log = numbers(whole)
    assert [row[0] for row in log[1:]] == [str(step) for step in range(STEPS + 1)]
    marks = [float(row[3]) for row in log[1:] if row[3]]
    assert len(marks) == 21
    assert marks[-1] < marks[0] - 1
    result = json.loads((whole / "training_state.json").read_text())["progress"]["result"]
    # The slice is here the whole text, so the last mark is the final figure.
    assert result["bits_per_byte"] == pytest.approx(marks[-1])


def test_interrupted_and_resumed_is_bit_for_bit_the_same(
    whole: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model"
    child = start("--text", text, "--steps", str(STEPS), "--out", out, *TINY)
    stops = []
    for number in (signal.SIGINT, signal.SIGTERM):
        said = interrupt(child, out, number)
        assert child.returncode == 130, said
        assert f"    ./course train --resume --out {out}" in said
        assert {path.name for path in out.iterdir()} == OURS
        stops.append(step_of(out))
        child = start("--resume", "--out", out)
    assert 0 < stops[0] < stops[1] < STEPS, f"interrupted at {stops}: change the waiting time"
    said, _ = child.communicate(timeout=300)
    assert child.returncode == 0, said
    assert numbers(out) == numbers(whole)
    for name in ["model.safetensors", "optimizer.safetensors", "tokenizer.json", "config.json"]:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def test_ends_within_its_budget(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    began = time.monotonic()
    status, said = train("--text", text, "--minutes", "0.4", "--out", out, *TINY)
    took = time.monotonic() - began
    assert status == 0, said
    progress = json.loads((out / "training_state.json").read_text())["progress"]
    assert progress["result"]["train_seconds"] <= 24
    assert progress["result"]["train_seconds"] >= 12
    assert progress["step"] == progress["total_steps"] == progress["plans"][-1][1]
    assert took < 24 + 10  # the start of Python is not training


def test_held_out_figure_is_that_of_the_definition(whole: Path, text: Path) -> None:
    """Nats over the held-out tokens / ln 2 / held-out bytes, by NumPy, one window at a time."""
    import math

    import numpy as np

    import needle as ndl

    tokenizer = ndl.text.Tokenizer.load(str(whole / "tokenizer.json"))
    model = ndl.transformer.load_pretrained(str(whole))
    data = text.read_bytes()
    held_out = data[len(data) - len(data) // 20 :]
    end = tokenizer.special_id("<|endoftext|>")
    stream = np.concatenate([[end], tokenizer.encode_array(held_out)])
    count, seq, nats, place = len(stream) - 1, 32, 0.0, 0
    while place < count:
        start_of_window = max(0, min(place - seq // 2, count - seq)) if place else 0
        window = stream[start_of_window : start_of_window + seq + 1]
        with ndl.no_grad():
            logits = np.asarray(model(ndl.tensor(window[None, :-1])))[0].astype(np.float64)
        scores = logits - logits.max(1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(1, keepdims=True))
        for i in range(place - start_of_window, seq):
            nats -= scores[i, window[i + 1]]
        place = start_of_window + seq
    result = json.loads((whole / "training_state.json").read_text())["progress"]["result"]
    assert result["bits_per_byte"] == pytest.approx(nats / math.log(2) / len(held_out), rel=1e-5)


def test_transformers_loads_the_model_and_agrees(whole: Path, text: Path) -> None:
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import needle as ndl

    ours = ndl.text.Tokenizer.load(str(whole / "tokenizer.json"))
    held_out = text.read_bytes()[-3000:]
    tokens = ours.encode_array(held_out)
    theirs = AutoTokenizer.from_pretrained(whole)
    assert theirs(held_out.decode(), add_special_tokens=False)["input_ids"] == tokens.tolist()
    rows = tokens[:512].reshape(16, 32)
    model = ndl.transformer.load_pretrained(str(whole))
    with torch.no_grad():
        peer = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32)
        expected = peer(torch.from_numpy(rows)).logits.numpy()
    with ndl.no_grad():
        logits = np.asarray(model(ndl.tensor(rows)))
    assert np.abs(logits - expected).max() <= 1e-4


def test_kill_9_at_random_moments_leaves_a_loadable_checkpoint(whole: Path, tmp_path: Path) -> None:
    """The real writer saves again and again and is killed 20 times; each time we load."""
    from course.train import checkpoint

    out = tmp_path / "model"
    program = (
        "import sys; from pathlib import Path; from course.train import checkpoint\n"
        f"state = checkpoint.load(Path({str(whole)!r})); out = Path({str(out)!r})\n"
        "while True: state.save(out); print('saved', flush=True)"
    )
    chance = random.Random(9)
    child = None
    for turn in range(20):
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout
        if turn == 0 or chance.random() < 0.5:
            assert child.stdout.readline() == "saved\n"
        time.sleep(chance.uniform(0, 0.05))
        child.kill()
        child.communicate()
        state = checkpoint.load(out)
        assert state.progress.step == STEPS
        assert [path.name for path in tmp_path.iterdir()] == ["model"]
    for name in OURS:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


# --- bad input: one sentence, status 2, nothing lost ---


def refused(said: str) -> bool:
    lines = said.strip().splitlines()
    return lines[-1].startswith("course: ") and not any("Traceback" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--text", "no-such-file", "--steps", "5"], "no-such-file: No such file"),
        (["--steps", "5"], "--text FILE"),
        (["--text", "EMPTY", "--steps", "5"], "has 0 bytes"),
        (["--text", "TEXT", "--steps", "0"], "--steps is 0"),
        (["--text", "TEXT", "--minutes", "-1"], "--minutes is -1"),
        (["--text", "TEXT", "--steps", "5", "--minutes", "1"], "either --minutes or --steps"),
        (["--text", "TEXT", "--steps", "5", "--seq", "60000"], "smaller --seq"),
        (["--text", "TEXT", "--steps", "5", "--heads", "3"], "--heads 3"),
        (["--text", "TEXT", "--minutes", "0.001"], "too short"),
        (["--resume"], "is not a checkpoint to resume: training_state.json is missing"),
    ],
)
def test_bad_input(text: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    names = {"TEXT": str(text), "EMPTY": str(empty)}
    given = [names.get(word, word) for word in arguments]
    status, said = train(*given, "--out", tmp_path / "model")
    assert status == 2, said
    assert words in said
    assert refused(said)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_model_or_other_files_are_not_overwritten(
    whole: Path, text: Path, tmp_path: Path
) -> None:
    before = (whole / "model.safetensors").read_bytes()
    status, said = train("--text", text, "--steps", "1", "--out", whole)
    assert status == 2
    assert "--overwrite" in said
    assert (whole / "model.safetensors").read_bytes() == before
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    status, said = train("--text", text, "--steps", "1", "--out", tmp_path, "--overwrite")
    assert status == 2
    assert "other files" in said
    assert (tmp_path / "letter.txt").exists()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("training_state.json", "cut"),
        ("training_state.json", "gone"),
        ("model.safetensors", "cut"),
        ("model.safetensors", "bit"),
        ("optimizer.safetensors", "bit"),
        ("optimizer.safetensors", "gone"),
        ("tokenizer.json", "bit"),
        ("config.json", "cut"),
        ("log.csv", "cut"),
        ("log.csv", "gone"),
    ],
)
def test_a_damaged_checkpoint_is_not_resumed(
    whole: Path, tmp_path: Path, name: str, damage: str
) -> None:
    out = tmp_path / "model"
    shutil.copytree(whole, out)
    state = out / "training_state.json"
    unfinished = re.sub(r'"result": \{[^}]*\}', '"result": null', state.read_text())
    state.write_text(unfinished, encoding="utf-8")
    path = out / name
    content = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "bit":
            middle = len(content) // 2
            path.write_bytes(
                content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            )
        case "gone":
            path.unlink()
    status, said = train("--resume", "--out", out)
    assert status == 2, said
    assert refused(said)
    assert name in said


def test_a_finished_run_another_text_and_fixed_options(
    whole: Path, text: Path, tmp_path: Path
) -> None:
    status, said = train("--resume", "--out", whole)
    assert status == 2
    assert "nothing to resume" in said
    status, said = train("--resume", "--out", whole, "--lr", "0.1", "--seed", "3")
    assert status == 2
    assert "leave out --lr, --seed" in said
    out = tmp_path / "model"
    shutil.copytree(whole, out)
    state = out / "training_state.json"
    state.write_text(re.sub(r'"result": \{[^}]*\}', '"result": null', state.read_text()))
    other = tmp_path / "other.txt"
    other.write_bytes(text.read_bytes()[::-1])
    status, said = train("--resume", "--out", out, "--text", other)
    assert status == 2
    assert "not the text" in said


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin1.txt"
    path.write_bytes("Füße und Bücher, größer als je.\n".encode("latin-1") * 300)
    out = tmp_path / "model"
    status, said = train("--text", path, "--steps", "3", "--out", out, *TINY)
    assert status == 0, said
    assert "not UTF-8" in said
