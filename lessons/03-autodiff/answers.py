"""Your answers to the checks of lesson 3: replace each `...`, then run ./course check 3."""

# (dy/da, dy/db) of y = a * a * b + b / a at a = 2, b = 3. By hand, in reverse mode.
partials = ...

# Forward mode: y = x * sin(x) at x = 2, whose slope is 1. The slope of y.
dual_slope = ...

# u = a * b, v = exp(u), w = u * v, y = w + b. In which order may backward visit the values?
# A string of the six letters a, b, u, v, w, y; several answers are right.
order = ...

# How many forward-mode passes give the whole Jacobian of a function of 3 inputs, 1000 outputs?
jacobian_passes = ...

# Y = A B with A of shape (4, 7) and B of shape (7, 5): (shape of dA, shape of dB).
vjp_shapes = ...

# A is all ones; dY holds 0, 1, ..., 19 in shape (4, 5). The element (0, 2) of dB.
weight_gradient = ...


def loss_gradient(logits, label):
    """d(cross entropy)/d(logits) of one row: logits a NumPy vector, perhaps large; label an int."""
    ...


def difference(f, x):
    """The slope of f at x, right to 1e-9, from a few values of f."""
    ...


# A chain of 144 operations is checkpointed in segments of equal length. With how many segments
# are the fewest values alive at the same time?
segments = ...

# f(x0, x1) = x0^2 x1 + x1^3 at (1, 2): its Hessian times (1, 1), as a tuple.
hessian_vector = ...
