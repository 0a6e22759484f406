"""Calls the library for each question, in the student's process. Knows no answers."""

import numpy as np


def strides(ndl, args):
    return [np.array(ndl.empty(*args["shape"]).strides, dtype=np.int64)]


def broadcast(ndl, args):
    a, b = ndl.tensor(args["a"]), ndl.tensor(args["b"])
    shape = np.array(ndl.broadcast_shapes(a.shape, b.shape), np.int64)
    return [shape, (a + b).numpy(), ndl.broadcast_to(a, args["to"]).numpy()]


def logsumexp(ndl, args):
    return [ndl.logsumexp(ndl.tensor(args["x"]), -1).numpy()]


def epoch(ndl, args):
    w = ndl.nn.Parameter(ndl.tensor(args["w"]))
    x = ndl.tensor(args["x"])
    optimizer = ndl.optim.SGD([w], lr=args["lr"])
    batches = [(row, None) for row in x]
    mean = ndl.training.train_epoch(
        lambda row: (row * w).sum(), batches, lambda value, _: value, optimizer
    )
    return [np.array(mean), w.detach().numpy()]


QUESTIONS = {"strides": strides, "broadcast": broadcast, "logsumexp": logsumexp, "epoch": epoch}
PEERS = {"logsumexp": lambda args: [np.logaddexp.reduce(args["x"], axis=-1)]}
