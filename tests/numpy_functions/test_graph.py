"""The computation drawn: values and adjoints or tangents at each node, the order of the sweep, and the drawings."""

import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest

from gradest.graphs import Computation
from gradest.graphs.picture import HEIGHT, columns_of, places_of
from gradest_numpy.differentiation.graph import forward_graph, reverse_graph


def worked(leaves: Any, data: Any) -> Any:
    """F = x^2 (x + y), of the textbooks."""
    x, y = leaves
    return x**2 * (x + y)


AT = (np.array(2.0), np.array(3.0))


def table(graph: Computation) -> list[tuple[Any, ...]]:
    return [(n.name, n.parents, float(n.value), None if n.derivative is None else float(n.derivative), n.turn)
            for n in graph.nodes]  # fmt: skip


def test_the_worked_graph_in_reverse_mode() -> None:
    assert table(reverse_graph(worked, AT, None, names=("x", "y"))) == [
        ("x", (), 2.0, 24.0, 4),  # 2 x (x + y) + x^2
        ("y", (), 3.0, 4.0, 5),
        ("power(·, 2)", (0,), 4.0, 5.0, 3),
        ("add", (0, 1), 5.0, 4.0, 2),
        ("multiply", (2, 3), 20.0, 1.0, 1),
    ]


def test_the_worked_graph_in_forward_mode() -> None:
    graph = forward_graph(worked, AT, (np.array(1.0), np.array(0.0)), None, names=("x", "y"))
    assert table(graph) == [
        ("x", (), 2.0, 1.0, 1),
        ("y", (), 3.0, 0.0, 2),
        ("power(·, 2)", (0,), 4.0, 4.0, 3),
        ("add", (0, 1), 5.0, 1.0, 4),
        ("multiply", (2, 3), 20.0, 24.0, 5),
    ]


def network(leaves: Any, data: Any) -> Any:
    W, b = leaves
    hidden = np.tanh(data @ W + b)
    unused = np.exp(hidden)
    values, _ = np.linalg.eigh(hidden.T @ hidden)
    return np.sum(values) + np.sum(np.stack([hidden, hidden])) + 0 * unused.shape[0]


def test_a_network_with_a_step_of_several_results_and_one_not_used() -> None:
    leaves, data = (np.full((3, 2), 0.3), np.array([0.1, -0.2])), np.arange(12.0).reshape(4, 3) / 9
    direction = [np.ones_like(x) for x in leaves]
    for graph in (
        reverse_graph(network, leaves, data, names=("W", "b")),
        forward_graph(network, leaves, direction, data, names=("W", "b")),
    ):
        assert all(parent < k for k, node in enumerate(graph.nodes) for parent in node.parents)
        turns = [node.turn for node in graph.nodes if node.turn is not None]
        assert sorted(turns) == list(range(1, len(turns) + 1))
        unused = next(node for node in graph.nodes if node.name == "exp")
        assert (unused.derivative is None) == (graph.mode == "reverse")
        drawing = ElementTree.fromstring(graph.svg())
        boxes = drawing.findall("{http://www.w3.org/2000/svg}rect")
        assert len(boxes) == len(graph.nodes)
        corners = {(float(box.get("x", "")), float(box.get("y", ""))) for box in boxes}
        assert len(corners) == len(boxes)
        for x, y in corners:  # no two boxes of a column meet, and all are inside
            assert all(abs(y - other) >= HEIGHT for column, other in corners if column == x and other != y)
            assert 0 <= y <= float(drawing.get("height", "")) - HEIGHT
        assert graph.svg() in graph._repr_html_()


def test_an_arrow_across_a_column_has_a_place_of_its_own_there() -> None:
    graph = reverse_graph(
        lambda leaves, data: np.sin(np.cos(np.exp(leaves[0]))) + leaves[0], AT[:1], None, names=("x",)
    )
    places = places_of(graph.nodes)
    for column in range(1, 4):
        heights = [height for (_, c), height in places.items() if c == column]
        assert len(heights) == len(set(heights)) == 2


def looped(turns: int) -> Computation:
    """Return the graph of y <- y (a b) + exp(b), of which each turn makes two numbers of the inputs alone."""

    def loss(leaves: Any, data: Any) -> Any:
        y, a, b = leaves
        for _ in range(turns):
            y = y * (a * b) + np.exp(b)
        return y

    return reverse_graph(loss, (np.array(1.0), np.array(0.9), np.array(0.1)), None, names=("y", "a", "b"))


def test_the_drawing_of_a_loop_grows_as_its_turns_do() -> None:
    short, long = (len(looped(turns).svg()) for turns in (10, 40))
    assert long <= 4.2 * short  # a line for each use of a weight across all turns before makes it 7 times as long


def test_what_a_turn_makes_of_inputs_alone_stands_before_its_use_and_inputs_stand_first() -> None:
    nodes = looped(5).nodes
    columns = columns_of(nodes)
    for k, node in enumerate(nodes):
        assert all(columns[parent] < columns[k] for parent in node.parents)
        uses = [columns[j] for j, other in enumerate(nodes) if k in other.parents]
        assert columns[k] == (0 if not node.parents else min(uses, default=columns[k] + 1) - 1)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_the_language_of_graphviz(mode: str) -> None:
    if mode == "reverse":
        text = reverse_graph(worked, AT, None, names=("x", 'y"')).dot()
    else:
        text = forward_graph(worked, AT, AT, None, names=("x", 'y"')).dot()
    assert text.startswith("digraph")
    assert text.rstrip().endswith("}")
    assert text.count(" -> ") == 5
    assert 'y\\"' in text
    assert ("adjoint" if mode == "reverse" else "tangent") in text
