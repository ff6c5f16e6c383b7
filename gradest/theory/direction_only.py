"""Predictions for estimators that keep the direction of the gradient and lose its length.

Shaped evolution strategies, projections, cosines and the best shrinkage. This module must not compare norms.
"""

import math

from gradest.directions.laws import law_of
from gradest.errors import UnsupportedError, unknown_name
from gradest.real_numbers import real_number
from gradest.theory.moments import orthogonal_pairs
from gradest.whole_numbers import whole_number

BASELINES = ("antithetic", "none", "value", "leave-one-out", "mean")
SHAPINGS = ("z-score", "centered-rank", "sign")
MANY = 1e3  # degrees of freedom from which on four terms of the square of chi's mean leave 2e-14


def require_baseline(baseline: str) -> None:
    """Refuse an unknown baseline: a slip would be taken for one that no branch asks for by name."""
    if baseline not in BASELINES:
        raise unknown_name("baseline", baseline, BASELINES)


def _require_shaping(shaping: str) -> None:
    if shaping not in SHAPINGS:
        raise unknown_name("fitness shaping with a predicted scale", shaping, SHAPINGS)


def shaping_scale(shaping: str) -> float:
    """Return s of E[(1/N) sum_i r_i v_i] = s g/|g| for shaped fitness r and normal v, before any 1/sigma.

    Formula: 1 for z-score, 1/(2 sqrt(pi)) = 0.2821 for centred ranks in [-1/2, 1/2], sqrt(2/pi) for the sign of
    antithetic differences. Exact for linear f, z-score and rank in the limit of many directions; rank and sign also
    for any increasing function of a linear f. Source: derived; Wierstra et al. 2014, JMLR 15:949-980, for ranks.

    Examples
    --------
    >>> from gradest import theory
    >>> round(theory.shaping_scale("centered-rank"), 4)
    0.2821
    """
    _require_shaping(shaping)
    scales = {"z-score": 1.0, "centered-rank": 1 / (2 * math.sqrt(math.pi)), "sign": math.sqrt(2 / math.pi)}
    return scales[shaping]


def shaping_relative_variance(shaping: str, *, num_parameters: int) -> float:
    """Return N tr Cov / s^2 of a shaped estimate with normal directions, s from `shaping_scale`.

    Formula: P - 1/2 for z-score; pi P/3 + 2 sqrt(3) - 4 for centred ranks, by the variance of Gini's mean
    difference; pi P/2 - 1 for the sign (N pairs). Linear f; z-score and rank in the limit of many directions,
    sign exact for every N. Source: derived; Nair 1936, Biometrika 28:428-436, for Gini's difference.

    Examples
    --------
    >>> from gradest import theory
    >>> theory.shaping_relative_variance("z-score", num_parameters=100)
    99.5
    """
    _require_shaping(shaping)
    whole_number("num_parameters", num_parameters)
    if shaping == "z-score":
        return num_parameters - 0.5
    if shaping == "centered-rank":
        return math.pi * num_parameters / 3 + 2 * math.sqrt(3) - 4
    return math.pi * num_parameters / 2 - 1


def chi_mean(degrees: float) -> float:
    """Return E chi_d = sqrt 2 Gamma((d + 1) / 2) / Gamma(d / 2)."""
    if degrees > MANY:  # two logarithms of Gamma, as large as d log d, would cancel
        return math.sqrt(degrees - 0.5 + 1 / (8 * degrees) + 1 / (16 * degrees**2))
    return math.sqrt(2) * math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2))


def _mean_root_beta(degrees: float, others: float) -> float:
    """Return E sqrt(X / (X + Y)) of independent chi-square variables X and Y, of `degrees` and `others` degrees.

    X / (X + Y) is independent of X + Y, so that it is a ratio of means.
    """
    return chi_mean(degrees) / chi_mean(degrees + others) if others else 1.0


def expected_cosine(distribution: str, *, num_parameters: int, num_samples: int) -> float:
    """Return E cos(g_hat, g) of a forward gradient, exact for any differentiable f.

    Formula: cos^2 ~ Beta(N/2, (P-1)/2) for normal directions and for one direction on the sphere, Beta(N/2,
    (P-N)/2) for N <= P orthogonal ones, scaled or not; E cos by Gamma functions. At N = 1 it is
    Gamma(P/2) / (sqrt(pi) Gamma((P+1)/2)). Also exact for quadratic f under antithetic ES.

    Raises
    ------
    UnsupportedError
        The law depends on the axes, or no exact form is known; see `approximate_cosine`.

    Source: derived.

    Examples
    --------
    >>> from gradest import theory
    >>> round(theory.expected_cosine("normal", num_parameters=100, num_samples=1), 4)
    0.08
    >>> round(theory.expected_cosine("orthogonal", num_parameters=100, num_samples=100), 4)
    1.0
    """
    orthogonal_pairs(distribution, num_parameters=num_parameters, num_samples=num_samples)
    if distribution == "normal" or (num_samples == 1 and distribution in ("sphere", "orthogonal", "orthogonal-chi")):
        return _mean_root_beta(num_samples, num_parameters - 1)
    if distribution == "orthogonal" and num_samples <= num_parameters:
        return _mean_root_beta(num_samples, num_parameters - num_samples)
    raise UnsupportedError(
        f"the mean cosine has no exact form for distribution {distribution!r} at num_samples={num_samples}; "
        "use approximate_cosine(relative_mse)"
    )


def expected_squared_cosine(distribution: str, *, num_parameters: int, num_samples: int) -> float:
    """Return E cos^2: N/(N+P-1) for normal directions, N/P for N <= P orthogonal ones of equal length.

    Exact for any differentiable f (forward gradient), and for quadratic f under antithetic ES.

    Source: derived.

    Raises
    ------
    UnsupportedError
        There is no exact form for this distribution with so many samples.

    Examples
    --------
    >>> from gradest import theory
    >>> theory.expected_squared_cosine("orthogonal", num_parameters=100, num_samples=25)
    0.25
    """
    orthogonal_pairs(distribution, num_parameters=num_parameters, num_samples=num_samples)
    if distribution == "normal":
        return num_samples / (num_samples + num_parameters - 1)
    law = law_of(distribution)
    if law.frame_of is not None and law.fixed_length and num_samples <= num_parameters:
        return num_samples / num_parameters
    # |v|^2 cancels from one direction, and E (v.g)^2 / |v|^2 = |g|^2 / P.
    if num_samples == 1 and distribution in ("sphere", "coordinates", "rademacher", "orthogonal-chi"):
        return 1 / num_parameters
    raise UnsupportedError(
        f"the mean squared cosine has no exact form for distribution {distribution!r} at num_samples={num_samples}; "
        "use approximate_cosine(relative_mse) ** 2"
    )


def linear_cosine(distribution: str, *, baseline: str, num_parameters: int, num_samples: int) -> float | None:
    """Return E cos(g_hat, g) of an unshaped evolution strategy for linear f, None where no exact form is known.

    Formula: `expected_cosine` for differences within pairs and from f(x). Values less their mean are along the gradient
    as N - 1 independent normal directions are, so that cos^2 ~ Beta((N-1)/2, (P-1)/2). With pairs exact for quadratic f
    as well. Source: derived.

    Parameters
    ----------
    baseline
        "antithetic", "value", "leave-one-out" or "mean"; with "none" the cosine depends on f(x), and None is returned.

    Examples
    --------
    >>> from gradest import theory
    >>> asked = {"num_parameters": 100, "num_samples": 10}
    >>> round(theory.linear_cosine("normal", baseline="antithetic", **asked), 3)
    0.296
    >>> theory.linear_cosine("normal", baseline="none", **asked) is None
    True
    """
    require_baseline(baseline)
    centred = baseline in ("leave-one-out", "mean")
    if baseline == "none" or (centred and (distribution != "normal" or num_samples == 1)):
        return None
    used = num_samples - 1 if centred else num_samples
    try:
        return expected_cosine(distribution, num_parameters=num_parameters, num_samples=used)
    except UnsupportedError:  # no exact form, and None says so
        return None


def approximate_cosine(relative_mse: float) -> float:
    """Return 1 / sqrt(1 + V) for an unbiased estimator of relative MSE V; not exact, but the limit for large P and N.

    For normal directions it is sqrt(N/(N+P+1)). Source: derived, ratio of expectations.

    Examples
    --------
    >>> from gradest import theory
    >>> round(theory.approximate_cosine(relative_mse=3.0), 6)
    0.5
    """
    return 1 / math.sqrt(1 + real_number("relative_mse", relative_mse, "[0, inf)", example=3.0))


def projection_relative_mse(*, num_parameters: int, num_samples: int) -> float:
    """Return 1 - N/P, the relative MSE of the unscaled projection sum_i (g.u_i) u_i on N <= P Haar directions.

    It is 0 from N = P on. Exact for any differentiable f, also for least squares in the span of N normal
    directions. Source: derived; Fluegel et al. 2024, arXiv:2410.17764, for the estimator.

    Examples
    --------
    >>> from gradest import theory
    >>> theory.projection_relative_mse(num_parameters=100, num_samples=25)
    0.75
    """
    whole_number("num_parameters", num_parameters)
    whole_number("num_samples", num_samples)
    return max(0.0, 1 - num_samples / num_parameters)


def optimal_shrinkage(relative_mse: float) -> tuple[float, float]:
    """Return alpha = 1/(1+V) that minimises the MSE of alpha g_hat, and the relative MSE V/(1+V) it leaves.

    Exact for any unbiased estimator of relative MSE V. Source: derived.

    Examples
    --------
    >>> from gradest import theory
    >>> alpha, left = theory.optimal_shrinkage(relative_mse=3.0)
    >>> alpha, left
    (0.25, 0.75)
    """
    relative_mse = real_number("relative_mse", relative_mse, "[0, inf)", example=3.0)
    return 1 / (1 + relative_mse), relative_mse / (1 + relative_mse)
