"""A check that blocks of the parameters move by noise of their own, measured on the estimates alone.

An estimator that begins the same stream anew for each block, or keeps noise by its shape, is wrong in a way that a
scale shows and does not explain: a block then gets the gradients of the others added to its own.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradest.testing.known_problems import layered
from gradest.testing.results import CheckResult, judged, not_applicable
from gradest.testing.subject import Subject

_SEEDS = 64
# Different noise correlates by chance, within 0.4 here, and by up to 0.7 where gradients are taken at random points or
# by pre-activations, as blocks of a loss have to do with each other; the same noise, in estimates linear in it, by 1.
_SHARED = 0.95

Floats = NDArray[np.float64]


class Shared(NamedTuple):
    """The two blocks whose estimates go together most, and their correlation."""

    names: tuple[str, str]
    correlation: float

    @property
    def is_one_noise(self) -> bool:
        """Whether it is more than different noise can have: equal noise has 1, or -1 with the sign turned."""
        return abs(self.correlation) > _SHARED


def check_blocks(subject: Subject) -> CheckResult:
    """Check that the estimates of different blocks are not made from the same random numbers.

    A failure means that the estimate of a block holds the gradients of others: for `v = (u, u)` the expectation of
    `(g.v) v` is `(g_1 + g_2, g_1 + g_2)`. It sees blocks of one shape with the same noise, and noise that begins alike
    in blocks of any shape; not noise that is shared in another order, nor that of points at which gradients are taken.
    """
    found = correlated_blocks(subject)
    if found is None:
        return not_applicable("blocks", "its estimates do not scatter; state stochastic = True where they do")
    first, second = found.names
    said = "the same noise moves both" if found.is_one_noise else "no two are moved by the same noise"
    detail = (
        f"estimates of blocks {first!r} and {second!r} correlate by {found.correlation:.3f}, the most of all: {said}"
    )
    return judged("blocks", abs(found.correlation), _SHARED, detail)


def correlated_blocks(subject: Subject) -> Shared | None:
    """Return the two blocks that go together most; None where nothing scatters."""
    if not subject.scatters:
        return None
    problem = layered()
    seeds = range(subject.seed, subject.seed + _SEEDS)
    estimates = subject.estimates(subject.statistical, problem, seeds)
    if not np.isfinite(estimates).all():
        return None
    blocks = zip(problem.layout.names, problem.layout.offsets, problem.layout.sizes, strict=True)
    scattered = {name: estimates[:, start : start + size] for name, start, size in blocks}
    pairs = [Shared(names, found) for names, found in _correlations(scattered)]
    return max(pairs, key=lambda pair: abs(pair.correlation), default=None)


def _correlations(blocks: dict[str, Floats]) -> Iterator[tuple[tuple[str, str], float]]:
    """Yield each pair of blocks and the correlation of their entries in order, as far as the smaller one reaches."""
    for first, second in combinations(blocks, 2):
        reach = min(blocks[first].shape[1], blocks[second].shape[1])
        one, other = (blocks[name][:, :reach] - blocks[name][:, :reach].mean(axis=0) for name in (first, second))
        size = float(np.linalg.norm(one) * np.linalg.norm(other))
        if size > 0.0:
            yield (first, second), float(np.sum(one * other)) / size
