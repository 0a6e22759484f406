"""`./course sim`, and ndl.sim. What the simulator finds and counts is tested in tests/sim."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import needle as ndl
from course.errors import CourseError
from course.paths import RELEASE, ROOT
from course.sim.rewrite import rewrite

COURSE = [sys.executable, "-m", "course", "sim"]

PROGRAM = """\
#include <cstdio>
#include <vector>
#include <cuda_runtime.h>
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace cg = cooperative_groups;

__constant__ float factor[2];

template <int PAD>
__global__ void transpose(const float* in, float* out, int n) {
  extern __shared__ float tile[];
  const int x = threadIdx.x, y = threadIdx.y;
  tile[y * (32 + PAD) + x] = in[(blockIdx.y * 32 + y) * n + blockIdx.x * 32 + x] * factor[1];
  SYNC
  out[(blockIdx.x * 32 + y) * n + blockIdx.y * 32 + x] = tile[x * (32 + PAD) + y];
}

__global__ void sum(const float* x, float* out) {
  auto tile = cg::tiled_partition<8>(cg::this_thread_block());
  const float total = cg::reduce(tile, x[threadIdx.x], cg::plus<float>());
  if (tile.thread_rank() == 0) atomicAdd(out, total);
}

int main(int argc, char** argv) {
  const int n = 64;
  std::vector<float> host(n * n);
  for (int i = 0; i < n * n; ++i) host[i] = i;
  float *in, *out;
  cudaMalloc(&in, n * n * sizeof(float));
  cudaMalloc(&out, n * n * sizeof(float));
  cudaMemcpy(in, host.data(), n * n * sizeof(float), cudaMemcpyHostToDevice);
  const float both[2] = {1, 2};
  cudaMemcpyToSymbol(factor, both, sizeof both);
  const dim3 grid(n / 32, n / 32), block(32, 32);
  transpose<0><<<grid, block, 32 * 32 * sizeof(float)>>>(in, out, n);
  transpose<1><<<grid, block,
                 32 * 33 * sizeof(float)>>>(in, out,
                                            n);
  if (cudaGetLastError() != cudaSuccess) return 5;
  cudaMemcpy(host.data(), out, n * n * sizeof(float), cudaMemcpyDeviceToHost);
  std::printf("%s %g\\n", argc > 1 ? argv[1] : "none", host[3 * n + 2]);
  cudaMemset(out, 0, sizeof(float));
  sum<<<1, 64>>>(in, out);
  cudaMemcpy(host.data(), out, sizeof(float), cudaMemcpyDeviceToHost);
  std::printf("sum %g\\n", host[0]);
  cudaFree(in);
  cudaFree(out);
}
"""


def run(folder: Path, text: str, *arguments: str) -> tuple[subprocess.CompletedProcess, dict]:
    """The finished command, and the figures it wrote."""
    source, figures = folder / "program.cu", folder / "figures.json"
    source.write_text(text, encoding="utf-8")
    command = [*COURSE, str(source), "--json", str(figures), "--html", str(folder / "page.html")]
    env = dict(os.environ) | {"COLUMNS": "120"}
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    return done, json.loads(figures.read_text()) if figures.exists() else {}


def line_of(text: str, part: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), 1) if part in line)


def per_request(kernel: dict, key: str) -> float:
    return kernel["total"][key]["units"] / kernel["total"][key]["requests"]


def test_a_correct_program_runs_and_is_counted(tmp_path: Path) -> None:
    text = PROGRAM.replace("SYNC", "__syncthreads();")
    done, figures = run(tmp_path, text, "hello")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"hello {2 * (2 * 64 + 3):g}" in done.stdout
    assert f"sum {sum(range(64)):g}" in done.stdout
    assert "Nothing found." in done.stdout
    assert figures["findings"] == []
    plain, padded, total = figures["kernels"]
    assert [plain["kernel"], padded["kernel"], total["kernel"]] == [
        "transpose<0>", "transpose<1>", "sum"]  # fmt: skip
    assert per_request(plain, "shared_reads") == 32
    assert per_request(padded, "shared_reads") == 1
    assert per_request(padded, "global_writes") == 4
    # One multiplication for each element; three additions for each element of x, as reduce() is
    # written in a header of the simulator.
    assert plain["total"]["flops"] == 64 * 64
    assert total["total"]["global_atomics"]["lanes"] == 8
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "No defect was found." in page
    assert len(re.findall(r"<tr id='L\d+'", page)) >= len(text.splitlines())
    assert "http" not in re.sub(r"<pre>.*?</pre>", "", page)  # nothing comes from elsewhere


def test_a_defect_is_told_with_both_lines(tmp_path: Path) -> None:
    text = PROGRAM.replace("SYNC", "")
    done, figures = run(tmp_path, text)
    assert done.returncode == 1
    kinds = {finding["kind"] for finding in figures["findings"]}
    assert kinds == {"data race"}
    lines = {line_of(text, "tile[y * "), line_of(text, "tile[x * ")}
    for finding in figures["findings"]:
        assert {finding["line"], finding["other_line"]} == lines
    assert "data race at" in done.stdout
    assert "data race" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_launches_nobody_looked_at_and_memory_nobody_released(tmp_path: Path) -> None:
    text = """\
__global__ void fill(float* x) { x[threadIdx.x] = 1; }
void run() {
  float* x;
  cudaMalloc(&x, 400);
  fill<<<1, 2000>>>(x);
  fill<<<1, 101>>>(x);
}
"""
    done, figures = run(tmp_path, text)
    assert done.returncode == 1
    found = {finding["kind"]: finding for finding in figures["findings"]}
    assert set(found) == {"unchecked launch", "out of bounds", "leak"}
    assert found["unchecked launch"]["line"] == 5
    assert found["out of bounds"]["line"] == 1
    assert found["out of bounds"]["thread"] == [100, 0, 0]
    assert "400 bytes" in found["leak"]["text"]


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_orders_of_threads_show_in_the_result_of_a_race(tmp_path: Path, order: str) -> None:
    text = """\
#include <cstdio>
__global__ void last(int* out) { *out = threadIdx.x; }
int main() {
  int *x, host;
  cudaMalloc(&x, sizeof(int));
  last<<<1, 64>>>(x);
  cudaMemcpy(&host, x, sizeof(int), cudaMemcpyDeviceToHost);
  std::printf("last %d\\n", host);
  cudaFree(x);
}
"""
    done, _ = run(tmp_path, text, "--order", order, "--no-checks")
    assert "last 63" not in done.stdout
    assert "Nothing was checked." in done.stdout
    assert done.returncode == 0


def test_a_kernel_that_never_ends_is_stopped(tmp_path: Path) -> None:
    program = """
#include <cstdio>
#include <cuda_runtime.h>
__global__ void wait(const volatile int* flag) {
  while (*flag == 0) {
  }
}
int main() {
  int* flag;
  cudaMalloc(&flag, sizeof(int));
  cudaMemset(flag, 0, sizeof(int));
  wait<<<1, 64>>>(flag);
  std::puts(cudaGetErrorString(cudaDeviceSynchronize()));
  cudaFree(flag);
}
"""
    done, _ = run(tmp_path, program, "--step-limit", "100000")
    assert "unspecified launch failure" in done.stdout
    assert "endless kernel: 100000 steps, the last at" in done.stdout
    assert "program.cu:5" in done.stdout
    assert done.returncode == 1


def test_what_cannot_be_run_is_said_in_a_sentence(tmp_path: Path) -> None:
    done, _ = run(tmp_path, "int main() { return none; }\n")
    assert done.returncode == 1
    assert "does not compile" in done.stderr
    assert "program.cu:1" in done.stderr
    done, _ = run(tmp_path, "__global__ void __cluster_dims__(2) f() {}\nint main() {}\n")
    assert "has clusters for NEEDLE_LAUNCH_CLUSTERS" in done.stderr
    done, _ = run(tmp_path, "int main() { return 0; }\n", "--order", "random")
    assert "want one of normal, reversed, shuffled" in done.stderr
    done, _ = run(tmp_path, "int main() { return 0; }\n", "--step-limit", "0")
    assert "--step-limit 0: want at least 1" in done.stderr
    done = subprocess.run(
        [*COURSE, "none.cu"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "There is no file none.cu" in done.stderr


def test_rewriting_moves_no_line_and_leaves_comments_and_strings() -> None:
    text = """\
// a<<<1, 2>>>(x);
const char* s = "b<<<1, 2>>>(x)";
extern __shared__ __align__(16) unsigned char raw[];
int main() {
  name::kernel<float, (1 > 0)><<<dim3(1,
      2), 3>>>(f(a, b),
               c);
  if (1 << 3 >> 2) empty<<<1, 1>>>();
}
"""
    done = rewrite(text, Path("x.cu"))
    body = done.split('#line 1 "x.cu"\n')[1]
    assert body.startswith('// a<<<1, 2>>>(x);\nconst char* s = "b<<<1, 2>>>(x)";\n')
    assert "NEEDLE_DYNAMIC_SHARED(unsigned char, raw);" in body.splitlines()[2]
    assert "name::kernel<float, (1 > 0)>(needle_arguments...)" in body
    assert line_of(body, "if (1 << 3 >> 2)") == 8
    assert "empty(needle_arguments...); })" in body


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("void f() {}", "neither a function int main() nor void run()"),
        ("int main() { k<<<1, 2>>>; }", "x.cu:1: after <<< there is no >>>"),
        ("int main() { k<<<1, 2>>>(a; }", "x.cu:1: this launch is not complete"),
    ],
)
def test_rewriting_refuses(text: str, said: str) -> None:
    with pytest.raises(CourseError, match=re.escape(said)):
        rewrite(text, Path("x.cu"))


def test_every_hook_that_kernels_call_is_there() -> None:
    def symbols(archive: str, *options: str) -> set[str]:
        command = ["nm", *options, str(RELEASE / archive)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return set(re.findall(r"\b__(?:tsan|sanitizer)_\w+", text))

    called = symbols("tests/libsim_kernels.a", "-u")
    defined = symbols("cuda/sim/libneedle_sim.a", "--defined-only")
    assert called >= {"__tsan_read4", "__tsan_write16", "__sanitizer_cov_trace_pc"}
    assert called <= defined


@pytest.mark.skipif(not ndl.is_available("cuda_sim"), reason="this build has no device cuda_sim")
class TestModule:
    """ndl.sim, with kernels of the library."""

    def test_kernels_are_counted_and_nothing_is_found(self, tmp_path: Path) -> None:
        ndl.sim.clear()
        x = ndl.tensor(np.arange(64 * 48, dtype=np.float32).reshape(64, 48)).to("cuda_sim")
        with ndl.sim.watch():
            assert ndl.sim.options().check
            y = (x + x).to("cpu")
        assert not ndl.sim.options().check
        assert np.array_equal(y.numpy(), 2 * np.arange(64 * 48).reshape(64, 48))
        report = ndl.sim.report(html=tmp_path / "page.html")
        assert report.findings == []
        total = report.kernels[-1]["total"]
        assert total["global_reads"]["bytes"] >= 2 * 64 * 48 * 4
        assert "sectors each" in str(report)
        assert "<table>" in (tmp_path / "page.html").read_text(encoding="utf-8")
        ndl.sim.clear()
        assert ndl.sim.report() == ndl.sim.Report([], [])

    @pytest.mark.parametrize("dtype", [ndl.bool_, ndl.bfloat16, ndl.float32, ndl.float64], ids=str)
    def test_transposes_have_no_bank_conflicts(self, dtype: ndl.DType) -> None:
        """Of small elements, several move as one: the rows of a tile are laid out for that."""
        ndl.sim.clear()
        ones = np.random.default_rng(0).random((256, 384)) > 0.5
        x = ndl.tensor(ones).astype(dtype).to("cuda_sim")
        with ndl.sim.watch():
            y = x.transpose(0, 1).contiguous()
        assert np.array_equal(y.to("cpu").astype(ndl.bool_).numpy(), ones.T)
        (kernel,) = ndl.sim.report().kernels
        for access in ("shared_reads", "shared_writes"):
            assert kernel["total"][access]["requests"] > 0
            assert kernel["total"][access]["units"] == kernel["total"][access]["ideal"]

    def test_options_are_refused(self) -> None:
        with pytest.raises(ValueError, match="order 'random' is none of normal"):
            ndl.sim.set_options(order="random")
        with pytest.raises(ValueError, match="step_limit 0"):
            ndl.sim.set_options(step_limit=0)
