"""The laws of random directions, one row each: to add a law is to add a row here, and the function that draws it.

Everything else reads this table: `gradest.directions` draws by it, `gradest.theory` takes the moments from it, and
estimators their formula and source. Every law is scaled so that E v v^T = I over all P entries.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Law:
    """What is known of one law of directions.

    Attributes
    ----------
    drawn_by
        "module:function" that fills an array with directions, `(streams, start, out)`; see
        `gradest.directions.independent`. A name and no import, so that theory does not depend on how directions are
        drawn.
    blockwise
        Whether directions depend on each other: then `drawn_by` names what makes such a function, from
        `(num_samples, size, memory_budget_bytes)`.
    wording
        The law in a formula, after "v_i".
    source
        Author, year and DOI or arXiv id, where gradient estimates along such directions have one of their own.
    kurtosis, sixth_moment
        E v_j^4 and E v_j^6, of laws with independent entries; None of others.
    single
        The law of one direction by itself, where several are orthogonal to each other by construction.
    centred
        Whether a direction and its negative are equally likely.
    smooths_as_normal
        Whether the loss smoothed along single directions is the one smoothed by a normal density.
    """

    drawn_by: str
    wording: str
    blockwise: bool = False
    source: str | None = None
    kurtosis: float | None = None
    sixth_moment: float | None = None
    single: str | None = None
    centred: bool = True
    smooths_as_normal: bool = False


_INDEPENDENT = "gradest.directions.independent"
_ORTHOGONAL = "gradest.directions.orthogonal"
_CHOROMANSKI = "Choromanski et al. 2018, arXiv:1804.02395"

LAWS: dict[str, Law] = {
    "normal": Law(
        drawn_by=f"{_INDEPENDENT}:fill_normal",
        wording="~ N(0, I)",
        kurtosis=3.0,
        sixth_moment=15.0,
        smooths_as_normal=True,
    ),
    "rademacher": Law(
        drawn_by=f"{_INDEPENDENT}:fill_rademacher",
        wording="of random signs",
        source="Spall 1992, doi:10.1109/9.119632",
        kurtosis=1.0,
        sixth_moment=1.0,
    ),
    "uniform": Law(
        drawn_by=f"{_INDEPENDENT}:fill_uniform",
        wording="uniform in [-sqrt 3, sqrt 3]^P",
        kurtosis=9.0 / 5.0,
        sixth_moment=27.0 / 7.0,
    ),
    "sphere": Law(
        drawn_by=f"{_INDEPENDENT}:fill_sphere",
        wording="= sqrt(P) u, u uniform on the sphere",
        source="Flaxman, Kalai & McMahan 2005, arXiv:cs/0408007",
    ),
    "coordinates": Law(
        drawn_by=f"{_INDEPENDENT}:fill_coordinates",
        wording="= sqrt(P) e_j, j drawn with replacement",
        centred=False,
    ),
    # `A B^T / sqrt(r)` for each matrix, from normal factors; parameters of other shapes are plain normal.
    "low-rank": Law(
        drawn_by=f"{_INDEPENDENT}:fill_normal",
        wording="= A B^T / sqrt(r) for each matrix",
        source="Sarkar et al. 2025, arXiv:2511.16652",
    ),
    "coordinates-without-replacement": Law(
        drawn_by=f"{_ORTHOGONAL}:permutations",
        blockwise=True,
        wording="= sqrt(P) e_j, j drawn without replacement",
        single="coordinates",
        centred=False,
    ),
    "orthogonal": Law(
        drawn_by=f"{_ORTHOGONAL}:frames",
        blockwise=True,
        wording="= sqrt(P) times an orthonormal frame",
        source=_CHOROMANSKI,
        single="sphere",
    ),
    "orthogonal-chi": Law(
        drawn_by=f"{_ORTHOGONAL}:frames_of_chi_length",
        blockwise=True,
        wording="= an orthonormal frame with chi_P lengths",
        source=_CHOROMANSKI,
        single="normal",
        smooths_as_normal=True,
    ),
}
"""Every law by name."""
