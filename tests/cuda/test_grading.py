"""Homework 2 where there is a library for GPUs: its kernels are a student's, too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import needle as ndl
from course.homework import bodies, gpu, spec
from course.homework.build import Builder, CompileError
from course.homework.grade import Grader, Outcome, Submission
from course.homework.oracle import Oracle
from course.homework.units import GPU_LIBRARY, SIMULATOR
from course.paths import CUDA, RELEASE, ROOT

ARGMAX = "hw2.arg_rows"


@pytest.fixture(scope="module")
def grader() -> Grader:
    builder = Builder(simulator=True, gpu=CUDA)
    references = bodies.reference(ROOT, builder.regions)
    if ARGMAX not in references:
        pytest.skip("this student edition has no references")
    homework = spec.load(ROOT, "hw2")
    return Grader(builder, homework, Oracle(homework.folder, 0), references)


def graded(grader: Grader, argmax: str) -> Outcome:
    own = {name: grader.references[name] for name in grader.homework.regions}
    submission = Submission(own | {ARGMAX: argmax})
    [outcome] = grader.grade(submission, [grader.homework.question("argmax")])
    return outcome


def library(folder: Path, target: str) -> bytes:
    return (folder / "needle" / Path(target).name).read_bytes()


def test_nvcc_compiles_a_body_in_the_box(grader: Grader) -> None:
    own = grader.references[ARGMAX]
    package = grader.builder.package({ARGMAX: f"  if (clock() == 1) return;\n{own}"})
    assert library(package.folder, GPU_LIBRARY) != (CUDA / GPU_LIBRARY).read_bytes()
    assert library(package.folder, SIMULATOR) != (RELEASE / SIMULATOR).read_bytes()
    said = subprocess.run(
        [sys.executable, "-c", "import needle as ndl; print(ndl.ones(2).to('cuda'))"],
        env=dict(os.environ, PYTHONPATH=str(package.folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ndl.cuda.is_available() or "device cuda: " in said.stderr, said


@pytest.mark.parametrize("name", [ARGMAX, "hw2.multiply_tile"])
def test_an_error_of_nvcc_alone_names_the_line(grader: Grader, name: str) -> None:
    """g++ compiles for a machine on which every function can be called."""
    region = grader.builder.regions[name]
    with pytest.raises(CompileError) as caught:
        grader.builder.package({name: f"  str(1);\n{region.body}"})
    assert {(fault.path, fault.line) for fault in caught.value.faults} == {
        (region.path, region.line)
    }
    assert "calling a __host__ function" in str(caught.value)


@pytest.mark.skipif(ndl.cuda.is_available(), reason="there is a GPU")
def test_where_a_gpu_cannot_be_used_the_simulator_alone_counts(grader: Grader) -> None:
    outcome = graded(grader, grader.references[ARGMAX])
    assert (outcome.verdict, outcome.points) == ("OK", outcome.question.points)
    assert grader.devices == ["cuda_sim"]
    assert "device cuda: " in grader.no_gpu


@pytest.mark.parametrize("device", ["cuda_sim", "cuda"])
def test_where_it_can_values_must_be_right_there_too(
    grader: Grader, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """A second simulator stands for a GPU; a GPU that is not there, for one that fails."""
    before = graded(grader, grader.references[ARGMAX])
    monkeypatch.setattr(gpu, "DEVICE", device)
    monkeypatch.setattr(gpu, "fault", lambda *_: "")
    outcome = graded(grader, grader.references[ARGMAX])
    assert grader.devices == ["cuda_sim", device]
    if device == "cuda" and not ndl.cuda.is_available():
        assert (outcome.verdict, outcome.points) == ("RTE", 8)  # of 12: a third of the groups
        assert outcome.message.startswith("right: on device cuda: RuntimeError: device cuda: ")
    else:
        right = [case for case in grader.oracle.cases("argmax") if case.group == "right"]
        assert (outcome.verdict, outcome.cases) == ("OK", before.cases + len(right))
