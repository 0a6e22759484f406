"""Your answers to the checks of lesson 4: replace each `...`, then run ./course check 4."""

# GFLOP/s that one core can do in float32: 2.5 GHz, vectors of 512 bits, two FMA units.
peak = ...


def chains(latency, per_cycle):
    """How many independent sums keep an adder busy: cycles for an addition, and begun per cycle."""
    ...


# Every fourth element of 2^20 float32 is added up, x[::4]. Bytes that the memory must deliver.
strided_bytes = ...


def tile_intensity(rows, columns):
    """FLOP per byte loaded by a register tile of C (rows, columns), float64."""
    ...


# 32 vector registers; a tile of R rows and 3 vectors, beside it the 3 vectors of B and one of A.
# The largest R:
tile_rows = ...

# y = (x - m) * s + t, where x, m, s and t are float32 arrays of the same large size. Bytes moved by
# three kernels over bytes moved by one:
fusion_ratio = ...


def online(numbers):
    """(largest, sum of exp(x - largest)) of an iterator that can be gone through only once."""
    ...


# A million numbers are added up in pairs, the pairs in pairs, and so on. How many additions does
# one of the numbers pass through at most?
additions = ...


def block_depth(cache_bytes, columns):
    """Rows of a packed float32 panel of so many columns that fill half of a cache."""
    ...


# A loop takes 0.5 ns an element. Starting a second thread costs 6 µs, after which both work at full
# speed. From how many elements on are two threads faster than one?
break_even = ...
