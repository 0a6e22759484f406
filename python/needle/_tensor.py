"""The Python half of Tensor and NDArray: printing, copying, pickling, conversion to NumPy."""

import html
from collections.abc import Iterator
from typing import Any

import numpy as np

from ._core import NDArray, Tensor, bfloat16, from_numpy, tensor

__all__ = ["set_printoptions"]

_print_options: dict[str, Any] = {"precision": 4, "threshold": 1000, "edgeitems": 3}
# Operations are named as in C++; two of them are written differently.
_NODE_NAMES = {"matmul": "MatMul", "rms_norm": "RMSNorm"}


def set_printoptions(**options: Any) -> None:
    """How tensors are printed: the options of numpy.set_printoptions (precision, threshold, …)."""
    unknown = set(options) - set(np.get_printoptions())
    if unknown:
        raise ValueError(f"set_printoptions: unknown option {min(unknown)}")
    _print_options.update(options)


def _node_name(name: str) -> str:
    """`log_softmax` -> `LogSoftmax`, as PyTorch writes the names of nodes."""
    return _NODE_NAMES.get(name) or "".join(w[:1].upper() + w[1:] for w in name.split("_"))


def _host(x: Tensor | NDArray) -> np.ndarray:
    """The elements where NumPy can read them; bfloat16, which it lacks, as float32."""
    x = x.detach() if isinstance(x, Tensor) else x
    x = x.to("cpu")
    return (x.astype("float32") if x.dtype == bfloat16 else x).numpy()


def _pack(x: Tensor | NDArray) -> np.ndarray:
    """A copy to keep in a pickle; of bfloat16 the bits, as uint16, which no tensor has."""
    values = _host(x)
    return (
        (values.view(np.uint32) >> 16).astype(np.uint16) if x.dtype == bfloat16 else values.copy()
    )


def _unpack(values: np.ndarray) -> Tensor:
    if values.dtype != np.uint16:
        return from_numpy(values)
    return tensor((values.astype(np.uint32) << 16).view(np.float32)).astype(bfloat16)


def _repr(x: Tensor | NDArray) -> str:
    kind = "tensor" if isinstance(x, Tensor) else "array"
    notes = [f"dtype={str(x.dtype).removeprefix('needle.')}"]
    if x.size == 0 and x.ndim != 1:
        notes.insert(0, f"shape={x.shape}")
    if str(x.device) != "cpu":
        notes.append(f"device='{x.device}'")
    if isinstance(x, Tensor) and x.grad_fn is not None:
        notes.append(f"grad_fn=<{_node_name(x.grad_fn.name)}>")
    elif isinstance(x, Tensor) and x.requires_grad:
        notes.append("requires_grad=True")
    with np.printoptions(**_print_options):
        values = np.array2string(_host(x), separator=", ", prefix=kind + "(")
    return f"{kind}({values}, {', '.join(notes)})"


def _repr_html(x: Tensor | NDArray) -> str:
    notes = f"{type(x).__name__} {x.shape}, {x.dtype}, {x.device}"
    return f"<div><small>{html.escape(notes)}</small><pre>{html.escape(repr(x))}</pre></div>"


def _iterate(x: Tensor | NDArray) -> Iterator[Any]:
    if x.ndim == 0:
        raise TypeError("iteration: a tensor of shape () has no elements to go through")
    return (x[i] for i in range(len(x)))


def _format(x: Tensor | NDArray, spec: str) -> str:
    return format(x.item(), spec) if spec and x.size == 1 else format(str(x), spec)


def _tolist(x: Tensor | NDArray) -> Any:
    """The elements as nested lists of Python numbers."""
    return _host(x).tolist()


def _to_array(x: Tensor | NDArray, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    a = x.numpy()
    if copy is False and dtype is not None and a.dtype != dtype:
        raise ValueError(f"__array__: {a.dtype} becomes {dtype} only by a copy")
    return a.copy() if copy and dtype is None else a.astype(dtype or a.dtype, copy=bool(copy))


def _rebuild_tensor(values: np.ndarray, device: str, grad: bool, parameter: bool) -> Tensor:
    t = _unpack(values).to(device)
    t.requires_grad = grad
    if parameter:
        t._mark_parameter()
    return t


def _rebuild_array(values: np.ndarray, device: str) -> NDArray:
    return NDArray(_unpack(values)).to(device)


def _check_leaf(what: str, x: Tensor) -> None:
    if not x.is_leaf:
        raise RuntimeError(f"{what}: only leaves can be copied with their graph; use x.detach()")


def _reduce_tensor(x: Tensor) -> tuple:
    _check_leaf("pickle", x)
    return _rebuild_tensor, (_pack(x), str(x.device), x.requires_grad, x.is_parameter)


def _reduce_array(x: NDArray) -> tuple:
    return _rebuild_array, (_pack(x), str(x.device))


def _deepcopy_tensor(x: Tensor, memo: dict) -> Tensor:
    _check_leaf("deepcopy", x)
    copy = _rebuild_tensor(*_reduce_tensor(x)[1])
    if x.grad is not None:
        copy.grad = _deepcopy_tensor(x.grad, memo)
    memo[id(x)] = copy
    return copy


def _deepcopy_array(x: NDArray, memo: dict) -> NDArray:
    memo[id(x)] = copy = _rebuild_array(*_reduce_array(x)[1])
    return copy


for _class in (Tensor, NDArray):
    _class.__repr__ = _repr
    _class._repr_html_ = _repr_html
    _class.__iter__ = _iterate
    _class.__format__ = _format
    _class.__array__ = _to_array
    _class.tolist = _tolist
Tensor.__reduce__ = _reduce_tensor
Tensor.__deepcopy__ = _deepcopy_tensor
NDArray.__reduce__ = _reduce_array
NDArray.__deepcopy__ = _deepcopy_array
