"""The frames between grader and box: a JSON header and raw array bytes. Never pickle.

    4 bytes "NDL1" | 4 bytes length of the header | 8 bytes length of the arrays | header | arrays

The same file is run inside the box: standard library and NumPy only.
"""

import json
import math
import struct
from typing import Any

import numpy as np

MAGIC = b"NDL1"
PREFIX = struct.Struct("<4sIQ")
MAX_HEADER = 1 << 20
DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in [
        *["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"],
        *["float16", "float32", "float64"],
    ]
}


class FrameError(Exception):
    """The bytes are no frame, or not one that is allowed here."""


def pack(header: dict[str, Any], arrays: list[np.ndarray]) -> bytes:
    """A frame. The arrays' dtypes and shapes are added to the header."""
    parts = [np.ascontiguousarray(array) for array in arrays]
    specs = [
        {"dtype": part.dtype.name, "shape": list(array.shape)}
        for part, array in zip(parts, arrays, strict=True)
    ]
    for spec in specs:
        if spec["dtype"] not in DTYPES:
            raise TypeError(f"an array of dtype {spec['dtype']} cannot be handed over")
    data = b"".join(part.astype(DTYPES[part.dtype.name], copy=False).tobytes() for part in parts)
    text = json.dumps(header | {"arrays": specs}).encode()
    return PREFIX.pack(MAGIC, len(text), len(data)) + text + data


def size(prefix: bytes, limit: int) -> int:
    """The length of the whole frame that starts with these 16 bytes."""
    magic, header, data = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise FrameError("it does not begin like an answer")
    if header > MAX_HEADER or data > limit:
        raise FrameError(f"it claims {data} bytes of arrays where at most {limit} are possible")
    return int(PREFIX.size + header + data)


def unpack(frame: bytes) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Header and arrays of a whole frame. Everything in it is checked before it is used."""
    _, length, count = PREFIX.unpack(frame[: PREFIX.size])
    try:
        header = json.loads(frame[PREFIX.size : PREFIX.size + length].decode())
    except (ValueError, RecursionError):
        raise FrameError("its header is no JSON") from None
    specs = header.get("arrays") if isinstance(header, dict) else None
    if not isinstance(specs, list):
        raise FrameError("its header names no arrays")
    data = frame[PREFIX.size + length :]
    arrays: list[np.ndarray] = []
    at = 0
    for spec in specs:
        dtype, shape = _spec(spec)
        end = at + dtype.itemsize * math.prod(shape)
        if end > count:
            raise FrameError("its arrays are longer than its bytes")
        array = np.frombuffer(data, dtype, math.prod(shape), at) if end > at else np.empty(0, dtype)
        arrays.append(array.reshape(shape).astype(dtype.newbyteorder("="), copy=True))
        at = end
    if at != count or len(data) != count:
        raise FrameError("it has more bytes than its arrays need")
    return header, arrays


def encode(value: Any, arrays: list[np.ndarray]) -> Any:
    """An argument as JSON; arrays go to `arrays` and leave their number."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"$array": len(arrays) - 1}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): encode(entry, arrays) for key, entry in value.items()}
    if isinstance(value, tuple):
        return {"$tuple": [encode(entry, arrays) for entry in value]}
    if isinstance(value, list):
        return [encode(entry, arrays) for entry in value]
    return value


def decode(value: Any, arrays: list[np.ndarray]) -> Any:
    """The argument that encode() made JSON of."""
    if isinstance(value, dict):
        if set(value) == {"$array"}:
            return arrays[value["$array"]]
        if set(value) == {"$tuple"}:
            return tuple(decode(entry, arrays) for entry in value["$tuple"])
        return {key: decode(entry, arrays) for key, entry in value.items()}
    if isinstance(value, list):
        return [decode(entry, arrays) for entry in value]
    return value


def _spec(spec: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if not isinstance(spec, dict) or not isinstance(spec.get("shape"), list):
        raise FrameError("an array has no shape")
    name, shape = spec.get("dtype"), spec["shape"]
    if not isinstance(name, str) or name not in DTYPES:
        raise FrameError("an array has an unknown dtype")
    # bool is an int for isinstance; NaN is a float that JSON lets through.
    if len(shape) > 32 or any(type(n) is not int or not 0 <= n < 1 << 40 for n in shape):
        raise FrameError("an array has an impossible shape")
    if math.prod(n for n in shape if n) >= 1 << 62:
        raise FrameError("an array has an impossible shape")
    return DTYPES[name], tuple(shape)
