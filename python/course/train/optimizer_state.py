"""An optimiser's state_dict as arrays for a safetensors file and plain numbers for JSON."""

from typing import Any

import numpy as np

SEPARATOR = "/"


def flatten(state: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Splits a nested state_dict; keys of nested parts are joined by "/"."""
    arrays: dict[str, np.ndarray] = {}
    numbers: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(value, dict):
            inner_arrays, inner_numbers = flatten(value)
            arrays |= {f"{key}{SEPARATOR}{name}": array for name, array in inner_arrays.items()}
            numbers |= {f"{key}{SEPARATOR}{name}": number for name, number in inner_numbers.items()}
        elif isinstance(value, bool | int | float | str | list | tuple) or value is None:
            numbers[key] = value
        else:
            arrays[key] = np.asarray(value)
    return arrays, numbers


def unflatten(arrays: dict[str, Any], numbers: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    state: dict[str, Any] = {}
    for name, value in [*arrays.items(), *numbers.items()]:
        *path, last = name.split(SEPARATOR)
        place = state
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return state
