"""Homework 1, part B: cases and expectations for the walk through the graph, by PyTorch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

Case = dict[str, Any]


def graph_case(graph: list[list[int]], *roots: int) -> Case:
    """graph[i]: the inputs of node i, all smaller than i. Without roots, the last node is it."""
    return {"graph": graph, "roots": list(roots) or [len(graph) - 1]}


def topological_order_cases(rng: np.random.Generator) -> Iterator[Case]:
    """One root, then several; a ladder; a chain."""
    yield graph_case([[], [0]])
    yield graph_case([[], [0], [0, 1]])
    yield graph_case([[], [0], [0], [1, 2]])
    yield graph_case([[], [], [0, 1], [1, 0], [2, 3, 2]])
    yield graph_case([[], [0], [1], [2], [3, 0]])
    yield graph_case([[], [0], [0]], 1, 2)
    yield graph_case([[], [0]], 1, 1)
    yield graph_case([[], [0], [1]], 1, 2)
    yield graph_case([[], [0], [1], [0, 2]], 0, 2, 3)
    for _ in range(20):
        n = int(rng.integers(5, 40))
        graph: list[list[int]] = [[], []]
        for i in range(2, n):
            few = rng.integers(max(0, i - 6), i, int(rng.integers(1, 4)))
            graph.append([int(j) for j in few])
        some = rng.integers(0, n, int(rng.integers(0, 4)))
        yield graph_case(graph, *[int(i) for i in some])
    yield ladder(12)
    deep = 20_000  # more calls than the stack holds
    yield graph_case([[], *[[i] for i in range(deep)]])


def ladder(length: int) -> Case:
    """Diamonds in a row: the number of paths doubles with each."""
    graph: list[list[int]] = [[]]
    for _ in range(length):
        top = len(graph) - 1
        graph += [[top], [top], [top + 1, top + 2]]
    return graph_case(graph)


def judge_order(case: Case, got: list[np.ndarray]) -> str:
    """Every reachable node once, each before its inputs."""
    graph = case["graph"]
    reachable, stack = set(case["roots"]), list(case["roots"])
    while stack:
        for i in graph[stack.pop()]:
            if i not in reachable:
                reachable.add(i)
                stack.append(i)
    counts, places, distinct = got
    if len(counts) != len(reachable):
        return f"{len(counts)} nodes in the order, expected {len(reachable)}"
    if int(distinct) != len(counts):
        return "a node stands in the order twice"
    wanted = sorted(len(graph[i]) for i in reachable)
    if sorted(counts.tolist()) != wanted or len(places) != sum(wanted):
        return "the nodes in the order are not those of the graph"
    owners = np.repeat(np.arange(len(counts)), counts)
    if (places < 0).any():
        owner = int(owners[np.argmax(places < 0)])
        return f"an input of node {owner} of the order is not in the order"
    late = places <= owners
    if late.any():
        k = int(np.argmax(late))
        return f"node {int(owners[k])} of the order comes after its input, node {int(places[k])}"
    return ""


def backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Programs over leaves of one shape: values used once, several times, or not at all."""
    fixed: list[tuple[int, list[tuple[Any, ...]]]] = [
        (1, [("neg", 0)]),
        (2, [("mul", 0, 1)]),
        (1, [("square", 0)]),
        (1, [("same", 0), ("mul", 1, 0)]),
        (2, [("neg", 0), ("mul", 0, 2), ("add", 2, 3)]),
        (3, [("mul", 0, 1), ("neg", 0)]),
        (2, [("mul", 0, 1), ("square", 2), ("mul", 2, 3), ("sub", 4, 0)]),
    ]
    hows = [("backward", 1), ("backward", 2), ("hook", 1), ("grad", 1), ("second", 1)]
    for count, program in fixed:
        for how, times in hows:
            yield program_case(rng, count, program, how, times)
    for _ in range(24):
        count = int(rng.integers(1, 4))
        random_program: list[tuple[Any, ...]] = []
        for i in range(count, count + int(rng.integers(2, 9))):
            name = str(rng.choice(["neg", "square", "same", "add", "sub", "mul"]))
            operands = 1 if name in ("neg", "square", "same") else 2
            few = rng.integers(max(0, i - 4), i, operands)
            random_program.append((name, *[int(j) for j in few]))
        how, times = hows[int(rng.integers(0, len(hows)))]
        yield program_case(rng, count, random_program, how, times)


def program_case(
    rng: np.random.Generator, count: int, program: list[tuple[Any, ...]], how: str, times: int
) -> Case:
    """Leaves and an output gradient for a program; a used inner value is kept."""
    shape = (3,)
    if how == "second":  # make it depend on the first leaf, and not linearly
        last = count + len(program) - 1
        program = [*program, ("square", 0), ("mul", last, last + 1)]
    used = {i for _, *operands in program for i in operands}
    inner = range(count, count + len(program) - 1)
    keep = [i for i in inner if i in used and how != "second"][:1]
    values = [rng.uniform(0.5, 1.5, shape) for _ in range(count)]
    dy = rng.uniform(0.5, 1.5, shape)
    return {
        "leaves": values, "program": program, "keep": keep, "dy": dy, "how": how, "times": times,
    }  # fmt: skip


def or_nan(x: torch.Tensor | None) -> np.ndarray:
    """A gradient, or NaN where there is none."""
    return np.array(np.nan) if x is None else x.detach().numpy()


def torch_gradients(
    y: torch.Tensor, x: list[torch.Tensor], dy: np.ndarray, create_graph: bool = False
) -> tuple[torch.Tensor | None, ...]:
    """Gradients of y with respect to x; None where there is none.

    Without hooks and without grad_outputs, for which PyTorch loads modules for seconds.
    """
    total = (y * torch.tensor(dy)).sum()
    return torch.autograd.grad(total, x, create_graph=create_graph, allow_unused=True)


def backward(case: Case) -> list[np.ndarray]:
    """The same program in PyTorch."""
    leaves = [torch.tensor(x, requires_grad=True) for x in case["leaves"]]
    values, kept = list(leaves), []
    for name, *operands in case["program"]:
        x = [values[i] for i in operands]
        one = {"neg": lambda x: -x, "square": lambda x: x * x, "same": lambda x: x + x}
        two = {"add": torch.add, "sub": torch.sub, "mul": torch.mul}
        values.append(one[name](x[0]) if name in one else two[name](*x))
        if len(values) - 1 in case["keep"]:
            kept.append(values[-1])
            if case["how"] == "hook":  # the same value, and twice the gradient
                values[-1] = 2 * values[-1] - values[-1].detach()
    y, dy = values[-1], case["dy"]
    if case["how"] == "second":
        (first,) = torch_gradients(y, [leaves[0]], dy, create_graph=True)
        y, kept = first * first, []
    found = [or_nan(g) for g in torch_gradients(y, leaves + kept, dy)]
    match case["how"]:
        case "grad":
            return found + [np.array(np.nan)] * len(leaves)
        case "second":
            return found
        case _:
            return [g * case["times"] for g in found] + [np.array(1)]
