"""Recurrent layers, with PyTorch's names and layouts of parameters."""

from collections.abc import Callable, Sequence
from typing import Any

from .._core import Module, Tensor, concat, empty, flip, relu, stack, tanh, zeros
from .._core import uniform_ as _uniform_
from ._modules import Parameter

State = tuple[Tensor, ...]
_NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {"tanh": tanh, "relu": relu}


def _gates(x: Tensor, h: Tensor, weights: Sequence[Tensor | None]) -> Tensor:
    """x W_ih^T + b_ih + h W_hh^T + b_hh: (n, input), (n, hidden) -> (n, gates * hidden)."""
    w_ih, w_hh, b_ih, b_hh = weights
    y = x @ w_ih.transpose(0, 1) + h @ w_hh.transpose(0, 1)
    return y if b_ih is None else y + b_ih + b_hh


def _rnn_step(nonlinearity: str) -> Callable[[Tensor, State, Sequence[Tensor | None]], State]:
    if nonlinearity not in _NONLINEARITIES:
        raise ValueError(f'RNN: nonlinearity must be "tanh" or "relu", not {nonlinearity!r}')
    f = _NONLINEARITIES[nonlinearity]
    return lambda x, state, weights: (f(_gates(x, state[0], weights)),)


def _lstm_step(x: Tensor, state: State, weights: Sequence[Tensor | None]) -> State:
    """Input, forget, cell and output gate, in this order: Hochreiter & Schmidhuber 1997."""
    h, c = state
    i, f, g, o = _gates(x, h, weights).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _check(name: str, what: str, x: Tensor, wanted: tuple[int | None, ...]) -> None:
    fits = x.ndim == len(wanted)
    if not fits or any(w is not None and w != n for w, n in zip(wanted, x.shape, strict=True)):
        shape = ", ".join("any" if w is None else str(w) for w in wanted)
        raise ValueError(f"{name}: {what} has shape {x.shape}; wanted ({shape})")


def _make_weights(module: Module, suffix: str, sizes: Sequence[int], bias: bool) -> None:
    """weight_ih, weight_hh, bias_ih, bias_hh + suffix, uniform in +-1/sqrt(hidden)."""
    gates, inputs, hidden = sizes
    bound = hidden**-0.5
    for name, shape in (
        ("weight_ih", (gates * hidden, inputs)),
        ("weight_hh", (gates * hidden, hidden)),
        ("bias_ih", (gates * hidden,)),
        ("bias_hh", (gates * hidden,)),
    ):
        wanted = bias or name.startswith("weight")
        value = Parameter(_uniform_(empty(shape), -bound, bound)) if wanted else None
        setattr(module, name + suffix, value)


def _weights(module: Module, suffix: str) -> list[Tensor | None]:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [getattr(module, name + suffix) for name in names]


class _Cell(Module):
    """One step of a recurrent network over a batch."""

    _gate_count = 1
    _states = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        if hidden_size < 1:
            raise ValueError(f"{type(self).__name__}: hidden_size {hidden_size} is below 1")
        self.input_size, self.hidden_size = input_size, hidden_size
        _make_weights(self, "", (self._gate_count, input_size, hidden_size), bias)

    def _start(self, x: Tensor, state: State | None) -> State:
        name = type(self).__name__
        _check(name, "x", x, (None, self.input_size))
        if state is None:
            h = zeros(x.shape[0], self.hidden_size, dtype=x.dtype, device=x.device)
            return (h,) * self._states
        for part in state:
            _check(name, "the state", part, (x.shape[0], self.hidden_size))
        return state


class RNNCell(_Cell):
    """h' = tanh(x W_ih^T + b_ih + h W_hh^T + b_hh): Elman 1990. nonlinearity: "tanh" or "relu"."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        _rnn_step(nonlinearity)  # refuses other names
        self.nonlinearity = nonlinearity

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """x (n, input), h (n, hidden), zeros by default -> h' (n, hidden)."""
        state = self._start(x, None if h is None else (h,))
        return _rnn_step(self.nonlinearity)(x, state, _weights(self, ""))[0]


class LSTMCell(_Cell):
    """One step of an LSTM; weight_ih (4 hidden, input): input, forget, cell and output gate."""

    _gate_count = 4
    _states = 2

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> Any:
        """x (n, input), (h, c) (n, hidden) each, zeros by default -> (h', c')."""
        return _lstm_step(x, self._start(x, state), _weights(self, ""))


class _Recurrent(Module):
    """Cells over a sequence: layers on top of each other, one or two directions."""

    _gate_count = 1
    _states = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        if hidden_size < 1 or num_layers < 1:
            raise ValueError(
                f"{type(self).__name__}: hidden_size {hidden_size} and num_layers {num_layers} "
                "must be at least 1"
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.bidirectional = batch_first, bidirectional
        directions = 1 + bidirectional
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else hidden_size * directions
            for suffix in self._suffixes(layer):
                _make_weights(self, suffix, (self._gate_count, inputs, hidden_size), bias)

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: 1 + self.bidirectional]

    def _one(self, x: Tensor, state: State, weights: Sequence[Tensor | None]) -> State:
        raise NotImplementedError

    def _run(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Outputs (seq, n, directions * hidden) and final states (layers * directions, n, hidden).

        Both with seq and n exchanged in x and outputs if batch_first.
        """
        name = type(self).__name__
        _check(name, "x", x, (None, None, self.input_size))
        x = x.transpose(0, 1) if self.batch_first else x
        seq, n, _ = x.shape
        if seq == 0:
            raise ValueError(f"{name}: x {x.shape} has no steps")
        count = self.num_layers * (1 + self.bidirectional)
        if state is None:
            start = zeros(count, n, self.hidden_size, dtype=x.dtype, device=x.device)
            state = (start,) * self._states
        for part in state:
            _check(name, "the state", part, (count, n, self.hidden_size))
        finals: list[State] = []
        for layer in range(self.num_layers):
            directions = []
            for reverse, suffix in enumerate(self._suffixes(layer)):
                now = tuple(part[len(finals)] for part in state)
                weights = _weights(self, suffix)
                outputs = []
                for t in reversed(range(seq)) if reverse else range(seq):
                    now = self._one(x[t], now, weights)
                    outputs.append(now[0])
                y = stack(outputs)
                directions.append(flip(y, 0) if reverse else y)
                finals.append(now)
            x = concat(directions, 2) if self.bidirectional else directions[0]
        ends = tuple(stack([final[i] for final in finals]) for i in range(self._states))
        return x.transpose(0, 1) if self.batch_first else x, ends


class RNN(_Recurrent):
    """RNNCell over a sequence. Parameters weight_ih_l0, weight_hh_l0, bias_ih_l0, ….

    batch_first: x and the outputs are (n, seq, …). bidirectional: a second direction, from the end.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, bidirectional)
        _rnn_step(nonlinearity)  # refuses other names
        self.nonlinearity = nonlinearity

    def _one(self, x: Tensor, state: State, weights: Sequence[Tensor | None]) -> State:
        return _rnn_step(self.nonlinearity)(x, state, weights)

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (seq, n, input), h (layers, n, hidden) -> outputs (seq, n, hidden), final h.

        Two directions: outputs (seq, n, 2 hidden), h (2 layers, n, hidden).
        """
        y, (final,) = self._run(x, None if h is None else (h,))
        return y, final


class LSTM(_Recurrent):
    """LSTMCell over a sequence: Hochreiter & Schmidhuber 1997, with forget gates.

    Parameters weight_ih_l0 (4 hidden, input), weight_hh_l0, bias_ih_l0, bias_hh_l0, ….
    batch_first: x and the outputs are (n, seq, …). bidirectional: a second direction, from the end.
    """

    _gate_count = 4
    _states = 2

    def _one(self, x: Tensor, state: State, weights: Sequence[Tensor | None]) -> State:
        return _lstm_step(x, state, weights)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> Any:
        """x (seq, n, input), (h, c) (layers, n, hidden) each -> outputs (seq, n, hidden), (h, c).

        Two directions: outputs (seq, n, 2 hidden), h and c (2 layers, n, hidden).
        """
        return self._run(x, state)
