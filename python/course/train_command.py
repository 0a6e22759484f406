"""`./course train`: runs or resumes, and says in the end what came out or how to go on."""

import sys
from pathlib import Path

from rich.console import Console

from .train.display import make_display
from .train.interrupt import INTERRUPTED
from .train.options import TrainOptions
from .train.run import refuse_to_overwrite, resume, resume_command
from .train.run import train as start
from .train.trainer import Interrupted, Result


def train(
    console: Console, options: TrainOptions | None, text: Path | None, out: Path, overwrite: bool
) -> int:
    """A new run, or the one in `out` if there are no options. Gives the exit status."""
    display = make_display(console)
    try:
        if options is None or text is None:
            result = resume(out, text, display)
        else:
            if not overwrite:
                refuse_to_overwrite(out)
            result = start(options, text, out, display)
    except Interrupted as interrupted:
        say_how_to_resume(interrupted, out)
        return INTERRUPTED
    _summary(console, result, out)
    return 0


def say_how_to_resume(interrupted: Interrupted, folder: Path) -> None:
    """The last words after Ctrl-C."""
    if interrupted.saved is None:
        print("Interrupted before the first step; nothing is saved.", file=sys.stderr)
    else:
        print(f"Interrupted; step {interrupted.saved} is saved. To go on:", file=sys.stderr)
        print(f"    {resume_command(folder)}", file=sys.stderr)


def _summary(console: Console, result: Result, out: Path) -> None:
    for line in [
        f"{result.steps} steps in {result.train_seconds:.1f} s, "
        f"{result.tokens_per_second:,.0f} tokens/s",
        f"Held-out bits per byte: {result.bits_per_byte:.3f}",
        f"Model in {out}, loss curve in {out / 'loss.png'}",
        f"To talk to it: ./course serve --model {out}",
    ]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
