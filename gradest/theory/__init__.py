"""Theory of gradient estimators: the error, bias and covariance that an estimator must show.

Measured figures are printed beside these. Every formula says for which functions it is exact. Laws of directions are
those of `gradest.directions.LAWS`, scaled so that E v v^T = I; their moments stand there. This package must not draw
a direction, nor run an estimator.

Estimators state `relative_mse_es`, `predict_shaped`, `predict_forward_gradient`, `predict_pathwise`, `predict_guided`,
`predict_node_perturbation`, `predict_residual_feedback` and `predict_momentum_guided`. Called by no estimator, and here
for whoever plans a run: `relative_mse_minibatch` (a noisy batch), `evaluation_noise_mse` (a noisy loss),
`optimal_shrinkage` (how much to shorten an estimate), `approximate_cosine` and `expected_squared_cosine`,
`shaping_scale` and `shaping_relative_variance` (length and scatter of a shaped estimate), `relative_mse_bounds` (how
far a measured error may lie from a predicted one), `gaussian_bias` and `spsa_bias` (of a known third derivative).
"""

from gradest.directions.laws import DISTRIBUTIONS
from gradest.theory.bias import gaussian_bias, low_rank_bias, smoothing_bias, spsa_bias
from gradest.theory.chi_square import chi2_cdf, chi2_quantile, chi2_sf, normal_quantile
from gradest.theory.covariance import covariance
from gradest.theory.direction_only import (
    BASELINES,
    approximate_cosine,
    expected_cosine,
    expected_squared_cosine,
    linear_cosine,
    optimal_shrinkage,
    projection_relative_mse,
    shaping_relative_variance,
    shaping_scale,
)
from gradest.theory.error_bars import relative_mse_bounds, relative_mse_standard_error, squared_error_variation
from gradest.theory.gradients import predict_forward_gradient, predict_pathwise, relative_mse_minibatch
from gradest.theory.guided import predict_guided
from gradest.theory.moments import excess, mean_excess, relative_mse_linear
from gradest.theory.node_perturbation import NodeLayer, predict_node_perturbation
from gradest.theory.prediction import LocalModel, Prediction, local_model
from gradest.theory.remembering import predict_momentum_guided, predict_residual_feedback
from gradest.theory.shaped import expected_shaped_cosine, predict_shaped
from gradest.theory.smoothing import evaluation_noise_mse, relative_mse_es, smoothing_bias_order
from gradest.theory.stencils import (
    DifferenceRule,
    central_coefficients,
    difference_error,
    difference_optimum,
    difference_rule,
)
from gradest.theory.unbiasedness import ChiSquareTest, unbiasedness_statistic

__all__ = [
    "BASELINES",
    "DISTRIBUTIONS",
    "ChiSquareTest",
    "DifferenceRule",
    "LocalModel",
    "NodeLayer",
    "Prediction",
    "approximate_cosine",
    "central_coefficients",
    "chi2_cdf",
    "chi2_quantile",
    "chi2_sf",
    "covariance",
    "difference_error",
    "difference_optimum",
    "difference_rule",
    "evaluation_noise_mse",
    "excess",
    "expected_cosine",
    "expected_shaped_cosine",
    "expected_squared_cosine",
    "gaussian_bias",
    "linear_cosine",
    "local_model",
    "low_rank_bias",
    "mean_excess",
    "normal_quantile",
    "optimal_shrinkage",
    "predict_forward_gradient",
    "predict_guided",
    "predict_momentum_guided",
    "predict_node_perturbation",
    "predict_pathwise",
    "predict_residual_feedback",
    "predict_shaped",
    "projection_relative_mse",
    "relative_mse_bounds",
    "relative_mse_es",
    "relative_mse_linear",
    "relative_mse_minibatch",
    "relative_mse_standard_error",
    "shaping_relative_variance",
    "shaping_scale",
    "smoothing_bias",
    "smoothing_bias_order",
    "spsa_bias",
    "squared_error_variation",
    "unbiasedness_statistic",
]
