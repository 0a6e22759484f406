"""`./course demo`: train on the King James Bible, compare with gzip and an n-gram, serve, ask."""

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .baselines import gzip_bits_per_byte, ngram_bits_per_byte
from .corpus import bible_text
from .errors import CourseError
from .paths import shown
from .serving import running_server
from .train import data
from .train.checkpoint import Progress, is_checkpoint, read_state
from .train.display import make_display
from .train.interrupt import INTERRUPTED
from .train.options import TrainOptions
from .train.run import resume
from .train.run import train as start
from .train.trainer import Interrupted

PROMPT = "And God said unto Moses,"
ANSWER_TOKENS = 120
SEED = 7
NGRAM_ORDER = 3


@dataclass(frozen=True)
class Figures:
    """What --json writes."""

    bits_per_byte: float
    gzip_bits_per_byte: float
    ngram_bits_per_byte: float
    train_seconds: float
    tokens_per_second: float
    answer: str


@dataclass(frozen=True)
class DemoOptions:
    """What the command line decides. The text and the model are kept in `folder`."""

    folder: Path
    once: bool = False
    json_file: Path | None = None
    minutes: float = 3.0
    port: int = 0
    retrain: bool = False


def demo(console: Console, options: DemoOptions) -> int:
    """Runs the demo; gives the exit status."""
    json_file = options.json_file
    if json_file and not json_file.resolve().parent.is_dir():
        raise CourseError(f"--json {json_file}: there is no folder {json_file.resolve().parent}.")
    text = bible_text()
    model = options.folder / "model"
    try:
        trained = _model(console, options, model, text)
    except Interrupted:
        print("Interrupted. The same command goes on from here.", file=sys.stderr)
        return INTERRUPTED
    train_part, held_out = data.split(text)
    others = (
        gzip_bits_per_byte(held_out),
        ngram_bits_per_byte(train_part, held_out, NGRAM_ORDER),
    )
    _print_table(console, trained["bits_per_byte"], others)
    with running_server(model, options.port) as address:
        answer = _ask(console, address)
        if json_file:
            figures = Figures(
                bits_per_byte=trained["bits_per_byte"],
                gzip_bits_per_byte=others[0],
                ngram_bits_per_byte=others[1],
                train_seconds=trained["train_seconds"],
                tokens_per_second=trained["tokens_per_second"],
                answer=answer,
            )
            text_of_figures = json.dumps(figures.__dict__, indent=2) + "\n"
            json_file.write_text(text_of_figures, encoding="utf-8")
        if not options.once:
            _keep_serving(console, address)
    return 0


def _model(
    console: Console, demo_options: DemoOptions, model: Path, text: bytes
) -> dict[str, float]:
    """The figures of the model in the folder: found, resumed or trained."""
    options = TrainOptions(minutes=demo_options.minutes)
    source = demo_options.folder / "bible.txt"
    source.parent.mkdir(parents=True, exist_ok=True)
    if not source.exists() or source.read_bytes() != text:
        source.write_bytes(text)
    display = make_display(console)
    anew = demo_options.once or demo_options.retrain
    progress = None if anew else _kept_run(model, options, text)
    if progress and progress.result:
        display.say(f"Using the model of an earlier demo, {shown(model)}; --retrain trains anew.")
        return progress.result
    if progress:
        result = resume(model, source, display)
    else:
        display.say(f"Training for at most {options.minutes:g} minutes; Ctrl-C stops and keeps it")
        result = start(options, source, model, display)
    speed = f"{result.tokens_per_second:,.0f} tokens/s"
    display.say(f"Trained {result.steps} steps in {result.train_seconds:.1f} s, {speed}")
    return {
        "bits_per_byte": result.bits_per_byte,
        "train_seconds": result.train_seconds,
        "tokens_per_second": result.tokens_per_second,
    }


def _kept_run(model: Path, options: TrainOptions, text: bytes) -> Progress | None:
    """The run in the folder if it is sound and has the same settings and text."""
    if not is_checkpoint(model):
        return None
    try:
        kept, progress = read_state(model)
    except CourseError:
        return None
    # The kept options name the threads that were in use.
    kept = dataclasses.replace(kept, threads=options.threads)
    same = kept == options and progress.text_sha256 == data.digest(text)
    return progress if same else None


def _print_table(console: Console, ours: float, others: tuple[float, float]) -> None:
    table = Table("held-out text, 5% of the King James Bible", "bits per byte")
    table.columns[1].justify = "right"
    table.add_row("needle", f"{ours:.3f}")
    table.add_row("gzip -9", f"{others[0]:.3f}")
    table.add_row(f"byte n-gram of order {NGRAM_ORDER}", f"{others[1]:.3f}")
    console.print(table)


def _ask(console: Console, address: str) -> str:
    """Asks through the official client, prints the answer as it streams, and gives it back."""
    from openai import OpenAI, OpenAIError

    client = OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120)
    pieces = []
    try:
        model = client.models.list().data[0].id
        console.print(f"Asking it to continue: {PROMPT}", style="bold", highlight=False)
        stream = client.completions.create(
            model=model,
            prompt=PROMPT,
            max_tokens=ANSWER_TOKENS,
            temperature=0.7,
            seed=SEED,
            stream=True,
        )
        for chunk in stream:
            piece = chunk.choices[0].text if chunk.choices else ""
            pieces.append(piece)
            console.out(piece, end="", highlight=False)
    except OpenAIError as error:
        raise CourseError(f"The server's answer broke off: {error}", status=1) from None
    console.print()
    answer = "".join(pieces)
    if not answer:
        raise CourseError("The server answered with an empty text.", status=1)
    return answer


def _keep_serving(console: Console, address: str) -> None:
    text = f"Chat with it: {address}/   (OpenAI API: {address}/v1; Ctrl-C ends it)"
    console.print(text, soft_wrap=True)
    try:
        import signal

        signal.pause()
    except KeyboardInterrupt:
        console.print("\nStopping the server.")
