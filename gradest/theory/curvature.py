"""Moments of the quadratic form v^T H v, which is what the curvature of f adds to a one-sided difference.

This module must not know baselines or the number of directions.
"""

from dataclasses import dataclass

from gradest.directions.laws import law_of
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.theory.prediction import LocalModel


@dataclass(frozen=True)
class CurvatureMoments:
    """E[q^2 |v|^2], E[q |v|^2] and E[q^2] of q = v^T H v for one direction."""

    squared_weighted: float
    weighted: float
    squared: float


def curvature_moments(law: str, num_parameters: int, model: LocalModel) -> CurvatureMoments:
    """Return the moments of q = v^T H v for one direction v of a law; all are zero where the curvature is not given.

    Formula: with d = diag H, k = E v_j^4, s = E v_j^6 and o = (tr H)^2 - |d|^2 + 2 (|H|_F^2 - |d|^2),
    E[q^2 |v|^2] = o (P - 2 + 2 k) + |d|^2 (s + (P - 1) k), E[q |v|^2] = tr H (P + k - 1), E q^2 = o + k |d|^2;
    on the sphere E q^2 = P/(P+2) ((tr H)^2 + 2 |H|_F^2). Source: derived.
    """
    if model.hessian_trace is None or model.hessian_norm is None:
        return CurvatureMoments(0.0, 0.0, 0.0)
    # Products, not powers: a power of a float beyond range is an exception, a product infinite.
    trace2, norm2 = model.hessian_trace * model.hessian_trace, model.hessian_norm * model.hessian_norm
    if law == "sphere":  # where |v|^2 = P for each direction, so that weighting by it is a factor
        squared = num_parameters / (num_parameters + 2) * (trace2 + 2 * norm2)
        return CurvatureMoments(num_parameters * squared, num_parameters * model.hessian_trace, squared)
    components = law_of(law).components
    if components is None:
        raise UnsupportedError(
            f"the curvature term of one-sided differences is not derived for distribution {law!r}; "
            "leave the Hessian out for the linear part, or use baseline='antithetic'"
        )
    kurtosis, sixth = components.kurtosis, components.sixth
    # Normal directions are rotation invariant: the diagonal cancels, and any value of it serves.
    diagonal = 0.0 if law == "normal" else model.hessian_diagonal_norm
    if diagonal is None:
        raise InvalidInputError(f"distribution {law!r} depends on the axes; give hessian_diagonal_norm as well")
    # q^2 |v|^2 is a sum of products H_ij H_kl v_i v_j v_k v_l v_m^2, whose mean vanishes unless indices pair up: all
    # equal (the diagonal, d), or two pairs, which are H_ii H_jj once and H_ij^2 twice (`off_diagonal`).
    diagonal2 = diagonal * diagonal
    pair = num_parameters - 2 + 2 * kurtosis  # E v_i^2 v_j^2 |v|^2: m is neither i nor j, or one of them
    off_diagonal = trace2 - diagonal2 + 2 * (norm2 - diagonal2)
    return CurvatureMoments(
        squared_weighted=off_diagonal * pair + diagonal2 * (sixth + (num_parameters - 1) * kurtosis),
        weighted=model.hessian_trace * (num_parameters + kurtosis - 1),
        squared=off_diagonal + kurtosis * diagonal2,
    )
