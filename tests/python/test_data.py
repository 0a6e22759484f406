"""Datasets and loaders."""

import numpy as np
import pytest

import needle as ndl
from needle.data import DataLoader, Dataset, TensorDataset, TextTokens, digits


class Squares(Dataset):
    """Item i is (i, [i * i], an array)."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, i: int):
        if not 0 <= i < 10:
            raise IndexError(i)
        return i, ndl.tensor([float(i * i)]), np.full(2, i)


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches(prefetch, drop_last):
    loader = DataLoader(Squares(), 4, drop_last=drop_last, prefetch=prefetch)
    batches = list(loader)
    assert len(batches) == len(loader) == (2 if drop_last else 3)
    i, squares, arrays = batches[1]
    assert i.tolist() == [4, 5, 6, 7]
    assert i.dtype == ndl.int64
    assert squares.tolist() == [[16], [25], [36], [49]]
    assert arrays.shape == (4, 2)


@pytest.mark.parametrize("prefetch", [0, 1])
def test_shuffling_depends_on_the_seed_alone(prefetch):
    data = TensorDataset(ndl.arange(50), ndl.arange(50) * 2)

    def order(seed: int) -> list[int]:
        loader = DataLoader(data, 7, shuffle=True, generator=ndl.Generator(seed), prefetch=prefetch)
        out = []
        for x, y in loader:
            assert (y.numpy() == 2 * x.numpy()).all()
            out += x.tolist()
        return out

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == list(range(50))
    loader = DataLoader(data, 50, shuffle=True, generator=ndl.Generator(1))
    assert next(iter(loader))[0].tolist() != next(iter(loader))[0].tolist()


def test_errors_of_the_dataset_reach_the_loop():
    class Broken(Squares):
        def __getitem__(self, i):
            raise KeyError("mine")

    for prefetch in (0, 2):
        with pytest.raises(KeyError, match="mine"):
            list(DataLoader(Broken(), 2, prefetch=prefetch))


def test_a_loop_that_is_left_ends_its_thread():
    import threading

    for _ in DataLoader(Squares(), 1, prefetch=2):
        break
    assert not [t for t in threading.enumerate() if t.name == "needle-prefetch"]


def test_digits():
    train, test = digits("train"), digits("test")
    assert len(train) + len(test) == len(digits()) == 1797
    images, labels = train.tensors
    assert images.shape == (1437, 64)
    assert images.dtype == ndl.float32
    assert labels.dtype == ndl.int64
    assert (images.min().item(), images.max().item()) == (0, 1)
    assert set(labels.tolist()) == set(range(10))
    rows = {row.tobytes() for row in images.numpy()}
    assert sum(row.tobytes() in rows for row in test.tensors[0].numpy()) <= 2


def test_text_tokens(tmp_path):
    tokens = np.arange(100, dtype=np.uint16)
    np.save(tmp_path / "t.npy", tokens)
    for source in (tokens, tmp_path / "t.npy", str(tmp_path / "t.npy"), tokens.tolist()):
        data = TextTokens(source, 8)
        assert len(data) == 12
        x, y = data[3]
        assert x.tolist() == list(range(24, 32))
        assert y.tolist() == list(range(25, 33))
        assert x.dtype == ndl.int64
        x, y = data.sample(5, ndl.Generator(3))
        assert x.shape == y.shape == (5, 8)
        assert ((y - x).numpy() == 1).all()
        assert x.tolist() == data.sample(5, ndl.Generator(3))[0].tolist()
    assert isinstance(TextTokens(tmp_path / "t.npy", 8).tokens, np.memmap)
    starts = {int(x[0]) for x in TextTokens(np.arange(10), 8).sample(200)[0]}
    assert starts == {0, 1}
    (x, _y) = next(iter(DataLoader(TextTokens(tokens, 8), 4)))
    assert x.shape == (4, 8)
    with pytest.raises(IndexError):
        data[12]
    for bad, block in ((tokens, 100), (tokens, 0), (tokens.astype(float), 8)):
        with pytest.raises(ValueError, match="TextTokens"):
            TextTokens(bad, block)
