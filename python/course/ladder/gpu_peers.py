"""What a ladder is measured by on a GPU: cuBLAS, by PyTorch or by itself, and copying."""

import ctypes
import ctypes.util
from collections.abc import Callable
from functools import partial

import numpy as np

import needle as ndl

Call = Callable[[], object]


def copy(size: int, device: str = "cuda") -> Call:
    """Copies so many bytes, read and written ones added up."""
    x = ndl.zeros(max(size // 8, 1), device=device)
    return lambda: x + 0.0


def products(a: np.ndarray, b: np.ndarray) -> dict[str, Call]:
    """The product in float32, by cuBLAS: {} if it is not here."""
    for find in (_by_pytorch, _by_cublas):
        if call := find(a, b):
            return {"cuBLAS": call}
    return {}


def _by_pytorch(a: np.ndarray, b: np.ndarray) -> Call | None:
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    torch.backends.cuda.matmul.allow_tf32 = False
    left, right = (torch.from_numpy(x).cuda() for x in (a, b))
    return partial(torch.mm, left, right, out=torch.empty_like(left @ right))


def _by_cublas(a: np.ndarray, b: np.ndarray) -> Call | None:
    """cuBLAS wants columns after each other: for it, c = a b in rows is c' = b' a'."""
    runtime, blas = (_library(name) for name in ("cudart", "cublas"))
    gpus = ctypes.c_int(0)
    if runtime is None or blas is None or runtime.cudaGetDeviceCount(ctypes.byref(gpus)):
        return None

    def on_gpu(x: np.ndarray) -> ctypes.c_void_p:
        at = ctypes.c_void_p()
        _ask(runtime.cudaMalloc(ctypes.byref(at), ctypes.c_size_t(x.nbytes)), "cudaMalloc")
        to_device = 1
        _ask(runtime.cudaMemcpy(at, x.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(x.nbytes),
                                to_device), "cudaMemcpy")  # fmt: skip
        return at

    (m, k), n = a.shape, b.shape[1]
    left, right, out = on_gpu(a), on_gpu(b), on_gpu(np.zeros((m, n), np.float32))
    handle = ctypes.c_void_p()
    _ask(blas.cublasCreate_v2(ctypes.byref(handle)), "cublasCreate")
    one, zero = ctypes.c_float(1), ctypes.c_float(0)
    as_it_lies = 0

    def call() -> None:
        status = blas.cublasSgemm_v2(
            handle, as_it_lies, as_it_lies, n, m, k, ctypes.byref(one), right, n, left, k,
            ctypes.byref(zero), out, n,
        )  # fmt: skip
        _ask(status, "cublasSgemm")

    return call


def _ask(status: int, what: str) -> None:
    if status:
        raise RuntimeError(f"{what}: status {status}")


def _library(name: str) -> ctypes.CDLL | None:
    """A library of the CUDA toolkit; None if there is none."""
    found = ctypes.util.find_library(name)
    for path in filter(None, (found, f"/usr/local/cuda/lib64/lib{name}.so")):
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    return None
