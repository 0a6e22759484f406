"""More cases; the expectations are those of oracle.py."""


def strides_cases(rng):
    yield {"shape": [int(n) for n in rng.integers(2, 7, 5)]}


CASES = {"strides": strides_cases}
