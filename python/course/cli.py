"""The commands, their options and their help. Each does its work in a module of its own."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .bootstrap.steps import SetupError
from .errors import CourseError
from .learning_commands import register
from .paths import DEMO, RELEASE, SANITIZE, shown
from .train.options import TrainOptions

app = typer.Typer(
    name="./course",
    help="The one entry of needle. On first use it installs and builds what a command needs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console()


def run() -> int:
    """Runs a command; every foreseen error is one sentence on stderr and an exit status."""
    try:
        app(prog_name="./course")
    except CourseError as error:
        print(f"course: {error}", file=sys.stderr)
        return error.status
    except SetupError as error:
        print(f"course: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("course: stopped.", file=sys.stderr)
        return 130
    return 0


@app.command(epilog="Example: ./course demo --once --json figures.json")
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Train anew, ask once, stop the server and exit.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    minutes: Annotated[float, typer.Option(help="Training time, all included.")] = 3.0,
    port: Annotated[int, typer.Option(help="The server's port; 0: any free one.")] = 0,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train anew even if the model is there.")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Where text and model are kept.", show_default="build/demo")
    ] = DEMO,
) -> None:
    """Train a small language model on the King James Bible, compare it, serve it, ask it.

    The model is kept in build/demo. A later ./course demo with the same settings uses it, or
    goes on training it if it was interrupted.
    """
    from .demo import DemoOptions
    from .demo import demo as run_demo

    raise typer.Exit(run_demo(console, DemoOptions(out, once, json, minutes, port, retrain)))


@app.command(epilog="Example: ./course test unit python -k matmul")
def test(
    suites: Annotated[list[str] | None, typer.Argument(help="Suites; none: all of them.")] = None,
    pattern: Annotated[
        str | None, typer.Option("-k", help="Only tests whose name contains this.")
    ] = None,
) -> None:
    """Run the tests. Suites: layers unit conformance sim python e2e homework lint sanitize
    portability cuda.

    Each suite closes with a line, the whole with "N passed, N failed, N skipped". A suite in which
    no test ran has failed. With CI=true in the environment, a skipped test has failed too, unless
    it wants a GPU or an instruction set that the CPU lacks.
    """
    from .testing.run import run_suites

    raise typer.Exit(run_suites(console, suites or [], pattern))


@app.command(epilog="Example: ./course bench autograd --json autograd.json")
def bench(
    suites: Annotated[list[str] | None, typer.Argument(help="Suites; none: all of them.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
) -> None:
    """Compare needle's speed with that of others, in turns. Suites: autograd train-small gemm
    elementwise norm step.

    A ratio above 1 means that needle is better. Nothing else should run meanwhile.
    """
    from .bench import bench as run_bench

    raise typer.Exit(run_bench(suites or [], json))


@app.command(
    epilog="Example: ./course ladder matmul --size 512 --svg roofline.svg   "
    "Without a GPU: ./course ladder transpose --device cuda_sim"
)
def ladder(
    name: Annotated[
        str | None,
        typer.Argument(
            help="matmul, softmax or sum; on a GPU matmul, transpose, reduction or softmax. "
            "None: all.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(help="cpu, cuda, or cuda_sim, which counts what a GPU would have to do."),
    ] = "cpu",
    size: Annotated[
        int | None,
        typer.Option(
            help="matmul, transpose: n of (n, n); softmax: rows of 1024; sum, reduction: elements.",
            show_default="1024, 8192, 1048576 on the cpu",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the last rung.", show_default="all cores")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw the roofline into this file.")] = None,
) -> None:
    """Climb from a kernel's first version to the library's: checked, timed, under the roofline.

    The last rung is the kernel that the library calls. Nothing else should run meanwhile.
    """
    if device not in ("cpu", "cuda", "cuda_sim"):
        raise CourseError(f"--device {device}: want cpu, cuda or cuda_sim.")
    if device != "cpu":
        if threads is not None:
            raise CourseError(f"--threads is for the cpu; on {device} leave it out.")
        from .ladder.gpu_command import gpu_ladder

        gpu_ladder(console, device, name, size, json, svg)
    else:
        from .ladder.command import ladder as run_ladder

        run_ladder(console, name, size, threads, json, svg)


@app.command(epilog="Example: ./course sim transpose.cu --order reversed")
def sim(
    file: Annotated[Path, typer.Argument(help="A CUDA program.", show_default=False)],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Arguments for the program.", show_default=False)
    ] = None,
    order: Annotated[
        str, typer.Option(help="In which order threads run: normal, reversed or shuffled.")
    ] = "normal",
    html: Annotated[Path | None, typer.Option(help="Where the page goes.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    checks: Annotated[bool, typer.Option(help="Look for defects.")] = True,
    step_limit: Annotated[
        int, typer.Option(help="Basic blocks without progress after which a kernel is stopped.")
    ] = 1 << 27,
) -> None:
    """Run a CUDA program without a GPU: what each line would cost there, and what is wrong.

    The file is compiled as it is, with its main function, or with a function void run(). It may use
    <<<grid, block>>>, NEEDLE_LAUNCH, and the common functions of CUDA's runtime. Defects are
    printed with line, block and thread, and the exit status is then 1. A page shows the source with
    its figures line by line.
    """
    from .sim.command import sim as run_sim

    raise typer.Exit(run_sim(console, file, arguments or [], order, html, json, checks, step_limit))


@app.command(
    epilog="Example: ./course train --text book.txt --minutes 10 --out models/book   "
    "Later: ./course train --resume --out models/book"
)
def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The model's folder; it is made.")],
    text: Annotated[
        Path | None, typer.Option(help="The text. Its last 5% is held out for evaluation.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="End within this time, evaluation included (default 3).")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Train this many steps, however long it takes.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, bit for bit.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model in --out.")
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Decides weights and order of the data.")
    ] = TrainOptions.seed,
    vocab_size: Annotated[
        int, typer.Option(help="Tokens of the tokenizer.")
    ] = TrainOptions.vocab_size,
    hidden_size: Annotated[
        int, typer.Option(help="Width of the model.")
    ] = TrainOptions.hidden_size,
    layers: Annotated[int, typer.Option(help="Blocks of the model.")] = TrainOptions.layers,
    heads: Annotated[int, typer.Option(help="Attention heads.")] = TrainOptions.heads,
    kv_heads: Annotated[int, typer.Option(help="Key and value heads.")] = TrainOptions.kv_heads,
    seq: Annotated[int, typer.Option(help="Context length in tokens.")] = TrainOptions.seq,
    batch: Annotated[int, typer.Option(help="Sequences in a step.")] = TrainOptions.batch,
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = TrainOptions.lr,
    warmup: Annotated[int, typer.Option(help="Steps until the peak.")] = TrainOptions.warmup,
    weight_decay: Annotated[float, typer.Option(help="AdamW's decay.")] = TrainOptions.weight_decay,
    threads: Annotated[int, typer.Option(help="Threads; 0: all.")] = TrainOptions.threads,
) -> None:
    """Train a tokenizer and a decoder on a text file.

    Ctrl-C finishes the step, saves, prints how to resume, and exits with status 130.
    """
    from .train_command import train as run_train

    given = {
        name
        for name in context.params
        if context.get_parameter_source(name) is not None
        and context.get_parameter_source(name).name == "COMMANDLINE"
    }
    if resume:
        fixed = given - {"out", "text", "resume"}
        if fixed:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(fixed))
            raise CourseError(f"--resume keeps the run's own settings; leave out {names}.")
        raise typer.Exit(run_train(console, None, text, out, overwrite=False))
    if text is None:
        raise CourseError("Name the text to train on with --text FILE.")
    if minutes is None and steps is None:
        minutes = 3.0
    options = TrainOptions(
        minutes=minutes,
        steps=steps,
        seed=seed,
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        seq=seq,
        batch=batch,
        lr=lr,
        warmup=warmup,
        weight_decay=weight_decay,
        threads=threads,
    )
    raise typer.Exit(run_train(console, options, text, out, overwrite))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: ./course serve --model build/demo/model --port 8000",
)
def serve(
    context: typer.Context,
    model: Annotated[Path, typer.Option(help="A folder made by train, or a downloaded one.")],
    port: Annotated[int, typer.Option(help="0: any free one.")] = 8000,
    host: Annotated[str, typer.Option(help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
) -> None:
    """Serve a model: the OpenAI API under /v1 and a chat page at /.

    Other options go to the server program as they are; ./course serve --model DIR -- --help lists
    them.
    """
    from .serving import become_server, command

    become_server(command(model, "--host", host, "--port", str(port), *context.args))


@app.command(epilog="Example: ./course build --sanitize")
def build(
    sanitize: Annotated[
        bool, typer.Option("--sanitize", help="The C++ tests with ASan and UBSan instead.")
    ] = False,
) -> None:
    """Compile the library, the Python module, the server and the C++ tests."""
    from .bootstrap.build import SANITIZE_OPTIONS
    from .bootstrap.build import build as run_build

    folder = SANITIZE if sanitize else RELEASE
    run_build(folder, SANITIZE_OPTIONS if sanitize else [])
    console.print(f"{shown(folder)} is up to date.")


@app.command(epilog="Example: ./course doctor")
def doctor() -> None:
    """Say what is installed, what the CPU and GPU can do, and what to do about each gap."""
    from .doctor import main

    raise typer.Exit(main())


register(app, console)
