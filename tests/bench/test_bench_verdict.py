"""What is judged of accuracy: wrong scales and signs are caught, and theory stands beside the measurement."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from support.bench_runs import run_suite

import gradest
from gradest import get_problem
from gradest.measurement.smoothed import smoothed_reference
from gradest.problems.quadratic import Quadratic
from gradest_bench.results.loading import flat_row
from gradest_bench.results.records import Record
from gradest_bench.results.verdict import AGREES, UNJUDGED, WRONG, verdict, verdicts
from gradest_bench.worker.identity import matrix_product_flops

SUITE = """
name = "stochastic"
measure = ["accuracy"]
seeds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
[[grid]]
backends = ["numpy"]
problems = [{ name = "quadratic", label = "quadratic", fields = { size = 8 } }]
estimators = [
    { name = "support.bench_faults:ScaledES", label = "{factor}", fields = { num_samples = 200 }, vary = { factor = [1.0, 0.5, 2.0, -1.0, 100.0] } },
    { name = "es-rank", label = "rank" },
    { name = "forward-gradient", label = "forward gradient" },
    { name = "forward-gradient", label = "forward gradient, N = 8", fields = { num_samples = 8 } },
    { name = "fd-forward", label = "absurd step", fields = { step = 3.0 } },
    { name = "forward-gradient", label = "{distribution}, N = P", fields = { num_samples = 8 }, vary = { distribution = ["coordinates-without-replacement", "orthogonal"] } },
    { name = "es", label = "es, orthogonal, N = P", fields = { num_samples = 8, distribution = "orthogonal" } },
]
"""  # noqa: E501 - TOML keeps an inline table on one line


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        return run_suite(SUITE, tmp_path_factory.mktemp("stochastic"))


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("1", AGREES),
        ("0.5", WRONG),
        ("2", WRONG),
        ("-1", WRONG),
        ("100", WRONG),
        ("rank", UNJUDGED),
        ("forward gradient", AGREES),
        ("forward gradient, N = 8", AGREES),
        ("absurd step", WRONG),
        # all of the gradient, in random order: rounding has one sign for all seeds, and is no bias
        ("coordinates-without-replacement, N = P", AGREES),
        ("orthogonal, N = P", AGREES),
        ("es, orthogonal, N = P", AGREES),
    ],
)
def test_verdict(label: str, expected: str, records: dict[str, Record]) -> None:
    found, reason = verdicts(records.values())[records[label].key]
    assert found == expected, reason
    assert bool(reason) == (expected == WRONG)


def test_prediction_stands_beside_the_measurement(records: dict[str, Record]) -> None:
    accuracy = records["1"].accuracy
    assert accuracy["predicted"]["relative_mse"] == pytest.approx((8 + 1) / 200)
    assert accuracy["replicates"]["relative_mse"] == pytest.approx((8 + 1) / 200, rel=0.5)
    assert accuracy["replicates"]["replicates"] == 16
    scatter = accuracy["replicates"]
    z = (scatter["relative_mse"] - accuracy["predicted"]["relative_mse"]) / scatter["relative_mse_error"]
    assert flat_row(records["1"], (AGREES, ""))["relative_mse_z"] == pytest.approx(z)


@pytest.mark.parametrize("label", ["orthogonal, N = P", "es, orthogonal, N = P"])
def test_rounding_where_theory_leaves_no_error_lies_no_standard_errors_off(
    label: str, records: dict[str, Record]
) -> None:
    accuracy = records[label].accuracy
    assert accuracy["predicted"]["relative_mse"] == 0
    assert 0 < accuracy["replicates"]["relative_mse"] < 1e-20
    assert accuracy["replicates"]["relative_mse_error"] > 0
    assert flat_row(records[label], (AGREES, ""))["relative_mse_z"] is None


def test_verdict_of_estimates_without_slopes_says_to_run_anew(records: dict[str, Record]) -> None:
    accuracy = records["1"].accuracy
    kept = {name: dict(accuracy[name], slopes=()) for name in ("replicates", "smoothed")}
    old = msgspec.structs.replace(records["1"], accuracy=accuracy | kept)
    assert verdict(old)[0] == UNJUDGED
    assert "anew" in verdict(old)[1]
    assert set(accuracy["blocks"]) == {"x"}


def test_gradient_of_the_smoothed_quadratic_is_the_gradient() -> None:
    problem = Quadratic(size=6)
    exact = problem.data()["H"] @ problem.parameters()["x"] - problem.data()["b"]
    found = smoothed_reference(gradest.bind(problem), sigma=0.3)
    assert found is not None
    assert np.linalg.norm(found.gradient - exact) <= 1e-12 * np.linalg.norm(exact)


def test_gradient_of_a_smoothed_quartic_is_the_closed_form() -> None:
    # Rosenbrock in two variables, f = 100 (y - x^2)^2 + (1 - x)^2, smoothed by N(0, s^2 I): E[(x + s v)^4] adds
    # 6 x^2 s^2, E[y (x + s v)^2] adds y s^2, so grad f_s = grad f + (100 (12 x) s^2, -200 s^2).
    problem = get_problem("rosenbrock", size=2)
    (x, y), sigma = problem.parameters()["x"], 0.05
    gradient = np.array([-400 * x * (y - x * x) - 2 * (1 - x), 200 * (y - x * x)])
    smoothed = gradient + sigma**2 * np.array([1200 * x, -200])
    found = smoothed_reference(gradest.bind(problem), sigma=sigma)
    assert found is not None
    error = np.linalg.norm(found.gradient - smoothed) / np.linalg.norm(smoothed)
    assert error <= 5 * found.uncertainty
    assert np.linalg.norm(smoothed - gradient) > 5 * found.uncertainty * np.linalg.norm(smoothed), "it could not fail"


@pytest.mark.parametrize(("widths", "layers"), [((), [(64, 10)]), ((3,), [(64, 3), (3, 10)])])
def test_flops_are_those_of_the_matrix_products(widths: tuple[int, ...], layers: list[tuple[int, int]]) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn, which holds the digits, is not installed")
    problem = get_problem("mlp", widths=widths, batch=7)
    assert matrix_product_flops(problem) == sum(2 * 7 * m * n for m, n in layers)
