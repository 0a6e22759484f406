"""A checkpoint: a folder in the Hugging Face layout, with what a resumed run needs beside it.

config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json
optimizer.safetensors  the optimiser's moments
training_state.json    options, step, planned steps, text, SHA-256 of the large files
log.csv                one line per step
loss.png               when the run has ended
"""

import csv
import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import needle as ndl

from ..errors import CourseError
from .folder import recover, replace_folder
from .options import TrainOptions

FORMAT = 1
STATE = "training_state.json"
LOG = "log.csv"
PICTURE = "loss.png"
LOG_FIELDS = ["step", "loss", "learning_rate", "heldout_bits_per_byte", "seconds"]
HASHED = ["model.safetensors", "optimizer.safetensors", "tokenizer.json"]


@dataclass
class Progress:
    """How far a run is. `step` counts finished steps; seconds are summed over interruptions."""

    text: str
    text_sha256: str
    step: int = 0
    total_steps: int | None = None
    evaluate_every: int | None = None
    plans: list[list[int]] = field(default_factory=list)  # [at step, total steps]
    seconds: float = 0.0
    step_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    optimizer: dict[str, Any] = field(default_factory=dict)  # its numbers that are not arrays
    result: dict[str, float] | None = None  # set when the run has ended


@dataclass
class Checkpoint:
    """Everything that a run can go on from."""

    options: TrainOptions
    progress: Progress
    model: Any
    tokenizer: Any
    optimizer_arrays: dict[str, np.ndarray]
    log: list[list[str]]

    def save(self, folder: Path, picture: Path | None = None) -> None:
        """Replaces `folder` by this checkpoint in one step."""

        def write(fresh: Path) -> None:
            ndl.transformer.save_pretrained(self.model, str(fresh))
            self.tokenizer.save(str(fresh / "tokenizer.json"))
            config = self.tokenizer.config_json(self.options.seq)
            (fresh / "tokenizer_config.json").write_text(config, encoding="utf-8")
            ndl.save_safetensors(str(fresh / "optimizer.safetensors"), self.optimizer_arrays)
            with (fresh / LOG).open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([LOG_FIELDS, *self.log])
            if picture:
                shutil.copy(picture, fresh / PICTURE)
            state = {
                "format": FORMAT,
                "options": self.options.to_json(),
                "progress": asdict(self.progress),
                "sha256": {name: _hash(fresh / name) for name in HASHED},
            }
            (fresh / STATE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")

        try:
            replace_folder(folder, write, obsolete=frozenset({PICTURE}))
        except OSError as error:
            raise CourseError(
                f"Cannot write the checkpoint {folder}: {error.strerror}. The old one is kept.",
                status=1,
            ) from None


def read_state(folder: Path) -> tuple[TrainOptions, Progress]:
    """Options and progress of a checkpoint. CourseError if `folder` does not hold a sound one."""
    recover(folder)
    path = folder / STATE
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        if state["format"] != FORMAT:
            raise CourseError(f"{path} has format {state['format']}; {FORMAT} would be right.")
        options = TrainOptions.from_json(state["options"])
        progress = Progress(**state["progress"])
        _check(progress, path)
        for name in HASHED:
            if state["sha256"][name] != _hash(folder / name):
                raise CourseError(f"{folder / name} is damaged: it is not the file that was saved.")
    except FileNotFoundError as error:
        raise CourseError(
            f"{folder} is not a checkpoint to resume: {Path(error.filename).name} is missing."
        ) from None
    except OSError as error:
        raise CourseError(f"Cannot read the checkpoint {folder}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CourseError(f"{path} is damaged: {type(error).__name__}, {error}.") from None
    return options, progress


def load(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`; CourseError names the file that is missing or damaged."""
    options, progress = read_state(folder)
    try:
        return Checkpoint(
            options=options,
            progress=progress,
            model=ndl.transformer.load_pretrained(str(folder)),
            tokenizer=ndl.text.Tokenizer.load(str(folder / "tokenizer.json")),
            optimizer_arrays=ndl.load_safetensors(str(folder / "optimizer.safetensors")),
            log=_read_log(folder / LOG, progress.step),
        )
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        raise CourseError(f"Cannot resume from {folder}: {error}") from None


def is_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint, sound or not, so that nobody overwrites it by mistake."""
    recover(folder)
    return (folder / STATE).exists() or (folder / "config.json").exists()


def _read_log(path: Path, step: int) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    if not rows or rows[0] != LOG_FIELDS or len(rows) != step + 2:
        raise ValueError(f"{path.name} does not have one line for each of the {step} steps")
    return rows[1:]


def _check(progress: Progress, path: Path) -> None:
    total = progress.total_steps
    whole = [progress.step, *([] if total is None else [total])]
    fine = all(isinstance(number, int) and number >= 0 for number in whole)
    if not fine or (total is not None and progress.step > total):
        raise CourseError(f"{path} is damaged: step {progress.step} of {total}.")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
