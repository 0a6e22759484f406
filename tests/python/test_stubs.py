"""The type stubs are up to date, and everything public has a docstring and a readable signature."""

import importlib
import inspect
import subprocess
import sys

import pytest
from conftest import ROOT

import needle as ndl
from needle import _core, _stubs

MODULES = ["", ".autograd", ".cpu", ".cuda", ".data", ".ladder", ".nn", ".nn.init", ".nn.utils",
           ".optim", ".optim.lr_scheduler", ".text", ".transformer"]  # fmt: skip


STUBS = _stubs.generate()


@pytest.mark.parametrize("file", STUBS)
def test_stubs_are_what_the_generator_gives(file):
    stored = (_stubs.FOLDER / file).read_text(encoding="utf-8")
    assert stored == STUBS[file], "run: PYTHONPATH=python python -m needle._stubs"
    assert (_stubs.FOLDER / "py.typed").exists()


def test_stubs_name_everything_public():
    text = "".join(STUBS.values())
    for name in vars(_core):
        if not name.startswith("__"):
            assert f"def {name}(" in text or f"class {name}" in text or f"\n{name}: " in text, name
    for name in vars(ndl.Tensor):
        if not name.startswith("_"):
            assert f"def {name}(" in text, name


@pytest.mark.parametrize("module", MODULES)
def test_public_names_are_documented(module):
    m = importlib.import_module("needle" + module)
    assert len(m.__all__) == len(set(m.__all__))
    for name in m.__all__:
        value = getattr(m, name)
        if isinstance(value, ndl.DType) or inspect.ismodule(value):
            continue
        doc = inspect.getdoc(value) or ""
        assert len(doc) > 10, f"{module}.{name} has no docstring"
        if value is ndl.DType:  # its name and value are pybind11's
            continue
        if inspect.isclass(value):
            for member, function in vars(value).items():
                if not member.startswith("_") and (
                    callable(function) or isinstance(function, property)
                ):
                    assert inspect.getdoc(function), f"{module}.{name}.{member} has no docstring"
        else:
            assert "arg0" not in doc, f"{module}.{name}: an argument has no name"


def test_the_package_passes_a_type_checker():
    program = (
        "import needle as ndl\n"
        "x: ndl.Tensor = ndl.ones(2, 3, requires_grad=True)\n"
        "y: ndl.Tensor = (x @ x.transpose(0, 1)).softmax(-1).sum(axis=0) * 2\n"
        "n: int = y.ndim\n"
        "class M(ndl.nn.Module):\n"
        "    def forward(self, x: ndl.Tensor) -> ndl.Tensor:\n"
        "        return ndl.relu(x)\n"
        "o = ndl.optim.AdamW(M().parameters(), lr=1e-3)\n"
        "o.step()\n"
    )
    command = [sys.executable, "-m", "mypy", "--no-incremental", "--follow-imports=silent", "-c"]
    env = {"MYPYPATH": str(ROOT / "python"), "PATH": "/usr/bin:/bin"}
    good = subprocess.run([*command, program], capture_output=True, text=True, env=env, check=False)
    assert good.returncode == 0, good.stdout
    bad = program + "z: str = y.sum()\nndl.no_such_name\n"
    found = subprocess.run([*command, bad], capture_output=True, text=True, env=env, check=False)
    assert "Incompatible types" in found.stdout
    assert "no_such_name" in found.stdout
