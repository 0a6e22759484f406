"""Pictures of computation graphs (lesson 3)."""

import html
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ._core import Node, Tensor, topological_order

__all__ = ["Drawing", "draw"]


class Drawing:
    """A graph as text for Graphviz (`.dot`) and as a picture (`.svg`); notebooks show it."""

    def __init__(self, dot: str, svg: str) -> None:
        self.dot, self.svg = dot, svg

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> None:
        """Writes the SVG to a file."""
        Path(path).write_text(self.svg, encoding="utf-8")


def _label(node: Node) -> str:
    shape = html.escape(str(node.shape))
    dtype = str(node.dtype).removeprefix("needle.")
    return f"<<b>{html.escape(node.name)}</b><br/>{shape} {dtype}>"


def _dot(order: Sequence[Node]) -> str:
    """The graph in Graphviz's language. Edges run as the values do, from inputs to results."""
    number = {node: i for i, node in enumerate(order)}
    lines = ["digraph {", '  rankdir="TB"; node [shape=box, style=filled, fontname="Helvetica"]']
    for node, i in number.items():
        color = "white" if node.inputs else "lightblue"
        lines.append(f'  n{i} [label={_label(node)}, fillcolor="{color}"]')
        for position, source in enumerate(node.inputs):
            if source is None:  # a value without gradient: a small dot
                lines.append(f"  c{i}_{position} [shape=point]; c{i}_{position} -> n{i}")
            else:
                lines.append(f"  n{number[source]} -> n{i}")
    return "\n".join([*lines, "}"]) + "\n"


def draw(tensor: Tensor) -> Drawing:
    """The computation graph behind a tensor: operations with the shapes they made, leaves in blue.

    A small dot is an input that needs no gradient. RuntimeError if the tensor has no graph, or if
    Graphviz's program `dot` is missing.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"draw: expected a Tensor, got {type(tensor).__name__}")
    if not tensor.requires_grad:
        raise RuntimeError("draw: this tensor needs no gradient, so it has no graph")
    dot = _dot(topological_order(tensor))
    program = shutil.which("dot")
    if program is None:
        raise RuntimeError(
            "draw: the program 'dot' is missing; install Graphviz "
            "(on Debian and Ubuntu: sudo apt install graphviz)"
        )
    result = subprocess.run([program, "-Tsvg"], input=dot, capture_output=True, text=True,
                            check=False)  # fmt: skip
    if result.returncode != 0:
        raise RuntimeError(f"draw: dot failed: {result.stderr.strip()}")
    return Drawing(dot, result.stdout[result.stdout.index("<svg") :])
