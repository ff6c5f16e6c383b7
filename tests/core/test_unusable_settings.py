"""What cannot be used is refused by gradest's own errors, which say what was asked, what was found and what to try."""

import io
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import theory
from gradest.curvature.products import Products
from gradest.errors import GradestError, InvalidInputError, InvalidTypeError, UnknownNameError
from gradest.real_numbers import real_number
from gradest.training import Budget, TrainingState
from gradest.whole_numbers import whole_number

X = np.array([1.0, 2.0])
COUNTS: dict[str, Callable[[Any], Any]] = {
    "relative_mse_linear": lambda n: theory.relative_mse_linear("normal", num_parameters=5, num_samples=n),
    "relative_mse_es": lambda n: theory.relative_mse_es(
        "normal", baseline="none", num_parameters=n, num_samples=3, sigma=0.1, model=theory.local_model(X, value=1.0)
    ),
    "evaluation_noise_mse": lambda n: theory.evaluation_noise_mse(
        "antithetic", num_parameters=5, num_samples=n, sigma=0.1, noise=0.1
    ),
    "predict_shaped": lambda n: theory.predict_shaped(
        "normal", shaping="z-score", baseline="none", num_parameters=5, num_samples=n
    ),
    "predict_pathwise": lambda n: theory.predict_pathwise(
        "normal", num_samples=n, sigma=0.1, model=theory.local_model(X, hessian=np.eye(2))
    ),
    "low_rank_bias": lambda n: theory.low_rank_bias(np.ones((1, 1, 1)), sigma=0.1, shape=(1, 1), rank=n),
    "unbiasedness_statistic": lambda n: theory.unbiasedness_statistic(
        [[1.0, 2.0]], target=X, distribution="normal", num_samples=n
    ),
    "estimator": lambda n: gradest.get_estimator("es", num_samples=n),
    "rank": lambda n: gradest.get_estimator("es-low-rank", rank=n),
    "replicates": lambda n: gradest.compare(gradest.get_problem("quadratic"), estimators=["reverse"], replicates=n),
}
REALS: dict[str, Callable[[Any], Any]] = {
    "sigma of a prediction": lambda x: theory.relative_mse_es(
        "normal", baseline="antithetic", num_parameters=5, num_samples=3, sigma=x
    ),
    "sigma of an estimator": lambda x: gradest.get_estimator("es", sigma=x),
    "sigma of a bias": lambda x: theory.gaussian_bias(np.ones((1, 1, 1)), x),
    "alpha": lambda x: theory.predict_guided(
        num_parameters=9, num_guides=2, num_samples=3, alpha=x, scale=1.0, share=0.5
    ),
    "false_alarm": lambda x: theory.relative_mse_bounds(30, num_samples=10, num_parameters=10, false_alarm=x),
    "probability": theory.normal_quantile,
    "degrees of freedom": lambda x: theory.chi2_cdf(1.0, degrees_of_freedom=x),
    "relative_mse": theory.approximate_cosine,
    "gradient norm": lambda x: theory.LocalModel(gradient_norm=x),
    "budget_seconds": lambda x: gradest.compare(
        gradest.get_problem("quadratic"), estimators=["reverse"], budget_seconds=x
    ),
}


@pytest.mark.parametrize("call", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize("wrong", [None, "abc", -1, 1.5, math.nan, True, [1, 2], X], ids=repr)
def test_what_is_no_count_is_refused(call: Callable[[Any], Any], wrong: Any) -> None:
    """Some were compared, multiplied or converted first, and came out as TypeError, ValueError or OverflowError."""
    with pytest.raises(GradestError, match="integer"):
        call(wrong)


@pytest.mark.parametrize("call", REALS.values(), ids=REALS)
@pytest.mark.parametrize("wrong", [None, "abc", -1.0, math.nan, math.inf, True, [1, 2], X], ids=repr)
def test_what_is_outside_its_range_is_refused(call: Callable[[Any], Any], wrong: Any) -> None:
    with pytest.raises(GradestError, match=r"number|norm"):
        call(wrong)


def test_counts_and_numbers_say_what_to_try() -> None:
    with pytest.raises(InvalidInputError, match=r"^rank must be a positive integer; found 0; try rank=1 or more$"):
        whole_number("rank", 0)
    with pytest.raises(InvalidInputError, match=r"^sigma must be a number in \(0, inf\); found 0; try sigma=0.1$"):
        real_number("sigma", 0, "(0, inf)", example=0.1)


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ("[0, 1)", [0, 0.5, np.float32(0.25)], [-1e-300, 1, math.nan]),
        ("(0, 1]", [1, 1e-300], [0, 1.5]),
        ("(-inf, inf)", [-1e308, 1e308], [math.inf, -math.inf, 10**400, True, 1j]),
    ],
)
def test_an_interval_has_the_ends_that_its_brackets_say(interval: str, inside: list[Any], outside: list[Any]) -> None:
    assert [real_number("x", x, interval, example=0.5) for x in inside] == inside
    for x in outside:
        with pytest.raises(InvalidInputError, match="x must be a number in"):
            real_number("x", x, interval, example=0.5)


@pytest.mark.parametrize("group", ["abc", "estimator", None, []])
def test_a_group_of_names_that_is_none_is_told_with_those_that_are(group: Any) -> None:
    with pytest.raises(UnknownNameError, match="nown: backends, estimators, problems"):
        gradest.names(group)


@pytest.mark.parametrize("law", [None, 3, ["normal"]])
def test_what_is_no_name_is_refused_where_a_name_is_asked_for(law: Any) -> None:
    with pytest.raises(UnknownNameError, match=f"a name is a string, not {type(law).__name__}; .*normal"):
        theory.excess(law)


@pytest.mark.parametrize("bound", [{"backend": 3}, {"backend": ["numpy"]}, {"device": 3}])
def test_a_backend_and_a_device_are_names(bound: Any) -> None:
    with pytest.raises(InvalidTypeError, match=r"numpy|device must be a name"):
        gradest.bind(gradest.get_problem("quadratic"), **bound)


@pytest.mark.parametrize("wrong", [{"estimators": 3}, {"progress": "abc"}])
def test_a_comparison_refuses_what_is_no_sequence_and_no_function(wrong: dict[str, Any]) -> None:
    options: dict[str, Any] = {"estimators": ["reverse"]} | wrong
    with pytest.raises(InvalidTypeError, match=r"found (int|str)"):
        gradest.compare(gradest.get_problem("quadratic"), **options)


@pytest.mark.parametrize("hessian", [np.eye(3), np.ones(2), np.ones((2, 2, 2)), 1.0])
def test_a_hessian_has_the_shape_of_its_gradient(hessian: Any) -> None:
    """One of other parameters was taken, and one of three axes predicted from its diagonal."""
    with pytest.raises(InvalidInputError, match=r"shape \(2, 2\).*found"):
        theory.local_model(X, hessian=hessian)


def test_a_product_says_the_shape_that_it_found() -> None:
    product = Products(gradest.bind(gradest.get_problem("quadratic", size=4)))
    with pytest.raises(InvalidInputError, match=r"shape \(4,\) was asked for; found \(3,\); flatten it"):
        product(np.ones(3))


def kept() -> dict[str, Any]:
    """Return the arrays of a state as bytes."""
    state = gradest.train(gradest.get_problem("quadratic", size=3), "reverse", budget=Budget(steps=2)).state
    with np.load(io.BytesIO(state.to_bytes())) as file:
        return {name: file[name] for name in file.files}


def written(arrays: dict[str, Any]) -> bytes:
    memory = io.BytesIO()
    np.savez(memory, **arrays)
    return memory.getvalue()


@pytest.mark.parametrize("damage", ["an array", "a field", "another field", "a cost", "a record", "nesting"])
def test_a_damaged_state_of_training_is_told(damage: str) -> None:
    """It was a KeyError, TypeError or ValueError, of what reads it."""
    arrays = kept()
    plain = json.loads(arrays.pop("plain").tobytes())
    assert TrainingState.from_bytes(written(kept())).step == 2
    if damage == "an array":
        arrays.pop("array0")
    elif damage == "a field":
        plain.pop("step")
    elif damage == "another field":
        plain.pop("weights")
    elif damage == "a cost":
        plain["cost"] = {"unheard": 1}
    elif damage == "a record":
        plain["records"] = [3]
    else:
        plain["params"] = {}
    content = written({"plain": np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8), **arrays})
    with pytest.raises(InvalidInputError, match="bytes of no such, or a damaged one; give a file"):
        TrainingState.from_bytes(content)


@pytest.mark.parametrize("content", [None, 3, "abc", b""])
def test_what_is_no_state_of_training_is_told(content: Any) -> None:
    with pytest.raises(InvalidInputError, match="of no such"):
        TrainingState.from_bytes(content)


def test_the_variation_of_a_squared_error_loses_nothing_to_many_samples() -> None:
    """Its moments cancelled: from a billion samples of one parameter on it was 0, negative, or any number."""
    for count in (10**6, 10**9, 10**12):
        found = theory.squared_error_variation(num_parameters=1, num_samples=count)
        assert found == pytest.approx(2.0 + 12.0 / count, rel=1e-12)
