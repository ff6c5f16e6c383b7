"""Predicted error of guided evolution strategies, whose directions favour the span of given surrogate gradients.

This module must not know what the guides are: they enter by the share of the gradient that lies in their span.
"""

from gradest.real_numbers import real_number
from gradest.theory.prediction import QUADRATIC, SMOOTHED_GRADIENT, Prediction
from gradest.whole_numbers import whole_number


def predict_guided(
    *, num_parameters: int, num_guides: int, num_samples: int, alpha: float, scale: float, share: float
) -> Prediction:
    """Predict the relative MSE of guided evolution strategies against the gradient itself, bias included.

    It is the squared error of the mean plus the scatter around it. The estimate is (beta / (lam N)) sum_i (g.v_i)
    v_i, each v_i normal of covariance A = alpha I + (1-alpha) (P/k) U U^T, P times the paper's, with largest
    eigenvalue lam = alpha + (1-alpha) P/k. The mean is (beta/lam) A g, the covariance (beta/lam)^2 ((g.A g) A + A g
    g^T A) / N by Wick pairings. With w = |U^T g|^2 / |g|^2 and tr A = P:

    Formula: w (1-beta)^2 + (1-w) (1 - beta alpha/lam)^2 + (beta/lam)^2 (P (alpha + (lam-alpha) w) + w lam^2 +
    (1-w) alpha^2) / N. It is (P+1)/N for alpha = beta = 1. Exact for quadratic f, whose antithetic differences are
    g.v_i.

    Parameters
    ----------
    num_parameters, num_guides
        P and k, the dimension of the guides' span.
    num_samples
        N, antithetic pairs.
    alpha
        The share of the directions that is not guided, in (0, 1].
    scale
        beta, what the estimate is multiplied by.
    share
        w = |U^T g|^2 / |g|^2, the share of the squared gradient in the guides' span, in [0, 1].

    Raises
    ------
    InvalidInputError
        A number is out of range.

    Source: derived; Maheswaranathan et al. 2019, arXiv:1806.10230, define the estimator.

    Examples
    --------
    >>> from gradest import theory
    >>> found = theory.predict_guided(num_parameters=99, num_guides=2, num_samples=10, alpha=1.0, scale=1.0, share=0.5)
    >>> round(found.relative_mse, 6)  # unguided: (P + 1) / N
    10.0
    """
    whole_number("num_parameters", num_parameters)
    whole_number("num_guides", num_guides, most=num_parameters)  # the dimension of a subspace
    whole_number("num_samples", num_samples)
    alpha = real_number("alpha", alpha, "(0, 1]", example=0.5)
    share = real_number("share", share, "[0, 1]", example=0.5)
    scale = real_number("scale", scale, "(-inf, inf)", example=1.0)
    largest = alpha + (1.0 - alpha) * num_parameters / num_guides
    inside, outside = scale, scale * alpha / largest  # what the mean keeps of g in the span, and of g outside it
    off = share * (1.0 - inside) ** 2 + (1.0 - share) * (1.0 - outside) ** 2
    # Wick's theorem for normal v of covariance A: Cov[(g.v) v] has the trace (g.A g) tr A + |A g|^2, with tr A = P.
    along = alpha + (largest - alpha) * share  # g.A g / |g|^2
    scatter = (scale / largest) ** 2 * num_parameters * along + share * inside**2 + (1.0 - share) * outside**2
    return Prediction(
        target=SMOOTHED_GRADIENT,
        relative_mse=off + scatter / num_samples,
        exact_for=QUADRATIC,
        bias_order=2 if alpha == scale == 1.0 else 0,
        source="derived: fourth moments of normal directions of a known covariance",
    )
