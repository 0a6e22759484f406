"""Learning rate and number of steps.

The learning rate is a function of the step alone. The clock decides only how many steps there are:
once, from the step time measured at the start, and again if the machine turns out too slow, or much
faster than in that moment.
"""

import math
from dataclasses import dataclass

# The first plan aims below the budget, so that a slow minute needs no new plan.
AIM = 0.965
# A new, smaller plan is made when the projection is this much above what was aimed at.
TOLERANCE = 1.03
# A new, larger plan is made in the first half, when the projection is below this part of what was
# aimed at: the first one was made while something else kept the machine busy.
UNUSED = 0.8
EVALUATIONS = 20
MEASURED_STEPS = 8
MEASURED_SHARE = 0.03  # of the budget
# The step time is smoothed over this part of the planned steps; after three times as many, an older
# speed is forgotten.
MEMORY = 1 / 30
SHORTEST_MEMORY = 10  # steps


def learning_rate(step: int, total: int | None, peak: float, warmup: int) -> float:
    """Rate of step 0, 1, …: linear warm-up, then linear decay that would reach zero at `total`.

    While the total is not yet planned (None) there is no decay.
    """
    rate = min(1.0, (step + 1) / warmup)
    if total is not None:
        rate = min(rate, (total - step) / max(total - warmup, (total + 1) // 2))
    return peak * rate


def evaluation_interval(total: int) -> int:
    """Steps between two evaluations, about twenty in all."""
    return max(1, math.ceil(total / EVALUATIONS))


@dataclass
class Budget:
    """Keeps a training run inside its seconds. All times are seconds since the run began."""

    seconds: float
    step_seconds: float = 0.0  # smoothed
    evaluation_seconds: float = 0.0  # of the fixed slice
    closing_seconds: float = 0.0  # of the final evaluation, checkpoint and picture
    measured: int = 0
    measured_seconds: float = 0.0
    planned_at: int = 0  # the value of `measured` at the last plan
    memory: float = SHORTEST_MEMORY  # steps

    def observe_step(self, seconds: float) -> None:
        """Takes the time of one step; the first two of a process are slower and do not count."""
        self.measured += 1
        counted = self.measured - 2
        if counted < 1:
            return
        self.measured_seconds += seconds
        self.step_seconds += (seconds - self.step_seconds) / min(counted, self.memory)

    def knows_enough(self) -> bool:
        """Whether the step time was measured long enough to plan with."""
        enough = self.measured_seconds >= MEASURED_SHARE * self.seconds
        return self.measured - 2 >= MEASURED_STEPS and enough

    def plan(self, step: int, elapsed: float) -> int:
        """The number of steps, all in all, that ends just inside the budget."""
        self.planned_at = self.measured
        left = self.seconds * AIM - elapsed - self.closing_seconds
        left -= EVALUATIONS * self.evaluation_seconds
        total = step + max(1, int(left / max(self.step_seconds, 1e-6)))
        self.memory = max(SHORTEST_MEMORY, total * MEMORY)
        return total

    def projection(self, step: int, total: int, elapsed: float) -> float:
        """When the run would end with this many steps."""
        steps = total - step
        evaluations = steps / evaluation_interval(total)
        training = steps * self.step_seconds + evaluations * self.evaluation_seconds
        return elapsed + training + self.closing_seconds

    def too_slow(self, step: int, total: int, elapsed: float) -> bool:
        """Whether a smaller plan is due."""
        if self.measured - self.planned_at < 3 * self.memory:
            return False
        return self.projection(step, total, elapsed) > self.seconds * AIM * TOLERANCE

    def too_fast(self, step: int, total: int, elapsed: float) -> bool:
        """Whether a larger plan is due."""
        if self.measured - self.planned_at < 3 * self.memory or step > total // 2:
            return False
        return self.projection(step, total, elapsed) < self.seconds * AIM * UNUSED

    def exhausted(self, elapsed: float) -> bool:
        """Whether one more step might end after the budget."""
        return elapsed + 2 * self.step_seconds + self.closing_seconds > self.seconds
