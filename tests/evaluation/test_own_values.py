"""What users bring and what they return: writes that no counter sees, rounded values, arrays that are not plain."""

from typing import Any

import numpy as np
import pytest

import gradest


def masked(values: list[float]) -> Any:
    ma: Any = np.ma  # which has no annotations
    return ma.array(values, mask=[False, True])


def torch_() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")


@pytest.mark.parametrize("method", ["reverse", "fd-central", "es"])
@pytest.mark.parametrize("way", ["data", "no_grad", "numpy"])
def test_writing_into_parameters_past_the_graph_is_refused(method: str, way: str) -> None:
    torch = torch_()

    def loss(p: Any) -> Any:
        if way == "data":
            p.data.mul_(2)
        elif way == "no_grad":
            with torch.no_grad():
                p.mul_(2)
        else:
            p.detach().numpy()[...] *= 2
        return (p * p).sum()

    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    with pytest.raises(gradest.InvalidInputError, match="writes into its parameters"):
        gradest.grad(loss, method=method)(x, rng=0)
    assert x.tolist() == [1.0, 2.0]


def test_a_module_whose_weights_its_loss_scales_is_refused_and_keeps_them() -> None:
    torch = torch_()
    model, x = torch.nn.Linear(2, 1), torch.ones(1, 2)
    before = [p.detach().clone() for p in model.parameters()]

    def loss(model: Any, x: Any) -> Any:
        with torch.no_grad():
            model.weight.mul_(0.5)
        return model(x).sum()

    with pytest.raises(gradest.InvalidInputError, match="writes into its parameters"):
        gradest.grad(loss, method="reverse")(model, x)
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("places", [3, 4, 6])
@pytest.mark.parametrize("method", ["fd-forward", "fd-central", "fd-five-point"])
def test_steps_suit_a_value_that_is_rounded_to_decimal_places(method: str, places: int) -> None:
    """Steps for double precision gave [0, 0], or [0, 3.6], without a word."""
    x = np.array([1 / 3, 2.0])
    found = gradest.grad(lambda p: round(float((p**2).sum()), places), method=method)(x)
    # The error of a one-sided quotient whose step balances rounding and bending: a few roots of the rounding.
    allowed = 4 * (10.0**-places) ** (1 / 2 if method == "fd-forward" else 2 / 3)
    np.testing.assert_allclose(found, 2 * x, atol=allowed)


@pytest.mark.parametrize("value", [np.array(None), np.array("0.5"), np.array("2026-01-01", "datetime64[D]")])
@pytest.mark.parametrize("method", ["fd-central", "es", "reverse", "complex-step"])
def test_an_array_of_what_is_no_number_is_refused(value: Any, method: str) -> None:
    with pytest.raises(gradest.InvalidInputError, match=r"found an array of dtype (object|<U3|datetime64)"):
        gradest.grad(lambda p: value, method=method)(np.ones(2), rng=0)


@pytest.mark.parametrize("method", ["fd-central", "complex-step", "spsa"])
def test_a_masked_argument_keeps_its_mask(method: str) -> None:
    data = masked([1.0, 100.0])
    estimator = gradest.get_estimator(method, **({"num_samples": 400} if method == "spsa" else {}))
    found = estimator(lambda p, x: (p * x).sum(), np.ones(2), data, rng=0).gradient
    # spsa of 400 pairs, one slope that is not zero: the second entry is a mean of 400 signs, below 0.25 but for 6e-7.
    np.testing.assert_allclose(found, [1.0, 0.0], atol=0.25 if method == "spsa" else 1e-9)


@pytest.mark.parametrize("method", ["reverse", "forward"])
def test_a_masked_argument_is_refused_where_rules_would_lose_the_mask(method: str) -> None:
    data = masked([1.0, 100.0])
    with pytest.raises(gradest.UnsupportedError, match=r"MaskedArray.*weights of 0 and 1"):
        gradest.grad(lambda p, x: (p * x).sum(), method=method)(np.ones(2), data)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_masked_argument_is_refused_by_frameworks_that_know_none(backend: str) -> None:
    framework = gradest.get_backend(backend)
    data = masked([1.0, 100.0])
    with pytest.raises(gradest.InvalidTypeError, match=r"MaskedArray; pass np\.asarray"):
        gradest.grad(lambda p, x: (p * x).sum(), method="es", backend=framework)(np.ones(2, np.float32), data, rng=0)


@pytest.mark.parametrize(
    "params",
    [masked([1.0, 2.0]), np.rec.array([(1.0, 2.0)], dtype=[("a", float), ("b", float)])],
)
def test_parameters_that_are_no_plain_arrays_are_refused(params: Any) -> None:
    with pytest.raises(gradest.InvalidTypeError, match="parameter 'params' must be"):
        gradest.grad(np.sum, method="fd-central")(params)


def test_the_complex_step_in_extended_precision_has_a_step_that_is_not_zero() -> None:
    x = np.array([1.0, 2.0], dtype=np.longdouble)
    found = gradest.grad(lambda p: (p * p).sum() + np.exp(p).sum(), method="complex-step")(x)
    assert found.dtype == np.longdouble
    np.testing.assert_allclose((found - 2 * x - np.exp(x)).astype(float), 0.0, atol=8 * float(np.finfo(x.dtype).eps))


@pytest.mark.parametrize("method", ["reverse", "fd-central", "es"])
@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_prepared_estimator_refuses_arrays_that_are_not_plain(method: str, backend: str) -> None:
    """One estimator went by the values alone and another by the mask, without a word: [2, 4] beside [2, 0]."""
    x = np.array([1.0, 2.0])
    prepared = gradest.get_estimator(method).prepare(gradest.bind(lambda p: (p * p).sum(), x, backend=backend))
    with pytest.raises(gradest.InvalidTypeError, match="must be a plain array; found MaskedArray"):
        prepared(masked([1.0, 2.0]), rng=0)
    assert prepared(x, rng=0).gradient.shape == (2,)


@pytest.mark.parametrize("along", [gradest.hvp, gradest.directional_derivative])
def test_a_direction_that_is_masked_is_refused(along: Any) -> None:
    x = np.array([1.0, 2.0])
    with pytest.raises(gradest.InvalidTypeError, match="must be a plain array; found MaskedArray"):
        along(lambda p: (p * p).sum(), x, masked([1.0, 1.0]))
