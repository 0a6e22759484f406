"""Which folder may include which: the table of the design, checked on every #include."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SOURCES = {".h", ".cc", ".cu", ".cuh"}

# The op layer and all that lies below it.
OP = {"array", "backend/kernels", "backend", "autograd", "op"}
# Room -> rooms that it may include besides itself.
MAY_INCLUDE: dict[str, set[str]] = {
    "array": set(),
    "backend/kernels": {"array"},
    "backend": {"array", "backend/kernels", "backend/reference/table", "backend/cpu/table"},
    "backend/reference": {"array", "backend/kernels", "backend", "backend/reference/table"},
    "backend/cpu": {"array", "backend/kernels", "backend", "backend/cpu/table"},
    "backend/cpu/ladder": {"array", "backend/kernels", "backend", "backend/cpu"},
    "autograd": {"array", "backend/kernels", "backend"},
    "op": OP,
    "nn": OP,
    "optim": OP | {"nn"},
    "data": OP | {"nn", "optim"},
    "text": OP | {"nn", "optim", "data"},
    "transformer": OP | {"nn", "optim", "data", "text"},
    "serve": OP | {"nn", "optim", "data", "text", "transformer"},
    "serve/http": OP | {"nn", "optim", "data", "text", "transformer", "serve"},
    "python/bind": OP | {"nn", "optim", "data", "text", "transformer", "serve"},
}
# The header that names a backend's table: the registry may see it, nothing else of the backend.
TABLES = {
    "needle/backend/reference/reference.h": "backend/reference/table",
    "needle/backend/cpu/cpu.h": "backend/cpu/table",
}
# Libraries that belong to certain rooms; the first part of the name in <...>.
PACKAGES: dict[str, set[str]] = {
    "xtensor": {"backend/reference"},
    "xtl": {"backend/reference"},
    "xsimd": {"backend/cpu", "backend/cpu/ladder"},
    "immintrin.h": {"backend/cpu"},
    "oneapi": {"backend/cpu"},
    "httplib.h": {"serve/http"},
    "CLI": {"serve/http"},
    "nlohmann": {"text", "transformer", "serve", "serve/http"},
    "utf8proc.h": {"text"},
    "pybind11": {"python/bind"},
}
SYSTEM = re.compile(
    r"^((sys|netinet|arpa|linux|sanitizer)/\w+|fcntl|unistd|poll|pthread|strings|signal|dlfcn|sched|netdb|cpuid)\.h$"
)


def room_of(path: str) -> str:
    """The room of a file of the tree, by its path."""
    if path == "needle/backend/kernels.h":
        return "backend/kernels"
    if path in TABLES:
        return TABLES[path]
    if path.startswith("python/bind/"):
        return "python/bind"
    parts = Path(path).parts[1:-1]
    return next(
        ("/".join(parts[:n]) for n in (3, 2, 1) if "/".join(parts[:n]) in MAY_INCLUDE),
        "/".join(parts),
    )


def faults(path: str, text: str) -> list[str]:
    """What the includes of one file do that its room may not; one sentence each."""
    room = room_of(path)
    # The header of a table is part of its backend.
    room = room.removesuffix("/table")
    if room not in MAY_INCLUDE:
        return [f"{path}: the folder {room!r} is not in the table of rooms"]
    found = []
    for bracket, name in INCLUDE.findall(text):
        if bracket == '"':
            if not name.startswith("needle/") and room != "python/bind":
                found.append(f"{path}: write {name!r} from the top, as needle/...")
                continue
            target = room_of(name) if name.startswith("needle/") else room
            if target != room and target not in MAY_INCLUDE[room]:
                found.append(f"{path}: {room} may not include {name} of {target}")
        else:
            package = name.split("/")[0]
            if room not in PACKAGES.get(package, set()) and not _is_system(name):
                found.append(f"{path}: {room} may not include <{name}>")
    return found


def _is_system(name: str) -> bool:
    standard = "." not in name and "/" not in name
    return standard or bool(SYSTEM.match(name))


def files_of(room: str) -> list[Path]:
    """The C++ files that belong to a room."""
    every = [path for top in ("needle", "python/bind") for path in (ROOT / top).rglob("*")]
    return [
        path
        for path in every
        if path.suffix in SOURCES
        and room_of(str(path.relative_to(ROOT))).removesuffix("/table") == room
    ]


# Rooms of the design that have no file yet are free to come later.
ROOMS = [room for room in MAY_INCLUDE if files_of(room)]


def test_the_rooms_of_the_core_are_found() -> None:
    assert {"array", "backend/kernels", "backend/cpu", "autograd", "op", "serve/http"} <= set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_room_includes_only_what_it_may(room: str) -> None:
    found = [
        fault
        for file in files_of(room)
        for fault in faults(str(file.relative_to(ROOT)), file.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def test_every_folder_is_a_room() -> None:
    folders = {
        room_of(str(path.relative_to(ROOT))).removesuffix("/table")
        for path in (ROOT / "needle").rglob("*")
        if path.suffix in SOURCES
    }
    assert folders <= set(MAY_INCLUDE)


def test_rooms_have_no_cycle() -> None:
    done: set[str] = set()
    open_rooms = {room: needs - {room} for room, needs in MAY_INCLUDE.items()}
    # The registry and the backends know each other by the table headers alone.
    open_rooms["backend/reference"] -= {"backend"}
    open_rooms["backend/cpu"] -= {"backend"}
    tables = set(TABLES.values())
    while open_rooms:
        free = [room for room, needs in open_rooms.items() if needs <= done | tables | {room}]
        assert free, f"a cycle among {sorted(open_rooms)}"
        for room in free:
            done.add(room)
            del open_rooms[room]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("needle/array/shape.h", '#include "needle/op/op.h"'),
        ("needle/op/matmul.cc", '#include "needle/backend/cpu/gemm.h"'),
        ("needle/op/matmul.cc", '#include "needle/backend/cpu/cpu.h"'),
        ("needle/autograd/tensor.cc", '#  include "needle/nn/module.h"'),
        ("needle/op/add.cc", "#include <xtensor/xarray.hpp>"),
        ("needle/serve/engine.cc", "#include <httplib.h>"),
        ("needle/serve/engine.cc", '#include "needle/serve/http/server.h"'),
        ("needle/backend/cpu/gemm.cc", '#include "needle/backend/cpu/ladder/tile.h"'),
        ("needle/text/tokenizer.cc", '#include "needle/transformer/config.h"'),
        ("needle/nn/linear.cc", '#include "module.h"'),
        ("needle/somewhere/new.cc", ""),
    ],
)
def test_back_edges_are_found(path: str, line: str) -> None:
    assert faults(path, f"#include <vector>\n{line}\n")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("needle/backend/registry.cc", '#include "needle/backend/cpu/cpu.h"'),
        ("needle/backend/cpu/exp.cc", "#include <xsimd/xsimd.hpp>"),
        ("needle/backend/cpu/ladder/matmul_v7.cc", '#include "needle/backend/cpu/gemm.h"'),
        ("needle/serve/http/server.cc", "#include <httplib.h>"),
        ("needle/transformer/decoder.cc", '#include "needle/text/json.h"'),
        ("needle/op/matmul.cc", "#include <sys/mman.h>"),
    ],
)
def test_edges_downwards_are_allowed(path: str, line: str) -> None:
    assert not faults(path, line)
