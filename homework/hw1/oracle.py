"""Homework 1, the part that knows what is right: cases and expectations, by NumPy and PyTorch.

It runs in the grader's process only. CASES[question](rng) yields cases from small to large;
EXPECT[question](case) gives the arrays that driver.py should return; JUDGE[question](case, got)
says what is wrong where several answers are right, "" if nothing is.
"""

import numpy as np

from . import arrays, gradients, graphs, training

CASES = {
    "compact_strides": arrays.compact_strides_cases,
    "broadcast_shapes": arrays.broadcast_shapes_cases,
    "reshape": arrays.reshape_cases,
    "permute": arrays.permute_cases,
    "broadcast_to": arrays.broadcast_to_cases,
    "slice": arrays.slice_cases,
    "topological_order": graphs.topological_order_cases,
    "backward": graphs.backward_cases,
    "sum_to": gradients.sum_to_cases,
    "sum_gradient": gradients.sum_gradient_cases,
    "matmul_gradient": gradients.matmul_gradient_cases,
    "cross_entropy_gradient": gradients.cross_entropy_cases,
    "logsumexp": gradients.logsumexp_cases,
    "sgd": training.sgd_cases,
    "train_epoch": training.train_epoch_cases,
}

EXPECT = {
    "compact_strides": arrays.compact_strides,
    "broadcast_shapes": arrays.broadcast_shapes,
    "reshape": lambda case: arrays.expect_view(case, lambda x: x.reshape(case["to"])),
    "permute": lambda case: arrays.expect_view(case, lambda x: arrays.permuted(x, case["axes"])),
    "broadcast_to": lambda case: arrays.expect_view(case, lambda x: np.broadcast_to(x, case["to"])),
    "slice": arrays.expect_slice,
    "backward": graphs.backward,
    "sum_to": gradients.sum_to,
    "sum_gradient": gradients.sum_gradient,
    "matmul_gradient": gradients.matmul_gradient,
    "cross_entropy_gradient": gradients.cross_entropy,
    "logsumexp": gradients.logsumexp,
    "sgd": training.sgd,
    "train_epoch": training.train_epoch,
}

JUDGE = {"topological_order": graphs.judge_order}

# (relative, absolute); the others must agree to 1e-9 of the largest element.
TOLERANCE = {"train_epoch": (2e-3, 1e-4)}
