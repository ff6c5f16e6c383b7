"""The gradient noise scale of a loss over examples: how much the gradients of its examples scatter around their mean.

`s = tr Cov(g_b) / |g|^2`, the B examples being all there are: Cov is `(1/B) sum_b (g_b - g)(g_b - g)^T` (the simple
noise scale of McCandlish, Kaplan, Amodei et al. 2018, arXiv:1812.06162). A batch of b examples drawn with replacement
has the relative squared error s / b: beyond b = s larger batches bring little.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves, as_float64
from gradest.binding import BINDING, Bindable, bind_given
from gradest.directions.keys import Rng, generator_of
from gradest.errors import InvalidInputError, NonFiniteError, UnsupportedError
from gradest.lengths import unit_of
from gradest.objective import Objective
from gradest.problem import Problem
from gradest.sampling.nodes import example_squares, node_layers, why_rows_are_no_examples
from gradest.tree import Tree
from gradest.whole_numbers import whole_number

EXACT_ENTRIES = 1 << 22
"""Numbers of all examples' gradients, P x B, up to which each of them is computed."""
_LEAST_SAMPLE = 32


@dataclass(frozen=True)
class NoiseScale:
    """The noise scale of a loss at one point.

    Attributes
    ----------
    value
        s, the trace of the covariance of the examples' gradients over the squared length of their mean.
    error
        Its standard error; 0 where every example has part in it.
    num_examples, num_sampled
        B, and how many of the examples were looked at.
    path
        "layers": all examples together, from what goes into each layer and comes back to it; "examples": each
        gradient by itself.

    Examples
    --------
    >>> import gradest
    >>> iris = gradest.get_problem("softmax-regression", dataset="iris", batch=30)
    >>> found = gradest.noise_scale(iris)
    >>> found.path, round(found.value, 2), found.error
    ('layers', 2.49, 0.0)
    """

    value: float
    error: float
    num_examples: int
    num_sampled: int
    path: str


def noise_scale(
    f: Bindable,
    params: Tree = None,
    *args: object,
    num_samples: int | None = None,
    rng: Rng = None,
    **binding: Any,
) -> NoiseScale:
    """Return the gradient noise scale of a loss that is a mean over examples.

    Of a network whose layers have a row for each example it takes four gradients, whatever the number of examples;
    of other losses it takes one for each example, or for a sample of them.

    Parameters
    ----------
    f
        A `Problem` that is an `EmpiricalRisk`, a function that returns one loss for each example, `(B,)`, a `Case` of
        one, or an `Objective` of any of them.
    params, *args
        Where it is asked, and the function's further arguments.
    num_samples
        How many examples are drawn, without replacement, to estimate it from, at least 2; by default all, or as many
        as `EXACT_ENTRIES` numbers have room for, but 32 at least.
    rng
        SPEC 7: an int, a `Generator`, or None for fresh entropy; which examples are drawn.
    **binding
        Options of `gradest.bind`, and the function's own keyword arguments.

    Raises
    ------
    UnsupportedError
        The examples of the loss are not known apart, or nothing here differentiates it.
    InvalidInputError
        The gradient vanishes, or `num_samples` is none.
    NonFiniteError
        The gradient of the loss, or of an example, is NaN or infinite.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> points = np.array([1.0, 3.0])
    >>> found = gradest.noise_scale(lambda x, at: (x - at) ** 2, np.zeros(1), points)  # gradients -2 and -6
    >>> found.value, found.error, found.num_examples
    (0.25, 0.0, 2)
    """
    options = {name: value for name, value in binding.items() if name in BINDING}
    named = {name: value for name, value in binding.items() if name not in BINDING}
    if not isinstance(f, Objective | Problem):
        # A function that returns (B,) is no scalar loss to `bind`; that its entries are examples is what is asked here.
        options.setdefault("per_example", True)
    objective = bind_given(f, params, (args, named), **options)
    return noise_scale_of(objective, num_samples=num_samples, rng=rng)


def noise_scale_of(objective: Objective, *, num_samples: int | None = None, rng: Rng = None) -> NoiseScale:
    """Return the noise scale of an objective at its start point; see `noise_scale`."""
    count = int(objective.prepare_losses()(objective.start).shape[0])
    if num_samples is None and not _why_no_layers(objective):
        return _by_layers(objective)
    chosen = _sample(num_samples, count, objective.layout.num_parameters, rng)
    whole = _flat(objective, objective.prepare_gradient()[0](objective.start)[1])
    unit = unit_of(whole)
    length = _squared_length(whole / unit)
    # About the mean of all examples, which is known: a sample's own mean would take one degree of freedom.
    squares = np.fromiter(_deviations(objective, whole, chosen, count, unit), np.float64, len(chosen))
    # Of a sample without replacement the scatter shrinks as it nears the whole: nothing is left to chance then.
    error = math.sqrt(squares.var(ddof=1) / len(chosen) * (1 - len(chosen) / count)) if len(chosen) < count else 0.0
    return NoiseScale(float(squares.mean()) / length, error / length, count, len(chosen), "examples")


def _deviations(
    objective: Objective, whole: NDArray[np.float64], chosen: NDArray[np.intp], count: int, unit: float
) -> Iterator[float]:
    """Yield `|g_b - g|^2` of the chosen examples, in squares of a unit."""
    pull, backend = objective.prepare_weighted_gradient(), objective.backend
    for b in chosen:
        one_hot = np.zeros(count)
        one_hot[b] = 1.0
        # Weight 1 for one example and 0 for others gives its gradient, by one program for all examples.
        place = objective.scoped(lambda w=one_hot: backend.array(w, dtype=objective.dtype, device=objective.device))
        deviation = (_flat(objective, pull(objective.start, place())) - whole) / unit
        yield float(deviation @ deviation)


def _why_no_layers(objective: Objective) -> str:
    if objective.losses_text is None:
        return "the loss is a function, whose layers are not known"
    try:
        return str(objective.scoped(why_rows_are_no_examples)(objective))
    except UnsupportedError as error:  # it has parameters outside layers: another way is there, and is taken
        return str(error)


def _by_layers(objective: Objective) -> NoiseScale:
    layers, nodes = objective.scoped(node_layers)(objective)
    whole = _flat(objective, objective.prepare_gradient()[0](objective.start)[1])
    unit = unit_of(whole)
    squares = example_squares(layers, [node.in_units(unit) for node in nodes])
    count = len(squares)
    length = _squared_length(whole / unit)
    if not np.isfinite(squares).all():
        raise NonFiniteError("the gradient of an example is NaN or infinite; look at its loss, and at the data")
    # |g_b|^2 = B^2 |g_b / B|^2. A variance: rounding may leave less than nothing where all gradients are the same.
    scatter = max(0.0, count * float(squares.sum()) / length - 1.0)
    return NoiseScale(scatter, 0.0, count, count, "layers")


def _sample(num_samples: int | None, count: int, num_parameters: int, rng: Rng) -> NDArray[np.intp]:
    """Return the places of the examples to look at: all, or some in random order."""
    if num_samples is None:
        room = max(_LEAST_SAMPLE, EXACT_ENTRIES // max(1, num_parameters))
        size = count if count <= room else room
    else:
        size = min(whole_number("num_samples", num_samples, least=2), count)
    return np.arange(count) if size == count else generator_of(rng).permutation(count)[:size]


def _flat(objective: Objective, leaves: Leaves) -> NDArray[np.float64]:
    flat = np.asarray(objective.layout.flatten([as_float64(objective.backend, leaf) for leaf in leaves]), np.float64)
    if not np.isfinite(flat).all():
        bad = flat.size - int(np.isfinite(flat).sum())
        raise NonFiniteError(f"{bad} of {flat.size} entries of a gradient are NaN or infinite; look at the loss there")
    return flat


def _squared_length(gradient: NDArray[np.float64]) -> float:
    length = float(gradient @ gradient)
    if not length > 0.0:
        raise InvalidInputError(
            "the noise scale is relative to the gradient, which vanishes here; ask at another point"
        )
    return length
