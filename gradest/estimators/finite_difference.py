"""The gradient by finite differences along the coordinates: one-sided, or central of any even order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradest.errors import InvalidInputError, unknown_name
from gradest.fields import make_plain
from gradest.finite_differences.coordinate_differences import CoordinateDifferences
from gradest.finite_differences.rules import ONE_SIDED, central_rule, with_error
from gradest.finite_differences.steps import plain_scale
from gradest.finite_differences.sweep import QuotientSweep
from gradest.refusals import IN_OPERATIONS
from gradest.situation import Situation
from gradest.theory import Prediction

SCHEMES = ("forward", "backward", "central")


@dataclass(frozen=True)
class FiniteDifference(CoordinateDifferences):
    """Moves one parameter at a time and divides the change of the loss by the step.

    Attributes
    ----------
    scheme, order
        "forward" and "backward" have order 1; "central" has any even order 2k up to 64, 2 by default, from 2k points.
        From order 4 on, the estimate has an error estimate: its distance from order 2k - 2 on the same points.
    step
        "auto" (from the dtype and the scheme), "noise" (from the loss's noise beside what it varies by, measured by 13
        further evaluations on a line that `rng` draws: the step, and nothing else, is random; Moré & Wild 2011,
        doi:10.1137/100786125), or a number. Words are cut to the length on which the loss bends, where preparation
        shows that to be far less than the size of the parameters.
    step_mode
        What a step is relative to: "relative" takes step * max(scale, |x|), "absolute" step * scale, "block" step times
        the root mean square of the parameter's block.
    coordinates
        Flat indices of those to differentiate, zeros elsewhere; or how many to draw without replacement, whose
        derivatives are scaled by P / count, so that the expectation is the gradient; None for all.
    path
        "black-box" evaluates the whole loss for each displacement; "structured" computes again only what the
        entry touches, for losses written in operations; "auto" is structured where it can be.
    differences
        "plain" subtracts two losses; "exact" propagates the difference through the loss, so that nothing cancels
        and the step may be as small as one likes (losses written in operations).
    chunk_size
        How many displacements are evaluated together; by default what fits the cache.
    kinks
        Whether to look for displacements that carry the loss across a kink of relu, abs or maximum, where a quotient
        mixes two slopes: "ignore" does not look; "mark" has them as `Estimate.crossings`; "warn" marks them and gives
        a `KinkWarning` with their number. Looking takes about as long as path "black-box" (losses written in
        operations). `kink_crossings` looks once, without an estimate.

    scale
        The typical size of a parameter, below which steps do not shrink with it (Dennis & Schnabel 1983,
        doi:10.1137/1.9781611971200): a number for all; numbers in the shape of the parameters, where these are one
        array; or either by the name of an array of parameters, as `Layout.names` has it, 1 for those left out.
    error
        Whether rules of order 1 and 2 evaluate each entry over a longer step too, and state their error; from order 4
        on it is stated anyway. `Estimate.status` says then which entries are mostly rounding, bend within their steps
        or lie at a kink, and a warning is given where these are a tenth of the gradient or more. A step given as a
        number that is far longer than the length on which the loss bends is marked so: near a period of the loss all
        that it reaches may agree.

    Notes
    -----
    Preparing evaluates the loss 15 times on a line through the start point, to see how it is rounded and whether it
    bends within the steps; 7 more where it is level there, 17 where it is rounded inside, and 2 for each further length
    where slopes differ. Where it bends, up to 32 entries are looked at, by some 10 values each, 50 at most; where a
    part of it goes by stairs, some 200 to 400 values tell how high they are. Where it raises an error it is taken to
    end, as where it is NaN. All of it is done once an objective, for a step in words or where errors are stated, and
    counted in `Objective.preparation_cost`, with the 3 values, or a few more, that first look at a function;
    `gradest.bind(..., verify=False)` leaves both out, and with them what they mend.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.estimators import FiniteDifference
    >>> estimate = FiniteDifference(scheme="central", order=4)(lambda x: np.sin(x).sum(), np.array([0.0, 1.0]))
    >>> estimate.gradient.round(9).tolist(), str(estimate.cost)
    ([1.0, 0.540302306], '9 values')
    """

    family = "fd"
    source = (
        "Gill, Murray, Saunders & Wright 1983, doi:10.1137/0904025; "
        "Fornberg 1988, doi:10.1090/S0025-5718-1988-0935077-0"
    )

    scheme: str = "central"
    order: int | None = None
    step: str | float = "auto"
    step_mode: str = "relative"
    coordinates: tuple[int, ...] | int | None = None
    path: str = "auto"
    differences: str = "plain"
    chunk_size: int | None = None
    kinks: str = "ignore"
    scale: float | Sequence[Any] | Mapping[str, Any] = field(default=1.0, hash=False)
    error: bool = False

    def __post_init__(self) -> None:
        make_plain(self)
        object.__setattr__(self, "scale", plain_scale(self.scale))
        if self.scheme not in SCHEMES:
            raise unknown_name("difference scheme", self.scheme, SCHEMES)
        if self.scheme != "central" and self.order not in (None, 1):
            raise InvalidInputError(
                f"order={self.order} was asked for with scheme={self.scheme!r}, which has order 1; use scheme='central'"
            )
        self._check_combination()
        # A frozen dataclass is set up through `object`: coordinates as given may be a list or hold NumPy integers.
        object.__setattr__(self, "coordinates", _coordinates(self.coordinates))
        object.__setattr__(self, "stochastic", isinstance(self.coordinates, int) or self.step == "noise")
        object.__setattr__(self, "random_step", self.step == "noise" and not isinstance(self.coordinates, int))
        self.sweep()  # refuses what a sweep cannot have, an order that central differences lack among it

    def _check_combination(self) -> None:
        clash = None
        if self.differences == "exact" and self.path == "black-box":
            clash = "differences='exact' looks into the loss, path='black-box' does not"
        elif self.differences == "exact" and self.step == "noise":
            clash = "differences='exact' has no noise to balance; use step='auto'"
        elif self.path == "structured" and self.coordinates is not None:
            clash = "path='structured' takes whole rows, coordinates= some entries; use path='auto'"
        if clash is not None:
            raise InvalidInputError(f"these do not go together: {clash}")

    def sweep(self) -> QuotientSweep:
        order = 2 if self.order is None else self.order
        rule = central_rule(order) if self.scheme == "central" else ONE_SIDED[self.scheme]
        return QuotientSweep(
            rule=with_error(rule) if self.error else rule,
            step=self.step,
            step_mode=self.step_mode,
            path=self.path,
            differences=self.differences,
            coordinates=self.coordinates,
            chunk_size=self.chunk_size,
            kinks=self.kinks,
            scale=plain_scale(self.scale),
        )

    @property
    def formula(self) -> str:
        """By the scheme; central differences of order 2k have the coefficients of Fornberg 1988."""
        if self.scheme == "forward":
            return "g_i = (f(x + h e_i) - f(x)) / h"
        if self.scheme == "backward":
            return "g_i = (f(x) - f(x - h e_i)) / h"
        if self.order in (None, 2):
            return "g_i = (f(x + h e_i) - f(x - h e_i)) / 2h"
        return f"g_i = sum_j c_j (f(x + j h e_i) - f(x - j h e_i)) / h, j = 1..{(self.order or 2) // 2}"

    @property
    def needs(self) -> str:
        """Values alone; exact differences are carried through operations."""
        return IN_OPERATIONS if self.differences == "exact" else "values of the loss"

    @property
    def cost_formula(self) -> str:
        """In values; P is the number of coordinates."""
        displaced = (self.order or 2) if self.scheme == "central" else 1
        displaced *= 2 if self.error and displaced <= 2 else 1  # a longer step beside each
        at_point = self.differences == "plain" and (self.scheme != "central" or displaced > 2)
        values = f"{displaced if displaced > 1 else ''} P{' + 1' if at_point else ''} values".strip()
        values += ", + 13 to measure the noise" if self.step == "noise" else ""
        values += ", + 1 a chunk and point" if self.differences == "exact" else ""
        return values + ("" if self.kinks == "ignore" else f", + {displaced} P + 1 to look for kinks")

    def predict(self, at: Situation) -> Prediction | None:
        """Return the error of drawn coordinates, exact for any differentiable loss; None of others, or of a zero."""
        if not isinstance(self.coordinates, int) or not np.any(at.gradient):
            return None
        return Prediction(
            target="gradient",
            relative_mse=at.layout.num_parameters / self.coordinates - 1.0,
            exact_for="any differentiable f",
            bias_order=None,
            source="derived: sampling coordinates without replacement; the error of the quotients is left out",
        )


def _coordinates(asked: Sequence[int] | int | None) -> tuple[int, ...] | int | None:
    """Return coordinates as Python integers, refusing what cannot be indices or a count."""
    if asked is None:
        return None
    indices, least = (tuple(asked), 0) if isinstance(asked, Sequence) else ((asked,), 1)
    if not indices or any(isinstance(i, bool) or not hasattr(i, "__index__") or i < least for i in indices):
        raise InvalidInputError(
            f"coordinates must be None, flat indices of 0 or more, or a count of 1 or more; found {asked!r}"
        )
    plain = tuple(int(i) for i in indices)
    if len(set(plain)) != len(plain):
        raise InvalidInputError(f"coordinates must differ from each other; found {asked!r}")
    return plain if isinstance(asked, Sequence) else plain[0]
