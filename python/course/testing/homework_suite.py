"""Proves every homework: reference, starter, each region alone and each mutant are a test each."""

from ..homework import commands, spec
from ..paths import ROOT
from .recorder import Recorder


def is_here() -> bool:
    """A student edition has no mutants, and its regions are not written: nothing can be proved."""
    return any((ROOT / "homework").glob("*/mutants"))


def run_homework(recorder: Recorder) -> None:
    """`./course prove` for each."""
    for name in spec.homeworks(ROOT):
        proof = commands.proof_of(spec.load(ROOT, name), recorder.now)
        tests = 2 + len(proof.alone) + len(proof.independent) + len(proof.mutants)
        for fault in proof.faults:
            recorder.failed(name, fault)
        recorder.passed(max(0, tests - len(proof.faults)))
