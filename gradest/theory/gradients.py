"""Predicted error of estimators that see gradients or directional derivatives, and of minibatch noise.

This module must not know function values or baselines: those are in `smoothing`.
"""

import math
from collections.abc import Sequence

from gradest.directions.laws import law_of
from gradest.errors import InvalidInputError
from gradest.real_numbers import real_number
from gradest.theory.direction_only import linear_cosine
from gradest.theory.moments import orthogonal_pairs, relative_mse_linear
from gradest.theory.prediction import (
    ANY_DIFFERENTIABLE,
    GRADIENT,
    QUADRATIC,
    SMOOTHED_GRADIENT,
    LocalModel,
    Prediction,
)
from gradest.whole_numbers import whole_number


def predict_forward_gradient(
    distribution: str,
    *,
    num_parameters: int,
    num_samples: int,
    blocks: Sequence[Sequence[int]] | None = None,
    shares: Sequence[float] | None = None,
    rank: int | None = None,
) -> Prediction:
    """Predict the forward gradient (1/N) sum_i (grad f.v_i) v_i: unbiased, exact for any differentiable f.

    Formula: `relative_mse_linear`. Source: derived; Baydin et al. 2022, arXiv:2202.08587, defines the estimator.

    Examples
    --------
    >>> from gradest import theory
    >>> theory.predict_forward_gradient("rademacher", num_parameters=101, num_samples=10).relative_mse
    10.0
    """
    mse = relative_mse_linear(
        distribution, num_parameters=num_parameters, num_samples=num_samples, blocks=blocks, shares=shares, rank=rank
    )
    return Prediction(
        target=GRADIENT,
        relative_mse=mse,
        exact_for=ANY_DIFFERENTIABLE,
        bias_order=None,
        source="derived: fourth moments of the directions",
        # A directional derivative is what a pair's difference is for quadratic f.
        cosine=linear_cosine(
            distribution, baseline="antithetic", num_parameters=num_parameters, num_samples=num_samples
        ),
        slope_variation=_slope_variation(distribution, num_samples=num_samples),
    )


def _slope_variation(distribution: str, *, num_samples: int) -> float | None:
    """Return sqrt(2/N) for the laws under which (g.v)^2 varies as a squared normal number, or less."""
    # the squared slope on a direction of the sphere is a beta variable and that of signs sub-Gaussian: both lie below
    # chi-square; a frame's directions are drawn alike and tied so that their slopes vary less still
    lighter = ("normal", "rademacher", "sphere", "orthogonal")
    return math.sqrt(2.0 / num_samples) if distribution in lighter else None


def predict_pathwise(distribution: str, *, num_samples: int, sigma: float, model: LocalModel) -> Prediction:
    """Predict the mean of grad f(x + sigma v_i): sigma^2 |H|_F^2 / (N |g|^2), exact for quadratic f.

    Holds for every law with E v = 0, E v v^T = I and uncorrelated directions. Source: derived.

    Raises
    ------
    InvalidInputError
        The directions' mean is not zero, the model has no Hessian, or a number is out of its range.

    Examples
    --------
    >>> from gradest import theory
    >>> model = theory.local_model([3.0, 4.0], hessian=[[3.0, 0.0], [0.0, 4.0]])
    >>> round(theory.predict_pathwise("normal", num_samples=10, sigma=0.1, model=model).relative_mse, 6)
    0.001
    """
    whole_number("num_samples", num_samples)
    sigma = real_number("sigma", sigma, "(0, inf)", example=0.1)
    if not law_of(distribution).centred:
        raise InvalidInputError(
            f"pathwise smoothing needs directions of mean zero, which {distribution!r} are not; try 'normal'"
        )
    if model.hessian_norm is None:
        raise InvalidInputError("the pathwise error is all curvature; give a LocalModel with hessian_norm")
    bent = model.at_radius(sigma).hessian_norm or 0.0
    return Prediction(
        target=SMOOTHED_GRADIENT,
        relative_mse=bent * bent / num_samples,
        exact_for=QUADRATIC,
        bias_order=2,
        source="derived: E|sigma H mean(v)|^2",
    )


def relative_mse_minibatch(
    distribution: str, *, num_parameters: int, num_samples: int, relative_noise: float, shared: bool
) -> float:
    """Return the relative MSE of a forward gradient or antithetic ES of a minibatch loss, against the full gradient.

    Formula, with t = tr Cov(minibatch gradient) / |g|^2 and V from `relative_mse_linear`: one minibatch for all
    directions t + V (1 + t); an independent one for each direction V + t (P + c) / N. Exact for any
    differentiable f (forward gradient) and quadratic f (antithetic). Not for "low-rank", whose excess depends
    on where the noise lies.

    Source: derived.

    Examples
    --------
    >>> from gradest import theory
    >>> theory.relative_mse_minibatch("normal", num_parameters=99, num_samples=50, relative_noise=0.5, shared=True)
    3.5
    """
    relative_noise = real_number("relative_noise", relative_noise, "[0, inf)", example=0.5)
    linear = relative_mse_linear(distribution, num_parameters=num_parameters, num_samples=num_samples)
    if shared:
        return relative_noise + linear * (1 + relative_noise)
    pairs = orthogonal_pairs(distribution, num_parameters=num_parameters, num_samples=num_samples)
    # With a minibatch of its own, each direction adds E (e.v)^2 |v|^2 of the noise e, over N: the second moment of one
    # direction, (P + c)|e|^2, without what `linear` takes off for orthogonal pairs, whose noises are independent.
    second_moment = linear + 1 / num_samples + pairs / num_samples**2
    return linear + relative_noise * second_moment
