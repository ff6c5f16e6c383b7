"""Predicted error of node perturbation: a gradient by pre-activations is estimated, and carried to the parameters.

This module must not know how layers are found or perturbed: it is given their inputs and slopes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gradest.directions.laws import law_of
from gradest.errors import InvalidInputError
from gradest.lengths import unit_of
from gradest.theory.moments import marginal, orthogonal_pairs, underived
from gradest.theory.prediction import QUADRATIC_IN_NODES, SMOOTHED_GRADIENT, Prediction
from gradest.theory.smoothing import smoothing_bias_order
from gradest.whole_numbers import whole_number


@dataclass(frozen=True, eq=False, kw_only=True)
class NodeLayer:
    """Holds what the error depends on in one layer z = h W + b.

    Attributes
    ----------
    inputs
        h, shape (B, D), float64.
    slopes
        The gradient of the loss by a shift of z, shape (B, H), float64.
    bias
        Whether b is a parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest import theory
    >>> layer = theory.NodeLayer(inputs=np.ones((4, 3)), slopes=np.ones((4, 2)), bias=True)
    >>> layer.gains.tolist(), layer.squared_gradient
    ([4.0, 4.0, 4.0, 4.0], 128.0)
    """

    inputs: NDArray[np.float64]
    slopes: NDArray[np.float64]
    bias: bool

    def __post_init__(self) -> None:
        """Refuse arrays that are not of one batch."""
        shapes = self.inputs.shape, self.slopes.shape
        if not (len(shapes[0]) == len(shapes[1]) == 2 and shapes[0][0] == shapes[1][0]):
            raise InvalidInputError(f"a layer needs inputs (B, D) and slopes (B, H) of one B; found {shapes}")

    @property
    def gains(self) -> NDArray[np.float64]:
        """How strongly a unit feels its own parameters: |dz/d(W, b)|^2 = |h_n|^2 + 1 with a bias, shape (B,)."""
        return np.asarray(np.sum(self.inputs**2, axis=1) + float(self.bias), dtype=np.float64)

    @property
    def squared_gradient(self) -> float:
        """The squared norm of the gradient by W and b: |h^T slopes|^2, plus |sum_n slopes_n|^2 with a bias."""
        by_bias = np.sum(self.slopes.sum(axis=0) ** 2) if self.bias else 0.0
        return float(np.sum((self.inputs.T @ self.slopes) ** 2) + by_bias)

    def in_units(self, unit: float) -> "NodeLayer":
        """Return the layer of the loss divided by a unit, whose squares are in range where those of this are not."""
        return replace(self, slopes=self.slopes / unit)


@dataclass(frozen=True, kw_only=True)
class _Moments:
    """The sums that the error is made of, over all layers.

    In order: n nodes, the error of normal directions, w = sum_z d_z^2 (J J^T)_zz, g = |J^T d|^2, the low-rank term.
    """

    nodes: int
    normal: float
    weighted: float
    gradient: float
    low_rank: float

    def error(self, law: str) -> float:
        """Return tr(C J J^T) of one direction of a law."""
        if law == "sphere":
            return (self.nodes * self.normal - 2.0 * self.gradient) / (self.nodes + 2)
        if law == "coordinates":
            return self.nodes * self.weighted - self.gradient
        if law_of(law).factored:
            return self.normal + self.low_rank
        components = law_of(law).components
        if components is None:
            raise underived(law, "the error of node perturbation")
        return self.normal + (components.kurtosis - 3.0) * self.weighted


def predict_node_perturbation(
    distribution: str,
    *,
    layers: Sequence[NodeLayer],
    gradient_norm: float,
    num_samples: int,
    rank: int = 1,
    example_squares: float | None = None,
) -> Prediction:
    """Predict the relative MSE of node perturbation, from what goes into each layer and the slopes by its outputs.

    The estimate is J^T (1/N) sum_i (d.v_i) v_i, with d the gradient by all n pre-activations z and J = dz/dx.
    Inputs h are those of the unperturbed loss, so J is known exactly and the error is J^T times that of d: E|g_hat
    - g|^2 = tr(C J J^T), with C from `covariance` in n dimensions and g = J^T d. Within a layer J J^T is (h_m.h_n +
    1) I_H between samples m and n, the 1 for a bias. Let s = |d|^2, t = tr J J^T = sum_l H_l sum_n k_ln with k_ln =
    |h_ln|^2 + 1, w = sum_ln k_ln |d_ln|^2.

    Formula, one direction, in units of |g|^2: s t / |g|^2 + 1 for normal ones, plus (kurtosis - 3) w / |g|^2 for
    other independent components; (n s t / |g|^2 + n - 2) / (n + 2) on the sphere; n w / |g|^2 - 1 along
    coordinates; low rank adds sum_l (2/r) (|d_l|^2 sum_n k_ln + (H_l + 1) |g_l|^2) / |g|^2. N directions:
    1/N of it, orthogonal frames as in `covariance`. Exact where f is quadratic in shifts of the pre-activations, and
    in the limit of small sigma.

    With the noise of each example weighted by its own loss, only products within an example remain: s t becomes sum_b
    |d_b|^2 |J_b|^2 over the B examples and the 1 beside it sum_b |g_b / B|^2 / |g|^2, about B times less together; low
    rank adds sum_l ((H_l + 1) |g_l|^2 + (H_l + 3) w_l) / (r |g|^2).

    Parameters
    ----------
    layers
        Every affine operation on parameters, in any order; tied weights come once for each use.
    gradient_norm
        |g|, the norm of the gradient by all parameters.
    num_samples
        N, antithetic pairs.
    rank
        Of low-rank directions.
    example_squares
        sum_b |g_b / B|^2, of the gradients g_b of the examples' own losses, where each weighs its own noise; None
        where the joint loss weighs all.

    Raises
    ------
    InvalidInputError
        There is no layer, the gradient vanishes, or layers of unequal batches are to be weighed by example.

    Source: derived. Widrow & Lehr 1990, doi:10.1109/5.58323 (MR III), define the estimator for one layer.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest import theory
    >>> layer = theory.NodeLayer(inputs=np.ones((4, 3)), slopes=np.ones((4, 2)), bias=True)
    >>> norm = float(np.sqrt(layer.squared_gradient))
    >>> found = theory.predict_node_perturbation("normal", layers=[layer], gradient_norm=norm, num_samples=10)
    >>> round(found.relative_mse, 6)
    0.3
    """
    law = marginal(distribution)
    whole_number("num_samples", num_samples)
    whole_number("rank", rank)
    if not layers or not gradient_norm > 0:
        raise InvalidInputError(
            f"a relative error needs layers and a positive gradient norm; found {len(layers)} layers "
            f"and the norm {gradient_norm}; evaluate where the gradient does not vanish"
        )
    unit = unit_of(np.array(gradient_norm), *(layer.slopes for layer in layers))
    layers, gradient_norm = [layer.in_units(unit) for layer in layers], gradient_norm / unit
    if example_squares is None:
        moments = _joint_moments(layers, gradient_norm, rank)
    else:
        moments = _example_moments(layers, gradient_norm, rank, example_squares / unit / unit)
    error = moments.error(law) / num_samples
    pairs = orthogonal_pairs(distribution, num_parameters=moments.nodes, num_samples=num_samples)
    if pairs:  # as in `covariance`, with the nodes as the dimensions
        fixed_length = "coordinates" if law == "coordinates" else "sphere"
        error -= pairs / num_samples**2 * moments.error(fixed_length) / (moments.nodes - 1)
    return Prediction(
        target=SMOOTHED_GRADIENT,
        relative_mse=max(error, 0.0) / gradient_norm**2,  # a full frame leaves 0, which rounding may miss
        exact_for=QUADRATIC_IN_NODES,
        bias_order=smoothing_bias_order(distribution, baseline="antithetic"),
        source="derived: tr(C J J^T), C from fourth moments of the directions",
    )


def _joint_moments(layers: Sequence[NodeLayer], gradient_norm: float, rank: int) -> _Moments:
    squares = [float(np.sum(layer.slopes**2)) for layer in layers]
    sums = [float(layer.gains.sum()) for layer in layers]
    units = [layer.slopes.shape[1] for layer in layers]
    low_rank = math.fsum(
        square * gain + (width + 1) * layer.squared_gradient
        for layer, square, gain, width in zip(layers, squares, sums, units, strict=True)
    )
    all_gains = math.fsum(width * gain for width, gain in zip(units, sums, strict=True))
    return _Moments(
        nodes=sum(layer.slopes.size for layer in layers),
        normal=math.fsum(squares) * all_gains + gradient_norm**2,
        weighted=math.fsum(map(_weighted, layers)),
        gradient=gradient_norm**2,
        low_rank=2.0 / rank * low_rank,
    )


def _example_moments(layers: Sequence[NodeLayer], gradient_norm: float, rank: int, example_squares: float) -> _Moments:
    counts = {len(layer.slopes) for layer in layers}
    if len(counts) > 1:
        raise InvalidInputError(
            f"layers of one batch were asked for, to weigh each example by its own loss; found {sorted(counts)} rows"
        )
    # Row b of each layer belongs to example b: |d_b|^2 and |J_b|^2 are sums over layers.
    slopes = np.sum([np.sum(layer.slopes**2, axis=1) for layer in layers], axis=0)
    gains = np.sum([layer.slopes.shape[1] * layer.gains for layer in layers], axis=0)
    low_rank = math.fsum(
        (layer.slopes.shape[1] + 1) * layer.squared_gradient + (layer.slopes.shape[1] + 3) * _weighted(layer)
        for layer in layers
    )
    return _Moments(
        nodes=sum(layer.slopes.size for layer in layers),
        normal=float(slopes @ gains) + example_squares,
        weighted=math.fsum(map(_weighted, layers)),
        gradient=gradient_norm**2,
        low_rank=low_rank / rank,
    )


def _weighted(layer: NodeLayer) -> float:
    """Return sum_n k_n |d_n|^2 of one layer, the squared gradients of its rows by its own weights."""
    return float(layer.gains @ np.sum(layer.slopes**2, axis=1))
