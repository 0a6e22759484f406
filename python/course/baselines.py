"""What a language model must beat: bits per byte of gzip and of a byte n-gram, on held-out text.

Both see only bytes, so the figures compare with any tokenizer's model.
"""

import gzip

import numpy as np

MAX_ORDER = 7  # a context and the next byte must fit in 64 bits


def gzip_bits_per_byte(held_out: bytes) -> float:
    """Size of `gzip -9` of the held-out text alone, in bits per byte of text."""
    return 8 * len(gzip.compress(held_out, 9, mtime=0)) / len(held_out)


def ngram_bits_per_byte(train: bytes, held_out: bytes, order: int = 3) -> float:
    """Bits per byte of a byte n-gram with contexts of up to `order` bytes, Witten-Bell smoothed.

    The probability of byte b after a context of k bytes that was seen N times, with T different
    bytes after it, C of them b, is (C + T * p) / (N + T), where p is the probability by the context
    of k - 1 bytes; below the empty context stands 1/256. (Witten and Bell 1991, method C,
    interpolated.) The first held-out bytes have the end of the training text as context.
    """
    if not 0 <= order <= MAX_ORDER:
        raise ValueError(f"order is {order}; 0 to {MAX_ORDER} would be right")
    if len(train) < order + 1 or not held_out:
        raise ValueError(
            "the training text must be longer than the order, the held-out text not empty"
        )
    past = np.frombuffer(train, np.uint8)
    text = np.concatenate([past[len(past) - order :], np.frombuffer(held_out, np.uint8)])
    probability = np.full(len(held_out), 1 / 256)
    for k in range(order + 1):
        # All grams of k + 1 bytes as numbers: gram = context * 256 + next byte, sorted by `unique`.
        grams, counts = np.unique(_windows(past, k + 1), return_counts=True)
        contexts, first = np.unique(grams >> np.uint64(8), return_index=True)
        seen = np.add.reduceat(counts, first)
        kinds = np.diff(np.append(first, len(grams)))

        asked = _windows(text[order - k :], k + 1)
        count = _lookup(grams, counts, asked)
        total = _lookup(contexts, seen, asked >> np.uint64(8))
        types = _lookup(contexts, kinds, asked >> np.uint64(8))
        known = total > 0
        smoothed = (count + types * probability) / np.where(known, total + types, 1)
        probability = np.where(known, smoothed, probability)
    return float(-np.log2(probability).mean())


def _windows(data: np.ndarray, width: int) -> np.ndarray:
    """Every run of `width` bytes as a big-endian number: (n,) uint8 -> (n - width + 1,) uint64."""
    count = len(data) - width + 1
    numbers = np.zeros(count, np.uint64)
    for i in range(width):
        numbers = (numbers << np.uint64(8)) | data[i : i + count].astype(np.uint64)
    return numbers


def _lookup(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The value of each asked key, 0 where it is not among the sorted `keys`."""
    where = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[where] == asked, values[where], 0)
