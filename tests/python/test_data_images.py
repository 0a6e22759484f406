"""MNIST and CIFAR10 files, and random changes of images. The files are written here."""

import gzip

import numpy as np
import pytest

import needle as ndl
from needle.data import CIFAR10, MNIST, DataLoader, RandomCrop, RandomHorizontalFlip


def idx(a: np.ndarray) -> bytes:
    """The IDX format: magic, sizes as big-endian 32-bit numbers, bytes."""
    return bytes([0, 0, 8, a.ndim]) + np.array(a.shape, ">u4").tobytes() + a.tobytes()


@pytest.fixture
def mnist(tmp_path, rng):
    images = rng.integers(0, 256, (5, 28, 28), np.uint8)
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return tmp_path, images, labels


def test_mnist(mnist):
    folder, images, labels = mnist
    data = MNIST(folder)
    assert len(data) == 5
    image, label = data[2]
    assert image.shape == (1, 28, 28)
    assert image.dtype == ndl.float32
    np.testing.assert_array_equal(image.numpy()[0], images[2].astype(np.float32) / 255)
    assert label == 4
    batch, answers = next(iter(DataLoader(MNIST(str(folder), transform=RandomCrop(20)), 5)))
    assert batch.shape == (5, 1, 20, 20)
    assert answers.tolist() == labels.tolist()
    with pytest.raises(IndexError):
        data[5]


def test_missing_files_are_named(tmp_path, mnist):
    with pytest.raises(FileNotFoundError, match=r"t10k-images-idx3-ubyte is missing.*https://"):
        MNIST(mnist[0], train=False)
    with pytest.raises(FileNotFoundError, match=r"data_batch_1\.bin is missing.*https://"):
        CIFAR10(tmp_path)


@pytest.mark.parametrize("cut", [0, 3, 10, 100])
def test_broken_mnist_files(mnist, cut):
    path = mnist[0] / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match="MNIST"):
        MNIST(mnist[0])
    (mnist[0] / "train-images-idx3-ubyte").unlink()
    (mnist[0] / "train-images-idx3-ubyte.gz").write_bytes(b"no gzip")
    with pytest.raises(ValueError, match="MNIST"):
        MNIST(mnist[0])


def test_cifar10(tmp_path, rng):
    rows = rng.integers(0, 256, (4, 3073), np.uint8)
    rows[:, 0] = [9, 0, 3, 6]
    inner = tmp_path / "cifar-10-batches-bin"
    inner.mkdir()
    (inner / "test_batch.bin").write_bytes(rows.tobytes())
    data = CIFAR10(tmp_path, train=False)
    image, label = data[3]
    assert (len(data), label, CIFAR10.CLASSES[label]) == (4, 6, "frog")
    # The green plane comes second, row by row: pixel (2, 5) is byte 1 + 1024 + 2 * 32 + 5.
    assert image.numpy()[1, 2, 5] == np.float32(rows[3, 1 + 1024 + 69]) / np.float32(255)
    for i in range(1, 6):
        (tmp_path / f"data_batch_{i}.bin").write_bytes(rows[:i].tobytes())
    assert len(CIFAR10(tmp_path)) == 1 + 2 + 3 + 4 + 4
    for broken in (b"", rows.tobytes()[:-1], bytes([10]) * 3073):
        (tmp_path / "data_batch_3.bin").write_bytes(broken)
        with pytest.raises(ValueError, match="3073"):
            CIFAR10(tmp_path)


def test_random_crop():
    image = ndl.arange(1, 31).reshape(1, 5, 6)
    seen = set()
    generator = ndl.Generator(4)
    for _ in range(200):
        part = RandomCrop((2, 3), generator=generator)(image).numpy()[0]
        assert part.shape == (2, 3)
        np.testing.assert_array_equal(part - part[0, 0], [[0, 1, 2], [6, 7, 8]])
        seen.add(int(part[0, 0]))
    assert len(seen) == 4 * 4
    padded = RandomCrop((9, 10), padding=2)(image)  # only one place: the whole of it
    np.testing.assert_array_equal(padded.numpy()[0], np.pad(image.numpy()[0], 2))
    with pytest.raises(ValueError, match="does not fit"):
        RandomCrop(6)(image)
    with pytest.raises(ValueError, match="RandomCrop"):
        RandomCrop(0)


def test_random_horizontal_flip():
    image = ndl.randn(3, 4, 5)
    generator = ndl.Generator(1)
    flips = 0
    for _ in range(100):
        out = RandomHorizontalFlip(generator=generator)(image).numpy()
        mirrored = np.array_equal(out, image.numpy()[..., ::-1])
        assert mirrored or np.array_equal(out, image.numpy())
        flips += mirrored
    assert 30 < flips < 70
    np.testing.assert_array_equal(RandomHorizontalFlip(0)(image).numpy(), image.numpy())
    np.testing.assert_array_equal(RandomHorizontalFlip(1)(image).numpy(), image.numpy()[..., ::-1])
    with pytest.raises(ValueError, match="p ="):
        RandomHorizontalFlip(1.5)
