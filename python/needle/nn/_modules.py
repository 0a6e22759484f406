"""The Python half of Module, parameters, and the small modules that need no C++."""

from collections.abc import Iterable, Iterator
from typing import Any

from .._core import Module, Tensor, cross_entropy, mse_loss, softmax

Member = tuple[str, Tensor | Module]


def _walk(name: str, value: Any, buffers: frozenset[str] | set[str]) -> Iterator[Member]:
    """Members in a value of an attribute: a tensor, a module, or a list or dict of such."""
    if isinstance(value, Tensor):
        if value.is_parameter or name in buffers:
            yield name, value
    elif isinstance(value, Module):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(f"{name}.{key}", item, buffers)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _walk(f"{name}.{i}", item, buffers)


def _members(self: Module) -> list[Member]:
    """(name, parameter, buffer or module) pairs of the attributes, in their order."""
    attributes = vars(self)
    buffers = attributes.get("_buffer_names", frozenset())
    return [m for name, value in attributes.items() for m in _walk(name, value, buffers)]


def _register_buffer(self: Module, name: str, tensor: Tensor) -> None:
    """Makes a tensor part of state_dict() that is no parameter, as attribute `name`."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"register_buffer: {name} must be a Tensor, got {type(tensor).__name__}")
    vars(self).setdefault("_buffer_names", set()).add(name)
    setattr(self, name, tensor)


def _forward(self: Module, *_args: Any, **_kwargs: Any) -> Any:
    """The module applied to its arguments; every module writes its own."""
    raise NotImplementedError(f"{type(self).__name__}: write forward(self, x)")


def _repr(self: Module) -> str:
    lines = [f"  {name} {tensor.shape}" for name, tensor in self.named_parameters()]
    inside = "\n" + "\n".join(lines) + "\n" if lines else ""
    return f"{type(self).__name__}({inside})"


Module._members = _members
Module.register_buffer = _register_buffer
Module.forward = _forward
Module.__repr__ = _repr


class _ParameterType(type):
    """`isinstance(t, Parameter)` asks the tensor itself, whichever way it was made."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.is_parameter

    def __call__(cls, data: Tensor, requires_grad: bool = True) -> Tensor:
        parameter = Tensor(data, requires_grad)
        parameter._mark_parameter()
        return parameter


class Parameter(metaclass=_ParameterType):
    """`Parameter(t)`: a leaf with t's elements (shared) that modules count as a parameter.

    It is a Tensor; isinstance(x, Parameter) says whether it is a parameter.
    """


class Identity(Module):
    """Returns what it gets."""

    def forward(self, x: Tensor) -> Tensor:
        """x itself."""
        return x


class Softmax(Module):
    """softmax along an axis, as a module."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """x (...) -> probabilities of the same shape."""
        return softmax(x, self.axis)


class ModuleList(Module):
    """A list of modules; their parameters are found under "0", "1", …."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self._list: list[Module] = []
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> None:
        """Adds a module at the end."""
        if not isinstance(module, Module):
            raise TypeError(f"ModuleList: expected a Module, got {type(module).__name__}")
        self._list.append(module)

    def _members(self) -> list[Member]:
        return [(str(i), module) for i, module in enumerate(self._list)]

    def __len__(self) -> int:
        return len(self._list)

    def __getitem__(self, i: int) -> Module:
        return self._list[i]

    def __iter__(self) -> Iterator[Module]:
        return iter(self._list)


class CrossEntropyLoss(Module):
    """cross_entropy as a module."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """logits (n, classes), labels (n,) int64 -> the mean loss, of shape ()."""
        return cross_entropy(logits, labels, self.label_smoothing)


class MSELoss(Module):
    """mse_loss as a module."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two tensors of one shape -> the mean squared difference, of shape ()."""
        return mse_loss(a, b)
