"""Starts or resumes a run in a folder, after checking that nothing of the user's is lost."""

import os
import shlex
from pathlib import Path

from ..errors import CourseError
from . import data
from .checkpoint import is_checkpoint, load
from .display import Display
from .folder import recover
from .interrupt import Interrupt
from .options import TrainOptions
from .trainer import Result, Trainer


def train(options: TrainOptions, text: Path, folder: Path, display: Display) -> Result:
    """A new run on the text, in a new folder (or one that holds a checkpoint to be replaced)."""
    _check_folder(folder)
    with Interrupt() as interrupt:
        try:
            return Trainer(folder, data.read_text(text), display, interrupt).start(options, text)
        finally:
            display.close()


def resume(folder: Path, text: Path | None, display: Display) -> Result:
    """Goes on with the run in the folder. The text is where it was, unless given."""
    with Interrupt() as interrupt:
        try:
            checkpoint = load(folder)
            progress = checkpoint.progress
            if progress.result:
                raise CourseError(
                    f"The run in {folder} has ended after {progress.step} steps; there is nothing "
                    "to resume."
                )
            source = text or Path(progress.text)
            trainer = Trainer(folder, data.read_text(source), display, interrupt)
            display.say(f"Resuming {folder} at step {progress.step}")
            return trainer.resume(checkpoint)
        finally:
            display.close()


def resume_command(folder: Path) -> str:
    """What to type to go on."""
    return f"./course train --resume --out {shlex.quote(str(folder))}"


def refuse_to_overwrite(folder: Path) -> None:
    """Raises CourseError if the folder holds a model."""
    if is_checkpoint(folder):
        raise CourseError(
            f"{folder} already holds a model. Go on with it (--resume), choose another --out, or "
            "replace it (--overwrite)."
        )


def _check_folder(folder: Path) -> None:
    """The folder will be replaced as a whole: it must be absent, empty or a checkpoint."""
    recover(folder)
    if folder.exists() and not folder.is_dir():
        raise CourseError(f"--out {folder} is a file; a folder would be right.")
    if folder.is_dir() and any(folder.iterdir()) and not is_checkpoint(folder):
        raise CourseError(f"--out {folder} holds other files; choose an empty or a new folder.")
    parent = next(path for path in folder.resolve().parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise CourseError(f"Cannot write to {parent}; choose another --out.")
