"""Right answers to the checks of lesson 3, and typical wrong ones."""

# ruff: noqa: ARG005

import numpy as np

partials = (11.25, 4.5)
dual_slope = float(np.sin(2) + 2 * np.cos(2))
order = "ywvuba"
jacobian_passes = 3
vjp_shapes = ((4, 7), (7, 5))
weight_gradient = 2 + 7 + 12 + 17


def loss_gradient(logits, label):
    probability = np.exp(logits - logits.max())
    probability /= probability.sum()
    probability[label] -= 1
    return probability


def difference(f, x):
    h = 1e-5
    return (f(x + h) - f(x - h)) / (2 * h)


segments = 12
hessian_vector = (6.0, 14.0)


def unstable(logits, label):
    with np.errstate(all="ignore"):
        p = np.exp(logits) / np.exp(logits).sum()
    p[label] -= 1
    return p


WRONG = {
    "partials": [(12, 4.5), (12.75, 4.5), 11.25, (11.25,), "11.25"],
    "dual_slope": [float(np.sin(2)), float(2 * np.cos(2))],
    "order": ["abuvwy", "ybwvua", "ywuvab", "ywvu", 3],
    "jacobian_passes": [1000, 1, 3000, "x"],
    "vjp_shapes": [((7, 4), (5, 7)), ((4, 5), (4, 5)), None],
    "weight_gradient": [2, 38 / 4, 0],
    "loss_gradient": [
        unstable,
        lambda x, t: -loss_gradient(x, t),
        lambda x, t: np.zeros(3),
        lambda x, t: None,
    ],
    "difference": [
        lambda f, x: (f(x + 1e-5) - f(x)) / 1e-5,
        lambda f, x: (f(x + 1e-12) - f(x - 1e-12)) / 2e-12,
        lambda f, x: None,
    ],
    "segments": [1, 144, 24],
    "hessian_vector": [(4, 2), (4, 13), 6],
}
