"""Everything that decides a training run. Written into the checkpoint and read again on resume."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..errors import CourseError

END_OF_TEXT = "<|endoftext|>"


@dataclass(frozen=True)
class TrainOptions:
    """A run is a function of these, of the text, and (with a budget) of the measured step time."""

    minutes: float | None = None
    steps: int | None = None
    seed: int = 1
    vocab_size: int = 1024
    hidden_size: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int = 2
    seq: int = 512
    batch: int = 4
    lr: float = 3e-3
    warmup: int = 40
    weight_decay: float = 0.1
    clip: float = 1.0
    threads: int = 0

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise CourseError("Give either --minutes or --steps: one of them ends the training.")
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise CourseError(f"--minutes is {self.minutes}; a positive number would be right.")
        for name, low, high in [
            ("steps", 1, 10**9),
            ("seed", 0, 2**63 - 1),
            ("vocab_size", 257, 2**20),
            ("hidden_size", 8, 2**16),
            ("layers", 1, 1000),
            ("heads", 1, 2**12),
            ("kv_heads", 1, 2**12),
            ("seq", 2, 2**20),
            ("batch", 1, 2**20),
            ("warmup", 1, 10**9),
            ("threads", 0, 4096),
        ]:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                flag = name.replace("_", "-")
                raise CourseError(f"--{flag} is {value}; {low} to {high} would be right.")
        if self.hidden_size % (2 * self.heads):
            raise CourseError(
                f"--hidden-size {self.hidden_size} over --heads {self.heads} must give an even "
                "head size, for rotary embedding."
            )
        if self.heads % self.kv_heads:
            raise CourseError(
                f"--heads {self.heads} must be a multiple of --kv-heads {self.kv_heads}."
            )
        if not 0 < self.lr < 10 or not 0 <= self.weight_decay < 10 or not self.clip > 0:
            raise CourseError(
                "--lr and the clipping norm must be positive, --weight-decay at least 0."
            )

    @property
    def intermediate_size(self) -> int:
        """Width of the SwiGLU layer: 8/3 of the hidden size, rounded up to a multiple of 32."""
        return -(-8 * self.hidden_size // 3 // 32) * 32

    @property
    def tokens_per_step(self) -> int:
        """Targets in one optimiser step."""
        return self.batch * self.seq

    def to_json(self) -> dict[str, Any]:
        """Plain values by field name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> "TrainOptions":
        """The inverse of `to_json`; raises CourseError if a field is missing or of another type."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or set(values) != set(fields):
            raise CourseError("The options in training_state.json are not those of this version.")
        for name, value in values.items():
            kinds = (int, float) if "float" in str(fields[name].type) else (int,)
            optional = value is None and "None" in str(fields[name].type)
            if not optional and (not isinstance(value, kinds) or isinstance(value, bool)):
                raise CourseError(f"training_state.json: option {name} is {value!r}, not a number.")
        return cls(**values)
