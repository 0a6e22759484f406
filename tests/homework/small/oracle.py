"""Cases and answers, in the grader's process."""

import numpy as np


def strides_cases(rng):
    yield {"shape": [3]}
    yield {"shape": [2, 3]}
    yield {"shape": [5, 1, 4]}
    yield {"shape": [int(n) for n in rng.integers(1, 6, 4)]}


def strides(args):
    sizes = [*args["shape"][1:], 1]
    return [np.array([np.prod(sizes[i:]) for i in range(len(sizes))], dtype=np.int64)]


def broadcast_cases(rng):
    for group, to, shape in [
        ("same", (2, 3), (2, 3)),
        ("rows", (2, 3), (3,)),
        ("new", (4, 2, 3), (2, 1)),
    ]:
        a, b = rng.standard_normal(shape), rng.standard_normal(to)
        yield {"group": group, "a": a, "b": b, "to": list(to)}


def broadcast(args):
    total = args["a"] + args["b"]
    return [np.array(total.shape, np.int64), total, np.broadcast_to(args["a"], args["to"])]


def logsumexp_cases(rng):
    yield {"x": np.zeros((1, 2))}
    yield {"x": rng.standard_normal((3, 5))}
    yield {"x": 1000 * rng.standard_normal((2, 7))}
    yield {"group": "fast", "x": rng.standard_normal((300, 100))}


def logsumexp(args):
    return [np.logaddexp.reduce(args["x"], axis=-1)]


def epoch_cases(rng):
    for count in (1, 3):
        x, w = rng.standard_normal((count, 4)), rng.standard_normal(4)
        yield {"x": x, "w": w, "lr": 0.5}


def epoch(args):
    w, losses = args["w"].copy(), []
    for row in args["x"]:
        losses.append(row @ w)
        w = w - args["lr"] * row
    return [np.array(np.mean(losses)), w]


CASES = {
    "strides": strides_cases,
    "broadcast": broadcast_cases,
    "logsumexp": logsumexp_cases,
    "epoch": epoch_cases,
}
EXPECT = {"strides": strides, "broadcast": broadcast, "logsumexp": logsumexp, "epoch": epoch}
