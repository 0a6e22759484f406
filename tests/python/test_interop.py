"""Memory shared with NumPy and PyTorch, both ways, and how long it lives."""

import gc

import numpy as np
import pytest
import torch

import needle as ndl

DTYPES = [np.bool_, np.int32, np.int64, np.float16, np.float32, np.float64]
KINDS = [ndl.tensor, ndl.array]


def strided() -> list[np.ndarray]:
    base = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    return [base, base.transpose(2, 0, 1), base[::2, 1:, ::-1], base[1, 2, 3:4], base[0, 0, 0:0],
            np.asfortranarray(base), np.array(3.5, np.float32)]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_sees_the_same_memory(kind, dtype):
    x = kind(np.ones((3, 4), dtype))
    for a in (x.numpy(), np.asarray(x), np.array(memoryview(x), copy=False), np.from_dlpack(x)):
        assert a.dtype == dtype
        assert a.ctypes.data == x.data_ptr()
    x.numpy()[1, 2] = 0
    assert x[1, 2].item() == 0


def test_numpy_keeps_the_memory_alive():
    x = ndl.tensor(np.arange(10_000.0))
    views = [x.numpy(), np.asarray(x), np.from_dlpack(x), torch.from_dlpack(x)]
    del x
    gc.collect()
    trash = [ndl.zeros(10_000, dtype="float64") for _ in range(10)]
    for view in views:
        np.testing.assert_array_equal(np.asarray(view), np.arange(10_000.0))
    del trash


def test_numpy_of_views():
    x = ndl.arange(24).reshape(2, 3, 4)
    for view in (x.transpose(0, 2), x[:, ::2, ::-1], x.broadcast_to((5, 2, 3, 4)), x[1, 1]):
        np.testing.assert_array_equal(np.asarray(view), np.from_dlpack(view))
        assert view.numpy().ctypes.data == view.data_ptr()


@pytest.mark.parametrize("a", strided(), ids=lambda a: str(a.strides))
def test_from_numpy_shares(a):
    a = a.copy(order="K")
    x = ndl.from_numpy(a)
    np.testing.assert_array_equal(x.numpy(), a)
    np.testing.assert_array_equal((x * 2).numpy(), a * 2)
    if a.size:
        a[...] = 7
        assert x.sum().item() == 7 * a.size
        x[...] = 8
        assert (a == 8).all()


def test_from_numpy_keeps_the_array_alive():
    class Tracked(np.ndarray):
        pass

    a = np.arange(1000.0).view(Tracked)
    x = ndl.from_numpy(a[::-2])
    del a
    gc.collect()
    np.testing.assert_array_equal(x.numpy(), np.arange(1000.0)[::-2])
    assert sum(type(o) is Tracked for o in gc.get_objects()) <= 2
    a = np.ones(3)
    holders = ndl.from_numpy(a), ndl.from_numpy(a)[1:]
    import sys

    held = sys.getrefcount(a)
    del holders
    gc.collect()
    assert sys.getrefcount(a) == held - 2


def test_from_numpy_refuses_what_it_cannot_share():
    readonly = np.zeros(3)
    readonly.flags.writeable = False
    record = np.zeros(4, dtype=[("a", np.int8), ("b", np.float32)])
    padded = np.zeros(8, np.uint8)[1:5].view(np.float32)
    with pytest.raises(ValueError, match=r"read-only.*needle.tensor"):
        ndl.from_numpy(readonly)
    with pytest.raises(ValueError, match=r"stride|aligned"):
        ndl.from_numpy(record["b"])
    with pytest.raises(ValueError, match="aligned"):
        ndl.from_numpy(padded)
    with pytest.raises(TypeError):
        ndl.from_numpy([1.0, 2.0])
    np.testing.assert_array_equal(ndl.tensor(record["b"]).numpy(), np.zeros(4, np.float32))
    np.testing.assert_array_equal(ndl.tensor(padded).numpy(), padded)
    np.testing.assert_array_equal(ndl.tensor(readonly).numpy(), readonly)


BAD_DTYPES = [
    np.complex64,
    object,
    np.uint8,
    np.int16,
    np.uint64,
    "datetime64[s]",
    "U3",
]


@pytest.mark.parametrize("dtype", BAD_DTYPES, ids=str)
def test_unsupported_numpy_dtypes(dtype):
    a = np.zeros(3, dtype=dtype)
    for make in (ndl.tensor, ndl.array, ndl.from_numpy):
        with pytest.raises(TypeError, match=r"not supported; convert to bool"):
            make(a)


@pytest.mark.parametrize("dtype", [">f4", ">i8"])
def test_foreign_byte_order(dtype):
    for make in (ndl.tensor, ndl.from_numpy):
        with pytest.raises(TypeError, match="foreign order"):
            make(np.zeros(3, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.int64, torch.float16,
                                   torch.bfloat16, torch.float32, torch.float64])  # fmt: skip
def test_dlpack_with_pytorch(dtype):
    t = torch.ones(3, 4, dtype=dtype).T
    x = ndl.from_dlpack(t)
    assert x.shape == (4, 3)
    assert x.strides == t.stride()
    assert x.data_ptr() == t.data_ptr()
    t[1, 2] = 0
    assert x[1, 2].item() == 0
    back = torch.from_dlpack(x)
    assert back.data_ptr() == t.data_ptr()
    assert back.dtype == dtype
    back[0, 0] = 0
    assert not bool(x[0, 0])


def test_dlpack_with_numpy():
    a = np.arange(12.0).reshape(3, 4)[::-1, ::2]
    x = ndl.from_dlpack(a)
    x[0, 0] = -5
    assert a[0, 0] == -5
    np.testing.assert_array_equal(x.numpy(), a)
    assert np.from_dlpack(x).flags.writeable
    a = np.zeros(3)
    a.flags.writeable = False
    with pytest.raises((ValueError, BufferError), match=r"read-?only"):
        ndl.from_dlpack(a)


def test_dlpack_protocol():
    x = ndl.arange(6)
    assert x.__dlpack_device__() == (1, 0)
    plain, versioned = x.__dlpack__(), x.__dlpack__(max_version=(1, 0))
    assert '"dltensor"' in repr(plain)
    assert '"dltensor_versioned"' in repr(versioned)
    for capsule in (plain, versioned):
        y = ndl.from_dlpack(capsule)
        assert y.data_ptr() == x.data_ptr()
        with pytest.raises(ValueError, match="used already"):
            ndl.from_dlpack(capsule)
    copied = ndl.from_dlpack(x.__dlpack__(copy=True))
    assert copied.data_ptr() != x.data_ptr()
    with pytest.raises(BufferError):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(TypeError, match="__dlpack__"):
        ndl.from_dlpack([1, 2])
    with pytest.raises(TypeError, match="16 bits"):
        ndl.from_dlpack(torch.zeros(2, dtype=torch.int16))
    del plain, versioned, capsule, y, copied
    for _ in range(100):  # capsules nobody consumes
        ndl.zeros(1000).__dlpack__()


def test_tensors_in_the_graph_are_not_handed_out():
    x = ndl.ones(3, requires_grad=True)
    for hand_out in (lambda: x.numpy(), lambda: np.asarray(x), lambda: torch.from_dlpack(x)):
        with pytest.raises(RuntimeError, match="detach"):
            hand_out()
    with pytest.raises(BufferError):
        memoryview(x)
    assert np.asarray(x.detach()).sum() == 3


def test_array_protocol():
    x = ndl.tensor([1.0, 2.0])
    assert x.__array__().ctypes.data == x.data_ptr()
    assert np.array(x).ctypes.data != x.data_ptr()
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert x.__array__(np.int64).dtype == np.int64
    with pytest.raises(ValueError):
        np.array(x, dtype=np.int64, copy=False)
    np.testing.assert_allclose(np.exp(x.numpy()), x.exp().numpy(), 1e-6)
    assert isinstance(np.ones(2) + x, ndl.Tensor)


REFUSED = """
import numpy as np, needle as ndl
x = ndl.ones(3, requires_grad=True)
for attempt in (memoryview, np.asarray, bytes):
    try:
        attempt(x)
    except (BufferError, RuntimeError) as error:
        print(type(error).__name__)
print("alive")
"""


def test_an_error_in_the_buffer_protocol_does_not_end_the_process(run_script):
    result = run_script(REFUSED)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-1] == "alive"


@pytest.mark.parametrize("order", ["torch, needle, sklearn.datasets", "needle, torch, sklearn"])
def test_other_libraries_load_beside_it(run_script, order):
    """The C library has 2 KiB in all for the thread-local variables of modules like these."""
    result = run_script(f"import {order}\nneedle.ones(2)\n")
    assert result.returncode == 0, result.stderr
