"""The lessons say what is so: excerpts, printed numbers, figures, checks and notebooks."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import EllipsisType
from typing import Any

import nbclient
import nbformat
import pytest

from course.homework import oracle, regions, spec
from course.paths import ROOT

LESSONS = ["01-introduction", "02-foundations", "03-autodiff", "04-hardware"]
GPU_TEXT = ROOT / "lessons/04-hardware/gpu.md"
HANDOUTS = sorted((ROOT / "homework").glob("*/README.md"))
TEXTS = sorted([*(ROOT / "lessons").glob("*/README.md"), GPU_TEXT, *HANDOUTS])
# A text, the program that it quotes, and how.
PROGRAMS = [
    *((f"{lesson}/README.md", lesson, "lesson.cc") for lesson in [*LESSONS, "primer"]),
    ("04-hardware/gpu.md", "04-hardware-gpu", "gpu.cu"),
]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FENCE = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENVIRONMENT = {"PYTHONPATH": str(ROOT / "python"), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def blocks(text: Path) -> list[tuple[str, str, str]]:
    """(language, what follows it, body) of every fenced block."""
    return FENCE.findall(text.read_text(encoding="utf-8"))


def identify(value: Any) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)[:40]


def run(*words: str | Path, **options: Any) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


# --- the texts ---


@pytest.mark.parametrize("text", TEXTS, ids=identify)
def test_excerpts_are_the_librarys(text):
    for language, title, body in blocks(text):
        if language != "cpp":
            continue
        name = re.fullmatch(r'title="([^"]+)"', title)
        assert name, f"an excerpt names its file: {body}"
        assert body in (ROOT / name[1]).read_text(encoding="utf-8"), f"not in {name[1]}:\n{body}"


@pytest.mark.parametrize(("text", "name", "source"), PROGRAMS)
def test_program_prints_what_the_text_quotes(text, name, source):
    program = ROOT / "build/release/lessons" / name
    assert program.exists(), f"{program} is not built: ninja -C build/release lessons/{name}"
    done = run(program)
    assert done.returncode == 0, done.stderr
    printed = "\n" + done.stdout
    quoted = [body for _, what, body in blocks(ROOT / "lessons" / text)
              if what == f"prints {source}"]  # fmt: skip
    assert len(quoted) >= (5 if source == "lesson.cc" else 4)
    for body in quoted:
        assert "\n" + body in printed, f"the text quotes\n{body}but the program prints\n{printed}"


@pytest.mark.parametrize("text", TEXTS, ids=identify)
def test_python_of_the_text_prints_what_it_says(text):
    source, expected = [], []
    for language, what, body in blocks(text):
        if language == "python":
            source.append(body)
        elif (language, what) == ("text", "prints"):
            source.append("print('-' * 9)\n")
            expected.append(body)
    done = run(sys.executable, "-c", "\n".join(source))
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split("-" * 9 + "\n")
    assert printed[: len(expected)] == expected


def test_compiler_says_what_the_primer_explains():
    found = blocks(ROOT / "lessons/primer/README.md")
    (command,) = [body for language, what, body in found if (language, what) == ("sh", "run")]
    (message,) = [body for _, what, body in found if what == "stderr"]
    done = run("sh", "-c", command)
    assert done.returncode != 0
    assert message in done.stderr


def test_sanitizer_says_what_the_primer_explains(tmp_path):
    (story,) = [body for _, what, body in blocks(ROOT / "lessons/primer/README.md")
                if what == "asan"]  # fmt: skip
    program = tmp_path / "overrun"
    source = "lessons/primer/overrun.cc"
    done = run("g++", "-std=c++20", "-g", "-fsanitize=address", source, "-o", program)
    assert done.returncode == 0, done.stderr
    report = run(program).stderr
    for line in story.splitlines():
        assert line in report, report
        report = report[report.index(line) :]


def commands() -> list[str]:
    """The commands of the GPU's text, but for the check, which wants answers."""
    lines = [line for language, _, body in blocks(GPU_TEXT) if language == "sh"
             for line in body.splitlines()]  # fmt: skip
    return [line.split("#")[0].strip() for line in lines if "./course check" not in line]


@pytest.mark.parametrize("command", commands())
def test_commands_of_the_gpu_text_run(command, tmp_path):
    words = [tmp_path / word if word.endswith(".svg") else word for word in command.split()]
    assert words.pop(0) == "./course"
    done = run(sys.executable, "-m", "course", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "c[999] = 3" in done.stdout or "found nothing wrong" in " ".join(done.stdout.split())


@pytest.mark.parametrize("text", TEXTS, ids=identify)
def test_links_lead_somewhere(text):
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text.read_text(encoding="utf-8")))
    targets = re.findall(r"\]\(([^)#]+)\)", prose)
    assert targets
    for target in targets:
        assert target.startswith("https://") or (text.parent / target).exists(), target


@pytest.mark.parametrize("name", [*(f"{lesson}/README.md" for lesson in LESSONS), GPU_TEXT])
def test_reading_list(name):
    text = (ROOT / "lessons" / name).read_text(encoding="utf-8")
    papers = re.split(r"^\d\. ", text.split("## Reading\n")[1].split("\n## ")[0], flags=re.M)[1:]
    assert 3 <= len(papers) <= 6
    for paper in papers:
        assert re.search(r"(19|20)\d\d", paper)
        assert paper.count("\n   - ") == 2, paper


# --- figures ---


@pytest.mark.parametrize("lesson", LESSONS)
def test_figures_are_what_their_program_draws(lesson, tmp_path):
    folder = ROOT / "lessons" / lesson
    code = f"import runpy, pathlib; m = runpy.run_path({str(folder / 'figures.py')!r}); "
    done = run(sys.executable, "-c", code + f"m['main'](pathlib.Path({str(tmp_path)!r}))")
    assert done.returncode == 0, done.stderr
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    stored = {p.name: p.read_text(encoding="utf-8") for p in (folder / "figures").iterdir()}
    assert drawn.keys() == stored.keys()
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.md"))
    for name, picture in stored.items():
        assert drawn[name] == picture, f"{name}: run lessons/{lesson}/figures.py and commit"
        assert f"(figures/{name})" in text, f"{name} is shown nowhere"
        assert "<text" in picture


# --- checks ---


def load(path: Path) -> dict[str, Any]:
    return runpy.run_path(str(path))


def cases() -> list:
    return [
        pytest.param(lesson, check, id=f"{lesson[:2]}-{check.name}")
        for lesson in LESSONS
        for check in load(ROOT / "lessons" / lesson / "checks.py")["CHECKS"]
    ]


@pytest.mark.parametrize("lesson", LESSONS)
def test_answers_have_one_name_for_each_check(lesson):
    names = [check.name for check in load(ROOT / "lessons" / lesson / "checks.py")["CHECKS"]]
    assert 6 <= len(names) <= 20
    tree = ast.parse((ROOT / "lessons" / lesson / "answers.py").read_text(encoding="utf-8"))
    given = [
        node.name if isinstance(node, ast.FunctionDef) else node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.Assign)
    ]
    assert given == names


@pytest.mark.parametrize(("lesson", "check"), cases())
def test_check_takes_right_answers_and_no_others(lesson, check):
    solved = load(ROOT / "tests/lessons" / f"{lesson}.py")
    assert check.verify(solved[check.name]) is None
    unanswered = load(ROOT / "lessons" / lesson / "answers.py")[check.name]
    wrong = solved["WRONG"][check.name]
    assert wrong
    if not isinstance(unanswered, EllipsisType):
        wrong = [unanswered, *wrong]
    for value in wrong:
        try:
            hint = check.verify(value)
        except (TypeError, IndexError):  # course.checks turns it into a sentence
            continue
        assert isinstance(hint, str) and hint, f"{value!r} is taken for right"
        right = solved[check.name]
        if isinstance(right, int | float) and not isinstance(value, str):
            assert str(right) not in re.findall(r"[\d.]+\b", hint), f"gives it away: {hint}"


# --- notebooks ---


@pytest.mark.parametrize("path", NOTEBOOKS, ids=identify)
def test_notebook_is_stored_clean_and_runs(path):
    raw = json.loads(path.read_text(encoding="utf-8"))
    for cell in raw["cells"]:
        assert cell["id"]
        assert not cell.get("outputs") and cell.get("execution_count") is None
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    folder = {"metadata": {"path": str(path.parent)}}
    paths = [str(ROOT / "python"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    client = nbclient.NotebookClient(notebook, timeout=60, resources=folder)
    client.execute(env=environment)


# --- the homeworks' handouts ---


@pytest.mark.parametrize("handout", HANDOUTS, ids=identify)
def test_handout_lists_every_question_with_its_points_and_file(handout):
    text = handout.read_text(encoding="utf-8")
    homework = spec.load(ROOT, handout.parent.name)
    known = regions.scan(ROOT)
    rows = re.findall(r"^\| \d+ \| `(\w+)` \| (\d+) \| `([^`]+)` \|$", text, re.M)
    assert rows == [
        (question.id, str(question.points), known[question.regions[0]].path)
        for question in homework.questions
    ]
    for number, (name, points, _) in enumerate(rows, 1):
        assert re.search(rf"^### {number}\. .*: {points} points", text, re.M), name
        assert f"\n**{number}. {name}.**" in text, f"no hints for {name}"


@pytest.mark.parametrize("handout", HANDOUTS, ids=identify)
def test_handout_names_the_groups_and_paces_of_its_questions(handout):
    text = handout.read_text(encoding="utf-8")
    homework = spec.load(ROOT, handout.parent.name)
    cases = oracle.Oracle(homework.folder, 0)
    sections = re.split(r"^### \d+\. ", text, flags=re.M)[1:]
    for question, section in zip(homework.questions, sections, strict=True):
        groups = {case.group for case in cases.cases(question.id)} if question.partial else set()
        for group in groups:
            assert f"`{group}`" in (section if question.part == "A" else text), question.id
        words = {0: "", 1: "at most as long", 2: "twice as long"}
        assert words.get(question.pace, f"{question.pace:g} times as long") in section
