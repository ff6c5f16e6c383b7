"""The error that theory predicts for evolution strategies along directions of a law: relative MSE, and cosine."""

from dataclasses import replace

import numpy as np

from gradest.errors import UnsupportedError
from gradest.sampling.evolution_kernel import Strategy
from gradest.sampling.sampler import gradient_shares
from gradest.situation import Situation
from gradest.theory import (
    Prediction,
    approximate_cosine,
    expected_cosine,
    local_model,
    mean_excess,
    relative_mse_es,
    shaping_relative_variance,
)


def predict_evolution(strategy: Strategy, law: str, rank: int, at: Situation) -> Prediction | None:
    """Return the prediction for a strategy along directions of a law, or None where no formula is derived.

    Relative mean squared error by `gradest.theory.relative_mse_es`, and the mean cosine that goes with it. A shaped
    estimate has no length to be wrong by: its prediction is a cosine alone.
    """
    bare = not strategy.antithetic and strategy.baseline == "none" and strategy.shaping is None
    if not np.any(at.gradient) or (bare and at.value is None):
        return None
    if strategy.shaping is not None:
        return _predict_shaped(strategy, strategy.shaping, law, at)
    try:
        found = _predict_error(strategy, "antithetic" if strategy.antithetic else strategy.baseline, law, rank, at)
        # Centring by the mean of all values only shrinks what centring by the other values gives: one direction.
        same = _predict_error(strategy, "leave-one-out", law, rank, at) if strategy.baseline == "mean" else found
    except UnsupportedError:  # no formula is derived for this law and baseline, and None says so
        return None
    assert same.relative_mse is not None
    exact = strategy.antithetic and at.hessian is None  # of the linear part, as everything is without the curvature
    return replace(found, cosine=_cosine(strategy, law, at, same.relative_mse, exact=exact))


def _predict_error(strategy: Strategy, baseline: str, law: str, rank: int, at: Situation) -> Prediction:
    shares = gradient_shares(at.layout, at.gradient)
    return relative_mse_es(
        law,
        baseline=baseline,
        num_parameters=at.layout.num_parameters,
        num_samples=strategy.num_samples,
        sigma=strategy.sigma,
        model=local_model(at.gradient, hessian=at.hessian, value=at.value),
        direction_excess=mean_excess(law, blocks=at.layout.shapes, shares=shares, rank=rank),
    )


def _cosine(strategy: Strategy, law: str, at: Situation, relative_mse: float, *, exact: bool) -> float:
    """Return the mean cosine: exact where the law has a closed form, else the limit of large P and N."""
    if exact:
        try:
            return expected_cosine(law, num_parameters=at.layout.num_parameters, num_samples=strategy.num_samples)
        except UnsupportedError:  # no closed form for this law: the limit below
            pass
    return approximate_cosine(relative_mse)


def _predict_shaped(strategy: Strategy, shaping: str, law: str, at: Situation) -> Prediction | None:
    """Return the cosine of a shaped estimate, derived for normal directions, linear losses and many samples."""
    if law != "normal":
        return None
    variance = shaping_relative_variance(shaping, num_parameters=at.layout.num_parameters) / strategy.num_samples
    return Prediction(
        target="direction of the gradient",
        relative_mse=None,
        exact_for="linear f, in the limit of many parameters and samples",
        bias_order=0,
        source="derived: ratio of expectations; Wierstra et al. 2014, JMLR 15:949-980, for ranks",
        cosine=approximate_cosine(variance),
    )
