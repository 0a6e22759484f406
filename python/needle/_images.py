"""Image datasets from local files in their published formats, and what varies images at random."""

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ._core import Generator, Tensor, flip, pad, rand, randint, tensor
from ._dataset import Dataset

Transform = Callable[[Tensor], Tensor]


class _Images(Dataset):
    """Images in memory as bytes, (n, channels, height, width), and their labels, (n,)."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Transform | None) -> None:
        self.images, self.labels, self.transform = images, labels.astype(np.int64), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        if not -len(self) <= i < len(self):
            raise IndexError(f"{type(self).__name__}: item {i} of {len(self)}")
        image = tensor(self.images[i].astype(np.float32) / 255)
        return self.transform(image) if self.transform else image, int(self.labels[i])


def _find(dataset: str, folder: Path, names: Sequence[str], source: str) -> Path:
    """The first of these files that exists; FileNotFoundError saying where people get them."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"{dataset}: {folder / names[0]} is missing. needle downloads nothing: get the files from "
        f"{source} and put them into this folder"
    )


def _read_idx(path: Path, ndim: int) -> np.ndarray:
    """An array in the IDX format of the MNIST files: magic 0, 0, 8 (bytes), ndim, then the sizes.

    ValueError if the file is anything else.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, OSError) as error:
        raise ValueError(f"MNIST: {path} cannot be read: {error}") from error
    start = 4 + 4 * ndim
    if len(data) < start or data[:4] != bytes([0, 0, 8, ndim]):
        raise ValueError(f"MNIST: {path} is no IDX file of bytes with {ndim} axes")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", ndim, 4))
    if len(data) - start != int(np.prod(shape, dtype=object)):
        raise ValueError(f"MNIST: {path} has {len(data) - start} bytes for shape {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


class MNIST(_Images):
    """Handwritten digits (LeCun et al. 1998): item i is (image (1, 28, 28) in [0, 1], label).

    folder holds the four published files, such as train-images-idx3-ubyte, plain or as .gz; train
    selects the 60,000 images to learn from or the 10,000 to test on. FileNotFoundError says which
    file is missing and where to get it.
    """

    SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"

    def __init__(
        self, folder: str | Path, train: bool = True, transform: Transform | None = None
    ) -> None:
        part = "train" if train else "t10k"
        arrays = []
        for kind, ndim in (("images-idx3", 3), ("labels-idx1", 1)):
            name = f"{part}-{kind}-ubyte"
            path = _find("MNIST", Path(folder), (name, name + ".gz"), self.SOURCE)
            arrays.append(_read_idx(path, ndim))
        images, labels = arrays
        if len(images) != len(labels):
            raise ValueError(f"MNIST: {len(images)} images and {len(labels)} labels in {folder}")
        super().__init__(images[:, None], labels, transform)


class CIFAR10(_Images):
    """Small colour photographs (Krizhevsky 2009): item i is (image (3, 32, 32) in [0, 1], label).

    folder holds the files of the published "binary version": data_batch_1.bin … data_batch_5.bin,
    test_batch.bin (it may be the folder above cifar-10-batches-bin). train selects the 50,000
    images to learn from or the 10,000 to test on. FileNotFoundError says which file is missing.
    """

    SOURCE = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    CLASSES = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )

    def __init__(
        self, folder: str | Path, train: bool = True, transform: Transform | None = None
    ) -> None:
        names = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]
        records = []
        for name in names:
            places = (name, f"cifar-10-batches-bin/{name}")
            path = _find("CIFAR10", Path(folder), places, self.SOURCE)
            data = np.fromfile(path, np.uint8)
            # A record is the label and the red, green and blue plane, row by row.
            if len(data) == 0 or len(data) % 3073 or data[::3073].max() > 9:
                raise ValueError(f"CIFAR10: {path} does not consist of records of 3073 bytes")
            records.append(data.reshape(-1, 3073))
        rows = np.concatenate(records)
        super().__init__(rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0], transform)


class RandomCrop:
    """Cuts an image (…, height, width) to `size` at a random place, after a border of zeros.

    size: one number or (height, width). generator: the default one if left out.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        padding: int = 0,
        generator: Generator | None = None,
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        if len(self.size) != 2 or min(self.size) < 1 or padding < 0:
            raise ValueError(f"RandomCrop: size {size} and padding {padding} make no image")
        self.padding, self.generator = padding, generator

    def __call__(self, image: Tensor) -> Tensor:
        """image (…, height, width) -> (…, size)."""
        padded = pad(image, [self.padding] * 4) if self.padding else image
        (height, width), (h, w) = padded.shape[-2:], self.size
        if h > height or w > width:
            raise ValueError(f"RandomCrop: {self.size} does not fit into {padded.shape}")
        top = randint(0, height - h + 1, (), generator=self.generator).item()
        left = randint(0, width - w + 1, (), generator=self.generator).item()
        return padded[..., top : top + h, left : left + w]


class RandomHorizontalFlip:
    """Mirrors an image (…, height, width), left to right, with probability p."""

    def __init__(self, p: float = 0.5, generator: Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"RandomHorizontalFlip: p = {p} is not in [0, 1]")
        self.p, self.generator = p, generator

    def __call__(self, image: Tensor) -> Tensor:
        """image (…, height, width) -> the same shape."""
        return flip(image, -1) if rand(generator=self.generator).item() < self.p else image
