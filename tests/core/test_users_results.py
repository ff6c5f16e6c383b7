"""What comes back to a user is of the parameters' own kind: structure, array type, dtype; advice leads somewhere."""

from typing import Any

import numpy as np
import pytest

import gradest

BLACK_BOX = ("es", "es-low-rank", "es-rank", "fd-central", "fd-forward", "spsa")


@pytest.mark.parametrize("method", BLACK_BOX)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loss_in_double_precision_changes_no_dtype(method: str, dtype: type[Any]) -> None:
    params = {"w": np.ones(3, dtype), "b": np.array(2.0, dtype)}
    rng = {} if method.startswith("fd") else {"rng": 0}
    prepared = gradest.get_estimator(method).prepare(
        gradest.bind(lambda p: float(np.sum(p["w"] ** 2) + p["b"] ** 2), params)
    )
    gradient = prepared(params, **rng).gradient
    assert {name: (type(g), g.dtype, g.shape) for name, g in gradient.items()} == {
        name: (np.ndarray, np.dtype(dtype), value.shape) for name, value in params.items()
    }
    prepared({name: params[name] - dtype(0.1) * g for name, g in gradient.items()}, **rng)  # a step of descent


@pytest.mark.parametrize("params", [2.0, [2.0], {"x": 2.0}], ids=["alone", "list", "dict"])
def test_a_number_of_python_s_is_a_parameter(params: Any) -> None:
    def only(tree: Any) -> Any:
        return tree["x"] if isinstance(tree, dict) else tree[0] if isinstance(tree, list) else tree

    def loss(tree: Any) -> Any:
        return only(tree) ** 2

    prepared = gradest.get_estimator("fd-central").prepare(gradest.bind(loss, params))
    for gradient in (prepared().gradient, prepared(params).gradient, gradest.grad(loss, method="fd-central")(params)):
        assert float(only(gradient)) == pytest.approx(4.0, rel=1e-6)


@pytest.mark.parametrize("method", ["reverse", "forward", "forward-gradient", "fd-exact"])
def test_what_an_opaque_loss_lacks_leads_to_what_serves_it(method: str) -> None:
    with pytest.raises(gradest.UnsupportedError, match="fd-central"):
        gradest.get_estimator(method)(lambda p: float(np.sum(p**2)), np.ones(2))


@pytest.mark.parametrize("method", ["reverse", "forward", "forward-gradient"])
def test_a_float_of_a_tensor_cannot_be_differentiated(method: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    with pytest.raises(gradest.InvalidInputError, match="not connected"):
        gradest.get_estimator(method)(lambda p: p.sum().item(), torch.ones(2))


def test_compare_says_what_it_takes() -> None:
    number: Any = 3.0
    with pytest.raises(gradest.InvalidTypeError, match="a Problem, an Objective or a function was asked for; found"):
        gradest.compare(number, estimators=["fd-central"])
    with pytest.raises(gradest.InvalidTypeError, match=r"write \['es'\]"):
        gradest.compare(gradest.get_problem("quadratic"), estimators="es")


def test_an_estimate_is_equal_to_itself_and_can_be_a_key() -> None:
    """To compare two ended in NumPy's error about the truth of arrays, and to keep one in a dict in that of a hash."""
    estimator = gradest.get_estimator("spsa")
    first, second = (estimator(lambda p: np.sum(p**2), np.ones(3), rng=0) for _ in range(2))
    assert first == first
    assert first != second
    assert {first: "kept"}[first] == "kept"
