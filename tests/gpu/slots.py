"""The slots of device cuda, called on PyTorch's own memory, and a table of how fast they are.

libneedle_slots.so is built from slots.cc beside this file.
"""

import ctypes
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import torch

DTYPES = {
    torch.bool: 0,
    torch.int32: 1,
    torch.int64: 2,
    torch.float16: 3,
    torch.bfloat16: 4,
    torch.float32: 5,
    torch.float64: 6,
}
Run = Callable[[], object]
Pairs = list[tuple[torch.Tensor, torch.Tensor]]


class Array(ctypes.Structure):
    """The struct of the same name in slots.cc."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 8),
        ("strides", ctypes.c_int64 * 8),
    )


def view(x: torch.Tensor | None) -> Array:
    """How a slot sees x; None is an operand that is left out."""
    if x is None:
        return Array(None, 0, -1)
    pad = (0,) * (8 - x.dim())
    return Array(x.data_ptr(), DTYPES[x.dtype], x.dim(), tuple(x.shape) + pad, x.stride() + pad)


def randn(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, device="cuda").to(dtype)


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Not of zeros: an element that no kernel writes is to be seen."""
    out = torch.empty(*shape, device="cuda", dtype=dtype)
    return out.fill_(float("nan") if dtype.is_floating_point else 1)


def milliseconds(run: Run, rounds: int = 7) -> float:
    """The median over rounds of the time of one call, by events around a few ms of them."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def of(calls: int) -> float:
        begin.record()
        for _ in range(calls):
            run()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) / calls

    run()
    calls = max(1, min(50, int(4 / max(of(1), 0.01))))
    return statistics.median(of(calls) for _ in range(rounds))


class Bench:
    """Runs cases one after the other; a case that fails does not end the others."""

    def __init__(self, library: str) -> None:
        self.library = ctypes.CDLL(library)
        self.library.needle_call.restype = ctypes.c_char_p
        self.rows: list[dict[str, object]] = []
        source, to = randn(1 << 28), torch.empty(1 << 28, device="cuda")
        # Bytes read and bytes written, in a second, by the driver's own copy.
        self.bandwidth = 8e3 * source.numel() / milliseconds(lambda: to.copy_(source), 15)

    def call(self, slot: str, op: int, reals: list[float], *arrays: torch.Tensor | None) -> Run:
        """A function that makes the call; its arguments are packed once."""
        views = (Array * len(arrays))(*map(view, arrays))
        numbers = (ctypes.c_double * max(len(reals), 1))(*reals)

        def run() -> None:
            if error := self.library.needle_call(slot.encode(), op, numbers, views):
                raise RuntimeError(error.decode())

        return run

    def case(
        self,
        name: str,
        ours: Run,
        peer: Run | None = None,
        check: Callable[[], Pairs] | None = None,
        *,
        moved: float = 0,
        flops: float = 0,
    ) -> None:
        """One row: `ours` once for its results, then for its time, and `peer` of PyTorch.

        check() gives pairs (got, want). `moved`: bytes that must cross memory, each input read
        once and each output written once; `flops` instead for what is bound by arithmetic.
        """
        row: dict[str, object] = {"case": name}
        try:
            ours()
            torch.cuda.synchronize()
            if check:
                row["error"] = max(error(got, want) for got, want in check())
            ms = row["ms"] = milliseconds(ours)
            if flops:
                row["TFLOP/s"] = flops / ms / 1e9
            else:
                row["GB/s"] = moved / ms / 1e6
                row["of copy"] = moved / ms * 1e3 / self.bandwidth
            if peer:
                peer_ms = row["peer ms"] = milliseconds(peer)
                row["ratio"] = peer_ms / ms
        except (RuntimeError, ValueError) as problem:
            row["failed"] = str(problem)[:300]
        self.rows.append(row)
        values = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items()}
        print(f"{name:44}", *[f"{k} {v}" for k, v in values.items() if k != "case"], flush=True)
        torch.cuda.empty_cache()

    def save(self, path: str) -> None:
        name, copy = torch.cuda.get_device_name(), self.bandwidth / 1e9
        text = json.dumps({"gpu": name, "copy GB/s": copy, "rows": self.rows}, indent=1)
        Path(path).write_text(text + "\n", encoding="utf-8")


def error(got: torch.Tensor, want: torch.Tensor) -> float:
    """The largest difference, in units of the largest value. NaN if anything is NaN."""
    got, want = got.double(), want.double()
    return ((got - want).abs().max() / (want.abs().max() + 1e-30)).item()
