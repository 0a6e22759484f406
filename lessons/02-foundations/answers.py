"""Your answers to the checks of lesson 2: replace each `...`, then run ./course check 2.

Below, y is contiguous with shape (2, 3, 5), and z with shape (6, 8). Strides count elements.
"""

# The shape of (4, 1, 6) + (3, 1), as a tuple.
broadcast_shape = ...

# The strides of y with its axes in the order (2, 0, 1), as a tuple.
permuted_strides = ...

# The strides (a tuple) and the offset (a number) of z[::-2, 1::3].
sliced_strides = ...
sliced_offset = ...

# Views or copies? (z.reshape(48), z.T.reshape(48), z[:, ::2].reshape(24), z[2:4].reshape(16)):
# a tuple of four, True for a view.
views = ...

# Bytes of memory behind a float32 array of shape (64,) that is broadcast to (32, 128, 64).
broadcast_bytes = ...


def position(index, strides, offset):
    """The place in memory, in elements, of element `index` (a tuple, as long as strides)."""
    ...


def one_axis(shape, strides):
    """Whether an array with these two axes, both longer than 1, can be seen as one long axis."""
    ...


# The dtype of an int32 array times a float32 array, for example "int64".
promoted = ...


def careful_sum(x):
    """The sum of a float32 vector, good to 1e-6: in NumPy float32, without np.sum and float64."""
    ...
