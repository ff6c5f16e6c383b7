"""Predicted error of estimators that remember: residual feedback, and directions guided by past estimates.

Each formula is for one estimate, given what is remembered. This module must not know what a state holds.
"""

from gradest.directions.laws import law_of
from gradest.real_numbers import real_number
from gradest.theory.moments import linear_part, mean_excess, underived
from gradest.theory.prediction import LINEAR, QUADRATIC, SMOOTHED_GRADIENT, LocalModel, Prediction
from gradest.theory.smoothing import smoothing_bias_order
from gradest.whole_numbers import whole_number


def predict_residual_feedback(
    distribution: str,
    *,
    num_parameters: int,
    num_samples: int,
    sigma: float,
    model: LocalModel | None = None,
    direction_excess: float | None = None,
) -> Prediction:
    """Predict the relative MSE of one-point residual feedback at parameters that stay from one estimate to the next.

    The estimate is (1/N) sum_i (f(x + sigma v_i) - r_i) v_i / sigma, with r_i = f(x + sigma u_i) for u_i of the same
    law, independent of all v. The r_i add P Var(r) / sigma^2 to the squared error of a direction, where E|v|^2 = P.

    Formula: `relative_mse_linear` + P/N for linear f, (2 P + 1)/N for normal directions; for those and quadratic f,
    (2 P + 1 + sigma^2 (P + 2) |H|_F^2 / |g|^2) / N: subtracting the mean of r leaves sigma^2 (P + 4) |H|_F^2 / 2 of
    the curvature's part, and Var(r) = sigma^2 |g|^2 + sigma^4 |H|_F^2 / 2.

    Parameters
    ----------
    model
        |g| and the curvature. Without curvature, or of laws other than normal, the linear part is predicted, and
        `exact_for` of the result says so.
    direction_excess
        c of the law, from `mean_excess`; only "low-rank" needs it.

    Raises
    ------
    UnsupportedError
        The mean of the law is not zero, so that what is subtracted does not average out.

    Source: derived; Zhang, Zhou, Ji & Zavlanos 2022, arXiv:2006.10820, define the estimator.

    Examples
    --------
    >>> from gradest import theory
    >>> found = theory.predict_residual_feedback("normal", num_parameters=99, num_samples=10, sigma=0.1)
    >>> found.relative_mse, found.exact_for
    (19.9, 'linear f')
    """
    whole_number("num_samples", num_samples)
    sigma = real_number("sigma", sigma, "(0, inf)", example=0.1)
    if not law_of(distribution).centred:
        raise underived(distribution, "the error of residual feedback")
    excess = mean_excess(distribution) if direction_excess is None else direction_excess
    linear = linear_part(distribution, num_parameters=num_parameters, num_samples=num_samples, excess=excess)
    mse = linear + num_parameters / num_samples
    curved = model is not None and model.curved and distribution == "normal"
    if curved:
        assert model is not None
        bent = model.at_radius(sigma).hessian_norm or 0.0
        mse += (num_parameters + 2) * bent * bent / num_samples
    return Prediction(
        target=SMOOTHED_GRADIENT,
        relative_mse=mse,
        exact_for=QUADRATIC if curved else LINEAR,
        bias_order=smoothing_bias_order(distribution, baseline="none"),
        source="derived: fourth moments of the directions",
    )


def predict_momentum_guided(*, num_parameters: int, num_samples: int, share: float | None) -> Prediction:
    """Predict the relative MSE of evolution strategies guided by a momentum of past estimates.

    One pair is along the guide m, which gives (g.m) m exactly for quadratic f; N - 1 pairs are along normal directions
    less their part along m, which estimate the rest, of P - 1 dimensions and |g|^2 (1 - w). With w = (g.m)^2 / |g|^2:

    Formula: (1 - w) P / (N - 1); (P + 1) / N without a guide. Exact for quadratic f, whose antithetic differences are
    g.v_i. A guide is worth its pair from about w = 1 / N on.

    Parameters
    ----------
    num_parameters, num_samples
        P, and N, the number of pairs, that along the guide included.
    share
        w, the share of the squared gradient along the guide, in [0, 1]; None without a guide.

    Raises
    ------
    InvalidInputError
        A number is out of range.

    Source: derived; Meier, Mujika, Gauy & Steger 2019, arXiv:1910.05268, define such estimators.

    Examples
    --------
    >>> from gradest import theory
    >>> found = theory.predict_momentum_guided(num_parameters=99, num_samples=12, share=0.5)
    >>> found.relative_mse
    4.5
    """
    whole_number("num_parameters", num_parameters)
    whole_number("num_samples", num_samples)
    if share is not None:
        share = real_number("share", share, "[0, 1]", example=0.5)
        whole_number("num_samples", num_samples, least=2)  # one pair is along the guide, and one must be across it
    guided = None if share is None else (1.0 - share) * num_parameters / (num_samples - 1)
    return Prediction(
        target=SMOOTHED_GRADIENT,
        relative_mse=(num_parameters + 1) / num_samples if guided is None else guided,
        exact_for=QUADRATIC,
        bias_order=2,
        source="derived: fourth moments of normal directions",
    )
