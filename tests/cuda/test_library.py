"""libneedle_cuda.so as nvcc made it: for which GPUs, and what it says where there is none."""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

import needle as ndl
from course.paths import CUDA

LIBRARY = CUDA / "cuda/libneedle_cuda.so"
# cuobjdump, which starts nvdisasm: of the vendor's packages for Python.
TOOLS = next(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/*/bin/cuobjdump")).parent


def cuobjdump(*options: str, file: Path = LIBRARY, folder: Path | None = None) -> str:
    env = dict(os.environ, PATH=os.pathsep.join([str(TOOLS), os.environ["PATH"]]))
    command = [TOOLS / "cuobjdump", *options, file]
    return subprocess.run(
        command, env=env, cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def in_new_process(program: str) -> str:
    """What a process prints that loads this library, whatever else was built."""
    paths = [str(LIBRARY.parent), os.environ.get("LD_LIBRARY_PATH", "")]
    env = dict(os.environ, LD_LIBRARY_PATH=os.pathsep.join(paths))
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def stacks() -> Iterator[tuple[str, int]]:
    """(kernel, bytes of its stack for one thread), for every GPU."""
    name = ""
    for line in cuobjdump("--dump-resource-usage").splitlines():
        if found := re.search(r"Function (\S+):", line):
            name = found[1]
        if found := re.search(r"\bSTACK:(\d+)", line):
            yield name, int(found[1])


def test_it_has_code_for_each_gpu_and_for_later_ones() -> None:
    machines = set(re.findall(r"\.(sm_\w+)\.cubin", cuobjdump("--list-elf")))
    assert machines >= {"sm_80", "sm_90"}
    assert "sm_80.ptx" in cuobjdump("--list-ptx")


def test_sums_stay_in_registers() -> None:
    """Registers that do not suffice are kept in memory, on the stack of each thread."""
    found = list(stacks())
    wanted = "attention|matmul|gemm|wgmma|mma_|RowOfCluster"
    heavy = [(name, n) for name, n in found if re.search(wanted, name)]
    assert len(heavy) > 20
    assert [one for one in heavy if one[1] > 0] == []


def loops(sass: str) -> Iterator[list[str]]:
    """The instructions of every loop."""
    lines = [
        line for line in sass.splitlines() if re.match(r"\s+(/\*[0-9a-f]{4,}\*/|Function)", line)
    ]
    place: dict[int, int] = {}  # address of an instruction -> its line
    for i, line in enumerate(lines):
        if "Function" in line:
            place = {}
            continue
        address = re.search(r"/\*([0-9a-f]{4,})\*/", line)
        place[int(address[1], 16)] = i
        back = re.search(r"\bBRA\S* [^;]*?0x([0-9a-f]+)", line)
        if back and (first := place.get(int(back[1], 16), i)) < i:
            yield lines[first : i + 1]


def waits(loop: list[str]) -> int:
    """How many FFMA of a loop read two registers of one bank, odd or even, and wait a cycle.

    What the instruction before read at the same place and marked `reuse` is still at hand.
    """
    count, at_hand = 0, ["", "", ""]
    for line in loop:
        found = re.search(r"FFMA R\d+, ([^;]*) ;", line)
        operands = found[1].split(", ") if found else ["", "", ""]
        names = [operand.removesuffix(".reuse") for operand in operands]
        read = {new for new, old in zip(names, at_hand, strict=True) if found and new != old}
        count += len(read) > len({int(name[1:]) % 2 for name in read})
        at_hand = [name if name != x else "" for name, x in zip(names, operands, strict=True)]
    return count


def test_float32_products_seldom_wait_for_registers(tmp_path: Path) -> None:
    """The order of the multiply-adds is chosen for this (cuda/gemm/sgemm.cuh)."""
    cuobjdump("--extract-elf", "sm_90", folder=tmp_path)
    [file] = [path for path in tmp_path.iterdir() if b"sgemm_kernel" in path.read_bytes()]
    steps = [loop for loop in loops(cuobjdump("--dump-sass", file=file)) if len(loop) > 1000]
    assert len(steps) == 4  # how either operand lies
    for step in steps:
        assert sum("FFMA" in line for line in step) == 1024
        assert waits(step) < 128


def test_products_use_the_tensor_cores_of_sm_90_and_do_not_wait_for_memory_between(
    tmp_path: Path,
) -> None:
    """A fence of the GPU's memory in each step once cost a third of the speed."""
    # Taken out first: asked for one GPU of the library, cuobjdump reads the code for all.
    cuobjdump("--extract-elf", "sm_90a", folder=tmp_path)
    sass = "".join(cuobjdump("--dump-sass", file=path) for path in tmp_path.glob("*.cubin"))
    steps = [loop for loop in loops(sass) if any("HGMMA" in line for line in loop)]
    assert len(steps) >= 16
    shortest = min(len(step) for step in steps)
    assert not [
        line for step in steps if len(step) < 2 * shortest for line in step if "MEMBAR" in line
    ]


def loads_at_once(code: list[str]) -> int:
    """The most loads from global memory in a row of which none waits for one before it."""
    most, count, awaited = 0, 0, set[str]()
    for line in code:
        found = re.search(r"\*/\s+(?:@\S+ )?(\S+) ([^;]*) ;", line)
        if not found:
            continue
        op, operands = found.groups()
        first, _, rest = operands.partition(",")
        if awaited & set(re.findall(r"\bR\d+\b", operands if op.startswith("ST") else rest)):
            count, awaited = 0, set()
        if op.startswith("LDG"):
            registers = 4 if ".128" in op else 2 if ".64" in op else 1
            awaited |= {f"R{int(first[1:]) + i}" for i in range(registers)}
            count += 1
            most = max(most, count)
    return most


def test_conversions_ask_for_all_before_they_convert_one(tmp_path: Path) -> None:
    """One after the other, loads took half as long again (cuda/kernels/map.cuh)."""
    cuobjdump("--extract-elf", "sm_90", folder=tmp_path)
    [file] = [path for path in tmp_path.iterdir() if b"convert_kernel" in path.read_bytes()]
    name, kernels = "", dict[str, list[str]]()
    for line in cuobjdump("--dump-sass", file=file).splitlines():
        if found := re.search(r"Function : (\S+)", line):
            name = found[1]
        kernels.setdefault(name, []).append(line)
    checked = 0
    for name, code in kernels.items():
        # V elements a pack, so many packs a thread, operands of one axis or of several.
        if found := re.search(r"map_kernelILi[248]ELi(\d+)ELb[01]E.*Convert", name):
            assert loads_at_once(code) >= int(found[1]), name
            checked += 1
    assert checked >= 20


def test_blocks_that_share_a_row_do_not_wait_for_memory_to_tell_each_other(tmp_path: Path) -> None:
    """They write to each other without a fence, which would wait for the next row
    (cuda/kernels/cluster.cuh)."""
    cuobjdump("--extract-elf", "sm_90", folder=tmp_path)
    [file] = [path for path in tmp_path.iterdir() if b"RowOfCluster" in path.read_bytes()]
    kernels = cuobjdump("--dump-sass", file=file).split("Function : ")[1:]
    assert len(kernels) == 12  # norm_backward 4, softmax_backward 8
    for kernel in kernels:
        assert "RowOfCluster" in kernel
        assert "STAS" in kernel
        assert "MEMBAR" not in kernel


def test_without_a_driver_the_error_says_what_is_missing() -> None:
    if ndl.cuda.is_available():
        pytest.skip("there is a GPU")
    said = in_new_process(
        "import needle as ndl\n"
        "try: ndl.ones(2).to('cuda')\n"
        "except RuntimeError as e: print(e)\n"
        "print(ndl.ones(2).sum().item(), ndl.cuda.is_available())"
    )
    error, still_here = said.splitlines()
    assert re.match(r"device cuda: .*(driver|GPU).*cuda_sim", error), error
    assert still_here == "2.0 False"


def test_it_needs_no_library_of_cuda_to_be_loaded() -> None:
    """Only the driver, and that late: programs start on machines that have neither."""
    said = subprocess.run(["ldd", LIBRARY], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"libcud|libcublas|not found", said), said
