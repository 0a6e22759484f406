"""The ladders of a GPU, in the simulator: right, without findings, and with the counts that they
promise; and the command."""

import io
import json
import re
import runpy
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import needle as ndl
from course.errors import CourseError
from course.ladder import counted, gpu_check, gpu_command, gpu_peers, gpu_timed, timing
from course.ladder.counted import H200, Count, Counted, Counts
from course.ladder.gpu_cases import GPU_CASES

ROOT = Path(__file__).resolve().parents[2]
LESSON = ROOT / "lessons/04-hardware"
CASES = {case.name: case for case in GPU_CASES}
RUNGS = {"matmul": 9, "transpose": 5, "reduction": 5, "softmax": 5}
DEVICES = ["cuda_sim"] + (["cuda"] if ndl.cuda.is_available() else [])
no_gpu = pytest.mark.skipif(ndl.cuda.is_available(), reason="there is a GPU")
COURSE = [sys.executable, "-m", "course", "ladder"]


def every_rung(device: str = "cuda_sim") -> list:
    return [
        pytest.param(name, rung, id=f"{name}-{rung.name}")
        for name, case in CASES.items()
        for rung in case.rungs(device)
        if rung.is_available
    ]


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Counted]]:
    """The counts of every rung at the sizes of the lesson."""
    return {
        name: {rung.name: rung for rung in counted.count(case, case.size["cuda_sim"]).rungs}
        for name, case in CASES.items()
    }


def each(count: Count) -> float:
    return count.units / count.requests


# --- the library's side ---


@pytest.mark.parametrize(("name", "number"), RUNGS.items())
def test_names_files_and_the_library_at_the_top(name, number):
    ladder = getattr(ndl.ladder.on("cuda_sim"), name)
    assert [rung.name for rung in ladder] == [f"v{i + 1}" for i in range(number)]
    assert len({rung.idea for rung in ladder}) == number
    for rung in ladder:
        assert rung.ladder == name
        assert re.search(r"\(Lessons? 0", (ROOT / rung.file).read_text(encoding="utf-8"))
        assert repr(rung) == f"{rung.name}: {rung.idea}"
    own = [rung for rung in ladder if rung.dtype == ndl.float32]
    assert [rung.is_slot for rung in own] == [False] * (len(own) - 1) + [True]


def test_every_rung_says_its_idea_its_counter_and_its_limit():
    for rung in (r for ladder in ndl.ladder.on("cuda_sim") for r in ladder):
        if "cuda/ladder" in rung.file:
            text = (ROOT / rung.file).read_text(encoding="utf-8")
            head = text.split("#pragma once")[0]
            assert head.startswith(f"// {rung.name}: ")
            assert "\n// Counter: " in head
            assert "\n// Limit: " in head


def test_bad_operands_are_refused():
    matmul, transpose, _, softmax = (ladder[0] for ladder in ndl.ladder.on("cuda_sim"))
    x = ndl.ones(3, 4, device="cuda_sim")
    with pytest.raises(ValueError, match=r"matmul: \(3, 4\) x \(3, 4\)"):
        matmul(x, x)
    with pytest.raises(TypeError, match="matmul v1: 1 operands; it takes 2"):
        matmul(x)
    with pytest.raises(ValueError, match=r'on cpu; move it with to\("cuda_sim"\)'):
        softmax(ndl.ones(3))
    with pytest.raises(TypeError, match="float64; it takes float32"):
        softmax(x.to(ndl.float64))
    with pytest.raises(ValueError, match=r"strides \(1, 4\); make it compact"):
        transpose(x.transpose(0, 1))
    with pytest.raises(ValueError, match="a matrix is wanted"):
        transpose(ndl.ones(3, device="cuda_sim"))
    with pytest.raises(ValueError, match="x has no axis"):
        softmax(ndl.tensor(1.0).to("cuda_sim"))
    with pytest.raises(ValueError, match="device cpu is no GPU; want cuda or cuda_sim"):
        ndl.ladder.on("cpu")
    only_on_a_gpu = ndl.ladder.on("cuda_sim").matmul[-1]
    assert not only_on_a_gpu.is_available
    with pytest.raises(NotImplementedError, match="matmul v9: not on device cuda_sim"):
        only_on_a_gpu(x, x)


# --- right, and nothing found ---


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "rung"), every_rung())
def test_right_on_awkward_shapes_and_nothing_found(name, rung, device):
    (rung,) = [r for r in CASES[name].rungs(device) if r.name == rung.name]
    with ndl.sim.watch(check=True, count=False):
        assert gpu_check.check_awkward(CASES[name], [rung], device) == len(CASES[name].awkward())


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
@pytest.mark.parametrize(("name", "rung"), every_rung())
def test_the_order_of_the_threads_does_not_matter(name, rung, order):
    arrays = CASES[name].awkward()[-1 if name == "matmul" else 6]
    with ndl.sim.watch(check=True, count=False, order=order):
        gpu_check.check_rung(CASES[name], rung, "cuda_sim", arrays)


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_rung_is_named(name):
    right = CASES[name].rungs("cuda_sim")[-1 if name != "matmul" else -2]

    class Wrong:
        name, file, dtype, is_available = "v0", "some/where.cu", ndl.float32, True

        def __call__(self, *operands):
            out = right(*operands).to("cpu").numpy().copy()
            if out.size:
                out.flat[-1] += 1
            return ndl.tensor(out)

    with pytest.raises(CourseError, match=rf"{name} v0 is wrong for \(.*: .* is ") as error:
        gpu_check.check_awkward(CASES[name], [Wrong()], "cuda_sim")
    assert "some/where.cu" in str(error.value)


def test_sums_in_two_stages_have_the_same_bits_each_time():
    x = ndl.randn(70001).to("cuda_sim")
    for rung in ndl.ladder.on("cuda_sim").reduction[3:]:
        bits = set()
        for order in ("normal", "reversed", "shuffled"):
            with ndl.sim.watch(check=False, count=False, order=order):
                bits.add(rung(x).item())
        assert len(bits) == 1, rung.name


# --- what the counters must say ---


def test_matmul_counts(found):
    n = CASES["matmul"].size["cuda_sim"]
    v1, v2, v3, v4, v5, v6, v7, v8, _ = found["matmul"].values()
    # v1: a column of A and one number of B; v2: one number of A, a row of B.
    assert each(v1.counts["global_reads"]) == (32 + 1) / 2
    assert each(v1.counts["global_writes"]) == 32
    assert each(v2.counts["global_reads"]) == (1 + 4) / 2
    for v in (v2, v3, v5, v6, v7, v8):
        assert v.counts["global_reads"].units == v.counts["global_reads"].ideal
        assert v.counts["global_writes"].units == v.counts["global_writes"].ideal
    # A tile of side s: each number is read n / s times.
    for v, side in [(v3, 32), (v4, 64), (v5, 64), (v6, 128), (v7, 128)]:
        assert v.counts["global_reads"].bytes == 2 * 4 * n**3 // side
    assert v2.global_bytes / v3.global_bytes > 15
    # For 64 products of a warp's lane: 2 requests, 8 for 16, 4 of 16 bytes for 64.
    steps = 2 * n**3 // 32  # requests of v3
    assert v3.counts["shared_reads"].requests == steps
    assert v4.counts["shared_reads"].requests == v5.counts["shared_reads"].requests == steps // 4
    assert v6.counts["shared_reads"].requests == v7.counts["shared_reads"].requests == steps // 32
    assert each(v3.counts["shared_reads"]) == 1
    assert each(v4.counts["shared_reads"]) == 2
    assert each(v5.counts["shared_reads"]) == each(v5.counts["shared_writes"]) == 1
    for v in (v6, v7):
        assert each(v.counts["shared_reads"]) == 4  # a quarter of a warp at a time
        assert v.counts["shared_reads"].units == v.counts["shared_reads"].ideal
        assert each(v.counts["shared_writes"]) == 1
    assert each(v4.counts["global_writes"]) == 16
    assert v1.barriers == v2.barriers == 0
    assert v7.barriers == v6.barriers // 2


def test_transpose_counts(found):
    v1, v2, v3, v4, v5 = found["transpose"].values()
    assert each(v1.counts["global_reads"]) == 4
    assert each(v1.counts["global_writes"]) == 32
    for v in (v2, v3, v4):
        assert each(v.counts["global_reads"]) == each(v.counts["global_writes"]) == 4
    for kind in ("global_reads", "global_writes"):
        assert v5.counts[kind].units == v5.counts[kind].ideal
    assert each(v2.counts["shared_reads"]) == 32
    for v in (v3, v4, v5):
        assert each(v.counts["shared_reads"]) == each(v.counts["shared_writes"]) == 1
    assert v4.threads == v3.threads // 4


def test_reduction_counts(found):
    n = CASES["reduction"].size["cuda_sim"]
    v1, v2, v3, v4, v5 = found["reduction"].values()
    assert v1.counts["global_atomics"].requests == n // 32
    blocks = n // 256
    assert v2.counts["global_atomics"].requests == v3.counts["global_atomics"].requests == blocks
    assert v2.barriers == 9 * blocks
    assert v3.barriers == blocks
    for v in (v4, v5):
        assert v.counts["global_atomics"].requests == 0
        assert v.counts["global_reads"].bytes < 1.01 * 4 * n
    assert v4.threads * 28 < n
    for v in (v2, v3):
        assert v.counts["shared_reads"].units == v.counts["shared_reads"].requests


def test_softmax_counts(found):
    case = CASES["softmax"]
    v1, v2, v3, v4, v5 = found["softmax"].values()
    row = case.least_bytes(case.size["cuda_sim"]) / 2
    assert each(v1.counts["global_reads"]) == 32
    for v in (v2, v3, v4):
        assert each(v.counts["global_reads"]) == each(v.counts["global_writes"]) == 4
    for kind in ("global_reads", "global_writes"):  # the library's may move packs
        assert v5.counts[kind].units == v5.counts[kind].ideal
    passes = [v.global_bytes / row for v in (v2, v3, v4, v5)]
    assert passes == [4, 3, 2, 2]


def test_what_an_h200_can_do_at_most(found):
    matmul = counts_of("matmul", found)
    rates = [matmul.rate(rung, H200) for rung in matmul.rungs if rung.is_available]
    peak = H200.peak / 1e9
    # Of the port's 32 FLOPs a cycle for v3, of 256 that the units do.
    assert rates[2][0] == pytest.approx(peak / 8, rel=0.1)
    assert rates[4][0] == pytest.approx(peak / 2, rel=0.15)
    assert [limit for _, limit in rates[:5]] == ["L1"] * 5
    # Up to v7; v3 also fills its tiles.
    assert all(slow <= fast for (slow, _), (fast, _) in pairwise(rates[2:7]))
    for rung in matmul.rungs:
        if rung.is_available:
            assert matmul.rate(rung, H200, cached=False)[0] <= matmul.rate(rung, H200)[0]
    softmax = counts_of("softmax", found)
    assert softmax.rate(softmax.rungs[3], H200) == (pytest.approx(4800), "memory")
    reduction = counts_of("reduction", found)
    assert reduction.rate(reduction.rungs[0], H200) == (0.0, "atomics")


def counts_of(name: str, found: dict[str, dict[str, Counted]]) -> Counts:
    case, size = CASES[name], CASES[name].size["cuda_sim"]
    rungs = list(found[name].values())
    return Counts(name, size, case.unit, case.flops(size), case.least_bytes(size), rungs)


# --- the lesson ---


def test_the_lesson_shows_what_is_counted(found):
    stored = counted.read(LESSON / "simulated.json")
    assert stored == [counts_of(name, found) for name in CASES], (
        "kernels cost something else now: run lessons/04-hardware/gpu_figures.py, and commit"
    )
    sys.path[:0] = [str(ROOT / "lessons"), str(LESSON)]
    try:
        figures = runpy.run_path(str(LESSON / "gpu_figures.py"))
    finally:
        del sys.path[:2]
    text = (LESSON / "gpu.md").read_text(encoding="utf-8")
    assert figures["with_tables"](text) == text


# --- the command ---


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*COURSE, *words],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "python"), "PATH": "/usr/bin:/bin", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "size"), [("matmul", 32), ("transpose", 64), ("reduction", 4096), ("softmax", 4)]
)
def test_the_command_checks_counts_and_writes(name, size, tmp_path):
    files = ["--json", str(tmp_path / "x.json")]
    if name == "matmul":
        files += ["--svg", str(tmp_path / "x.svg")]
    done = run(name, "--device", "cuda_sim", "--size", str(size), *files)
    assert done.returncode == 0, done.stderr
    assert "agree with the reference device" in done.stdout
    assert "found nothing wrong" in " ".join(done.stdout.split())
    assert all(len(line) <= 80 for line in done.stdout.splitlines()), done.stdout
    (result,) = counted.read(tmp_path / "x.json")
    assert [rung.name for rung in result.rungs] == [f"v{i + 1}" for i in range(RUNGS[name])]
    for rung in result.rungs:
        assert rung.idea in done.stdout
    if name == "matmul":
        assert "only on a GPU" in done.stdout
        picture = (tmp_path / "x.svg").read_text(encoding="utf-8")
        named = re.findall(r"v\d", " ".join(re.findall(r">([v\d, ]+)</text>", picture)))
        assert sorted(named) == [rung.name for rung in result.rungs[:-1]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sum", "--device", "cuda_sim"], "There is no ladder 'sum' on cuda_sim"),
        (["--device", "tpu"], "--device tpu: want cpu, cuda or cuda_sim"),
        (["--device", "cuda_sim", "--size", "3"], "name it: matmul, transpose"),
        (["softmax", "--device", "cuda_sim", "--size", "0"], "--size 0: want at least 1"),
        (["softmax", "--device", "cuda_sim", "--json", "no-such/x.json"], "there is no folder"),
        (["softmax", "--device", "cuda_sim", "--threads", "2"], "--threads is for the cpu"),
        (["transpose", "--device", "cuda_sim", "--svg", "x.svg"], "the roofline is for matmul"),
    ],
)
def test_what_the_command_refuses(words, message):
    done = run(*words)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


@no_gpu
def test_without_a_gpu_the_command_names_the_simulator():
    done = run("matmul", "--device", "cuda")
    assert done.returncode == 2
    assert "cuda_sim" in done.stderr
    assert "Traceback" not in done.stderr


def test_times_on_a_gpu_are_shown_and_kept(tmp_path):
    """The GPU's part of the command, without one: with figures made up."""
    lines = [
        gpu_timed.TimedRung("v1", "one thread a result", "x.cuh", 0.4, 343.0, 0.0067),
        gpu_timed.TimedRung("v8", "the library's slot", "y.cu", 0.003, 45e3, 0.88),
        gpu_timed.TimedRung("cuBLAS", "", "", 0.0027, 51e3, 1.0),
    ]
    timed = gpu_timed.Timed("matmul", 4096, "GFLOP/s", "some GPU", "cuBLAS", lines)
    gpu_timed.write([timed], tmp_path / "x.json")
    assert gpu_timed.read(tmp_path / "x.json") == [timed]
    assert json.loads((tmp_path / "x.json").read_text())[0]["gpu"] == "some GPU"
    table = gpu_command.timed(timed, "matmul, 4096x4096x4096")
    cells = [list(column.cells) for column in table.columns]
    assert cells[3] == ["343", "45,000", "51,000"]
    assert cells[4] == ["0.7%", "88%", "100%"]
    assert cells[5] == ["1.0", "133.3", "148.1"]


@pytest.mark.parametrize("name", CASES)
def test_a_ladder_is_timed_as_on_a_gpu(name):
    """With the simulator in the place of a GPU: the same calls, and times that say nothing."""
    output = io.StringIO()
    console = Console(file=output, width=100)
    found = gpu_command.time(console, CASES[name], 64, "cuda_sim")
    peers = {"copy"}
    if name == "matmul":
        peers = set(gpu_peers.products(*CASES[name].operands(8)))
    assert {line.name for line in found.lines if not line.file} == peers
    assert [line.name for line in found.lines][:4] == ["v1", "v2", "v3", "v4"]
    assert all(line.seconds > 0 and line.rate > 0 for line in found.lines)
    by_name = {line.name: line for line in found.lines}
    assert by_name[found.limit].share == 1
    assert f"of {found.limit}" in output.getvalue()


def test_what_a_gpu_has_only_begun_is_waited_for(monkeypatch):
    clock, begun = [0.0], [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def call():
        begun[0] += 1e-4

    def finish():
        clock[0] += begun[0]
        begun[0] = 0

    (found,) = timing.in_turns({"kernel": call}, 3, finish).values()
    assert found.seconds == pytest.approx(1e-4)
    assert np.isfinite(found.turns)
