"""The error of (1/N) sum_i (g.v_i) v_i, the mean of directions weighted by slopes, for every law of v.

It follows from fourth moments of the laws, which stand with them in `gradest.directions.laws`. All of it holds for any
differentiable f when (g.v) is an exact directional derivative, and for quadratic f when it is a central difference.
This module must not know how a direction is drawn, nor what sigma is.
"""

import math
from collections.abc import Sequence

from gradest.directions.laws import law_of
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.whole_numbers import whole_number

_MATRIX_AXES = 2


def marginal(distribution: str) -> str:
    """Return the law of one direction alone: "sphere" for "orthogonal", "normal" for "orthogonal-chi"."""
    return law_of(distribution).frame_of or distribution


def underived(distribution: str, what: str) -> UnsupportedError:
    """Return the error that says that theory has no formula for a law."""
    return UnsupportedError(
        f"{what} is not derived for distribution {distribution!r}, whose components are not independent; give its "
        "Law components=Components(...) if they are, or use distribution='normal'"
    )


def require_rank(rank: int | None) -> None:
    """Refuse a rank that is none, also where a law or a shape has no use for it: a slip would go unseen."""
    if rank is not None:
        whole_number("rank", rank)


def excess(distribution: str, shape: Sequence[int] = (), *, rank: int | None = None) -> float:
    """Return c of E[(g.v)^2 |v|^2] = |g|^2 (P + c) for a parameter block of a shape.

    Formula: kurtosis - 1 for independent components (normal 2, Rademacher 0, uniform 4/5), 0 where |v|^2 = P
    always, 2 + 2 (m + n + 1) / r for v = A B^T / sqrt(r) on an (m, n) matrix. A block that is not a matrix
    has plain normal directions under "low-rank", of whatever rank. Exact for every g.

    Source: derived from fourth moments; low rank, Sarkar et al. 2025, arXiv:2511.16652 (the law, not the formula).

    Raises
    ------
    UnknownNameError
        No distribution has that name.
    InvalidInputError
        "low-rank" was asked for of a matrix without a rank.
    UnsupportedError
        The error of this distribution is not derived.

    Examples
    --------
    >>> from gradest import theory
    >>> theory.excess("normal"), theory.excess("rademacher"), theory.excess("low-rank", (10, 5), rank=2)
    (2.0, 0.0, 18.0)
    """
    law = law_of(marginal(distribution))
    require_rank(rank)
    if law.fixed_length:
        return 0.0
    if law.components is not None:
        return law.components.kurtosis - 1.0
    if not law.factored:
        raise underived(distribution, "the error")
    if len(shape) != _MATRIX_AXES:
        return excess("normal")
    if rank is None:
        raise InvalidInputError("distribution 'low-rank' was asked for without a rank; give rank=1 or more")
    rows, columns = shape
    return 2.0 + 2.0 * (rows + columns + 1) / rank


def mean_excess(
    distribution: str,
    *,
    blocks: Sequence[Sequence[int]] | None = None,
    shares: Sequence[float] | None = None,
    rank: int | None = None,
) -> float:
    """Return sum_l w_l c_l over parameter blocks, with w_l = |G_l|^2 / |g|^2.

    Parameters
    ----------
    blocks
        Shapes of the parameter arrays; only "low-rank" depends on them.
    shares
        w_l, one for each block, adding up to 1; needed where the excess differs between blocks.
    rank
        Rank of a low-rank direction.

    Raises
    ------
    InvalidInputError
        Blocks or shares are missing where the law needs them, or shares do not add up to 1.
    UnsupportedError
        No excess is derived for the law.

    Examples
    --------
    >>> from gradest import theory
    >>> theory.mean_excess("low-rank", blocks=[(10, 5), (5,)], shares=[0.5, 0.5], rank=2)
    10.0
    """
    if not law_of(distribution).factored:
        return excess(distribution)
    if not blocks:
        raise InvalidInputError("the excess of 'low-rank' depends on the array shapes; give blocks=[(m, n), ...]")
    each = [excess(distribution, shape, rank=rank) for shape in blocks]
    if shares is None:
        if max(each) == min(each):
            return each[0]
        raise InvalidInputError(
            f"the {len(each)} blocks have excesses from {min(each):g} to {max(each):g}, so their weights matter; "
            "give shares=|G_l|^2 / |g|^2, one for each block"
        )
    if len(shares) != len(each) or min(shares) < 0 or not math.isclose(math.fsum(shares), 1.0, rel_tol=1e-6):
        raise InvalidInputError(
            f"shares must be {len(each)} nonnegative numbers that add up to 1, "
            f"found {len(shares)} with sum {math.fsum(shares):g}; give |G_l|^2 / |g|^2"
        )
    return math.fsum(share * c for share, c in zip(shares, each, strict=True))


def orthogonal_pairs(distribution: str, *, num_parameters: int, num_samples: int) -> int:
    """Return the number of ordered pairs of distinct directions that are orthogonal by construction.

    N > P directions come in independent blocks of P and one remainder block; independent laws have none.
    """
    whole_number("num_parameters", num_parameters)
    whole_number("num_samples", num_samples)
    if law_of(distribution).frame_of is None:
        return 0
    full, remainder = divmod(num_samples, num_parameters)
    return full * num_parameters * (num_parameters - 1) + remainder * (remainder - 1)


def relative_mse_linear(
    distribution: str,
    *,
    num_parameters: int,
    num_samples: int,
    blocks: Sequence[Sequence[int]] | None = None,
    shares: Sequence[float] | None = None,
    rank: int | None = None,
) -> float:
    """Return E|g_hat - g|^2 / |g|^2 of g_hat = (1/N) sum_i (g.v_i) v_i, dimensionless.

    Formula: (P - 1 + c) / N - q / N^2, with c = sum_l w_l c_l and q the number of ordered orthogonal pairs.
    It gives (P+1)/N for normal, (P-1)/N for Rademacher and sphere, (P-N)/N for orthogonal (N <= P),
    (P+2-N)/N for orthogonal-chi. Exact for any differentiable f (forward gradient) and for quadratic f
    (antithetic evolution strategies, SPSA).

    Source: derived; Belouze 2022, arXiv:2209.06302, states that Rademacher is the best independent law.

    Examples
    --------
    >>> from gradest import theory
    >>> theory.relative_mse_linear("normal", num_parameters=99, num_samples=10)
    10.0
    >>> theory.relative_mse_linear("orthogonal", num_parameters=100, num_samples=100)
    0.0
    """
    c = mean_excess(distribution, blocks=blocks, shares=shares, rank=rank)
    return linear_part(distribution, num_parameters=num_parameters, num_samples=num_samples, excess=c)


def linear_part(distribution: str, *, num_parameters: int, num_samples: int, excess: float) -> float:
    """Return (P - 1 + c) / N - q / N^2 for a given c; anything added to c adds to the error of each direction."""
    pairs = orthogonal_pairs(distribution, num_parameters=num_parameters, num_samples=num_samples)
    return (num_parameters - 1 + excess) / num_samples - pairs / num_samples**2
