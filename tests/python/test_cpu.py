"""What the machine can do: sizes of its caches, and rates that are plausible."""

import os
import subprocess
import sys

import pytest

import needle as ndl


def caches_with(text: str) -> str:
    """What a new process says of its caches, or of the mistake in NEEDLE_CACHES."""
    program = "import needle\ntry: print(*needle.cpu.caches())\nexcept ValueError as e: print(e)"
    env = dict(os.environ, NEEDLE_CACHES=text)
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_caches_are_ordered() -> None:
    found = ndl.cpu.caches()
    assert 4096 <= found.l1 <= found.l2 <= found.l3


def test_caches_can_be_forced() -> None:
    assert caches_with("16K,256K,4M") == f"{16 << 10} {256 << 10} {4 << 20}"
    assert caches_with("16384,262144,4194304") == caches_with("16K,256K,4M")


@pytest.mark.parametrize("text", ["16K", "16K,256K", "16K,256K,", "16K,256K,4T", "-1,2,3", "a,b,c"])
def test_malformed_caches_are_refused(text: str) -> None:
    assert caches_with(text) == (
        f"NEEDLE_CACHES={text}: three sizes are expected, as in 32K,512K,8M"
    )


@pytest.mark.parametrize("caches", ["1K,2K,4K", "32K,1M,64M"])
@pytest.mark.parametrize("isa", ndl.cpu.isas())
def test_transposes_agree_with_numpy_within_and_past_the_caches(isa: str, caches: str) -> None:
    program = """import itertools, needle as ndl, numpy as np
sides = [1, 15, 16, 130, 257, 1100]  # with and without whole tiles and blocks of them
bad = []
dtypes = ["float16", "float32", "float64", "int32", "int64"]
for m, n, dtype in itertools.product(sides, sides, dtypes):
    x = (np.arange(2 * m * n) % 2039).reshape(2, m, n).astype(dtype)
    got = ndl.tensor(x).transpose(1, 2).contiguous()
    if not np.array_equal(got.numpy(), x.transpose(0, 2, 1)): bad.append((m, n, dtype))
print(ndl.cpu.isa(), bad)"""
    env = dict(os.environ, NEEDLE_CACHES=caches, NEEDLE_ISA=isa)
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"{isa} []"


WAYS = ["widened", "pairs", "tiles", "emulated-pairs", "emulated-tiles"]


@pytest.mark.parametrize("way", [*WAYS, "twice"])
def test_the_way_to_multiply_bfloat16_can_be_forced_or_is_refused(way: str) -> None:
    program = """import needle as ndl, numpy as np
x = np.arange(35.0, dtype="float32").reshape(5, 7)  # products and sums are exact
a = ndl.tensor(x).astype("bfloat16")
try: print((a @ a.transpose(0, 1)).tolist() == ndl.tensor(x @ x.T).astype("bfloat16").tolist())
except ValueError as e: print(e)"""
    env = dict(os.environ, NEEDLE_BF16=way)
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    said = done.stdout.strip()
    if way == "twice":
        assert said == f"NEEDLE_BF16=twice: not one of {', '.join(WAYS)}"
    elif said != "True":
        assert way in ("pairs", "tiles")
        assert said == f"NEEDLE_BF16={way}: this CPU, on {ndl.cpu.isa()}, has none"


def test_peak_counts_lanes_and_units() -> None:
    # A core does at least one vector multiply-add in two cycles, and no more than four in one.
    lanes = {"sse2": 4, "avx2": 8, "avx512": 16, "neon": 4}[ndl.cpu.isa()]
    assert lanes * 0.5e9 < ndl.cpu.fma_peak() < lanes * 2 * 4 * 7e9
    assert 1.3 < ndl.cpu.fma_peak("float32") / ndl.cpu.fma_peak("float64") < 3


def test_a_cache_is_faster_than_memory() -> None:
    caches = ndl.cpu.caches()
    assert ndl.cpu.read_bandwidth(caches.l1 // 2) > ndl.cpu.read_bandwidth(4 * caches.l3)
    assert ndl.cpu.copy_bandwidth(caches.l1 // 2) > ndl.cpu.copy_bandwidth(4 * caches.l3)


def test_measuring_keeps_the_number_of_threads() -> None:
    before = ndl.get_num_threads()
    ndl.cpu.fma_peak(threads=before + 1)
    assert ndl.get_num_threads() == before


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="fma_peak: int64 is not a floating dtype"):
        ndl.cpu.fma_peak(ndl.int64)
    with pytest.raises(ValueError, match="fma_peak: 0 threads is less than 1"):
        ndl.cpu.fma_peak(threads=0)
    with pytest.raises(ValueError, match="100 bytes are too few for 2 threads; at least 16384"):
        ndl.cpu.copy_bandwidth(100, 2)
    with pytest.raises(ValueError, match="read_bandwidth: -8 bytes are too few for 1 thread"):
        ndl.cpu.read_bandwidth(-8)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_a_loop_is_cut_into_pieces_for_the_threads(threads: int) -> None:
    before = ndl.get_num_threads()
    ndl.set_num_threads(threads)
    try:
        for n, grain in [(0, 1), (1, 1), (7, 1), (100, 30), (100, 51), (1000, 0), (5, 100)]:
            found = ndl.cpu.pieces(n, grain)
            assert [i for begin, end in found for i in range(begin, end)] == list(range(n))
            assert len(found) == (min(threads, max(1, n // max(grain, 1))) if n else 0)
            assert len(found) < 2 or min(end - begin for begin, end in found) >= grain
            assert ndl.cpu.pieces(n, grain, nested=True) == (
                [(0, n)] if threads > 1 and n else found
            )
    finally:
        ndl.set_num_threads(before)


@pytest.mark.parametrize("isa", ndl.cpu.isas())
def test_threads_that_pack_an_operand_together_compute_what_one_does(isa: str) -> None:
    program = """import needle as ndl, numpy as np
rng = np.random.default_rng(0)
normal = lambda *shape: rng.standard_normal(shape, dtype="float32")
for m, k, n in [(70, 1000, 2100), (2300, 1000, 2100)]:
    a, b = normal(m, k), normal(k, n)
    found = []
    for threads in (1, 2, 3):
        ndl.set_num_threads(threads)
        found.append((ndl.tensor(a) @ ndl.tensor(b)).numpy())
    print(np.abs(found[0] - a @ b).max() < 1e-3)
    for more in found[1:]: print(np.array_equal(more, found[0]))"""
    env = dict(os.environ, NEEDLE_CACHES="32K,1M,64M", NEEDLE_ISA=isa)  # room for so large a B
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True"] * 6
