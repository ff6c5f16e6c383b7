"""What a prediction says, and the local data of a function that it is computed from.

This module must not know any formula: it holds the two records that the formulas take and return.
"""

import math
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from gradest.errors import InvalidInputError
from gradest.lengths import norm_of

ANY_DIFFERENTIABLE = "any differentiable f"
QUADRATIC = "quadratic f"
QUADRATIC_IN_NODES = "f quadratic in shifts of the pre-activations"
LINEAR = "linear f"
INCREASING = "any increasing function of a linear f"

GRADIENT = "gradient"
SMOOTHED_GRADIENT = "smoothed gradient"
DIRECTION = "direction of the gradient"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The error that theory predicts for an estimator, to be printed beside the measured one.

    Attributes
    ----------
    target
        What the estimator converges to: "gradient", "smoothed gradient", or "direction of the gradient" where the
        length is lost.
    relative_mse
        E|g_hat - g|^2 / |g|^2, dimensionless; None where no formula is known, and for a direction without length.
    exact_for
        The largest class of functions for which the figures are exact.
    bias_order
        The power of sigma in E g_hat - grad f for smooth f; 0 for a bias that stays when sigma vanishes; None for no
        bias at all.
    source
        Author, year, DOI or arXiv id, or "derived" with the statement it follows from.
    cosine
        E cos(g_hat, g), the mean cosine of a single estimate with the gradient; None where no formula is known.
    slope_variation
        An upper bound, for the f at hand, of the standard deviation of `<g_hat, g> / |g|^2` over its mean, where that
        slope is a mean of squares; None where none is known. Exact figures count as bounds.

    Examples
    --------
    >>> from gradest import theory
    >>> predicted = theory.predict_forward_gradient("normal", num_parameters=99, num_samples=10)
    >>> predicted.target, predicted.relative_mse, predicted.bias_order is None
    ('gradient', 10.0, True)
    """

    target: str
    relative_mse: float | None
    exact_for: str
    bias_order: int | None
    source: str
    cosine: float | None = None
    slope_variation: float | None = None


@dataclass(frozen=True, kw_only=True)
class LocalModel:
    """The scalars of the second-order Taylor expansion of f that predictions depend on.

    Attributes
    ----------
    gradient_norm
        |g|, positive.
    value
        f(x); None where not known.
    hessian_trace
        tr H; None where the curvature is not known.
    hessian_norm
        |H|_F; None where the curvature is not known.
    hessian_diagonal_norm
        |diag H|_2; needed by laws that are not rotation invariant.

    Examples
    --------
    >>> from gradest import theory
    >>> model = theory.LocalModel(gradient_norm=5.0, value=7.0)
    >>> model.curved, model.value
    (False, 7.0)
    """

    gradient_norm: float
    value: float | None = None
    hessian_trace: float | None = None
    hessian_norm: float | None = None
    hessian_diagonal_norm: float | None = None

    def __post_init__(self) -> None:
        """Refuse a vanishing gradient, against which no relative error can be stated, half a curvature, and NaN."""
        given = self.gradient_norm
        if isinstance(given, bool) or not isinstance(given, Real) or not 0 < given < math.inf:
            raise InvalidInputError(
                f"a relative error needs a finite, positive gradient norm; found {given!r}; "
                "evaluate at a point that is not stationary"
            )
        if (self.hessian_trace is None) != (self.hessian_norm is None):
            raise InvalidInputError(
                "the curvature needs both hessian_trace and hessian_norm; found one of them; "
                "give both, or neither for the linear part alone"
            )
        for name in ("value", "hessian_trace", "hessian_norm", "hessian_diagonal_norm"):
            _require_known(name, getattr(self, name))

    @property
    def curved(self) -> bool:
        """Whether the curvature is known."""
        return self.hessian_trace is not None

    @property
    def relative(self) -> "LocalModel":
        """The model of f / |g|: relative errors are the same, and no square leaves float64's range where none need."""
        size = self.gradient_norm
        scalars = {
            name: getattr(self, name) for name in ("value", "hessian_trace", "hessian_norm", "hessian_diagonal_norm")
        }
        scaled = {name: None if scalar is None else scalar / size for name, scalar in scalars.items()}
        return replace(self, gradient_norm=1.0, **scaled)

    def at_radius(self, sigma: float) -> "LocalModel":
        """The model of v -> f(x + sigma v) / (sigma |g|): its relative errors at radius 1 are those of f at sigma.

        Formulas then hold no power of sigma, which could leave float64's range where the error does not.
        """
        relative = self.relative
        bends = {name: getattr(relative, name) for name in ("hessian_trace", "hessian_norm", "hessian_diagonal_norm")}
        scaled = {name: None if bend is None else sigma * bend for name, bend in bends.items()}
        value = None if relative.value is None else relative.value / sigma
        return replace(relative, gradient_norm=1.0, value=value, **scaled)


def _require_known(name: str, scalar: object) -> None:
    """Refuse what is no number, NaN, or a negative length, of which a formula makes a variance that is none."""
    if scalar is None:
        return
    low = 0.0 if name.endswith("_norm") else -math.inf
    # Infinity stays: `relative` and `at_radius` divide by what may be tiny, and the error that follows is infinite too.
    if isinstance(scalar, bool) or not isinstance(scalar, Real) or not float(scalar) >= low:
        raise InvalidInputError(
            f"{name} must be a number{' that is not negative' if low == 0.0 else ''}; found {scalar!r}; leave it out "
            "where it is not known"
        )


def local_model(gradient: ArrayLike, *, hessian: ArrayLike | None = None, value: float | None = None) -> LocalModel:
    """Return the scalars of a gradient (P,) and, where given, a symmetric Hessian (P, P), in float64.

    Raises
    ------
    InvalidInputError
        The gradient vanishes or is not finite, or the Hessian is of another shape or holds NaN.

    Examples
    --------
    >>> from gradest import theory
    >>> model = theory.local_model([3.0, 4.0], hessian=[[2.0, 0.0], [0.0, 1.0]], value=7.0)
    >>> model.gradient_norm, model.hessian_trace, model.value
    (5.0, 3.0, 7.0)
    """
    flat = np.asarray(gradient, dtype=np.float64).ravel()
    norm = norm_of(flat)
    if hessian is None:
        return LocalModel(gradient_norm=norm, value=value)
    matrix = np.asarray(hessian, dtype=np.float64)
    if matrix.shape != (flat.size, flat.size):
        raise InvalidInputError(
            f"a Hessian of shape {(flat.size, flat.size)}, as the gradient has {flat.size} entries, was asked for; "
            f"found {matrix.shape}; give the matrix of second derivatives by the flat parameters"
        )
    diagonal = np.diagonal(matrix)
    return LocalModel(
        gradient_norm=norm,
        value=value,
        hessian_trace=float(diagonal.sum()),
        hessian_norm=norm_of(matrix),
        hessian_diagonal_norm=norm_of(diagonal),
    )
