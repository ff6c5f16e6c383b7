"""Whatever takes a seed or a generator takes the same ones, and refuses others in the same words."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import InvalidInputError, InvalidTypeError
from gradest.training import Budget

START = np.array([0.4, -1.2, 0.7])
X = np.arange(12.0).reshape(4, 3) / 10


def loss(p: Any) -> Any:
    return np.sum(np.sin(p) * p[::-1])


def examples(p: Any, x: Any) -> Any:
    return np.tanh(x @ p)


BY_RNG: dict[str, Callable[[Any], Any]] = {
    "es": lambda rng: gradest.grad(loss, method="es")(START, rng=rng),
    "fd of some coordinates": lambda rng: gradest.grad(loss, method="fd-central", coordinates=2)(START, rng=rng),
    "fd by noise": lambda rng: gradest.grad(loss, method="fd-central", step="noise")(START, rng=rng),
    "hessian_trace": lambda rng: gradest.hessian_trace(loss, START, num_samples=8, rng=rng).diagonal,
    "noise_scale": lambda rng: gradest.noise_scale(examples, START, X, num_samples=2, rng=rng).value,
}
BY_SEED: dict[str, Callable[[Any], Any]] = {
    "compare": lambda seed: gradest.compare(loss, START, estimators=["es"], seed=seed, budget_seconds=1e-3),
    "train": lambda seed: gradest.train(gradest.Case(loss, START), "es", budget=Budget(steps=1), seed=seed).params,
}


@pytest.mark.parametrize("name", BY_RNG)
def test_what_is_no_rng_is_refused_in_the_same_words(name: str) -> None:
    """Beside the estimators that draw directions these ended in NumPy's errors."""
    call = BY_RNG[name]
    for wrong in ("abc", 1.5, True, np.random.RandomState(0)):
        with pytest.raises(InvalidTypeError, match="rng must be a nonnegative integer"):
            call(wrong)
    with pytest.raises(InvalidInputError, match="must not be negative"):
        call(-1)
    found = call(3)
    assert np.array_equal(call(np.int64(3)), found)
    generator = np.random.default_rng(3)
    first, second = call(generator), call(generator)  # which moves on
    assert name == "fd by noise" or not np.array_equal(first, second)


@pytest.mark.parametrize("name", BY_SEED)
def test_what_is_no_seed_of_a_run_is_refused(name: str) -> None:
    call = BY_SEED[name]
    for wrong in ("abc", 1.5, None, [1, 2], np.random.default_rng(0), True):
        with pytest.raises(InvalidTypeError, match="seed must be a nonnegative integer"):
            call(wrong)
    with pytest.raises(InvalidInputError, match="try seed=1"):
        call(-1)
    if name == "train":
        assert np.array_equal(call(np.int64(3)), call(3))
    else:
        accuracies = [call(seed)[0].accuracy for seed in (np.int64(3), 3)]
        assert accuracies[0] == accuracies[1]


def test_a_check_takes_what_an_rng_is() -> None:
    with pytest.raises(InvalidTypeError, match="nonnegative integer"):
        gradest.check(loss, START, seed="abc")  # type: ignore[arg-type]  # on purpose


def test_numbers_of_numpy_count_samples_and_places() -> None:
    assert gradest.hessian_trace(loss, START, num_samples=np.int64(4)).num_samples == 4  # type: ignore[arg-type]
    found = gradest.grad(lambda x, p: np.sum(p * x), argnums=np.int64(1))(X[0], X[1])  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, X[0])


@pytest.mark.parametrize("scale", [2.0**660, 2.0**-660], ids=["large", "small"])
def test_scatter_whose_squares_are_out_of_range_is_told(scale: float) -> None:
    """The standard error of a trace near 1e-200 was 0; the noise scale near 1e200 was NaN."""
    usual = gradest.hessian_trace(loss, START, num_samples=8, rng=0)
    found = gradest.hessian_trace(lambda p: scale * loss(p), START, num_samples=8, rng=0)
    assert usual.trace_error > 0.0
    assert (found.trace / scale, found.trace_error / scale) == pytest.approx((usual.trace, usual.trace_error), rel=1e-9)
    np.testing.assert_allclose(found.diagonal_error / scale, usual.diagonal_error, rtol=1e-9)
    noise = gradest.noise_scale(lambda p, x: scale * examples(p, x), START, X)
    assert noise.value == pytest.approx(gradest.noise_scale(examples, START, X).value, rel=1e-9)
