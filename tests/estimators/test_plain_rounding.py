"""Differences that state no error say where they are mostly rounding, and nothing where they are not."""

import warnings
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.estimators import EvolutionStrategy

PLAIN = ["fd-central", "fd-forward", "fd-backward"]


def length_of_difference(found: Any, exact: Any) -> float:
    flat, right = (np.concatenate([np.ravel(leaf) for leaf in leaves]) for leaves in (found, exact))
    return float(np.linalg.norm(flat - right) / np.linalg.norm(right))


@pytest.mark.parametrize("method", PLAIN)
def test_a_network_that_computes_in_bfloat16_and_returns_float32(method: str) -> None:
    """Neither the dtype of the value nor its digits tell: the cross-entropy is computed in float32 after the layers."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'gradest[torch]'")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    x, y = torch.randn(16, 8), torch.randint(0, 3, (16,))

    def loss(model: Any, coarse: bool) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=coarse):
            return torch.nn.functional.cross_entropy(model(x), y)

    found = gradest.grad(loss, method=method)(network, True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exact = gradest.grad(loss, method=method)(network, False)
    assert length_of_difference(found.values(), exact.values()) < (0.05 if method == "fd-central" else 0.15)
    with warnings.catch_warnings(record=True) as caught:  # what near points show is less than what steps meet
        warnings.simplefilter("always")
        found = gradest.grad(loss, method=method, step="noise")(network, True)
    said = any("rounding or noise of the loss" in str(w.message) for w in caught)
    assert said or length_of_difference(found.values(), exact.values()) < 0.15


RNG = np.random.default_rng(0)
EXAMPLES, LABELS = RNG.normal(size=(16, 8)).astype(np.float32), RNG.integers(0, 3, 16)
WEIGHTS = {"W": RNG.normal(size=(8, 8)) / 3, "b": np.full(8, 0.01), "V": RNG.normal(size=(8, 3)) / 3}
NETWORK = {name: leaf.astype(np.float32) for name, leaf in WEIGHTS.items()}


def cross_entropy(p: Any, dtype: Any) -> Any:
    """The loss of a network whose layers compute in a dtype, in float32."""

    def cast(a: Any) -> Any:
        return a.astype(dtype)

    logits = (np.tanh(cast(EXAMPLES) @ cast(p["W"]) + cast(p["b"])) @ cast(p["V"])).astype(np.float32)
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(16), LABELS])


@pytest.mark.parametrize("method", [*PLAIN, "fd-five-point", "fd-richardson"])
@pytest.mark.filterwarnings("ignore::gradest.NoiseWarning", "ignore::gradest.StepWarning")  # of single entries
def test_steps_suit_a_network_that_computes_in_float16(method: str) -> None:
    """They were those of float32, for which what half precision does is all there is: off by 8 %, and by 300 %."""
    exact = gradest.grad(cross_entropy)(NETWORK, np.float32)
    found = gradest.grad(cross_entropy, method=method)(NETWORK, np.float16)
    assert length_of_difference(found.values(), exact.values()) < (0.06 if "ward" in method else 0.012)


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("sigma", [1e-5, 1e-4, 1e-1])
def test_an_evolution_strategy_says_where_rounding_inside_a_loss_spoils_it(sigma: float, antithetic: bool) -> None:
    estimator = EvolutionStrategy(
        num_samples=50, sigma=sigma, antithetic=antithetic, baseline="none" if antithetic else "value"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exact = estimator(lambda p: cross_entropy(p, np.float32), NETWORK, rng=0).gradient
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = estimator(lambda p: cross_entropy(p, np.float16), NETWORK, rng=0).gradient
    said = any("rounding inside the loss" in str(w.message) for w in caught)
    assert said == (length_of_difference(found.values(), exact.values()) > 0.1)
    assert said == (sigma < 1e-3)


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_said_is_about_what_is_lost(dtype: str, method: str) -> None:
    """A large constant takes the digits of a loss: from some size on the warning comes, and the error is a tenth."""
    x = np.random.default_rng(0).standard_normal(50).astype(dtype)
    exact, told = np.cos(x.astype(np.float64)), []
    for exponent in range(16):
        offset = np.asarray(10.0**exponent, dtype)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = gradest.grad(lambda p, offset=offset: np.sin(p).sum() + offset, method=method)(x)
        error = float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
        said = any(issubclass(w.category, gradest.NoiseWarning | gradest.FlatLossWarning) for w in caught)
        told.append(said)
        # The deviation is that of rounding to nearest; of one draw of fifty errors the length is within a third of it.
        assert said or error < 0.2, (exponent, error)
        assert not said or error > 0.05, (exponent, error)
    assert told[0] is False
    assert told[-1] is True


def test_a_step_that_was_chosen_too_short() -> None:
    with pytest.warns(gradest.NoiseWarning, match="rounding or noise"):
        gradest.grad(lambda p: np.sin(p).sum(), method="fd-central", step=1e-7)(np.ones(3, np.float32))


@pytest.mark.parametrize("budget", [1 << 28, 1])
@pytest.mark.parametrize(("sigma", "told"), [(1e8, False), (1e17, True), (1e150, True)])
def test_a_radius_at_which_the_loss_outgrows_its_differences(sigma: float, told: bool, budget: int) -> None:
    estimator = EvolutionStrategy(num_samples=4, sigma=sigma, memory_budget_bytes=budget)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator(lambda x: float(x @ x), np.arange(1.0, 5.0), rng=0)
    assert [w.category for w in caught] == [gradest.NoiseWarning] * told


def test_exact_differences_and_a_stationary_point_are_left_alone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradest.get_estimator("fd-exact", step=1e-30)(gradest.bind(gradest.get_problem("logsumexp")))
        gradest.grad(lambda p: ((p - 1) ** 2).sum(), method="fd-central")(np.ones(3))


def test_rounding_beside_a_zero_is_taken_for_no_bend() -> None:
    """A thousand polynomials that are rounded as their terms are, which near a zero are larger than their sum.

    The few values that tell rounding agree by chance now and then: steps became as short as rounding in 7 of 3,000.
    """
    generator, worst = np.random.default_rng(0), 0.0
    for k in range(1000):
        point = generator.uniform(-0.7, 0.7, 4).astype(np.float32).astype(np.float64)
        slope = float(k % 4)
        found = gradest.grad(lambda w, slope: w.sum() ** 2 + slope * w.sum(), method="fd-central")(point, slope)
        worst = max(worst, float(np.abs(found - (2 * point.sum() + slope)).max()))
    assert worst < 0.02
