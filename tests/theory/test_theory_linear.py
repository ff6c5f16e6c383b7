"""The predicted error and covariance of (1/N) sum (g.v) v agree with exact expectations, for every law."""

from typing import Any

import numpy as np
import pytest
from support.theory_ensembles import ensemble, joined, low_rank, mean_and_mse, single

import gradest
from gradest import theory
from gradest.errors import InvalidInputError, UnknownNameError

GRADIENT = np.array([0.7, -1.9, 0.4])
CASES = [
    ("normal", 3, 1),
    ("normal", 2, 2),
    ("rademacher", 3, 3),
    ("uniform", 3, 1),
    ("uniform", 2, 2),
    ("sphere", 3, 2),
    ("coordinates", 3, 4),
    ("coordinates-without-replacement", 3, 2),
    ("coordinates-without-replacement", 3, 5),
    ("orthogonal", 2, 1),
    ("orthogonal", 2, 2),
    ("orthogonal", 2, 3),
    ("orthogonal-chi", 2, 2),
    ("orthogonal-chi", 2, 3),
]


def linear_estimates(directions: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return np.einsum("mnp,mn->mp", directions, directions @ gradient) / directions.shape[1]


@pytest.mark.parametrize(("law", "size", "count"), CASES)
def test_error_and_covariance_equal_the_exact_expectation(law: str, size: int, count: int) -> None:
    gradient = GRADIENT[:size]
    weights, directions = ensemble(law, size, count)
    estimates = linear_estimates(directions, gradient)
    mean, mse = mean_and_mse(weights, estimates, gradient)
    np.testing.assert_allclose(mean, gradient, atol=1e-12)
    predicted = theory.relative_mse_linear(law, num_parameters=size, num_samples=count)
    assert predicted == pytest.approx(mse, abs=1e-12)
    deviations = estimates - gradient
    exact = np.einsum("m,mi,mj->ij", weights, deviations, deviations)
    np.testing.assert_allclose(theory.covariance(law, gradient, count), exact, atol=1e-11)


def test_a_wrong_excess_is_noticed() -> None:
    weights, directions = ensemble("normal", 3, 1)
    _, mse = mean_and_mse(weights, linear_estimates(directions, GRADIENT), GRADIENT)
    for mutant in ("rademacher", "uniform", "sphere"):
        assert abs(theory.relative_mse_linear(mutant, num_parameters=3, num_samples=1) - mse) > 0.5


@pytest.mark.parametrize(("shape", "rank"), [((2, 2), 1), ((3, 1), 1), ((2, 1), 2), ((2, 2), 2)])
def test_low_rank_on_one_matrix(shape: tuple[int, int], rank: int) -> None:
    gradient = np.array([0.7, -1.9, 0.4, 1.1])[: shape[0] * shape[1]]
    weights, directions = low_rank(shape, rank)
    estimates = linear_estimates(directions[:, None], gradient)
    _, mse = mean_and_mse(weights, estimates, gradient)
    predicted = theory.relative_mse_linear(
        "low-rank", num_parameters=gradient.size, num_samples=1, blocks=[shape], rank=rank
    )
    assert predicted == pytest.approx(mse, rel=1e-11)
    deviations = estimates - gradient
    exact = np.einsum("m,mi,mj->ij", weights, deviations, deviations)
    matrix = theory.covariance("low-rank", gradient.reshape(shape), 1, rank=rank)
    np.testing.assert_allclose(matrix, exact, atol=1e-10)
    assert np.abs(theory.covariance("normal", gradient, 1) - exact).max() > 0.1


def test_low_rank_on_a_layer_with_a_bias() -> None:
    gradient = np.array([0.7, -1.9, 0.4, 1.1, 0.8, -0.3])
    matrix, vector = low_rank((2, 2), 1), single("normal", 2)
    one, other = (matrix[0], matrix[1][:, None]), (vector[0], vector[1][:, None])
    weights = np.multiply.outer(one[0], other[0]).ravel()
    directions = np.concatenate(
        [np.repeat(one[1], len(other[0]), axis=0), np.tile(other[1], (len(one[0]), 1, 1))], axis=2
    )
    _, mse = mean_and_mse(weights, linear_estimates(directions, gradient), gradient)
    share = float(gradient[:4] @ gradient[:4] / (gradient @ gradient))
    arguments: dict[str, Any] = {"num_parameters": 6, "num_samples": 1, "blocks": [(2, 2), (2,)], "rank": 1}
    predicted = theory.relative_mse_linear("low-rank", shares=[share, 1 - share], **arguments)
    assert predicted == pytest.approx(mse, rel=1e-11)
    assert theory.relative_mse_linear("low-rank", shares=[1 - share, share], **arguments) != pytest.approx(
        mse, rel=0.01
    )


def haar_estimates(
    rng: np.random.Generator, replicates: int, size: int, count: int, chi: bool
) -> tuple[np.ndarray, np.ndarray]:
    estimates = np.zeros((replicates, size))
    gradient = np.arange(1.0, size + 1)
    for start in range(0, count, size):
        width = min(size, count - start)
        frame, upper = np.linalg.qr(rng.standard_normal((replicates, size, width)))
        frame = frame * np.sign(np.diagonal(upper, axis1=1, axis2=2))[:, None, :]
        squares = rng.chisquare(size, (replicates, width)) if chi else size
        estimates += np.einsum("kpn,kn->kp", frame, squares * np.einsum("kpn,p->kn", frame, gradient)) / count
    return estimates, gradient


@pytest.mark.parametrize(
    ("law", "count"), [("orthogonal", 3), ("orthogonal", 7), ("orthogonal-chi", 5), ("orthogonal-chi", 8)]
)
def test_haar_frames_by_monte_carlo(law: str, count: int) -> None:
    """At most 1e-6 false alarms a case (4.9 standard errors); N > P in blocks of P and a remainder."""
    size, replicates = 5, 20_000
    estimates, gradient = haar_estimates(np.random.default_rng(1), replicates, size, count, law == "orthogonal-chi")
    errors = np.sum((estimates - gradient) ** 2, axis=1) / (gradient @ gradient)
    allowed = 4.9 * errors.std() / np.sqrt(replicates)
    assert abs(errors.mean() - theory.relative_mse_linear(law, num_parameters=size, num_samples=count)) < allowed
    mutant = theory.relative_mse_linear("normal", num_parameters=size, num_samples=count)
    assert abs(errors.mean() - mutant) > 2 * allowed
    # 25 entries at 6 standard errors each: under 1e-7 false alarms together.
    deviations = estimates - gradient
    products = np.einsum("ki,kj->kij", deviations, deviations)
    allowed_entries = 6 * products.std(axis=0) / np.sqrt(replicates)
    assert np.all(np.abs(products.mean(axis=0) - theory.covariance(law, gradient, count)) < allowed_entries)
    assert np.any(np.abs(products.mean(axis=0) - theory.covariance("normal", gradient, count)) > 2 * allowed_entries)


def test_closed_forms_of_the_literature() -> None:
    def error(law: str, count: int, **options: Any) -> float:
        return theory.relative_mse_linear(law, num_parameters=35, num_samples=count, **options)

    assert error("normal", 4) == 36 / 4
    assert error("rademacher", 4) == 34 / 4
    assert error("uniform", 1) == pytest.approx(35 - 0.2)
    assert error("orthogonal", 10) == pytest.approx(25 / 10)
    assert error("orthogonal", 70) == 0
    assert error("orthogonal-chi", 35) == pytest.approx(2 / 35)
    assert error("low-rank", 1, blocks=[(7, 5)], rank=1) == pytest.approx(9 * 7 - 1)


def test_what_cannot_be_predicted_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="normal"):
        theory.relative_mse_linear("gaussian", num_parameters=3, num_samples=1)
    with pytest.raises(InvalidInputError, match="shares"):
        theory.mean_excess("low-rank", blocks=[(2, 2), (3,)], rank=1)
    with pytest.raises(InvalidInputError, match="add up to 1"):
        theory.mean_excess("low-rank", blocks=[(2, 2), (3,)], shares=[0.9, 0.9], rank=1)
    with pytest.raises(InvalidInputError, match="rank"):
        theory.excess("low-rank", (2, 2))
    with pytest.raises(InvalidInputError, match="num_samples"):
        theory.relative_mse_linear("normal", num_parameters=3, num_samples=0)


def test_joined_blocks_are_independent() -> None:
    weights, directions = joined(ensemble("orthogonal", 2, 2), ensemble("orthogonal", 2, 1))
    crossed = np.einsum("m,mi,mj->ij", weights, directions[:, 0], directions[:, 2])
    np.testing.assert_allclose(crossed, 0, atol=1e-14)


def test_a_rank_says_nothing_of_a_vector_and_is_looked_at_all_the_same() -> None:
    """A bias has plain normal directions: theory leaves the rank out as the estimator does, but takes no other."""
    bowl = gradest.get_problem("quadratic", hessian=np.zeros((3, 3)), linear=[1.0, -2.0, 0.5], start=np.zeros(3))
    drawn = [gradest.get_estimator("es", distribution="low-rank", rank=rank)(bowl, rng=0) for rank in (1, 4)]
    assert np.array_equal(drawn[0].gradient["x"], drawn[1].gradient["x"])
    plain = theory.covariance("normal", np.ones(3), 5)
    assert np.array_equal(theory.covariance("low-rank", np.ones(3), 5, rank=4), plain)
    wrong: Any
    for wrong in (0, -1, 1.5):
        with pytest.raises(InvalidInputError, match=r"^rank must be a positive integer"):
            theory.covariance("low-rank", np.ones(3), 5, rank=wrong)
        with pytest.raises(InvalidInputError, match=r"^rank must be a positive integer"):
            theory.excess("low-rank", (3,), rank=wrong)
