"""Writes the type stubs of the compiled module: `python -m needle._stubs`.

Signatures are those that pybind11 puts in front of every docstring; what Python code adds to the
classes (printing, pickling) is read with inspect. Three files, so that none is long: _core.pyi,
_core_arrays.pyi for the classes around Tensor, _core_models.pyi for modules, optimizers and what
goes with them. A test compares them with what this gives.
"""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import needle  # the package completes the classes of the module
from needle import _core

FOLDER = Path(__file__).parent
HEADER = '''"""{doc} Made by `python -m needle._stubs`; do not edit."""
# ruff: noqa
# fmt: off

import collections.abc
import os
import typing

import numpy
import numpy.typing
'''
ALIASES = """
Shape: typing.TypeAlias = int | collections.abc.Sequence[int]
Axes: typing.TypeAlias = int | collections.abc.Sequence[int] | None
AnyDType: typing.TypeAlias = DType | str | type | numpy.dtype
AnyDevice: typing.TypeAlias = device | str"""
ARRAYS = (
    *("DType", "Generator", "HookHandle", "MatmulRung", "NDArray", "Node"),
    *("SoftmaxRung", "SumRung", "Tensor", "device"),
)

# Made by Python itself, or told by the base class.
_HIDDEN = {
    *("__doc__", "__module__", "__dict__", "__weakref__", "__new__", "__entries", "__members__"),
    *("__getstate__", "__setstate__", "__str__", "__array_ufunc__", "__reduce__", "__format__"),
    *("__deepcopy__", "__repr__", "__hash__", "__ne__"),
}
# What pybind11 says of arguments that Python converts, and how people write it.
_SHORTER = {
    "typing.SupportsInt | typing.SupportsIndex": "int",
    "typing.SupportsFloat | typing.SupportsIndex": "float",
    "collections.abc.Buffer": "object",
    "typing_extensions.CapsuleType": "typing.Any",
    "int | collections.abc.Sequence[int] | None": "Axes",
    "int | collections.abc.Sequence[int]": "Shape",
    "needle.DType | str": "AnyDType",
    "needle.device | str": "AnyDevice",
}
# Methods of Module that return what they are called on, or what forward() returns.
_RETURNS = {
    "eval": "typing.Self",
    "train": "typing.Self",
    "to": "typing.Self",
    "__call__": "typing.Any",
}


def _clean(signature: str) -> str:
    """Our own types without module, and shorter names for the types of arguments."""
    for long, short in _SHORTER.items():
        signature = signature.replace(long, short)
    modules = "_core|nn|optim|text|transformer"
    signature = re.sub(rf"\bneedle\.(?:(?:{modules})\.)?(?=[A-Z_d])", "", signature)
    signature = re.sub(r": (\w+) = None", r": \1 | None = None", signature)  # a pointer in C++
    return re.sub(r" = <[^>]*>", " = ...", signature)


def _python_signature(function: Any) -> str:
    """Of a function written in Python, which has annotations; its first argument is self."""
    text = str(inspect.signature(function)).replace("~", "")
    text = re.sub(r"\((self|x): [\w. |]+", "(self", text)
    text = re.sub(r"typing\.|collections\.abc\.", "", text)
    return re.sub(r"\b(Any|Iterator)\b", r"typing.\1", text)


def _function(name: str, function: Any, method: bool = False) -> str:
    """`def name(...) -> ...: ...`; ValueError if pybind11 gave no Python signature."""
    if inspect.isfunction(function):
        return f"def {name}{_clean(_python_signature(function))}: ..."
    head = (function.__doc__ or "").partition("\n")[0]
    match = re.fullmatch(r"\w+(\(.*\) -> .*)", head)
    if not match:
        raise ValueError(f"{name} has no signature: {head!r}")
    signature = _clean(match[1])
    if method:  # however self is declared
        signature = re.sub(r"^\([^,)]*", "(self", signature)
        signature = signature.replace("arg0: ", "other: ").replace("arg1: ", "value: ")
        if signature.endswith("-> object"):  # what it returns is known only here
            signature = signature[: -len("object")] + _RETURNS.get(name, "object")
    if name == "__eq__":
        signature = signature.replace(")", ", /)", 1)
    ast.parse(f"def f{signature}: ...")
    return f"def {name}{signature}: ..." + ("  # type: ignore[override]" * (name == "__eq__"))


def _property(name: str, prop: property) -> list[str]:
    kind = re.search(r"-> (.*)$", (prop.fget.__doc__ or "").partition("\n")[0])
    text = _clean(kind[1]) if kind else "typing.Any"
    text = "tuple[int, ...]" if text == "tuple" else text
    lines = ["@property", f"def {name}(self) -> {text}: ..."]
    if prop.fset is not None:
        value = re.search(r", arg\d: (.*)\) -> None", prop.fset.__doc__ or "")
        kind = _clean(value[1]) if value else "typing.Any"
        lines += [f"@{name}.setter", f"def {name}(self, value: {kind}) -> None: ..."]
    return lines


def _member(cls: type, name: str, value: Any) -> list[str]:
    if isinstance(value, property):
        return _property(name, value)
    if isinstance(value, staticmethod):
        return ["@staticmethod", _function(name, value.__func__)]
    if isinstance(value, cls):  # a value of an enumeration
        return [f"{name}: typing.ClassVar[{cls.__name__}]"]
    if not callable(value) or "Initialize self" in (value.__doc__ or ""):
        return []
    return [_function(name, value, method=True)]


def _class(cls: type) -> str:
    bases = [b.__name__ for b in cls.__bases__ if b.__module__.startswith("needle")]
    lines = []
    for name, value in sorted(vars(cls).items()):
        private = name.startswith("_") and not name.startswith("__") and name != "_mark_parameter"
        if name in _HIDDEN or private or (cls is _core.DType and name.startswith("__")):
            continue
        if cls is _core.DType and name in ("name", "value"):
            continue
        lines += _member(cls, name, value)
    head = f"class {cls.__name__}{'(' + ', '.join(bases) + ')' if bases else ''}:"
    return "\n    ".join([head, *(lines or ["..."])])


def generate() -> dict[str, str]:
    """{file name: text}."""
    members = {n: v for n, v in sorted(vars(_core).items()) if not n.startswith("__")}
    classes = [v for v in members.values() if isinstance(v, type)]
    # A base class stands before the classes that derive from it.
    classes.sort(key=lambda cls: (len(cls.__mro__), cls.__name__))
    arrays = [_class(cls) for cls in classes if cls.__name__ in ARRAYS]
    models = [cls for cls in classes if cls.__name__ not in ARRAYS]
    constants = [f"{n}: DType" for n, v in members.items() if isinstance(v, _core.DType)]
    functions = [
        _function(n, v) for n, v in members.items() if not isinstance(v, type | _core.DType)
    ]
    basic = _imports("_core_arrays", [*ARRAYS, "AnyDevice", "AnyDType", "Axes", "Shape"])
    others = _imports("_core_models", sorted(cls.__name__ for cls in models))
    texts = {
        "_core_arrays.pyi": ["The classes of _core around Tensor.", ALIASES, *arrays],
        "_core_models.pyi": ["The classes of _core for models.", basic, *map(_class, models)],
        "_core.pyi": [
            "The compiled module.",
            f"{basic}\n{others}",
            "\n".join(constants),
            "\n".join(functions),
        ],
    }
    return {
        file: "\n\n".join([HEADER.format(doc=doc) + "\n" + first.strip("\n"), *parts]) + "\n"
        for file, (doc, first, *parts) in texts.items()
    }


def _imports(module: str, names: list[str]) -> str:
    return "\n".join(f"from .{module} import {name} as {name}" for name in names)


if __name__ == "__main__":
    for file, text in generate().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
        print(f"wrote {file} of needle {needle.__version__}")
