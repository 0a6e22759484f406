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

# --- the GPU half ---

# A block has 256 threads, and its kernel begins with `if (threadIdx.x < 100)`. The lanes of so many
# warps part there:
diverging = ...


def sectors(stride):
    """Sectors of 32 bytes that a warp's request x[stride * threadIdx.x] touches; x is aligned."""
    ...


def wavefronts(stride):
    """Wavefronts of a warp's request s[stride * threadIdx.x] to shared memory."""
    ...


# float a[16][64 + padding] is in shared memory, and lane e of a warp writes a[e % 16][e / 16]. The
# smallest padding, in words, with which that is one wavefront:
padding = ...

# Memory answers after 700 ns and delivers 3.35 TB/s. So many bytes must be under way:
under_way = ...

# Blocks of 256 threads with 96 registers each and 40 KiB of shared memory. So many are resident on
# one multiprocessor of the H100:
resident = ...


def tile_bytes(n, side):
    """Bytes of A and B read from global memory by a product (n, n) x (n, n), float32, by tiles of
    side x side results, where side divides n."""
    ...


# Tensor cores do 990 TFLOP/s with bfloat16, memory delivers 4.8 TB/s, and no cache helps. A square
# tile of results keeps them busy from this side on, if it is a power of two:
tensor_tile = ...
