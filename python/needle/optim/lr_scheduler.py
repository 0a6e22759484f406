"""Learning-rate schedules: call `step()` after each `optimizer.step()`.

Each is a factor, a function of the step, by which the optimiser's first learning rate is
multiplied. The functions themselves are the C++ library's.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from .._core import (
    Optimizer,
    cosine_annealing,
    linear_warmup,
    step_decay,
    warmup_stable_decay,
)

__all__ = [
    "CosineAnnealingLR",
    "LRScheduler",
    "LambdaLR",
    "LinearWarmup",
    "SequentialLR",
    "StepLR",
    "WarmupStableDecay",
]


class LRScheduler:
    """A schedule: sets optimizer.lr at once and at every step(). Subclasses write factor()."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        # Several schedules of one optimiser multiply the same first rate.
        if not hasattr(optimizer, "initial_lr"):
            optimizer.initial_lr = optimizer.lr
        self.base_lr: float = optimizer.initial_lr
        self.last_step = 0
        self._set()

    def factor(self, step: int) -> float:
        """What the first learning rate is multiplied by at a step, counted from 0."""
        raise NotImplementedError(f"{type(self).__name__}: write factor(self, step)")

    def step(self) -> None:
        """Goes on to the next step."""
        self.last_step += 1
        self._set()

    def get_last_lr(self) -> list[float]:
        """The learning rate in force, as the only element of a list."""
        return [self.optimizer.lr]

    def state_dict(self) -> dict[str, float]:
        """All that a resume needs."""
        return {"last_step": self.last_step, "base_lr": self.base_lr}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continues where state_dict() was taken."""
        self.last_step, self.base_lr = int(state["last_step"]), float(state["base_lr"])
        self._set()

    def _set(self) -> None:
        self.optimizer.lr = self.base_lr * self.factor(self.last_step)


class LambdaLR(LRScheduler):
    """A schedule from any function of the step."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self.factor = lr_lambda
        super().__init__(optimizer)


class StepLR(LRScheduler):
    """Times gamma after every step_size steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """gamma ** (step // step_size)."""
        return step_decay(step, self.step_size, self.gamma)


class CosineAnnealingLR(LRScheduler):
    """Down to eta_min along half a cosine over T_max steps: arXiv 1608.03983."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:  # noqa: N803
        self.total, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """From 1 to eta_min / base_lr."""
        floor = self.eta_min / self.base_lr if self.base_lr else 0.0
        return cosine_annealing(step, self.total, floor)


class LinearWarmup(LRScheduler):
    """(step + 1) / warmup, up to 1."""

    def __init__(self, optimizer: Optimizer, warmup: int) -> None:
        self.warmup = warmup
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """(step + 1) / warmup, at most 1."""
        return linear_warmup(step, self.warmup)


class WarmupStableDecay(LRScheduler):
    """Warm-up, then constant, then linearly to `floor` over the last `decay` of `total` steps."""

    def __init__(
        self, optimizer: Optimizer, warmup: int, decay: int, total: int, floor: float = 0.0
    ) -> None:
        self.arguments = (warmup, decay, total, floor)
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """Between 0 and 1."""
        return warmup_stable_decay(step, *self.arguments)


class SequentialLR(LRScheduler):
    """One schedule after the other: schedulers[i + 1] begins, at its step 0, at milestones[i]."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]
    ) -> None:
        if len(schedulers) != len(milestones) + 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedulers need {len(schedulers) - 1} "
                f"milestones, got {len(milestones)}"
            )
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """That of the schedule whose turn it is."""
        i = bisect_right(self.milestones, step)
        return self.schedulers[i].factor(step - (self.milestones[i - 1] if i else 0))
