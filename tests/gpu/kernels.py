"""The slots of device cuda against PyTorch, on one GPU: results, time, and fraction of a copy's.

Usage: kernels.py libneedle_slots.so [FILE.json]
"""

import sys

import ladders
import memory_bound
import products
import row_wise
import torch
from slots import Bench


def main() -> None:
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32
    bench = Bench(sys.argv[1])
    gpu = torch.cuda.get_device_name()
    print(f"{gpu}: copies move {bench.bandwidth / 1e9:.0f} GB/s; torch {torch.__version__}")
    for part in (*memory_bound.PARTS, *row_wise.PARTS, *products.PARTS, *ladders.PARTS):
        part(bench)
        torch.cuda.empty_cache()
    if len(sys.argv) > 2:
        bench.save(sys.argv[2])


if __name__ == "__main__":
    main()
