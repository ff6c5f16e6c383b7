"""The computation of a NumPy function, as a graph with values and adjoints, or tangents."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradest.graphs import Computation, Node
from gradest_numpy.differentiation.differentiate import Function, evaluate_forward, evaluate_reverse
from gradest_numpy.differentiation.reverse import Step
from gradest_numpy.differentiation.rules import Rule
from gradest_numpy.differentiation.traced import TracedArray, plain

LONGEST_NAME = 22
"""Characters of a call that fit into a box; of a longer one the function's name is written."""


def reverse_graph(function: Function, leaves: Sequence[Any], data: Any, *, names: Sequence[str]) -> Computation:
    """Return the graph of an evaluation with the adjoint of each node, in the order of the backward sweep.

    Parameters
    ----------
    function, leaves, data
        As for `value_and_gradient`.
    names
        What each leaf is called.
    """
    adjoints: dict[int, tuple[Any, int]] = {}

    def settled(step: Step, g: Any) -> None:
        adjoints[id(step.result)] = (g, len(adjoints) + 1)

    nodes, _, steps, _ = evaluate_reverse(function, leaves, data, settled=settled)
    drawn = _Drawn(nodes)
    for step in steps:
        drawn.add(step.rule, step.result, [link[0] for link in step.links], step.values, step.options)
    later = len(adjoints) + 1
    found = {id(node): (node.carried, later + k) for k, node in enumerate(nodes) if node.carried is not None}
    return drawn.computation("reverse", {**adjoints, **found}, names)


def forward_graph(
    function: Function, leaves: Sequence[Any], tangents: Sequence[Any], data: Any, *, names: Sequence[str]
) -> Computation:
    """Return the graph of an evaluation with the tangent of each node along one direction, in the order of the sweep.

    Parameters
    ----------
    tangents
        The direction, of the leaves' shapes.
    """
    made: list[tuple[Rule, Any, Any, Any]] = []
    nodes, _ = evaluate_forward(
        function, leaves, [np.asarray(t)[None] for t in tangents], data, made=lambda *call: made.append(call)
    )
    drawn = _Drawn(nodes)
    for rule, result, arrays, options in made:
        drawn.add(rule, result, [x for x in arrays if type(x) is TracedArray], arrays, options)
    found: dict[int, tuple[Any, int]] = {}
    for turn, (node, _, _) in enumerate(drawn.entries, start=1):
        parts = node if isinstance(node, tuple) else (node,)
        carried = [part.carried[0] for part in parts if type(part) is TracedArray]
        found[id(node)] = (carried if isinstance(node, tuple) else carried[0], turn)
    return drawn.computation("forward", found, names)


class _Drawn:
    """Collects nodes, and knows which node each traced array belongs to."""

    def __init__(self, leaves: Sequence[TracedArray]) -> None:
        self.entries: list[tuple[Any, str, tuple[int, ...]]] = []
        self._place: dict[int, int] = {}
        for leaf in leaves:
            self._enter(leaf, "", ())

    def add(self, rule: Rule, result: Any, parents: Sequence[Any], arrays: Sequence[Any], options: Any) -> None:
        """Enter a call; what it takes besides traced arrays stands in its name, where it is short."""
        name = rule.name.rpartition(".")[2]
        given = [str(x) if type(x) in (int, float) else "·" for x in arrays]
        given += [f"{key}={x}" for key, x in options.items() if type(x) in (int, float, str, tuple)]
        words = f"{name}({', '.join(given)})" if set(given) != {"·"} else name
        self._enter(result, words if len(words) <= LONGEST_NAME else name, tuple(self._place[id(x)] for x in parents))

    def _enter(self, result: Any, name: str, parents: tuple[int, ...]) -> None:
        for part in (result, *(result if isinstance(result, tuple) else ())):
            self._place[id(part)] = len(self.entries)
        self.entries.append((result, name, parents))

    def computation(self, mode: str, found: dict[int, tuple[Any, int]], names: Sequence[str]) -> Computation:
        nodes = []
        for k, (result, name, parents) in enumerate(self.entries):
            derivative, turn = found.get(id(result), (None, None))
            value = plain(result)
            several = isinstance(value, tuple)  # eigenvalues and eigenvectors: written as one, by the first
            nodes.append(
                Node(
                    names[k] if k < len(names) else name,
                    parents,
                    np.asarray(value[0] if several else value),
                    None if derivative is None else np.asarray(derivative[0] if several else derivative),
                    turn,
                )
            )
        return Computation(tuple(nodes), mode)
