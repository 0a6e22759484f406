"""./course demo --once, whole: setup, corpus, training, server, question, figures."""

import json
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEYS = [
    "bits_per_byte",
    "gzip_bits_per_byte",
    "ngram_bits_per_byte",
    "train_seconds",
    "tokens_per_second",
    "answer",
]
MINUTES = 0.6


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, float | str], str, float]:
    """Figures, what was said, and seconds of one run with a short training."""
    folder = tmp_path_factory.mktemp("demo")
    figures = folder / "figures.json"
    arguments = ["--minutes", str(MINUTES), "--out", str(folder), "--json", str(figures)]
    began = time.monotonic()
    done = subprocess.run(
        ["./course", "demo", "--once", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "model" / "model.safetensors").exists()
    assert (folder / "model" / "loss.png").exists()
    figures_read = json.loads(figures.read_text(encoding="utf-8"))
    return figures_read, done.stdout, time.monotonic() - began


def test_figures(demo: tuple[dict[str, float | str], str, float]) -> None:
    figures, _, _ = demo
    assert list(figures) == KEYS
    assert figures["gzip_bits_per_byte"] == pytest.approx(2.56, abs=0.005)
    assert figures["ngram_bits_per_byte"] == pytest.approx(2.12, abs=0.005)
    # Before the first step it is 3.3, the entropy of 1024 equally likely tokens.
    assert 1.5 < figures["bits_per_byte"] < 3.2
    assert 0 < figures["train_seconds"] <= 60 * MINUTES
    assert figures["tokens_per_second"] > 0


def test_answer_is_shown_and_written(demo: tuple[dict[str, float | str], str, float]) -> None:
    figures, said, _ = demo
    answer = figures["answer"]
    assert isinstance(answer, str)
    assert len(answer.strip()) > 20
    assert answer.strip().splitlines()[0] in said
    assert "gzip -9" in said


def test_it_ends_in_time(demo: tuple[dict[str, float | str], str, float]) -> None:
    assert demo[2] < 60 * MINUTES + 120
