"""Right answers to the checks of lesson 2, and typical wrong ones."""

# ruff: noqa: ARG005

import numpy as np

broadcast_shape = (4, 3, 6)
permuted_strides = (1, 15, 5)
sliced_strides = (-16, 3)
sliced_offset = 41
views = (True, False, True, True)
broadcast_bytes = 256


def position(index, strides, offset):
    return offset + sum(i * s for i, s in zip(index, strides, strict=True))


def one_axis(shape, strides):
    return strides[0] == shape[1] * strides[1]


promoted = "float64"


def careful_sum(x):
    if len(x) < 2:
        return x[0] if len(x) else np.float32(0)
    half = len(x) // 2
    return careful_sum(x[:half]) + careful_sum(x[half:])


def running_sum(x):
    total = np.float32(0)
    for value in x:
        total += value
    return total


WRONG = {
    "broadcast_shape": [(4, 1, 6), (4, 3, 1), [4, 3, 6], (3, 6)],
    "permuted_strides": [(15, 5, 1), (6, 3, 1), (5, 15, 1), (4, 60, 20)],
    "sliced_strides": [(16, 3), (-2, 3), (-64, 12)],
    "sliced_offset": [1, 40, 47],
    "views": [(True, False, False, True), (True, True, True, True), True],
    "broadcast_bytes": [1048576, 64, 256.0],
    "position": [
        lambda i, s, o: sum(a * b for a, b in zip(i, s, strict=True)),
        lambda i, s, o: o,
        lambda i, s, o: None,
    ],
    "one_axis": [
        lambda shape, strides: True,
        lambda shape, strides: strides[1] == 1,
        lambda shape, strides: strides[0] == shape[0] * strides[1],
    ],
    "promoted": ["float32", "int64", None],
    "careful_sum": [
        running_sum,
        lambda x: x.sum(dtype=np.float64),
        lambda x: sum(x.tolist()),
        lambda x: np.float32(0),
    ],
}
