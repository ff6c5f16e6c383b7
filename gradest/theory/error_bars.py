"""How far a measured relative MSE may lie from the predicted one, for a number of replicates.

This module must not know the predicted value: it deals in ratios of measured to predicted.
"""

import math

from gradest.errors import InvalidInputError
from gradest.theory.chi_square import chi2_quantile
from gradest.theory.moments import require_positive_integer


def squared_error_variation(*, num_parameters: int, num_samples: int) -> float:
    """Return how much the squared error of one estimate scatters: its variance over its squared mean.

    It is Var(|g_hat - g|^2) / (E|g_hat - g|^2)^2 of a forward gradient with normal directions.

    Formula: |g_hat - g|^2 / |g|^2 = (W/N - 1)^2 + W Q / N^2 with W chi-square of N and Q of P - 1 degrees.
    Exact for any differentiable f, any N and P (quadratic f under antithetic ES). About 2 at N = 1 and large P,
    2/N + O(1/P) beyond. Laws with lighter tails of (g.v)^2, such as Rademacher and the sphere, vary less.

    Source: derived.

    Examples
    --------
    >>> from gradest import theory
    >>> round(theory.squared_error_variation(num_parameters=1000, num_samples=100), 4)
    0.0221
    """
    require_positive_integer("num_parameters", num_parameters)
    require_positive_integer("num_samples", num_samples)
    n = float(num_samples)
    # Normal directions may be turned so that g is the first axis. Then a = W/N is the estimate along g, which should be
    # 1, and W Q / N^2 its squared length across; W and Q are independent. Raw moments of a, then of Q.
    a2, a3 = (n + 2) / n, (n + 2) * (n + 4) / n**2
    a4 = a3 * (n + 6) / n
    q1 = num_parameters - 1.0
    q2 = q1 * (num_parameters + 1)
    second = (a4 - 4 * a3 + 6 * a2 - 3) + 2 * (a3 - 2 * a2 + 1) / n * q1 + a2 / n**2 * q2
    mean = (num_parameters + 1) / n
    return second / mean**2 - 1


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
    require_positive_integer("replicates", replicates)
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
    if not 0 < false_alarm < 1:
        raise InvalidInputError(f"false_alarm must lie strictly between 0 and 1; found {false_alarm}; try 1e-3")
    error = relative_mse_standard_error(replicates, num_samples=num_samples, num_parameters=num_parameters)
    degrees = 2 / error**2
    low = chi2_quantile(false_alarm / 2, degrees_of_freedom=degrees)
    high = chi2_quantile(false_alarm / 2, degrees_of_freedom=degrees, upper=True)
    return low / degrees, high / degrees
