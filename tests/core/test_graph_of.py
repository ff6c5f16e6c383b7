"""The computation of a loss seen: every value, adjoint and tangent of the textbook's graphs, on every backend."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

import gradest
from gradest.graphs import Computation
from gradest_bench.command.main import main

BACKENDS = ("numpy", "jax", "torch", "mxnet")
CUBIC = {"x": (2, 24), "y": (3, 4), "square": (4, 5), "sum": (5, 4), "product": (20, 1)}
"""F = x^2 (x + y) at (2, 3): value and adjoint of each step, by hand."""
CUBIC_FORWARD = {"x": (2, 1), "y": (3, 0), "square": (4, 4), "sum": (5, 1), "product": (20, 24)}
"""The same with tangents by x."""


def cubic(p: Any) -> Any:
    return p["x"] ** 2 * (p["x"] + p["y"])


def at(backend: str, **values: float) -> dict[str, Any]:
    home = gradest.get_backend(backend)
    with home.scope("float64") or pytest.MonkeyPatch.context():
        return {name: home.array(np.array(value), dtype="float64") for name, value in values.items()}


def pairs(found: Computation) -> list[tuple[float, float]]:
    return [(float(node.value), float(node.derivative)) for node in found.nodes if node.derivative is not None]


def require_sweep(found: Computation) -> None:
    """Each step stands after those it uses; the sweep reaches it after all that use it, or after all that it uses."""
    for k, node in enumerate(found.nodes):
        assert all(parent < k for parent in node.parents)
        for parent in (found.nodes[p] for p in node.parents):
            if node.turn is not None and parent.turn is not None:
                assert (node.turn < parent.turn) == (found.mode == "reverse")
    turns = sorted(node.turn for node in found.nodes if node.turn is not None)
    assert turns == list(range(1, len(turns) + 1))


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
@pytest.mark.parametrize(("mode", "expected"), [("reverse", CUBIC), ("forward", CUBIC_FORWARD)])
def test_a_function_of_each_framework_has_the_values_by_hand(backend: str, mode: str, expected: dict[str, Any]) -> None:
    found = gradest.graph(cubic, at(backend, x=2.0, y=3.0), mode=mode)
    assert found.mode == mode
    assert [node.name for node in found.nodes[:2]] == ["x", "y"]
    assert pairs(found) == [tuple(map(float, pair)) for pair in expected.values()]
    require_sweep(found)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "value", "gradient"), [("cubic-graph", 20.0, (24.0, 4.0)), ("log-graph", 21.693147180559947, (12.5, 10.0))]
)
def test_a_loss_in_operations_is_followed_on_every_backend(
    name: str, value: float, gradient: tuple[float, float], backend: str
) -> None:
    found = gradest.graph(gradest.get_problem(name), backend=backend)
    assert float(found.nodes[-1].value) == pytest.approx(value, rel=1e-15)
    assert [float(node.derivative) for node in found.nodes[:2] if node.derivative is not None] == pytest.approx(
        gradient, rel=1e-15
    )
    along = gradest.graph(gradest.get_problem(name), backend=backend, mode="forward", direction={"x": 0.0, "y": 1.0})
    assert along.nodes[-1].derivative == pytest.approx(gradient[1], rel=1e-15)
    require_sweep(found)
    require_sweep(along)


def network(backend: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    home = gradest.get_backend(backend)
    xp: Any
    relu: Any
    if backend == "jax":
        import jax

        xp, relu = jax.numpy, jax.nn.relu
    elif backend == "torch":
        import torch

        xp, relu = torch, torch.relu
    else:
        xp = np

        def relu(x: Any) -> Any:
            return np.maximum(x, 0.0)

    generator = np.random.default_rng(0)
    with home.scope("float64") or pytest.MonkeyPatch.context():
        params = {n: home.array(generator.standard_normal(s), dtype="float64") for n, s in (("w", (3, 4)), ("v", (4,)))}
        x = home.array(generator.standard_normal((5, 3)), dtype="float64")

    def loss(p: Any) -> Any:
        hidden = relu(x @ p["w"])
        return xp.exp(xp.tanh(hidden @ p["v"]).mean()) + (p["v"] * p["v"]).sum()

    return loss, params


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_the_inputs_of_a_network_have_the_gradient(backend: str) -> None:
    loss, params = network(backend)
    home = gradest.get_backend(backend)
    before = {name: home.numpy(leaf) for name, leaf in params.items()}
    found, gradient = gradest.graph(loss, params), gradest.grad(loss)(params)
    for node in found.nodes[:2]:
        assert node.derivative is not None
        np.testing.assert_allclose(node.derivative, home.numpy(gradient[node.name]), rtol=1e-12)
        np.testing.assert_array_equal(home.numpy(params[node.name]), before[node.name])
    direction = {name: home.array(np.ones(leaf.shape), dtype="float64") for name, leaf in before.items()}
    along = gradest.graph(loss, params, mode="forward", direction=direction).nodes[-1].derivative
    assert along == pytest.approx(sum(float(home.numpy(leaf).sum()) for leaf in gradient.values()), rel=1e-12)
    require_sweep(found)


def test_the_steps_of_a_module_are_the_same_in_both_modes() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
    model, x = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)), torch.ones(5, 3)
    reverse, forward = (gradest.graph(lambda m, x: m(x).square().mean(), model, x, mode=mode)
                        for mode in ("reverse", "forward"))  # fmt: skip
    assert [step.name for step in forward.nodes] == [step.name for step in reverse.nodes]


def test_a_module_with_dropout_draws_once_and_is_left_as_it_was() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
    x = torch.randn(5, 3)
    found = gradest.graph(lambda m, x: m(x).pow(2).mean(), model, x)
    assert "dropout" in [node.name for node in found.nodes]
    assert all(p.grad is None for p in model.parameters())
    assert all(p.requires_grad and p.is_leaf for p in model.parameters())


def test_a_step_that_is_written_over_is_refused() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")

    def loss(x: Any) -> Any:
        y = x * 2
        y.mul_(3)
        return y.sum()

    with pytest.raises(gradest.UnsupportedError, match="writes into a tensor by mul_"):
        gradest.graph(loss, torch.ones(2))


@pytest.mark.parametrize("backend", ["mxnet"])
def test_a_function_of_mxnet_is_refused_with_what_to_do(backend: str) -> None:
    with pytest.raises(gradest.UnsupportedError, match="gradest's operations"):
        gradest.graph(cubic, at(backend, x=2.0, y=3.0))


def test_a_loop_of_many_steps_is_drawn_up_to_a_bound() -> None:
    def recurrent(w: Any) -> Any:
        state = np.zeros(())
        for _ in range(50):
            state = np.tanh(w * state + 1.0)
        return state

    point = np.array(0.5)
    assert len(gradest.graph(recurrent, point).nodes) == 151
    with pytest.raises(gradest.InvalidInputError, match="the loss has 151"):
        gradest.graph(recurrent, point, max_nodes=100)


def test_drawings_are_well_formed_and_names_are_escaped() -> None:
    found = gradest.graph(lambda p: np.sum(p['<"a&b">']), {'<"a&b">': np.ones(2)})
    texts = [element.text for element in ElementTree.fromstring(found.svg()).iter() if element.text]
    assert '<"a&b">' in texts
    assert '\\"a&b\\"' in found.dot()
    assert found._repr_html_().count("<svg") == 1
    assert "adjoint" in str(found)


@pytest.mark.parametrize("mode", ["backward", "", None])
def test_another_mode_is_refused(mode: Any) -> None:
    with pytest.raises(gradest.InvalidInputError, match="mode must be one of"):
        gradest.graph(cubic, at("numpy", x=2.0, y=3.0), mode=mode)


CASE = """
import gradest
case = gradest.Case(lambda p: p["x"] ** 2 * (p["x"] + p["y"]), {"x": 2.0, "y": 3.0})
"""


def test_the_command_prints_a_table_or_draws(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(CASE, encoding="utf-8")

    def said(*arguments: object) -> Any:
        return CliRunner().invoke(main, ["graph", f"{file}:case", *map(str, arguments)])

    assert "adjoint" in said().stdout
    nodes = json.loads(said("--json", "--mode", "forward").stdout)["nodes"]
    assert [node["derivative"] for node in nodes] == [1.0, 0.0, 4.0, 1.0, 24.0]
    for ending, begins in ((".svg", "<svg"), (".dot", "digraph")):
        assert said("--out", tmp_path / f"g{ending}").exit_code == 0
        assert (tmp_path / f"g{ending}").read_text(encoding="utf-8").startswith(begins)
    refused = said("--out", tmp_path / "g.png")
    assert refused.exit_code == 2
    assert ".svg" in refused.output


def test_a_direction_of_another_form_is_told_as_one_and_reverse_mode_takes_none() -> None:
    point = {"x": np.ones(2), "y": np.ones(2)}

    def drawn(mode: str, direction: Any) -> Any:
        return gradest.graph(lambda p: np.sum(p["x"] * p["y"]), point, mode=mode, direction=direction)

    with pytest.raises(gradest.GradestError, match="a direction of the parameters' names, shapes and dtypes was asked"):
        drawn("forward", {"x": np.ones(2)})
    with pytest.raises(gradest.GradestError, match="a direction must be finite; 'y' has 1 of 2 entries"):
        drawn("forward", {"x": np.ones(2), "y": np.array([0.0, np.nan])})
    with pytest.raises(gradest.GradestError, match="which reverse mode has no use for; write mode='forward'"):
        drawn("reverse", point)
