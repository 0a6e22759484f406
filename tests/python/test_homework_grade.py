"""Grading, on the small homework in tests/homework: points, sentences, and independence."""

import dataclasses
import json

import numpy as np
import pytest
from rich.console import Console

from course.bootstrap.steps import SetupError
from course.errors import CourseError
from course.homework import bodies, build, grade, oracle, prove, report, sanitize, spec, units
from course.homework.build import Builder
from course.homework.grade import Grader, Outcome, Submission
from course.paths import RELEASE, ROOT

FOLDER = ROOT / "tests" / "homework" / "small"
SIZE = 20


@pytest.fixture(scope="module")
def builder() -> Builder:
    return Builder()


@pytest.fixture(scope="module")
def grader(builder: Builder) -> Grader:
    homework = spec.read(FOLDER, "hw1")
    references = bodies.reference(ROOT, builder.regions)
    return Grader(builder, homework, oracle.Oracle(FOLDER, 0), references)


def given(grader: Grader, **changes: str) -> Submission:
    """The reference with some bodies changed; names without hw1."""
    own = {name: grader.references[name] for name in grader.homework.regions}
    return Submission(own | {f"hw1.{name}": body for name, body in changes.items()})


def outcomes(grader: Grader, submission: Submission, *ids: str) -> dict[str, Outcome]:
    questions = [q for q in grader.homework.questions if not ids or q.id in ids]
    return {o.question.id: o for o in grader.grade(submission, questions)}


def one(grader: Grader, id: str, **changes: str) -> Outcome:
    return outcomes(grader, given(grader, **changes), id)[id]


def test_the_reference_has_all_points(grader: Grader) -> None:
    found = outcomes(grader, given(grader))
    assert [o.verdict for o in found.values()] == ["OK"] * 4
    assert sum(o.points for o in found.values()) == SIZE
    assert found["strides"].cases == 9  # the public four, again with the secret seed, a hidden one


def test_a_region_that_does_not_compile_keeps_nothing_else_from_being_built(monkeypatch) -> None:
    def fails(*_args: object, **_options: object) -> None:
        raise SetupError("The build failed.")

    release = units.Release(ROOT, RELEASE, [units.MODULE])
    own = next(iter(release.users(["needle/array/shape.cc"])))
    monkeypatch.setattr(build, "bring_up_to_date", fails)
    for left in ({own}, {"other.o"}):
        found = iter([{own, "other.o"}, left, left])
        monkeypatch.setattr(units.Release, "pending", lambda _, found=found: next(found))
        if left == {own}:
            Builder()
        else:
            with pytest.raises(SetupError, match=r"The build failed\."):
                Builder()


def test_the_starter_has_none_and_is_not_run(grader: Grader) -> None:
    known = grader.builder.regions
    starters = Submission({name: known[name].starter for name in grader.homework.regions})
    for outcome in outcomes(grader, starters).values():
        assert (outcome.verdict, outcome.points) == ("", 0)
        assert outcome.message.endswith("not written yet")


def test_each_fault_costs_its_own_question_alone(grader: Grader) -> None:
    *others, epoch = grader.homework.questions
    quick = [*others, dataclasses.replace(epoch, seconds=0.5)]
    submission = given(
        grader,
        compact_strides="  Shape strides = shape;\n  retun strides;\n",
        logsumexp='  throw RuntimeError("logsumexp: no idea");\n',
        train_epoch="    while True:\n        pass\n",
    )
    found = {o.question.id: o for o in grader.grade(submission, quick)}
    assert found["strides"].verdict == "CE"
    line = grader.builder.regions["hw1.compact_strides"].line + 1
    assert found["strides"].message.startswith(f"needle/array/shape.cc:{line}: ")
    assert found["broadcast"].verdict == "OK"
    assert found["logsumexp"].verdict == "RTE"
    assert found["logsumexp"].message == "RuntimeError: logsumexp: no idea"
    assert found["epoch"].verdict == "TLE"
    assert sum(o.points for o in found.values()) == 6


def test_a_wrong_body_that_all_need_costs_its_question_alone(grader: Grader) -> None:
    (mutant,) = [m for m in prove.read_mutants(grader) if m.question.id == "strides"]
    found = outcomes(grader, given(grader, compact_strides=mutant.body))
    assert {id: o.verdict for id, o in found.items()} == {
        "strides": "WA",
        "broadcast": "OK",
        "logsumexp": "OK",
        "epoch": "OK",
    }
    assert found["strides"].message == "2 of 2 elements differ, first at [0]"
    text = "\n".join(report.failure(found["strides"]))
    for words in ["shape = [2, 3]", "[3, 1] int64", "[1, 2] int64", "needle/array/shape.cc:"]:
        assert words in text


def test_a_region_of_another_homework_that_is_missing_can_be_brought(grader: Grader) -> None:
    question = grader.homework.question("strides")
    for missing, said in [("hw2.tile", True), ("hw1.sum_to", False)]:
        message = f"right: NotImplementedError: {missing} is not written yet; its place is between"
        lines = report.failure(Outcome(question, "RTE", 0, message))
        assert len(lines) == 1 + said
        assert ("./course use hw2 hw2-submission.zip" in lines[-1]) == said


@pytest.mark.parametrize(
    ("body", "verdict", "words"),
    [
        ("    return np.float32(1)\n", "RTE", "NameError: name 'np' is not defined"),
        ("    return 1\n", "WA", "array 0: dtype int64, not float64"),
        ("    return float('nan')\n", "WA", "(nan)"),
        ("    return [1.0, 2.0]\n", "WA", "array 0: shape (2,), not ()"),
        ("    import os; os._exit(0)\n", "PROTO", "without an answer"),
        ("    return 'x'\n", "RTE", "dtype str"),
        ("    retun 1\n", "CE", "python/needle/training.py:"),
        ("  return 1.0\n", "CE", "IndentationError"),
    ],
)
def test_what_a_python_region_can_do_wrong(
    grader: Grader, body: str, verdict: str, words: str
) -> None:
    outcome = one(grader, "epoch", train_epoch=body)
    assert (outcome.verdict, outcome.points) == (verdict, 0)
    assert words in outcome.message


def test_the_line_of_a_python_error_is_the_students(grader: Grader) -> None:
    outcome = one(grader, "epoch", train_epoch="    x = 1\n    y = x / 0\n    return y\n")
    line = grader.builder.regions["hw1.train_epoch"].line + 1
    assert outcome.place == f"python/needle/training.py:{line}"


def test_partial_points_by_groups(grader: Grader) -> None:
    body = (
        "  Shape strides = Shape::filled(shape.ndim(), 0);\n"
        '  if (shape.ndim() != ndim()) throw ValueError("broadcast_to: too few axes");\n'
        "  for (int i = 0; i < ndim(); ++i) {\n"
        "    if (view_.shape[i] == shape[i]) strides[i] = view_.strides[i];\n"
        "  }\n"
        "  return with(shape, strides);\n"
    )
    outcome = one(grader, "broadcast", broadcast_to=body)
    assert (outcome.verdict, outcome.points) == ("RTE", 2)  # one of three groups of six points
    assert outcome.message.startswith("rows: ValueError: ")
    assert outcome.message.endswith(" (cases of new fail, too)")


@pytest.mark.parametrize(("pace", "verdict"), [(1e-6, "WA"), (1e6, "OK")])
def test_a_right_answer_may_take_too_long(grader: Grader, pace: float, verdict: str) -> None:
    question = dataclasses.replace(grader.homework.question("logsumexp"), pace=pace)
    (outcome,) = grader.grade(given(grader), [question])
    assert outcome.verdict == verdict
    assert ("right, but it takes" in outcome.message) == (verdict == "WA")


def test_an_answer_must_be_right_while_its_time_is_taken(grader: Grader) -> None:
    question = dataclasses.replace(grader.homework.question("logsumexp"), pace=1e6)
    body = "  static int turns = 0;\n  if (x.shape()[0] == 300 && ++turns > 3) return x;\n"
    submission = given(grader, logsumexp=body + grader.references["hw1.logsumexp"])
    (outcome,) = grader.grade(submission, [question])
    assert (outcome.verdict, "shape (300, 100)" in outcome.message) == ("WA", True)


def test_values_of_hidden_cases_are_not_told(grader: Grader) -> None:
    body = grader.references["hw1.compact_strides"]
    wrong = f"  if (shape.ndim() == 5) return shape;\n{body}"
    outcome = one(grader, "strides", compact_strides=wrong)
    assert outcome.verdict == "WA"
    assert outcome.case.hidden
    told = json.dumps(grade.record([outcome], grader, "0"))
    told += "\n".join(report.failure(outcome))
    assert str(outcome.case.args["shape"])[1:-1] not in told
    assert '"case": "hidden"' in told


def test_without_the_reference_questions_wait_for_what_they_need(grader: Grader) -> None:
    alone = Grader(grader.builder, grader.homework, grader.oracle, {})
    known = grader.builder.regions
    submission = given(grader, compact_strides=known["hw1.compact_strides"].starter)
    found = outcomes(alone, submission)
    assert {o.verdict for o in found.values()} == {""}
    assert found["epoch"].message == "waits for hw1.compact_strides: not written yet"


def test_without_the_reference_a_question_runs_on_the_students_other_regions(
    grader: Grader,
) -> None:
    alone = Grader(grader.builder, grader.homework, grader.oracle, {})
    assert outcomes(alone, given(grader), "epoch")["epoch"].verdict == "OK"


def test_an_error_in_a_header_is_told_at_the_line_that_asks_for_it(grader: Grader) -> None:
    body = "  Shape strides = shape;\n  std::sort(strides.begin(), strides.end(), 7);\n"
    outcome = one(grader, "strides", compact_strides=body)
    line = grader.builder.regions["hw1.compact_strides"].line + 1
    assert outcome.message.startswith(f"needle/array/shape.cc:{line}: ")


def test_an_error_outside_of_the_regions_is_said(grader: Grader) -> None:
    alone = given(grader, compact_strides="  return shape;\n}\nint x = ;\nvoid f() {\n")
    outcome = outcomes(grader, alone, "strides")["strides"]
    assert outcome.verdict == "CE"


def test_a_broken_oracle_is_no_zero(grader: Grader, tmp_path) -> None:
    (tmp_path / "oracle.py").write_text(
        "CASES = {'strides': lambda rng: [{'shape': [2]}]}\n"
        "EXPECT = {'strides': lambda args: 1 / 0}\n"
    )
    broken = Grader(
        grader.builder,
        grader.homework,
        oracle.Oracle(tmp_path, 0),
        grader.references,
        grader.driver,
    )
    broken.driver = FOLDER / "driver.py"
    outcome = outcomes(broken, given(grader), "strides")["strides"]
    assert (outcome.verdict, "ZeroDivisionError" in outcome.message) == ("IE", True)


def test_an_exception_may_be_what_is_expected(grader: Grader, tmp_path) -> None:
    (tmp_path / "oracle.py").write_text(
        "CASES = {'strides': lambda rng: [{'shape': [2]}]}\n"
        "EXPECT = {'strides': lambda args: ValueError}\n"
    )
    strict = Grader(
        grader.builder,
        grader.homework,
        oracle.Oracle(tmp_path, 0),
        grader.references,
        FOLDER / "driver.py",
    )
    for body, verdict, words in [
        (grader.references["hw1.compact_strides"], "WA", "ValueError, and none was raised"),
        ('  throw IndexError("no");\n', "WA", "ValueError, but another was raised"),
        ('  throw ValueError("no");\n', "OK", ""),
    ]:
        outcome = one(strict, "strides", compact_strides=body)
        assert (outcome.verdict, words in outcome.message) == (verdict, True)


def test_sanitizers_name_the_line(grader: Grader) -> None:
    body = (
        "  int64_t* p = new int64_t[2];\n"
        "  const int64_t size = p[shape.ndim() + 2];\n"
        "  return Shape::filled(shape.ndim(), size);\n"
    )
    submission = given(grader, compact_strides=body)
    outcome = outcomes(grader, submission, "strides")["strides"]
    first, *_ = sanitize.examine(grader, submission, outcome)
    line = grader.builder.regions["hw1.compact_strides"].line + 1
    expected = f"strides: AddressSanitizer: heap-buffer-overflow, needle/array/shape.cc:{line}"
    assert first == expected


def test_the_small_homework_proves_itself(grader: Grader) -> None:
    proof = prove.prove(grader)
    assert proof.faults == []
    assert (proof.reference, proof.starter) == (SIZE, 0)
    assert {m["name"]: m["lost"] for m in proof.mutants} == {
        "epoch.stale_gradients": 6,
        "logsumexp.overflow": 4,
        "strides.column_major": 4,
    }
    assert proof.alone["hw1.broadcast_shapes"] == 6
    assert proof.independent == {"hw1.compact_strides": 4}


def test_the_report_closes_with_the_total(grader: Grader, capsys) -> None:
    found = outcomes(grader, given(grader), "strides")
    hostile = dataclasses.replace(
        found["strides"], verdict="RTE", points=0, message="\x1b[31mred\x07"
    )
    report.show(Console(width=100), grader, [hostile])
    text = capsys.readouterr().out
    assert text.strip().splitlines()[-1] == "Total: 0/4"
    assert "\x1b" not in text
    with pytest.raises(CourseError, match="has no question 'x'"):
        grader.homework.question("x")


# --- comparing ---


@pytest.mark.parametrize(
    ("want", "have", "words"),
    [
        ([1.0, 2.0], [1.0, 2.0 + 1e-12], None),
        ([1.0, 2.0], [1.0, 2.1], "1 of 2 elements differ, first at [1]"),
        ([np.nan, np.inf], [np.nan, np.inf], None),
        ([np.inf], [-np.inf], "differ"),
        ([np.inf], [1e300], "differ"),
        ([1.0], [np.nan], "(nan)"),
        ([0.0], [1e-12], "differ"),
        ([1e9, 0.0], [1e9, 1e-3], None),
        ([1], [2], "differ"),
        ([], [], None),
        ([True], [False], "differ"),
    ],
)
def test_compare(want: list, have: list, words: str | None) -> None:
    found = oracle.compare([np.array(want)], [np.array(have)])
    assert found is None if words is None else words in found.text


def test_compare_wants_number_dtype_and_shape() -> None:
    x = np.zeros((2, 3))
    assert "2 arrays are expected" in oracle.compare([x, x], [x]).text
    assert "dtype float32, not float64" in oracle.compare([x], [x.astype("f4")]).text
    assert "shape (3, 2), not (2, 3)" in oracle.compare([x], [x.T.copy()]).text
    assert oracle.compare([x + 1], [x + 1.5], tolerance=(1, 0)) is None
