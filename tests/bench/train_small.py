"""One training step of a small model, and how good the model gets. Against PyTorch eager.

A perceptron with layers of 64, 256, 256 and 10 units, and a network of two convolutions, on
scikit-learn's handwritten digits, batches of 128, AdamW. Both sides do the same work on the same
numbers, with one thread.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from harness import Row, compare, main, peer

import needle as ndl

BATCH = 128
STEPS = 20  # per measurement
EPOCHS = 40
LR = 2e-3
SMOOTHING = 0.1


class Needle:
    """needle's side of a comparison."""

    name = "needle"
    tensor = staticmethod(ndl.from_numpy)

    def __init__(self) -> None:
        ndl.manual_seed(0)
        ndl.set_num_threads(1)
        self.loss, self.nn = partial(ndl.cross_entropy, label_smoothing=SMOOTHING), ndl.nn

    def optimizer(self, model: Any) -> Any:
        return ndl.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.01)


class Torch:
    """PyTorch's side of a comparison."""

    name = "PyTorch"

    def __init__(self) -> None:
        self.torch = peer("torch", "pip install torch==2.13.0")
        self.torch.manual_seed(0)
        self.torch.set_num_threads(1)
        self.tensor = self.torch.from_numpy
        self.nn = self.torch.nn
        self.loss = partial(self.nn.functional.cross_entropy, label_smoothing=SMOOTHING)

    def optimizer(self, model: Any) -> Any:
        return self.torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.01)


def perceptron(nn: Any) -> Any:
    """The layers have the same names on both sides."""
    return nn.Sequential(
        nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
    )


def convolutional(nn: Any) -> Any:
    """Images of 1 x 8 x 8, then 32 x 4 x 4, then 64 x 2 x 2."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip


# The models of the suite: name, layers, shape of one image.
MODELS: list[tuple[str, Callable[[Any], Any], tuple[int, ...]]] = [
    ("digits MLP 64-256-256-10", perceptron, (64,)),
    ("digits CNN 1-32-64-10", convolutional, (1, 8, 8)),
]


def _data(part: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    images, labels = ndl.data.digits(part).tensors
    return images.numpy().reshape(-1, *shape), labels.numpy()


class Training:
    """A model, its optimiser, and the data, on one side."""

    def __init__(self, side: Any, make: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
        self.side, self.model = side, make(side.nn)
        self.optimizer = side.optimizer(self.model)
        self.images, self.labels = _data("train", shape)
        self.test_images, self.test_labels = _data("test", shape)
        self.rng = np.random.default_rng(0)

    def step(self, images: Any, labels: Any) -> None:
        loss = self.side.loss(self.model(images), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def seconds_per_step(self) -> float:
        images = self.side.tensor(self.images[:BATCH].copy())
        labels = self.side.tensor(self.labels[:BATCH].copy())
        start = time.perf_counter()
        for _ in range(STEPS):
            self.step(images, labels)
        return (time.perf_counter() - start) / STEPS

    def test_accuracy(self) -> float:
        """In percent, after EPOCHS passes."""
        for _ in range(EPOCHS):
            order = self.rng.permutation(len(self.labels))
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                self.step(self.side.tensor(self.images[rows]), self.side.tensor(self.labels[rows]))
        logits = self.model(self.side.tensor(self.test_images.copy())).detach().numpy()
        return 100 * float((logits.argmax(-1) == self.test_labels).mean())


def rows() -> list[Row]:
    out = []
    for name, make, shape in MODELS:
        needle, other = Training(Needle(), make, shape), Training(Torch(), make, shape)
        case = f"{name}, step of batch {BATCH}"
        out += compare(
            "train-small",
            {case: needle.seconds_per_step},
            {"PyTorch": other.seconds_per_step},
            turns=9,
        )
        a = Training(Needle(), make, shape).test_accuracy()
        b = Training(Torch(), make, shape).test_accuracy()
        out.append(Row("train-small", f"{name}, test accuracy", a, b, "PyTorch", "%", a / b))
    return out


if __name__ == "__main__":
    main(rows)
