"""Floating-point operations of a kernel: those instructions of the program that threads ran.

The simulator says how many threads ran each basic block; the disassembled block says which
instructions that were, and of which line. So the figure is exact for what g++ made of the source:
a multiplication and an addition are two operations, also where nvcc makes one FMA of them. What
lies inside of library functions (expf, sqrt of a double) is not counted.
"""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

INSTRUCTION = re.compile(r"^\s+([0-9a-f]+):\s+(\S+)\s*(.*)$")
LINE = re.compile(r"^(\S.*):(\d+)(?: \(discriminator \d+\))?$")
OPERATION = re.compile(r"^v?(?:add|sub|mul|div|sqrt|min|max)(s[sd]|p[sd])$")
TRACE = "__sanitizer_cov_trace_pc"
ENDS = {"ret", "jmp"}

Place = tuple[str, int]


def count(program: Path, basic_blocks: list[list[int]]) -> Counter[Place] | None:
    """Operations by (file, line) of blocks [address, threads]; None if objdump is not there."""
    objdump = shutil.which("objdump")
    if objdump is None:
        return None
    listing = subprocess.run(
        [objdump, "-d", "-l", "--no-show-raw-insn", str(program)],
        capture_output=True, text=True, errors="replace", check=False,
    ).stdout  # fmt: skip
    instructions = _parse(listing)
    position = {address: i for i, (address, *_) in enumerate(instructions)}
    total: Counter[Place] = Counter()
    for address, threads in basic_blocks:
        for place, flops in _block(instructions, position.get(address)).items():
            total[place] += flops * threads
    return total


def _parse(listing: str) -> list[tuple[int, str, str, Place]]:
    """(address, mnemonic, operands, place) of all instructions."""
    found = []
    place: Place = ("", 0)
    for text in listing.splitlines():
        if match := INSTRUCTION.match(text):
            found.append((int(match[1], 16), match[2], match[3], place))
        elif match := LINE.match(text):
            place = (match[1], int(match[2]))
    return found


def _block(instructions: list[tuple[int, str, str, Place]], start: int | None) -> Counter[Place]:
    """The operations from `start` to the next block; all of them run, or nearly always all."""
    total: Counter[Place] = Counter()
    if start is None:
        return total
    for _, name, operands, place in instructions[start:]:
        if TRACE in operands or name in ENDS:
            break
        if match := OPERATION.match(name):
            # A packed operation is counted as one: g++ -O1 makes none but to clear or negate.
            total[place] += match[1][0] == "s"
    return total
