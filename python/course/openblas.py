"""Debian's OpenBLAS, called directly: the peer of every matrix product."""

import ctypes
import os
from pathlib import Path

import numpy as np

from .errors import CourseError

PACKAGE = "libopenblas0-pthread"
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0")
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112
# Some machines set these because of faults in other versions; they choose slower kernels.
_SETTINGS = ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"]


class OpenBLAS:
    """The library; CourseError with the package's name if it is missing."""

    def __init__(self) -> None:
        if not LIBRARY.exists():
            raise CourseError(f"OpenBLAS is missing. Install it: apt-get install {PACKAGE}")
        kept = {name: os.environ.pop(name) for name in _SETTINGS if name in os.environ}
        self._library = ctypes.CDLL(str(LIBRARY))
        os.environ.update(kept)
        self._library.openblas_get_config.restype = ctypes.c_char_p

    @property
    def name(self) -> str:
        """Version and chosen kernels, as OpenBLAS prints them."""
        return self._library.openblas_get_config().decode()

    def set_num_threads(self, threads: int) -> None:
        """How many threads a product may use."""
        self._library.openblas_set_num_threads(threads)

    def product(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> "Product":
        """out (m, n) = a (m, k) x b (k, n), ready to be called again and again.

        float32 or float64. Each operand has compact rows, or is the transpose of one that has.
        """
        return Product(self._library, a, b, out)


class Product:
    """A call whose arguments are converted once: what is left costs about a microsecond."""

    def __init__(self, library: ctypes.CDLL, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        single = out.dtype == np.float32
        self._function = library.cblas_sgemm if single else library.cblas_dgemm
        self._function.restype = None
        real = ctypes.c_float if single else ctypes.c_double
        (m, k), n = a.shape, b.shape[1]
        form_a, step_a = _layout(a)
        form_b, step_b = _layout(b)
        sizes = [ctypes.c_int(size) for size in (_ROW_MAJOR, form_a, form_b, m, n, k)]
        self._kept = (a, b, out)
        self._arguments = [
            *sizes,
            real(1), ctypes.c_void_p(a.ctypes.data), ctypes.c_int(step_a),
            ctypes.c_void_p(b.ctypes.data), ctypes.c_int(step_b),
            real(0), ctypes.c_void_p(out.ctypes.data), ctypes.c_int(n),
        ]  # fmt: skip

    def __call__(self) -> None:
        """Multiplies once more."""
        self._function(*self._arguments)


def _layout(x: np.ndarray) -> tuple[int, int]:
    """Whether BLAS has to see the matrix transposed, and the step between its rows."""
    rows, columns = (stride // x.itemsize for stride in x.strides)
    if columns == 1:
        return _PLAIN, max(rows, x.shape[1])
    if rows == 1:
        return _TRANSPOSED, max(columns, x.shape[0])
    raise ValueError("OpenBLAS takes matrices with compact rows or columns")
