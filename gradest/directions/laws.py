"""The laws of random directions, one entry each: how a law is drawn, what it is called, and its moments.

To add a law, add an entry to `LAWS`. Samplers, the formulas and sources that estimators print, the checks and
`gradest.theory` read everything else from here. This module knows no shapes of parameters and no estimator.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gradest.directions.independent import (
    fill_coordinates,
    fill_normal,
    fill_rademacher,
    fill_sphere,
    fill_uniform,
    read_coordinates,
    read_normal,
    read_rademacher,
    read_sphere,
    read_uniform,
)
from gradest.directions.orthogonal import Frames, Permutations
from gradest.directions.streams import Streams
from gradest.errors import unknown_name
from gradest.operations import NumpyArray

Fill = Callable[[Streams, int, NumpyArray], None]
"""`(streams, start, out)` fills `out` `(K, P)`, float32 or float64, with the directions start, ..., start + K - 1."""

Read = Callable[[Streams, int, int, NumpyArray, float], Iterator[NumpyArray]]
"""`(streams, index, P, scratch, radius)` yields radius times direction `index` in parts, each in the scratch, which the
next overwrites."""


class Extent(NamedTuple):
    """How much one estimate draws: `num_samples` directions of `size` entries, in so much memory at once."""

    size: int
    num_samples: int
    memory_budget_bytes: int


@dataclass(frozen=True, kw_only=True)
class Components:
    """Moments of one component of a direction whose components are independent, of mean 0 and variance 1.

    Attributes
    ----------
    kurtosis
        E v_j^4.
    sixth
        E v_j^6.

    Examples
    --------
    >>> from gradest.directions import Components
    >>> Components(kurtosis=1.0, sixth=1.0)  # of random signs
    Components(kurtosis=1.0, sixth=1.0)
    """

    kurtosis: float
    sixth: float


@dataclass(frozen=True, kw_only=True)
class Law:
    """A law of random directions v with P entries, scaled so that E v v^T = I.

    Attributes
    ----------
    wording
        What follows "v_i" in a formula for people, such as "~ N(0, I)".
    draw
        From how much is drawn to the function that fills in the directions.
    read
        How one direction is read part by part, the same numbers bit for bit; None for a law that cannot draw the
        beginning of a direction without the rest, whose directions are drawn whole.
    source
        Author, year and DOI or arXiv id of evolution strategies with this law; None for the source of the method.
    components
        The moments of a component, where components are independent: enough for every formula of `gradest.theory`.
        None for a law with formulas of its own there, by name.
    fixed_length
        Whether |v|^2 = P always.
    frame_of
        Where the directions within a block of P are orthogonal to each other: the law of one of them alone.
    centred
        Whether E v = 0. Without it one-sided differences are biased in the first order of sigma.
    signs
        Whether entries are random signs, which `Directions.packed_block` draws as bits.
    factored
        Whether a direction is drawn as two factors for each matrix; see `factor_shapes`.
    single_entry
        Whether a direction moves one entry alone: a few of them do not show that a loss is flat.

    Examples
    --------
    >>> from gradest.directions import LAWS
    >>> law = LAWS["rademacher"]
    >>> law.wording, law.components.kurtosis, law.fixed_length
    ('of random signs', 1.0, True)
    """

    wording: str
    draw: Callable[[Extent], Fill]
    read: Read | None = None
    source: str | None = None
    components: Components | None = None
    fixed_length: bool = False
    frame_of: str | None = None
    centred: bool = True
    signs: bool = False
    factored: bool = False
    single_entry: bool = False


def independently(fill: Fill) -> Callable[[Extent], Fill]:
    """Return how a law is drawn whose directions need nothing but their own streams."""
    return lambda extent: fill


def _frames(*, chi: bool) -> Callable[[Extent], Fill]:
    def draw(extent: Extent) -> Fill:
        frames = Frames(extent.num_samples, extent.size, chi=chi, memory_budget_bytes=extent.memory_budget_bytes)
        return frames.fill

    return draw


_ORTHOGONAL_SOURCE = "Choromanski et al. 2018, arXiv:1804.02395"

LAWS: dict[str, Law] = {
    "normal": Law(
        wording="~ N(0, I)",
        draw=independently(fill_normal),
        read=read_normal,
        components=Components(kurtosis=3.0, sixth=15.0),
    ),
    # Kurtosis 1 is the least there is: no other law of independent components has less error.
    "rademacher": Law(
        wording="of random signs",
        draw=independently(fill_rademacher),
        read=read_rademacher,
        source="Spall 1992, doi:10.1109/9.119632",
        components=Components(kurtosis=1.0, sixth=1.0),
        fixed_length=True,
        signs=True,
    ),
    "uniform": Law(
        wording="uniform in [-sqrt 3, sqrt 3]^P",
        draw=independently(fill_uniform),
        read=read_uniform,
        components=Components(kurtosis=9 / 5, sixth=27 / 7),
    ),
    "sphere": Law(
        wording="= sqrt(P) u, u uniform on the sphere",
        draw=independently(fill_sphere),
        read=read_sphere,
        source="Flaxman, Kalai & McMahan 2005, arXiv:cs/0408007",
        fixed_length=True,
    ),
    # Only sqrt(P) e_j and never its opposite: pairs need none, and one-sided differences are biased by it.
    "coordinates": Law(
        wording="= sqrt(P) e_j, j drawn with replacement",
        draw=independently(fill_coordinates),
        read=read_coordinates,
        fixed_length=True,
        centred=False,
        single_entry=True,
    ),
    # Normal factors: what makes them a low-rank product is the shapes that they are dealt out to.
    "low-rank": Law(
        wording="= A B^T / sqrt(r) for each matrix",
        draw=independently(fill_normal),
        read=read_normal,
        source="Sarkar et al. 2025, arXiv:2511.16652",
        factored=True,
    ),
    "coordinates-without-replacement": Law(
        wording="= sqrt(P) e_j, j drawn without replacement",
        draw=lambda extent: Permutations(extent.size).fill,
        fixed_length=True,
        frame_of="coordinates",
        centred=False,
        single_entry=True,
    ),
    "orthogonal": Law(
        wording="= sqrt(P) times an orthonormal frame",
        draw=_frames(chi=False),
        source=_ORTHOGONAL_SOURCE,
        fixed_length=True,
        frame_of="sphere",
    ),
    # Lengths chi_P make each direction alone normal, so that it smooths as "normal" does.
    "orthogonal-chi": Law(
        wording="an orthonormal frame with chi_P lengths",
        draw=_frames(chi=True),
        source=_ORTHOGONAL_SOURCE,
        frame_of="normal",
    ),
}
DISTRIBUTIONS = tuple(LAWS)
"""The names of the laws that gradest has."""


def law_of(distribution: str) -> Law:
    """Return the law of a name.

    Raises
    ------
    UnknownNameError
        There is none; the message lists near names.
    """
    law = LAWS.get(distribution) if isinstance(distribution, str) else None
    if law is None:
        raise unknown_name("distribution of directions", distribution, LAWS)
    return law
