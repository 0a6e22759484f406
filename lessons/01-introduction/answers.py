"""Your answers to the checks of lesson 1: replace each `...`, then run ./course check 1."""

# FLOPs of a (64, 256) times a (256, 1024) matrix.
matmul_flops = ...

# The fewest bytes that this product moves to and from memory, if all three matrices are float64.
matmul_bytes = ...

# FLOP per byte of d = a * b + c, elementwise, float32, in one pass.
fma_intensity = ...


def attainable(intensity, peak, bandwidth):
    """FLOP/s that the roofline allows, from FLOP/byte, FLOP/s and bytes/s."""
    ...


# The ridge point, in FLOP/byte, of a machine with 240 GFLOP/s and 30 GB/s.
ridge_point = ...


def step_flops(parameters, tokens):
    """FLOPs of one training step of a decoder, without the attention scores."""
    ...


# One user, 300 million weights in bfloat16, a memory of 60 GB/s. Every weight is read once for
# every token. At most so many tokens a second:
tokens_per_second = ...


def state_bytes(n):
    """Bytes kept for n parameters: weights, gradients (bfloat16); a copy, 2 moments (float32)."""
    ...
