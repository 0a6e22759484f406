"""safetensors files against the `safetensors` package, in both directions."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import needle as ndl

DTYPES = [np.float32, np.float64, np.float16, np.int32, np.int64, np.bool_]


def assert_same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].dtype == array.dtype, name
        assert got[name].shape == array.shape, name
        np.testing.assert_array_equal(got[name], array)


def sample() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [(), (1,), (0, 3), (2, 3), (4, 1, 5)]
    return {
        f"layer.{i}.{np.dtype(dtype).name}": np.asarray(rng.standard_normal(shape) * 9).astype(
            dtype
        )
        for i, (dtype, shape) in enumerate(itertools.product(DTYPES, shapes))
    }


def test_the_peer_reads_what_needle_writes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    arrays = sample()
    ndl.save_safetensors(str(path), arrays, metadata={"format": "pt", "ключ": "värde"})
    assert_same(safetensors.numpy.load_file(path), arrays)
    with safetensors.safe_open(path, framework="np") as opened:
        assert opened.metadata() == {"format": "pt", "ключ": "värde"}
    for name, tensor in safetensors.torch.load_file(path).items():
        np.testing.assert_array_equal(tensor.numpy(), arrays[name])


def test_needle_reads_what_the_peer_writes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    arrays = sample()
    safetensors.numpy.save_file(arrays, path, metadata={"format": "np"})
    assert_same(ndl.load_safetensors(str(path)), arrays)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "model.safetensors"
    every_value = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int16).view(dtype).reshape(256, 256)
    safetensors.torch.save_file({"x": every_value, "one": torch.ones((), dtype=dtype)}, path)
    got = ndl.load_safetensors(str(path))
    # NumPy has no bfloat16, and gets the same numbers as float32.
    assert got["x"].dtype == (np.float16 if dtype == torch.float16 else np.float32)
    np.testing.assert_array_equal(got["x"], every_value.float().numpy())
    assert got["one"].shape == ()
    assert got["one"] == 1
    ndl.save_safetensors(str(path), {"x": ndl.from_dlpack(every_value)})
    again = safetensors.torch.load_file(path)["x"]
    assert again.dtype == dtype
    assert torch.equal(again.view(torch.int16), every_value.view(torch.int16))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    arrays=st.dictionaries(
        st.text(max_size=20).filter(lambda name: name != "__metadata__"),
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))
        ),
        max_size=6,
    )
)
def test_any_arrays_go_both_ways(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    path = tmp_path / "model.safetensors"
    ndl.save_safetensors(str(path), arrays)
    assert_same(safetensors.numpy.load_file(path), arrays)
    safetensors.numpy.save_file(arrays, path)
    assert_same(ndl.load_safetensors(str(path)), arrays)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({"x": np.arange(10, dtype=np.float32)}, path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"^model\.safetensors: "):
            ndl.load_safetensors(str(path))
    with pytest.raises(RuntimeError, match="cannot open"):
        ndl.load_safetensors(str(tmp_path / "none.safetensors"))
