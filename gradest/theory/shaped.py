"""Predicted cosine of shaped evolution strategies, whose estimates keep the direction and lose the length.

This module must not know how fitness is shaped in code, nor what sigma is: shaping makes the direction of an estimate
independent of both.

Notation: directions v_i normal, s_i = v_i.g/|g| their normal components along the gradient, w_i the weight that shaping
gives direction i. For linear f the weights depend on the s_i alone, so across the gradient the estimate is normal of
variance |w|^2, and cos = B / sqrt(B^2 + Q), B = sum_i w_i s_i / |w|, Q chi-square of P - 1 degrees of freedom.
"""

import math

import numpy as np

from gradest.errors import InvalidInputError, UnsupportedError, unknown_name
from gradest.theory.direction_only import MANY, SHAPINGS, chi_mean, expected_cosine, require_baseline
from gradest.theory.prediction import DIRECTION, INCREASING, LINEAR, QUADRATIC, Prediction
from gradest.whole_numbers import whole_number

_CENTRED = ("leave-one-out", "mean")
_NODES = 1000
_WIDTHS = 12.0  # a density of order exp(-x^2 / 2) is below 1e-31 of its peak there


def predict_shaped(
    distribution: str, *, shaping: str, baseline: str, num_parameters: int, num_samples: int
) -> Prediction:
    """Predict the mean cosine with the gradient of an evolution strategy that shapes its values.

    Parameters
    ----------
    shaping
        "z-score", "centered-rank" or "sign".
    baseline
        "antithetic" for N pairs. Of N one-sided values "sign" has to be told what they are compared with: "value",
        "leave-one-out" or "mean"; ranks and z-scores do not change with it, and "none" says so.

    Raises
    ------
    UnknownNameError
        There is no shaping or baseline of the name.
    UnsupportedError
        Nothing is derived for the law of the directions.

    Formula: `expected_shaped_cosine`. With pairs, z-scores and signs are those of the differences: exact for quadratic
    f as well. Source: derived.

    Examples
    --------
    >>> from gradest import theory
    >>> asked = {"baseline": "antithetic", "num_parameters": 100, "num_samples": 10}
    >>> predicted = theory.predict_shaped("normal", shaping="centered-rank", **asked)
    >>> round(predicted.cosine, 3), predicted.exact_for
    (0.289, 'any increasing function of a linear f')
    """
    if shaping not in SHAPINGS:
        raise unknown_name("fitness shaping", shaping, SHAPINGS)
    require_baseline(baseline)
    pairs = baseline == "antithetic"
    if shaping == "z-score":
        # Z-scores of pairs differ by the pair's difference over one common deviation: the unshaped direction.
        used = num_samples if pairs else _one_fewer(num_samples)
        if not pairs and distribution != "normal":
            raise _only_normal(distribution)
        cosine = expected_cosine(distribution, num_parameters=num_parameters, num_samples=used)
        exact_for = QUADRATIC if pairs else LINEAR
    else:
        if distribution != "normal":
            raise _only_normal(distribution)
        cosine = expected_shaped_cosine(
            shaping, baseline=baseline, num_parameters=num_parameters, num_samples=num_samples
        )
        exact_for = QUADRATIC if pairs and shaping == "sign" else LINEAR if baseline in _CENTRED else INCREASING
    return Prediction(
        target=DIRECTION,
        relative_mse=None,
        cosine=cosine,
        exact_for=exact_for,
        bias_order=0,
        source="derived: normal components across the gradient, moments of order statistics along it",
    )


def expected_shaped_cosine(shaping: str, *, baseline: str, num_parameters: int, num_samples: int) -> float:
    """Return E cos(g_hat, g) of N values or pairs along normal directions, weighted by ranks or signs, for linear f.

    Formula: E sqrt(T / (T + Q)), with T = c^2 chi-square of d degrees such that c chi_d has the exact mean and variance
    of B. B's third moment is taken to be chi's: within 0.2 % of sampled cosines for N = 2 and 3, and 0.05 % from N = 10
    on; signs about the mean of N < 10 values, whose B may be negative, only within 3 %. Exact at N = 1, and at N = 2
    for one-sided values.

    Raises
    ------
    InvalidInputError
        One value alone is to be ranked, or compared with the mean of all; or signs are of values themselves.

    Source: derived; Nair 1936, Biometrika 28:428-436 (variance of Gini's mean difference); Godwin 1945,
    Biometrika 33:254-256 (of the mean deviation).

    Examples
    --------
    >>> from gradest import theory
    >>> found = theory.expected_shaped_cosine("sign", baseline="antithetic", num_parameters=100, num_samples=10)
    >>> round(found, 3)
    0.246
    """
    whole_number("num_parameters", num_parameters)
    whole_number("num_samples", num_samples)
    mean, variance = _along(shaping, baseline, num_samples)
    if num_parameters == 1:
        return 1.0  # nothing is across; B is positive, but for signs about the mean in rare draws
    degrees = _degrees(mean**2 / variance)
    return _mean_cosine(degrees, mean / chi_mean(degrees), num_parameters - 1)


def _along(shaping: str, baseline: str, n: int) -> tuple[float, float]:
    """Return the mean and the variance of B."""
    require_baseline(baseline)
    if shaping == "sign" and baseline == "none":
        raise InvalidInputError(
            "signs of one-sided values that nothing is subtracted from have no predicted cosine; pass "
            "baseline='value', 'leave-one-out' or 'mean', or 'antithetic' for pairs"
        )
    if shaping == "sign" and baseline not in _CENTRED:  # B = sum |s_i| / sqrt n
        return math.sqrt(2 * n / math.pi), 1 - 2 / math.pi
    if shaping == "sign":
        return _centred_signs(n)
    if shaping != "centered-rank":
        raise unknown_name("shaping by ranks or signs", shaping, ("centered-rank", "sign"))
    if baseline == "antithetic":
        return _paired_ranks(n)
    # Weights k - (n + 1) / 2 of the k-th smallest s: n (n - 1) / 4 times Gini's mean difference of the s_i.
    _one_fewer(n)
    gini = 4 / (n * (n - 1)) * ((n + 1) / 3 + (2 * math.sqrt(3) * (n - 2) - 2 * (2 * n - 3)) / math.pi)
    factor = n * (n - 1) / 4
    squares = n * (n**2 - 1) / 12
    return factor * 2 / math.sqrt(math.pi * squares), factor**2 * gini / squares


def _centred_signs(n: int) -> tuple[float, float]:
    """Return the mean and variance of B for signs of s_i - m, m the mean of all s.

    sqrt n B = sum_i |s_i - m| + m K with K the sum of the signs: m is independent of all deviations from it.
    """
    apart = math.asin(1 / _one_fewer(n))  # deviations are correlated by -1 / (n - 1)
    deviation = 2 * (n - 1) / (math.pi * n) * (math.pi / 2 + math.sqrt(n * (n - 2)) - n + apart)
    signs = 1 - (n - 1) * 2 / math.pi * apart  # E K^2 / n
    return math.sqrt(2 * (n - 1) / math.pi), deviation + signs / n


def _paired_ranks(n: int) -> tuple[float, float]:
    """Return the mean and variance of B for ranks among the values of both sides of n pairs.

    The rank of s less that of -s, among all s_j and -s_j, is (2k - 1) sign(s) for the k-th smallest |s|. With x = |s|:
    sum_k (2k - 1) x_(k) = sum_i x_i + 2 sum_(i<j) m_ij, m_ij = max(x_i, x_j) = (|s_i + s_j| + |s_i - s_j|) / 2.
    """
    pi = math.pi
    single = 1 - 2 / pi  # Var x, and Var m as well
    shared = 2 * math.sqrt(3) / pi + 1 / 3 - 4 / pi  # Cov(m_12, m_13): E|U V| of normals correlated by 1/2
    with_one = 2 / pi + 1 / 2 - 2 * math.sqrt(2) / pi  # Cov(x_1, m_12): correlated by 1 / sqrt 2
    ordered = n * (n - 1)
    mean = n * math.sqrt(2 / pi) + ordered * 2 / math.sqrt(pi)
    variance = n * single + 4 * (ordered / 2 * single + ordered * (n - 2) * shared) + 4 * ordered * with_one
    squares = n * (4 * n**2 - 1) / 3
    return mean / math.sqrt(squares), variance / squares


def _degrees(ratio: float) -> float:
    """Return the d at which chi_d has this ratio of its squared mean to its variance; it grows with d."""
    if ratio > 2 * MANY:
        return (ratio + 1) / 2  # the squared mean tends to d - 1/2, the variance to 1/2
    low, high = 1e-3, 2 * MANY
    for _ in range(200):
        middle = (low + high) / 2
        squared = chi_mean(middle) ** 2
        low, high = (middle, high) if squared / (middle - squared) < ratio else (low, middle)
    return (low + high) / 2


def _mean_cosine(degrees: float, scale: float, across: float) -> float:
    """Return E c X / sqrt(c^2 X^2 + Y^2) of independent chi variables X and Y, with `degrees` and `across` degrees.

    The angle a of (X, Y) from the Y axis has the density sin^(d-1) cos^(across-1): midpoint sums around its peak.
    """
    peak = math.atan2(math.sqrt(max(degrees - 1, 0.0)), math.sqrt(max(across - 1, 0.0)))
    width = _WIDTHS / math.sqrt(degrees + across)
    low, high = max(0.0, peak - width), min(math.pi / 2, peak + width)
    angles = low + (high - low) * (np.arange(_NODES) + 0.5) / _NODES  # never 0 or pi / 2, where logarithms diverge
    along, beside = np.sin(angles), np.cos(angles)
    exponent = (degrees - 1) * np.log(along) + (across - 1) * np.log(beside)
    density = np.exp(exponent - exponent.max())
    cosines = scale * along / np.sqrt((scale * along) ** 2 + beside**2)
    return float(density @ cosines / density.sum())


def _one_fewer(num_samples: int) -> int:
    """Return N - 1: what values lose that are compared with each other."""
    return whole_number("num_samples", num_samples, least=2) - 1


def _only_normal(distribution: str) -> UnsupportedError:
    return UnsupportedError(
        f"the cosine of shaped values is derived for normal directions; found distribution {distribution!r}; "
        "use distribution='normal'"
    )
