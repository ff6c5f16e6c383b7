"""Stochastic verdicts keep their promise: calibrated estimators are rarely called wrong, wrong ones often.

Every rate is of a fixed seed; the bounds are binomial quantiles whose own false-alarm probability is stated.
"""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

import gradest
from gradest.measurement.accuracy import accuracy_of_replicates
from gradest.measurement.sign_test import least_p_value, sign_test
from gradest.problems.quadratic import Quadratic
from gradest.theory import predict_forward_gradient
from gradest_bench.command.main import main
from gradest_bench.results.scale_test import AGREES, TOO_FEW_SEEDS, WRONG, judge_scale
from gradest_bench.results.verdict import FALSE_WRONG
from gradest_bench.suite.scaling import scaled
from gradest_bench.suite.schema import parse_suite

CELLS, RUNS = 24, 40
TAIL = FALSE_WRONG / (2 * CELLS)
CHANCE = 1e-6
"""The probability that a bound below fails though the rate is as stated."""


def slopes(generator: np.random.Generator, num_samples: int, seeds: int) -> np.ndarray:
    """Return slopes of estimates from normal directions: means of squares."""
    return generator.chisquare(num_samples, seeds) / num_samples


def words(num_samples: int, seeds: int, *, known: bool, scale: float = 1.0, runs: int = RUNS) -> list[str]:
    generator = np.random.default_rng([num_samples, seeds, known])
    variation = math.sqrt(2 / num_samples) if known else None
    return [
        judge_scale(scale * slopes(generator, num_samples, seeds), variation=variation, tail=TAIL, slack=0.0)[0]
        for _ in range(CELLS * runs)
    ]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("num_samples", "seeds"), [(1, 16), (4, 2), (4, 8), (4, 16), (100, 2), (100, 8), (100, 16)])
def test_calibrated_estimators_are_rarely_called_wrong(num_samples: int, seeds: int, known: bool) -> None:
    wrong = words(num_samples, seeds, known=known).count(WRONG)
    assert wrong <= stats.binom.ppf(1 - CHANCE, CELLS * RUNS, FALSE_WRONG / CELLS)


def test_five_standard_errors_of_a_normal_would_be_rejected() -> None:
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(CELLS * RUNS):
        drawn = slopes(generator, 4, 4)
        wrong += abs(drawn.mean() - 1) > 5 * drawn.std(ddof=1) / math.sqrt(len(drawn))
    assert wrong > stats.binom.ppf(1 - CHANCE, CELLS * RUNS, FALSE_WRONG / CELLS)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("scale", [2.0, -1.0])
def test_wrong_scales_are_found_with_16_seeds(scale: float, known: bool) -> None:
    assert words(100, 16, known=known, scale=scale, runs=2).count(WRONG) >= 0.95 * CELLS * 2


@pytest.mark.parametrize(("num_samples", "seeds", "known"), [(1, 8, True), (4, 3, True), (100, 7, False)])
def test_too_few_seeds_is_a_verdict(num_samples: int, seeds: int, known: bool) -> None:
    assert set(words(num_samples, seeds, known=known, runs=1)) == {TOO_FEW_SEEDS}


def told(generator: np.random.Generator, seeds: int, *, known: bool) -> tuple[str, int]:
    """Return the verdict on slopes of two directions, and how many seeds its reason asks for; 0 where it asks none."""
    found, why = judge_scale(slopes(generator, 2, seeds), variation=1.0 if known else None, tail=TAIL, slack=0.0)
    asked = re.search(r"some (\d+) would tell", why)
    return found, int(asked[1]) if asked else 0


@pytest.mark.parametrize(("seeds", "known"), [(4, True), (10, False)])
def test_the_number_of_seeds_that_is_named_mostly_tells(seeds: int, known: bool) -> None:
    """Of 40 runs with that many seeds three in four and more are judged, with a third of them half at most."""
    generator = np.random.default_rng(6)
    asked = [needed for _ in range(40) for found, needed in [told(generator, seeds, known=known)] if needed]
    assert len(asked) > 20
    assert seeds < min(asked)
    enough, third = (
        [told(generator, int(np.median(asked) * share), known=known)[0] != TOO_FEW_SEEDS for _ in range(40)]
        for share in (1.0, 1 / 3)
    )
    assert np.mean(enough) >= 0.75
    assert np.mean(third) <= 0.5


def test_a_vanishing_estimate_is_never_right() -> None:
    generator = np.random.default_rng(1)
    for variation in (None, math.sqrt(2 / 100)):
        found = judge_scale(0.01 * generator.standard_normal(16), variation=variation, tail=TAIL, slack=0.0)[0]
        assert found in (WRONG, TOO_FEW_SEEDS)
    assert judge_scale(np.zeros(16), variation=None, tail=TAIL, slack=0.05)[0] == WRONG
    assert judge_scale(np.full(16, math.nan), variation=None, tail=TAIL, slack=0.05)[0] == WRONG
    assert judge_scale(1 + 1e-15 * generator.standard_normal(16), variation=None, tail=TAIL, slack=1e-8)[0] == AGREES


def estimates(seed: int, *, num_samples: int, beside: float, size: int = 20) -> tuple[list[np.ndarray], np.ndarray]:
    """Return 16 forward gradients of a target, moved across it by so many of its lengths."""
    generator = np.random.default_rng(seed)
    target, across = generator.standard_normal((2, size))
    across -= target * (across @ target) / (target @ target)
    across *= beside * np.linalg.norm(target) / np.linalg.norm(across)
    directions = generator.standard_normal((16, num_samples, size))
    return list(np.einsum("knp,kn->kp", directions, directions @ target) / num_samples + across), target


def test_a_bias_across_the_target_is_found_and_none_is_not() -> None:
    limit = FALSE_WRONG / CELLS
    p_values: dict[float, list[float]] = {0.0: [], 1.0: []}
    for beside, found in p_values.items():
        for k in range(40):
            p_value = accuracy_of_replicates(*estimates(k, num_samples=100, beside=beside)).bias_p_value
            assert p_value is not None
            found.append(p_value)
    assert sum(p <= limit for p in p_values[0.0]) <= stats.binom.ppf(1 - CHANCE, 40, limit)
    assert sum(p <= limit for p in p_values[1.0]) >= 38
    # under no bias p is nearly uniform: a test that answers 1 whatever it is given would not be
    assert stats.kstest(p_values[0.0], "uniform").pvalue > CHANCE
    assert min(p_values[0.0]) < 0.3


def test_sign_test_against_every_sign_vector() -> None:
    vectors = np.random.default_rng(2).standard_normal((6, 3)) + 0.5
    products = vectors @ vectors.T
    every = np.array(np.meshgrid(*[[-1.0, 1.0]] * 6)).reshape(6, -1).T
    sums = [float(np.sum((s @ vectors) ** 2) - np.trace(products)) for s in every]
    observed = float(products.sum() - np.trace(products))
    assert sign_test(products) == np.mean(np.array(sums) >= observed - 1e-9)
    assert sign_test(np.full((3, 3), math.nan)) != sign_test(np.full((3, 3), math.nan))
    many = np.ones((40, 40))
    assert sign_test(many) <= 2 * least_p_value(40)


@pytest.mark.parametrize("distribution", ["normal", "rademacher", "sphere", "orthogonal"])
def test_predicted_variation_of_the_slope_is_a_bound(distribution: str) -> None:
    problem = Quadratic(size=6)
    objective = gradest.bind(problem, backend="numpy", dtype="float64")
    estimator = gradest.get_estimator("forward-gradient", distribution=distribution, num_samples=3)
    prepared = estimator.prepare(objective)
    exact = problem.data()["H"] @ problem.parameters()["x"] - problem.data()["b"]
    found = np.array([prepared(rng=k).gradient["x"] @ exact / (exact @ exact) for k in range(400)])
    bound = predict_forward_gradient(distribution, num_parameters=6, num_samples=3).slope_variation
    assert bound is not None
    assert bound == pytest.approx(math.sqrt(2 / 3))
    assert found.std() <= bound * 1.25  # four standard errors of a spread of 400 squares
    assert predict_forward_gradient("uniform", num_parameters=6, num_samples=3).slope_variation is None


def test_budget_leaves_eight_seeds_or_what_the_suite_has() -> None:
    def seeds(count: int) -> int:
        suite = f'name = "s"\nseeds = {list(range(count))}\n[[grid]]\nbackends = ["numpy"]\n'
        suite += 'problems = [{ name = "quadratic" }]\nestimators = [{ name = "es" }]'
        return len(scaled(parse_suite(suite), 0.05).seeds)

    assert [seeds(count) for count in (64, 16, 8, 3, 1)] == [8, 8, 8, 3, 1]


@pytest.mark.parametrize(("expect", "code"), [("[]", 6), ('["wrong"]', 0), ('["crashed"]', 6)])
def test_a_wrong_estimate_fails_a_run_unless_expected(
    expect: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(
        f"""name = "s"\nmeasure = ["accuracy"]\n[[grid]]\nbackends = ["numpy"]\nexpect = {expect}
problems = [{{ name = "quadratic", fields = {{ size = 3 }} }}]
estimators = [{{ name = "support.bench_faults:Faulty", label = "double", fields = {{ fault = "double" }} }}]\n""",
        encoding="utf-8",
    )
    result = CliRunner().invoke(main, ["bench", "run", "s.toml", "--out", str(tmp_path / "run")])
    assert result.exit_code == code, result.output
    assert ("1 judged wrong" in result.output) is (code == 6)
