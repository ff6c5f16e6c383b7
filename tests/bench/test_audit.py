"""The audit of other packages: each verdict by an estimator that is made to get it, and what is installed here."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gradest.estimators import EvolutionStrategy
from gradest.operations import NumpyArray
from gradest_bench.audit.adapter import Adapter, Claim, Request, losses
from gradest_bench.audit.adapters import adapters
from gradest_bench.audit.measure import Audit, audit
from gradest_bench.command.main import main

TESTS = 400
"""So many tests share the false-alarm probability of 1e-3: a right estimator fails here with one of 4e-5."""


def pairs(request: Request) -> NumpyArray:
    """Return antithetic evolution strategies, as a loop over pairs."""
    loss, generator, total = request.loss, np.random.default_rng([7, request.seed]), np.zeros(request.loss.point.size)
    for _ in range(request.samples):
        v = generator.standard_normal(total.size)
        ends = [float(loss.value(loss.point + sign * request.sigma * v, np.asarray)) for sign in (1, -1)]
        total += (ends[0] - ends[1]) / (2 * request.sigma) * v
    return total / request.samples


def times(factor: Callable[[Request], float], request: Request) -> NumpyArray:
    return factor(request) * pairs(request)


def moved(request: Request) -> NumpyArray:
    return pairs(request) + 0.5 * np.arange(request.loss.point.size)


def exact(request: Request, error: float = 0.0) -> NumpyArray:
    return request.loss.gradient * (1 + error)


def law(samples: int, sigma: float) -> EvolutionStrategy:
    return EvolutionStrategy(num_samples=samples, sigma=sigma)


def of(estimate: Callable[[Request], NumpyArray], claim: Claim = Claim.SMOOTHED, replicates: int = 300) -> Audit:
    adapter = Adapter("fake: it", ("no-such-distribution",), claim, "here", estimate, law)
    return audit(adapter, tests=TESTS, replicates=replicates)


def test_one_that_keeps_its_promise_is_right_and_has_theorys_error() -> None:
    found = of(pairs)
    assert found.verdict == "right", found.reason
    assert {each.loss.partition(",")[0] for each in found.findings} == {"linear", "quadratic", "cubic"}
    for each in found.findings:
        assert (each.predicted is None) == each.loss.startswith("cubic")
        if each.predicted is None:
            continue
        assert abs(each.relative_mse - each.predicted) < 6 * each.relative_mse_error
        assert abs(each.scale - 1) < 6 * each.scale_error


def wider(request: Request) -> NumpyArray:
    """Return estimates of a loss smoothed by one and a half sigma, right on every loss without third derivatives."""
    return pairs(replace(request, sigma=1.5 * request.sigma))


def by_signs(request: Request) -> NumpyArray:
    """Return estimates by random signs, of another kurtosis than the law that is promised."""
    loss, generator, total = request.loss, np.random.default_rng([9, request.seed]), np.zeros(request.loss.point.size)
    for _ in range(request.samples):
        v = generator.choice([-1.0, 1.0], total.size)
        ends = [float(loss.value(loss.point + sign * request.sigma * v, np.asarray)) for sign in (1, -1)]
        total += (ends[0] - ends[1]) / (2 * request.sigma) * v
    return total / request.samples


@pytest.mark.parametrize(("noise", "verdict"), [(1e-8, "right"), (1e-6, "right"), (1e-3, "biased"), (1.0, "biased")])
def test_an_exact_gradient_may_be_rounded_otherwise_at_each_call_and_no_more(noise: float, verdict: str) -> None:
    def rounded(request: Request) -> NumpyArray:
        generator = np.random.default_rng(request.seed)
        return exact(request) + noise * generator.uniform(-1, 1, request.loss.point.size)

    assert of(rounded, Claim.EXACT).verdict == verdict


@pytest.mark.parametrize("estimate", [wider, by_signs])
def test_another_law_than_promised_shows_on_cubic_losses_alone(estimate: Callable[[Request], NumpyArray]) -> None:
    found = of(estimate)
    assert found.verdict == "biased", found.reason
    assert "cubic" in found.reason
    level = np.log10(1e-3 / TESTS)
    assert all(each.log10_p > level for each in found.findings if not each.loss.startswith("cubic"))


@pytest.mark.parametrize(
    ("words", "factor"),
    [
        ("2", lambda request: 2.0),
        ("1/2", lambda request: 0.5),
        ("-1", lambda request: -1.0),
        ("sigma", lambda request: request.sigma),
        ("1 / sigma", lambda request: 1 / request.sigma),
        ("sigma^2", lambda request: request.sigma**2),
        ("N", lambda request: float(request.samples)),
        ("P", lambda request: float(request.loss.point.size)),
    ],
)
def test_a_wrong_length_is_told_with_its_factor(words: str, factor: Callable[[Request], float]) -> None:
    found = of(partial(times, factor))
    assert found.verdict == "another length", found.reason
    assert found.reason.endswith(f": {words}"), found.reason


def test_a_factor_without_a_name_has_none() -> None:
    found = of(partial(times, lambda request: 3.3))
    assert found.verdict == "another length"
    assert ":" not in found.reason


def test_a_bias_is_no_length() -> None:
    assert of(moved).verdict == "biased"


def test_a_direction_promises_no_length() -> None:
    found = of(partial(times, lambda request: 100.0), Claim.DIRECTION)
    assert found.verdict == "direction only"
    assert "cosine" in found.reason


def test_what_has_no_chance_in_it_is_held_to_rounding() -> None:
    assert of(exact, Claim.EXACT).verdict == "right"
    assert of(partial(exact, error=1e-3), Claim.EXACT).verdict == "another length"


def test_few_replicates_are_a_verdict() -> None:
    assert of(pairs, replicates=40).verdict == "too few replicates"


def noisy(request: Request) -> NumpyArray:
    generator = np.random.default_rng([8, request.seed])
    return pairs(request) + 60.0 * generator.standard_normal(request.loss.point.size)


def test_an_estimate_whose_length_is_hardly_known_is_not_called_right() -> None:
    assert of(noisy).verdict == "too few replicates"


def _absent(request: Request) -> NumpyArray:
    import no_such_package_of_an_audit  # type: ignore[import-not-found]

    return np.asarray(no_such_package_of_an_audit)


def _raising(request: Request) -> NumpyArray:
    raise ZeroDivisionError("their words")


def _wrong_shape(request: Request) -> NumpyArray:
    return np.zeros(3)


def test_what_cannot_be_asked_says_why() -> None:
    assert of(_absent).verdict == "not installed"
    assert "pip install no-such-distribution" in of(_absent).reason
    assert "ZeroDivisionError: their words" in of(_raising).reason
    assert of(_wrong_shape).verdict == "raised"


def test_the_gradient_of_the_losses_is_that_of_differences() -> None:
    for loss in losses():
        step = 1e-6 * np.eye(loss.point.size)
        found = [(loss.value(loss.point + h, np.asarray) - loss.value(loss.point - h, np.asarray)) / 2e-6 for h in step]
        assert np.allclose(found, loss.gradient, atol=1e-7)
        # The smoothed gradient, by a rule that is exact for polynomials of degree nine: five nodes along each axis.
        nodes, weights = np.polynomial.hermite_e.hermegauss(5)
        for k in range(loss.point.size):
            shifts = np.outer(0.5 * nodes, np.eye(loss.point.size)[k])
            along = sum(
                w * v * float(loss.value(loss.point + s, np.asarray))
                for w, v, s in zip(weights, nodes, shifts, strict=True)
            )
            mean = along / weights.sum() / 0.5
            assert np.isclose(mean, loss.smoothed(0.5, 3.0)[k], atol=1e-9)


def test_the_list_measures_nothing() -> None:
    found = CliRunner().invoke(main, ["audit", "scipy", "--list"])
    assert found.exit_code == 0
    assert "SciPy: optimize.approx_fprime  (scipy)" in found.output
    assert len(json.loads(CliRunner().invoke(main, ["audit", "--list", "--json"]).stdout)["adapters"]) >= 14


def test_scipys_differences_are_right() -> None:
    pytest.importorskip("scipy", reason="SciPy is not installed")
    (adapter,) = adapters(("scipy",))
    assert audit(adapter, tests=TESTS).verdict == "right"


def test_the_command_writes_what_it_prints(tmp_path: Path) -> None:
    found = CliRunner().invoke(main, ["audit", "scipy", "--out", str(tmp_path / "a.json"), "--json"])
    assert found.exit_code == 0, found.output
    printed, written = json.loads(found.stdout), json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert printed["audits"] == written["audits"]
    assert printed["audits"][0]["name"] == "SciPy: optimize.approx_fprime"
    unknown = CliRunner().invoke(main, ["audit", "sipy"])
    assert unknown.exit_code == 2
    assert "no adapter is named 'sipy'" in unknown.output


def test_every_adapter_says_what_is_promised_and_where() -> None:
    found = adapters()
    assert len({each.name for each in found}) == len(found) >= 14
    assert all(each.packages and each.reference for each in found)
