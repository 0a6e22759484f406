"""One pass over the data, and how good the model is (lessons 3 and 5)."""

from collections.abc import Callable, Iterable

from ._core import Tensor
from .autograd import no_grad
from .optim import Optimizer

__all__ = ["accuracy", "train_epoch"]


def train_epoch(
    model: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: Optimizer,
) -> float:
    """One optimiser step for each batch (inputs, targets), on loss(model(inputs), targets).

    `loss` gives a tensor with one element. Returns the mean of the losses, each as it was before
    its step. ValueError if there is no batch.
    """
    # BEGIN SOLUTION hw1.train_epoch
    total, steps = 0.0, 0
    for inputs, targets in batches:
        value = loss(model(inputs), targets)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        total += value.item()
        steps += 1
    if steps == 0:
        raise ValueError("train_epoch: there is no batch")
    return total / steps
    # END SOLUTION


def accuracy(model: Callable[[Tensor], Tensor], inputs: Tensor, labels: Tensor) -> float:
    """The share of rows (n, ...) whose largest logit (n, classes) is that of the label (n,)."""
    with no_grad():
        right = model(inputs).argmax(-1) == labels
    return float(right.numpy().mean())
