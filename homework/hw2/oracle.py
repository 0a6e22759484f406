"""Homework 2, the part that knows what is right: cases, expectations, and limits of the counts.

It runs in the grader's process only; the form is that of Homework 1.
"""

from . import graphics, processor

CASES = {
    "adamw": processor.adamw_cases,
    "row_sum": processor.row_sum_cases,
    "tile": processor.tile_cases,
    "parallel": processor.parallel_cases,
    "copy": graphics.copy_cases,
    "argmax": graphics.argmax_cases,
    "matmul": graphics.matmul_cases,
    "transpose": graphics.transpose_cases,
    "softmax": graphics.softmax_cases,
}

EXPECT = {
    "adamw": processor.adamw,
    "row_sum": processor.row_sum,
    "tile": processor.product,
}

JUDGE = {
    "parallel": processor.judge_pieces,
    "copy": graphics.judge_copy,
    "argmax": graphics.judge_argmax,
    "matmul": graphics.judge_matmul,
    "transpose": graphics.judge_transpose,
    "softmax": graphics.judge_softmax,
}

# (relative, absolute); the others must agree to 1e-4 or, float64, 1e-9 of the largest element.
TOLERANCE = {"row_sum": (1e-5, 0.0)}
