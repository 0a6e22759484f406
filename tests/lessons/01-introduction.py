"""Right answers to the checks of lesson 1, and typical wrong ones."""

# ruff: noqa: ARG005

matmul_flops = 33_554_432
matmul_bytes = 8 * (16384 + 262144 + 65536)
fma_intensity = 0.125


def attainable(intensity, peak, bandwidth):
    return peak if intensity > peak / bandwidth else intensity * bandwidth


ridge_point = 8


def step_flops(parameters, tokens):
    return 6 * parameters * tokens


tokens_per_second = 100


def state_bytes(n):
    return 16 * n


WRONG = {
    "matmul_flops": [16_777_216, "33554432", 0, True, float("nan")],
    "matmul_bytes": [1_376_256, 8 * (16384 + 262144), 344_064],
    "fma_intensity": [2 / 24, 1 / 16, 8],
    "attainable": [lambda i, p, b: i * b, lambda i, p, b: p, lambda i, p, b: None, 3],
    "ridge_point": [0.125, 7200],
    "step_flops": [lambda n, t: 2 * n * t, lambda n, t: 6 * n],
    "tokens_per_second": [50, 200],
    "state_bytes": [lambda n: 12 * n, lambda n: 20 * n],
}
