"""How long a finite-difference step is: from the dtype, the size of the parameters and the order of the scheme.

A step is always the distance between two numbers that the dtype has, `h = (x + h) - x`. The loss is evaluated at the
rounded `x + h`, and dividing by the `h` that was meant would be wrong by the rounding: at x = 1 and h = 1e-7 in float32
by 19 %. This module evaluates nothing.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.dtypes import epsilon, rounded, spacing
from gradest.errors import InvalidInputError, InvalidTypeError, StepTooSmallError, unknown_name
from gradest.layout import Layout, Shape
from gradest.lengths import root_mean_square
from gradest.operations import NumpyArray

Floats = NumpyArray

Size = float | NDArray[np.float64]
"""The typical size of the entries of a block: of all of them, or of each, flat."""
Scale = float | tuple[Any, ...] | dict[str, Any]
"""One for all parameters; nested tuples in the shape of the one array of them; or either by the name of an array."""

MODES = ("relative", "absolute", "block")


def automatic_step(error: float, *, order: int, remainder: float, amplification: float) -> float:
    """Return the step that balances truncation and rounding, for parameters of size one.

    Too long a step, and the rule's truncation error dominates; too short, and the losses differ by their rounding.

    `h = (A e (p + 1) / (p R))^(1/(p+1))`, the minimum of `C M h^p + A e / h` for `C = R / (p + 1)!`. The loss is taken
    to be of size one with a Taylor series of radius one, as log(1 + x): `M = |f^(p+1)| = p!`; `error` is e, that of an
    evaluation: the epsilon of the coarsest dtype in it, or its measured noise.

    Source: Gill, Murray, Saunders & Wright 1983, doi:10.1137/0904025.
    """
    return float((amplification * error * (order + 1) / (order * remainder)) ** (1 / (order + 1)))


def steps_of(leaves: Sequence[Floats], step: float, mode: str, sizes: Sequence[Size] = ()) -> tuple[Floats, ...]:
    """Return the step that each parameter should take, a flat array for each block in the block's dtype.

    `displacement` makes them representable. mode "relative" takes `step * max(size, |x|)`, "absolute" takes
    `step * size`, "block" takes `step` times the root mean square of the block (`size` for a block of zeros). `sizes`
    are those of `typical_sizes`, 1 where there are none.

    Source: Dennis & Schnabel 1983, doi:10.1137/1.9781611971200, for the typical size of a parameter.
    """
    each = zip(leaves, sizes or (1.0,) * len(leaves), strict=True)
    return tuple((step * _scale(leaf.reshape(-1), mode, size)).astype(leaf.dtype) for leaf, size in each)


def plain_scale(scale: object) -> Scale:
    """Return typical sizes of parameters as numbers and tuples of Python's.

    Raises
    ------
    InvalidTypeError
        They are no real numbers.
    InvalidInputError
        They are not positive and finite.
    """
    if isinstance(scale, Mapping):
        return {str(name): _plain_sizes(size) for name, size in scale.items()}
    return _plain_sizes(scale)


def _plain_sizes(scale: object) -> float | tuple[Any, ...]:
    try:
        sizes = np.asarray(scale)
    except (TypeError, ValueError, RuntimeError):  # rows of several lengths, a tensor with a gradient
        sizes = np.array(None)
    if sizes.dtype.kind not in "fiu":
        raise InvalidTypeError(
            "scale must be a number, numbers in the shape of the parameters, or either by the name of an array of "
            f"parameters; found {scale!r} of type {type(scale).__name__}"
        )
    if not np.all((sizes > 0) & np.isfinite(sizes)):
        raise InvalidInputError(f"scale must be positive finite sizes of parameters; found {scale!r}")

    def plain(values: Any) -> Any:
        return tuple(map(plain, values)) if isinstance(values, list) else float(values)

    found: float | tuple[Any, ...] = plain(sizes.tolist())
    return found


def typical_sizes(scale: Scale, layout: Layout) -> tuple[Size, ...]:
    """Return the typical sizes for each block: a number, or a flat array of its entries.

    Raises
    ------
    UnknownNameError
        No block has a name that sizes are given for.
    InvalidInputError
        They are of another shape than their block, or there are several blocks and no names.
    """
    if not isinstance(scale, Mapping):
        if isinstance(scale, float):
            return (scale,) * len(layout.names)
        if len(layout.names) != 1:
            raise InvalidInputError(
                f"a scale for each entry of one array was given, and there are {len(layout.names)} arrays of "
                f"parameters; name them: scale={{{layout.names[0]!r}: ..., {layout.names[1]!r}: ...}}"
            )
        scale = {layout.names[0]: scale}
    for name in scale:
        if name not in layout.names:
            raise unknown_name("array of parameters", name, layout.names)
    return tuple(
        _sizes_of(name, scale.get(name, 1.0), shape) for name, shape in zip(layout.names, layout.shapes, strict=True)
    )


def _sizes_of(name: str, sizes: Any, shape: Shape) -> Size:
    if isinstance(sizes, float):
        return sizes
    given = np.array(sizes)
    if given.shape != shape:
        raise InvalidInputError(
            f"the scale of {name!r} must be one number or have its shape, {shape}; found the shape {given.shape}"
        )
    return given.reshape(-1)


def _scale(x: Floats, mode: str, typical: Size) -> Floats:
    if mode == "absolute":
        return np.full_like(x, typical)
    if mode == "relative":
        return np.maximum(np.full_like(x, typical), np.abs(x))
    # In float64: float32 squares overflow from 2e19 on and vanish below 4e-23.
    return np.full_like(x, root_mean_square(x.astype(np.result_type(x.dtype, np.float64))) or typical)


def whole_multiples(
    leaves: Sequence[Floats], steps: Sequence[Floats], multiples: Sequence[float], dtypes: Sequence[str]
) -> tuple[Floats, ...]:
    """Return steps whose multiples are distances that the dtype has too, where they are long enough to be.

    The weights of a rule suppose equal spacing; a spacing off by a part d leaves 2 d of the terms that they cancel.
    """
    found = []
    for leaf, step, dtype in zip(leaves, steps, dtypes, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):  # as in `displacement`
            unit = spacing(np.abs(leaf.reshape(-1)) + max(multiples) * step, dtype) / min(1.0, *multiples)
            even = np.rint(step / unit) * unit
        found.append(np.where(np.isfinite(even) & (even >= 2 * unit), even, step).astype(leaf.dtype))
    return tuple(found)


_VISIBLE = 8  # in spacings of a parameter: what a shortened step keeps, so that it is felt at every multiple


def shortened(
    leaves: Sequence[Floats],
    steps: Sequence[Floats],
    shares: Sequence[Floats],
    lengths: Sequence[Floats],
    dtypes: Sequence[str],
) -> tuple[Floats, ...]:
    """Return steps that are shares of the lengths on which the loss bends, where those are less than presumed."""
    found = []
    for leaf, planned, share, length, dtype in zip(leaves, steps, shares, lengths, dtypes, strict=True):
        least = np.minimum(planned, _VISIBLE * spacing(leaf.reshape(-1), dtype))
        found.append(np.maximum(np.minimum(planned, share * length), least).astype(leaf.dtype))
    return tuple(found)


def displacement(x: Floats, step: Floats, multiple: float, dtype: str) -> Floats:
    """Return the displacement nearest to `multiple * step` that the dtype has: `(x + multiple * step) - x`."""
    # Next to the largest number x + h is infinite: a displacement, but one whose loss shows what is wrong.
    with np.errstate(over="ignore", invalid="ignore"):
        return rounded(x + np.asarray(multiple, dtype=x.dtype) * step, dtype) - x


def require_visible(
    layout: Layout,
    leaves: Sequence[Floats],
    steps: Sequence[Floats],
    multiple: float,
    moves: Sequence[Sequence[Floats]],
    dtypes: Sequence[str],
) -> None:
    """Refuse steps that vanish in rounding, `x + h == x`, before anything is evaluated: the quotient would be 0 / 0.

    Parameters
    ----------
    multiple
        The shortest distance of a stencil, in steps.
    moves
        The displacements at that distance, for each side that is evaluated those of all blocks.

    Raises
    ------
    StepTooSmallError
        The message names the first parameter and says which step it would feel.
    """
    for name, leaf, step, dtype, *sides in zip(layout.names, leaves, steps, dtypes, *moves, strict=True):
        if all(side.all() for side in sides):
            continue
        x = leaf.reshape(-1)
        lost = np.flatnonzero(np.any([side == 0 for side in sides], axis=0))
        at = lost[0]
        raise StepTooSmallError(
            f"a step of {float(step[at]) * multiple:.3g} was asked for; it vanishes beside {name!r} entry {at}, "
            f"{float(x[at]):.6g} in {dtype} ({lost.size} of {x.size} entries lose it); take a step of at least "
            f"{2 * epsilon(dtype) * max(float(np.abs(x[at])), 1e-30) / multiple:.2g}, step='auto', or "
            "differences='exact'"
        )


def check_step(step: object, words: Sequence[str]) -> None:
    """Refuse a step that is neither a positive finite number nor one of the words.

    Raises
    ------
    InvalidInputError
        The message lists the words.
    """
    if isinstance(step, str):
        if step not in words:
            raise InvalidInputError(f"step must be a positive number or one of {', '.join(words)}; found {step!r}")
    elif isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step <= sys.float_info.max:
        raise InvalidInputError(f"step must be a positive finite number or one of {', '.join(words)}; found {step!r}")
