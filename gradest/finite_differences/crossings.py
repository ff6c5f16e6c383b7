"""Which displacements carry a loss across a kink of relu, abs or maximum, and telling whoever asked.

A difference quotient across a kink mixes the slopes of its two sides. It is off by as much as they differ, which no
error estimate that supposes a smooth loss sees. Kinks can be seen only in a loss written in operations. This module
knows no rule and no estimator.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradest.autodiff.kinks import Signs, crossed, signs_at
from gradest.backend import Leaves
from gradest.coordinates import Chunk, Factors
from gradest.errors import KinkWarning, UnsupportedError
from gradest.estimate import Cost
from gradest.finite_differences.displaced_losses import Displacement, perturbed_copies
from gradest.layout import Layout
from gradest.objective import Objective

KINKS = ("ignore", "mark", "warn")
"""What to do about kinks: not look for them, mark them in the estimate, or mark them and warn."""


def require_visible_kinks(objective: Objective) -> None:
    """Refuse an opaque function, whose kinks cannot be seen.

    Raises
    ------
    UnsupportedError
        The loss is not written in operations.
    """
    if objective.text is None:
        raise UnsupportedError(
            "kink crossings were asked for; they are seen in a loss written in operations, and this objective is "
            "an opaque function; compare two steps instead"
        )


def find_crossings(
    objective: Objective, leaves: Leaves, plan: Sequence[Chunk], moves: Sequence[Displacement]
) -> NDArray[np.bool_]:
    """Return which coordinates of a plan have a displacement that crosses a kink, `(P,)`; False for all others.

    Costs one value at the leaves and one for each displacement; it runs whole evaluations, operation by operation,
    whatever path the estimate itself takes.
    """
    require_visible_kinks(objective)
    layout, text = objective.layout, objective.text
    factors = Factors(objective, whole_rows=False)
    found = np.zeros(layout.num_parameters, dtype=np.bool_)

    def signs(at: Leaves, count: int) -> Signs:
        objective.count(Cost(values=count))
        return signs_at(objective.backend, objective.ops, lambda ops: text(ops, at, objective.data))  # type: ignore[misc]  # not None, as required above

    here = signs(leaves, 1)
    for chunk in plan:
        block, count = chunk.block, chunk.positions.size
        for move in moves:
            copies = perturbed_copies(objective, leaves, block, *factors(chunk), move.arrays[block])
            # Other blocks stay without a leading axis: what they alone lead to is computed, and compared, once.
            there = signs(tuple(copies[k] if k == block else x for k, x in enumerate(leaves)), count)
            found[layout.offsets[block] + chunk.positions] |= crossed(here, there, count)
    return found


def warn_of_crossings(layout: Layout, crossings: NDArray[np.bool_]) -> None:
    """Warn where a displacement crosses a kink, naming the parameters and how many of their entries it concerns."""
    if not crossings.any():
        return
    blocks = zip(layout.names, layout.offsets, layout.sizes, strict=True)
    counts = {name: (int(crossings[start : start + size].sum()), size) for name, start, size in blocks}
    where = ", ".join(f"{name!r} {count} of {size}" for name, (count, size) in counts.items() if count)
    warnings.warn(
        f"{int(crossings.sum())} of {crossings.size} difference quotients cross a kink ({where}) and mix the slopes of "
        "its sides; take a shorter step, or leave these entries out by the estimate's `crossings`",
        KinkWarning,
        stacklevel=2,
    )
