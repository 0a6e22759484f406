"""One training step of the demo's decoder, against PyTorch eager and torch.compile.

Both sides train the same Llama-style model: the parameters of `./course demo`, the same numbers to
start from, a batch of 4 x 512 tokens, float32, two threads. A step is forward, cross entropy,
backward, clipping and AdamW. PyTorch is used as its documentation recommends for this model: fused
attention, fused AdamW, rms_norm as one function. The losses of the first steps must agree.

Memory is the most that a process had resident, less what it had before it made the model: without
the libraries themselves.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import SETTLE, Row, compare, main, peer

import needle as ndl
from course.train.options import TrainOptions
from course.train.trainer import BETAS, EPSILON

THREADS = 2
STEPS = 5  # after which a process has seen its peak
OPTIONS = TrainOptions(steps=1)
CONFIG = {
    "vocab_size": OPTIONS.vocab_size,
    "hidden_size": OPTIONS.hidden_size,
    "intermediate_size": OPTIONS.intermediate_size,
    "num_hidden_layers": OPTIONS.layers,
    "num_attention_heads": OPTIONS.heads,
    "num_key_value_heads": OPTIONS.kv_heads,
    "max_position_embeddings": OPTIONS.seq,
    "tie_word_embeddings": True,
}
BATCH = np.random.default_rng(0).integers(
    0, OPTIONS.vocab_size, (2, OPTIONS.batch, OPTIONS.seq)
)  # inputs and targets


class Needle:
    """needle's side."""

    def __init__(self) -> None:
        ndl.manual_seed(0)
        ndl.set_num_threads(THREADS)
        self.model = ndl.transformer.Decoder(ndl.transformer.Config(**CONFIG))
        self.parameters = list(self.model.parameters())
        self.optimizer = ndl.optim.AdamW(
            self.parameters, lr=OPTIONS.lr, betas=BETAS, eps=EPSILON, weight_decay=0.1
        )
        self.inputs, self.targets = (ndl.from_numpy(b) for b in BATCH)

    def step(self) -> float:
        logits = self.model(self.inputs)
        loss = ndl.cross_entropy(logits.reshape((-1, logits.shape[-1])), self.targets.reshape(-1))
        loss.backward()
        ndl.nn.utils.clip_grad_norm_(self.parameters, OPTIONS.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.item())


class Torch:
    """PyTorch's side, with the parameters of a needle model."""

    def __init__(self, weights: dict[str, np.ndarray], compiled: bool = False) -> None:
        self.torch = peer("torch", "pip install torch==2.13.0")
        self.torch.set_num_threads(THREADS)
        self.weights = {
            name: self.torch.from_numpy(value.copy()).requires_grad_()
            for name, value in weights.items()
        }
        self.optimizer = self.torch.optim.AdamW(
            self.weights.values(),
            lr=OPTIONS.lr,
            betas=BETAS,
            eps=EPSILON,
            weight_decay=0.1,
            fused=True,
        )
        self.inputs, self.targets = (self.torch.from_numpy(b) for b in BATCH)
        self.loss = self.torch.compile(self._loss) if compiled else self._loss
        self.config = ndl.transformer.Config(**CONFIG)
        d, positions = self.config.head_dim, self.torch.arange(OPTIONS.seq)
        frequency = self.config.rope_theta ** (-self.torch.arange(0, d, 2) / d)
        angle = self.torch.outer(positions, frequency)
        self.cos, self.sin = angle.cos(), angle.sin()

    def step(self) -> float:
        loss = self.loss()
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.weights.values(), OPTIONS.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.item())

    def _loss(self) -> Any:
        f, w = self.torch.nn.functional, self.weights
        x = f.embedding(self.inputs, w["model.embed_tokens.weight"])
        for i in range(OPTIONS.layers):
            x = x + self._attention(f"model.layers.{i}.self_attn", self._norm(x, i, "input"))
            x = x + self._mlp(f"model.layers.{i}.mlp", self._norm(x, i, "post_attention"))
        x = f.rms_norm(x, x.shape[-1:], w["model.norm.weight"], self.config.rms_norm_eps)
        logits = f.linear(x, w["model.embed_tokens.weight"])
        return f.cross_entropy(logits.flatten(0, 1), self.targets.flatten())

    def _norm(self, x: Any, layer: int, which: str) -> Any:
        weight = self.weights[f"model.layers.{layer}.{which}_layernorm.weight"]
        return self.torch.nn.functional.rms_norm(x, x.shape[-1:], weight, self.config.rms_norm_eps)

    def _attention(self, name: str, x: Any) -> Any:
        f, d = self.torch.nn.functional, self.config.head_dim

        def heads(which: str) -> Any:
            y = f.linear(x, self.weights[f"{name}.{which}_proj.weight"])
            return y.view(*y.shape[:2], -1, d).transpose(1, 2)

        q, k = self._rotary(heads("q")), self._rotary(heads("k"))
        y = f.scaled_dot_product_attention(q, k, heads("v"), is_causal=True, enable_gqa=True)
        return f.linear(y.transpose(1, 2).flatten(2), self.weights[f"{name}.o_proj.weight"])

    def _rotary(self, x: Any) -> Any:
        a, b = x.chunk(2, -1)
        return self.torch.cat([a * self.cos - b * self.sin, b * self.cos + a * self.sin], -1)

    def _mlp(self, name: str, x: Any) -> Any:
        f, w = self.torch.nn.functional, self.weights
        gate = f.silu(f.linear(x, w[f"{name}.gate_proj.weight"]))
        return f.linear(
            gate * f.linear(x, w[f"{name}.up_proj.weight"]), w[f"{name}.down_proj.weight"]
        )


def initial_weights() -> dict[str, np.ndarray]:
    """What needle starts from, by name."""
    return {name: value.numpy() for name, value in Needle().model.state_dict().items()}


def _timed(side: Any) -> Callable[[], float]:
    def cost() -> float:
        start = time.perf_counter()
        side.step()
        return time.perf_counter() - start

    return cost


def _resident(field: str) -> int:
    """VmRSS (now) or VmHWM (at most) of this process, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(
        int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(field)
    )


def _peak(side: str) -> float:
    """Bytes that STEPS steps of a side took at most, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "memory", side], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def _measure_memory(side: str) -> None:
    weights = initial_weights() if side != "needle" else {}
    if side != "needle":
        peer("torch", "pip install torch==2.13.0")
    before = _resident("VmRSS")
    trained = Needle() if side == "needle" else Torch(weights, side == "compiled")
    for _ in range(STEPS):
        trained.step()
    print(_resident("VmHWM") - before)


def rows() -> list[Row]:
    weights = initial_weights()
    needle = Needle()
    peers = {"PyTorch": Torch(weights), "torch.compile": Torch(weights, compiled=True)}
    losses = [[side.step() for _ in range(3)] for side in (needle, *peers.values())]
    if not np.allclose(losses, losses[0], rtol=1e-3):
        raise SystemExit(f"bench: the losses differ, so the work does: {losses}")
    tokens = BATCH[0].size
    case = f"step of {tokens} tokens, {THREADS} threads"
    out: list[Row] = []
    for name, side in peers.items():
        out += compare(
            "step",
            {f"{case}, against {name}": _timed(needle)},
            {name: _timed(side)},
            turns=15,
            settle=SETTLE,
        )
    ours = _peak("needle")
    for name, side in {"PyTorch": "eager", "torch.compile": "compiled"}.items():
        theirs = _peak(side)
        out.append(
            Row("step", f"peak memory, against {name}", ours / 1e6, theirs / 1e6, name, "MB",
                theirs / ours)
        )  # fmt: skip
    return out


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        os.environ["OMP_NUM_THREADS"] = str(THREADS)
        _measure_memory(sys.argv[2])
    else:
        main(rows)
