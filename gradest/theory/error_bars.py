"""How far a measured relative MSE may lie from the predicted one, for a number of replicates.

This module must not know the predicted value: it deals in ratios of measured to predicted.
"""

import math

from gradest.real_numbers import real_number
from gradest.theory.chi_square import chi2_quantile
from gradest.whole_numbers import whole_number


def squared_error_variation(*, num_parameters: int, num_samples: int) -> float:
    """Return how much the squared error of one estimate scatters: its variance over its squared mean.

    It is Var(|g_hat - g|^2) / (E|g_hat - g|^2)^2 of a forward gradient with normal directions.

    Formula: 2 (P + 3) (N + P + 5) / (N (P + 1)^2), from |g_hat - g|^2 / |g|^2 = (W/N - 1)^2 + W Q / N^2 with W
    chi-square of N and Q of P - 1 degrees.
    Exact for any differentiable f, any N and P (quadratic f under antithetic ES). About 2 at N = 1 and large P,
    2/N + O(1/P) beyond. Laws with lighter tails of (g.v)^2, such as Rademacher and the sphere, vary less.

    Source: derived.

    Examples
    --------
    >>> from gradest import theory
    >>> round(theory.squared_error_variation(num_parameters=1000, num_samples=100), 4)
    0.0221
    """
    whole_number("num_parameters", num_parameters)
    whole_number("num_samples", num_samples)
    # Directions may be turned so that g is the first axis: a = W/N, the estimate along g, should be 1, and W Q / N^2 is
    # its squared length across, W and Q independent. Written out, the moments are sums whose leading terms cancel.
    n, p = float(num_samples), float(num_parameters)
    return 2 * (p + 3) * (n + p + 5) / (n * (p + 1) ** 2)


def relative_mse_standard_error(replicates: int, *, num_samples: int, num_parameters: int) -> float:
    """Return the standard error of a measured relative MSE over K replicates, as a fraction of its value.

    Formula: sqrt(CV^2 / K) with CV^2 from `squared_error_variation`. Exact for normal directions, any N; used
    for other laws it is an approximation. Source: derived.

    Examples
    --------
    >>> from gradest import theory
    >>> round(theory.relative_mse_standard_error(32, num_samples=100, num_parameters=1000), 4)
    0.0263
    """
    whole_number("replicates", replicates)
    return math.sqrt(squared_error_variation(num_parameters=num_parameters, num_samples=num_samples) / replicates)


def relative_mse_bounds(
    replicates: int, *, num_samples: int, num_parameters: int, false_alarm: float
) -> tuple[float, float]:
    """Return the range within which measured / predicted relative MSE stays, but for a stated probability.

    Formula: quantiles of chi2(d)/d, d = 2 K / CV^2, whose mean and variance are those of the measured ratio
    (Satterthwaite). Mean and variance are exact for normal directions; the tail is an approximation that
    improves with K.

    Parameters
    ----------
    replicates
        K, the number of independent estimates that were averaged.
    false_alarm
        Probability of lying outside, both sides together, in (0, 1).

    Source: Satterthwaite 1946, doi:10.2307/3002019.

    Examples
    --------
    >>> from gradest import theory
    >>> low, high = theory.relative_mse_bounds(32, num_samples=100, num_parameters=1000, false_alarm=0.01)
    >>> round(low, 3), round(high, 3)
    (0.934, 1.069)
    """
    false_alarm = real_number("false_alarm", false_alarm, "(0, 1)", example=1e-3)
    error = relative_mse_standard_error(replicates, num_samples=num_samples, num_parameters=num_parameters)
    degrees = 2 / error**2
    low = chi2_quantile(false_alarm / 2, degrees_of_freedom=degrees)
    high = chi2_quantile(false_alarm / 2, degrees_of_freedom=degrees, upper=True)
    return low / degrees, high / degrees
