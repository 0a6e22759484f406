"""Datasets and loaders (lesson 5)."""

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._core import Generator, NDArray, Tensor, from_numpy, randint, randperm, stack, tensor
from ._dataset import Dataset
from ._images import CIFAR10, MNIST, RandomCrop, RandomHorizontalFlip

__all__ = [
    "CIFAR10",
    "MNIST",
    "DataLoader",
    "Dataset",
    "RandomCrop",
    "RandomHorizontalFlip",
    "TensorDataset",
    "TextTokens",
    "digits",
]


class TensorDataset(Dataset):
    """Item i is row i of every tensor: (images[i], labels[i])."""

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset: needs at least one tensor")
        sizes = [len(t) for t in tensors]
        if len(set(sizes)) != 1:
            raise ValueError(f"TensorDataset: the tensors have {sizes} rows; they must be equal")
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, i: Any) -> tuple[Tensor, ...]:
        return tuple(t[i] for t in self.tensors)


def _collate(items: Sequence[Any]) -> Any:
    """Items -> a batch: tensors stacked, numbers as a tensor, tuples part by part."""
    first = items[0]
    if isinstance(first, tuple | list):
        return tuple(_collate(part) for part in zip(*items, strict=True))
    if isinstance(first, NDArray | Tensor):
        return stack(list(items))
    return tensor(np.stack(items) if isinstance(first, np.ndarray) else list(items))


class DataLoader:
    """Goes through a dataset in batches; `for images, labels in DataLoader(dataset, 64): …`.

    shuffle: another random order each time, from `generator` or the default one. drop_last: leave
    out a last batch that is not full. prefetch: a thread prepares this many batches ahead.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        shuffle: bool = False,
        generator: Generator | None = None,
        drop_last: bool = False,
        prefetch: int = 0,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size {batch_size} is below 1")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.generator, self.drop_last, self.prefetch = generator, drop_last, prefetch

    def __len__(self) -> int:
        rest = 0 if self.drop_last else self.batch_size - 1
        return (len(self.dataset) + rest) // self.batch_size

    def __iter__(self) -> Iterator[Any]:
        n = len(self.dataset)
        # The order is drawn here, in the caller's thread, so that it depends on the seed alone.
        order = randperm(n, generator=self.generator).numpy() if self.shuffle else np.arange(n)
        starts = range(0, len(self) * self.batch_size, self.batch_size)
        batches = (self._batch(order[i : i + self.batch_size]) for i in starts)
        return _ahead(batches, self.prefetch) if self.prefetch > 0 else batches

    def _batch(self, indices: np.ndarray) -> Any:
        if isinstance(self.dataset, TensorDataset):
            return self.dataset[indices]
        return _collate([self.dataset[int(i)] for i in indices])


def _ahead(batches: Iterator[Any], count: int) -> Iterator[Any]:
    """The same batches, computed by a thread up to `count` ahead of their use."""
    ready: queue.Queue = queue.Queue(count)
    stop = threading.Event()

    def put(item: tuple[str, Any]) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for batch in batches:
                put(("batch", batch))
                if stop.is_set():
                    return
            put(("end", None))
        except Exception as error:  # raised again where the batch is asked for
            put(("error", error))

    thread = threading.Thread(target=work, name="needle-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stop.set()
        thread.join()


def digits(part: str = "all") -> TensorDataset:
    """scikit-learn's bundled handwritten digits: (images, labels).

    images (n, 64) float32 in [0, 1], 8 x 8 pixels row by row; labels (n,) int64. part: "all" (1797
    images), or a fixed random split into "train" (80%) and "test" (20%). ModuleNotFoundError if
    scikit-learn is not installed.
    """
    if part not in ("all", "train", "test"):
        raise ValueError(f'digits: part must be "all", "train" or "test", not {part!r}')
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "digits: the images come with scikit-learn; install it: pip install scikit-learn"
        ) from error
    images, labels = load_digits(return_X_y=True)
    images, labels = images.astype(np.float32) / 16, labels.astype(np.int64)
    if part != "all":
        order = randperm(len(labels), generator=Generator(0)).numpy()
        cut = len(labels) * 4 // 5
        chosen = order[:cut] if part == "train" else order[cut:]
        images, labels = images[chosen], labels[chosen]
    return TensorDataset(from_numpy(images), from_numpy(labels))


class TextTokens(Dataset):
    """Token ids cut into blocks: item i is (inputs, targets), each (block,) int64.

    `source` is the path of an .npy file with one axis of integers, which is mapped into memory and
    not read, or an array. Targets are the inputs shifted by one token.
    """

    def __init__(self, source: str | Path | np.ndarray | Sequence[int], block: int) -> None:
        if isinstance(source, str | Path):
            source = np.load(source, mmap_mode="r", allow_pickle=False)
        self.tokens = np.asanyarray(source)
        if self.tokens.ndim != 1 or self.tokens.dtype.kind not in "iu":
            raise ValueError(
                f"TextTokens: expected one axis of integers, got {self.tokens.dtype} "
                f"of shape {self.tokens.shape}"
            )
        if block < 1 or len(self.tokens) <= block:
            raise ValueError(f"TextTokens: block {block} does not fit {len(self.tokens)} tokens")
        self.block = block

    def __len__(self) -> int:
        return (len(self.tokens) - 1) // self.block

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        if not -len(self) <= i < len(self):
            raise IndexError(f"TextTokens: item {i} of {len(self)}")
        return self._at(np.array(i % len(self) * self.block))

    def sample(self, count: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """`count` blocks from random places: inputs and targets (count, block) int64."""
        last = len(self.tokens) - self.block
        return self._at(randint(0, last, (count,), generator=generator).numpy())

    def _at(self, starts: np.ndarray) -> tuple[Tensor, Tensor]:
        places = starts[..., None] + np.arange(self.block + 1)
        window = self.tokens[places].astype(np.int64)
        return tensor(window[..., :-1]), tensor(window[..., 1:])
