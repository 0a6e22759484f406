"""The commands of learners and instructors: lessons, checks, homeworks. Registered by cli.py."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

Homework = Annotated[str, typer.Argument(help="hw1, hw2, ...", show_default=False)]
Number = Annotated[int, typer.Argument(help="The lesson's number.", show_default=False)]
Json = Annotated[Path | None, typer.Option(help="Write the result to this file.")]


def register(app: typer.Typer, console: Console) -> None:
    """Adds the commands to the program."""
    _register_learning(app, console)
    _register_homework(app, console)
    _register_teaching(app, console)


def _register_learning(app: typer.Typer, console: Console) -> None:
    @app.command(epilog="Example: ./course status")
    def status() -> None:
        """Show the map: lessons, homeworks, and whose code each part of the library runs on."""
        from .status import show

        show(console)

    @app.command(epilog="Example: ./course lesson 2")
    def lesson(
        number: Number,
        notebook: Annotated[bool, typer.Option("--notebook", help="Open the notebook.")] = False,
    ) -> None:
        """Read a lesson, in $PAGER if that is set."""
        from .lessons import read

        read(console, number, notebook)

    @app.command(epilog="Example: ./course check 2")
    def check(number: Number) -> None:
        """Verify your answers to a lesson's questions, which are in its answers.py."""
        from .checks import check as run_check
        from .lessons import folder

        raise typer.Exit(run_check(console, folder(number), number))

    @app.command(epilog="Example: ./course calendar --first-day 2027-01-25 --ics course.ics")
    def calendar(
        first_day: Annotated[
            str | None, typer.Option(help="The day of the first lecture, YYYY-MM-DD.")
        ] = None,
        ics: Annotated[Path | None, typer.Option(help="Write a calendar file.")] = None,
    ) -> None:
        """Show the weeks of the course: lectures, what is handed out, what is due."""
        from .lessons import calendar as show

        show(console, first_day, ics)


def _register_homework(app: typer.Typer, console: Console) -> None:
    @app.command(epilog="Example: ./course unlock hw1")
    def unlock(homework: Homework) -> None:
        """Take the reference out of a homework's regions, once its lessons' checks are right."""
        from .homework.commands import run_unlock

        run_unlock(console, homework)

    @app.command(epilog="Example: ./course use hw1.reshape reference")
    def use(
        what: Annotated[str, typer.Argument(help="hw1 or hw1.region.", show_default=False)],
        whose: Annotated[
            str,
            typer.Argument(
                help="mine, reference, or the zip of ./course submit in another folder.",
                show_default=False,
            ),
        ],
    ) -> None:
        """Put your own bodies or the reference's into the library; yours are kept in .course."""
        from .homework.commands import run_use

        run_use(console, what, whose)

    @app.command(epilog="Example: ./course grade hw1 --question reshape --sanitize")
    def grade(
        homework: Homework,
        question: Annotated[str | None, typer.Option(help="Only this question.")] = None,
        sanitize: Annotated[
            bool, typer.Option("--sanitize", help="Look at failures with ASan and UBSan.")
        ] = False,
        seed: Annotated[
            int | None,
            typer.Option(help="Of random inputs; without it, hidden ones differ each time."),
        ] = None,
        json: Json = None,
        submission: Annotated[
            Path | None, typer.Option(help="Grade this zip, not the tree.")
        ] = None,
    ) -> None:
        """Grade a homework: points, and the smallest failing input of each question.

        Exit status 0: all points; 1: some are missing; 3: a fault of the grader, nothing counts.
        """
        from .homework.commands import run_grade

        status = run_grade(console, homework, question, sanitize, seed, json, submission)
        raise typer.Exit(status)

    @app.command(epilog="Example: ./course submit hw1")
    def submit(
        homework: Homework,
        out: Annotated[Path | None, typer.Option(help="The zip's name.")] = None,
    ) -> None:
        """Pack your regions of a homework into a zip to hand in."""
        from .homework.commands import run_submit

        run_submit(console, homework, out)


def _register_teaching(app: typer.Typer, console: Console) -> None:
    @app.command(epilog="Example: ./course release hw1 --out ../needle-hw1")
    def release(
        homework: Homework,
        out: Annotated[Path, typer.Option(help="The new folder.")],
        without_solutions: Annotated[
            str, typer.Option(help="Earlier homeworks to leave open as well, as hw1,hw2.")
        ] = "",
    ) -> None:
        """Write the student edition: this tree without the solutions that are not due.

        Those of earlier homeworks go with it, so that nobody needs one for the next.
        """
        from .homework.commands import run_release

        run_release(console, homework, out, without_solutions)

    @app.command(epilog="Example: ./course prove hw1 --json proof.json")
    def prove(homework: Homework, json: Json = None) -> None:
        """Prove a homework: reference all points, starter none, every mutant loses some."""
        from .homework.commands import run_prove

        raise typer.Exit(run_prove(console, homework, json))
