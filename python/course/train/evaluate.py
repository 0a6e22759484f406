"""Held-out bits per byte: total negative log-likelihood in nats / ln 2 / bytes of the text."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import needle as ndl

SLICE_TOKENS = 6144


@dataclass(frozen=True)
class HeldOut:
    """The held-out text as tokens; `stream` starts with a separator, so all are predicted."""

    stream: np.ndarray  # (n + 1,) int64: the end-of-text token, then the n tokens of the text
    size: int  # bytes of the text
    slice_size: int  # bytes of the first SLICE_TOKENS tokens

    @classmethod
    def of(cls, text: bytes, tokenizer: Any, separator: int) -> "HeldOut":
        """Tokenises the held-out text."""
        tokens = tokenizer.encode_array(text)
        first = len(tokenizer.decode_bytes(tokens[:SLICE_TOKENS].tolist()))
        return cls(np.concatenate([[separator], tokens]).astype(np.int64), len(text), first)

    @property
    def slice_share(self) -> float:
        """Size of the slice relative to the whole."""
        return min(1.0, SLICE_TOKENS / max(1, len(self.stream) - 1))

    def bits_per_byte(self, model: Any, seq: int, batch: int, whole: bool) -> float:
        """Bits per byte of the whole text, or of the fixed slice that is used while training."""
        if whole:
            return total_nats(model, self.stream, seq, batch) / math.log(2) / self.size
        part = self.stream[: SLICE_TOKENS + 1]
        return total_nats(model, part, seq, batch) / math.log(2) / self.slice_size

    def warm_up(self, model: Any, seq: int, batch: int) -> None:
        """One batch, for its effect on memory and threads alone."""
        total_nats(model, self.stream[: seq + seq // 2 * batch + 1], seq, batch)


def total_nats(model: Any, stream: np.ndarray, seq: int, batch: int) -> float:
    """Negative log-likelihood of stream[1:], each token once, with windows that overlap by half.

    So every token but those of the first window is predicted from at least seq / 2 tokens before
    it, as it would be in a longer text.
    """
    nats = 0.0
    with ndl.no_grad():
        for starts, length, skip in windows(len(stream) - 1, seq, batch):
            rows = np.stack([stream[start : start + length + 1] for start in starts])
            inputs = np.ascontiguousarray(rows[:, :-1])
            logits = model(ndl.from_numpy(inputs))[:, skip:, :]
            targets = np.ascontiguousarray(rows[:, 1 + skip :]).reshape(-1)
            flat = logits.reshape((targets.size, logits.shape[-1]))
            loss = ndl.cross_entropy(flat, ndl.from_numpy(targets))
            nats += float(loss.item()) * targets.size
    return nats


def windows(count: int, seq: int, batch: int) -> list[tuple[list[int], int, int]]:
    """Groups of windows over `count` predictions: (starts, length, predictions to skip in each).

    Each of the predictions 0 .. count - 1 is scored in exactly one window.
    """
    if count <= seq:
        return [([0], count, 0)]
    stride = max(1, seq // 2)
    groups = [([0], seq, 0)]
    starts = list(range(stride, count - seq + 1, stride))
    groups += [(starts[i : i + batch], seq, seq - stride) for i in range(0, len(starts), batch)]
    done = (starts[-1] if starts else 0) + seq
    if done < count:
        groups.append(([count - seq], seq, seq - (count - done)))
    return groups
