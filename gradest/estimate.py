"""What an estimator returns, and what it costs. This module knows nothing of how either came about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Cost:
    """Counts evaluations: plain values, JVPs and VJPs (each of the latter two includes its primal value).

    Examples
    --------
    >>> from gradest import Cost
    >>> cost = Cost(values=20) + Cost(values=1, vjps=1)
    >>> cost.values, str(cost)
    (21, '21 values + 1 VJP')
    """

    values: int = 0
    jvps: int = 0
    vjps: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.values + other.values, self.jvps + other.jvps, self.vjps + other.vjps)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.values - other.values, self.jvps - other.jvps, self.vjps - other.vjps)

    def __str__(self) -> str:
        named = (("value", self.values), ("JVP", self.jvps), ("VJP", self.vjps))
        return " + ".join(f"{count} {name}{'s' * (count != 1)}" for name, count in named if count) or "nothing"


@dataclass(frozen=True, slots=True, eq=False)  # as `Case`: == of arrays is no answer, and a hash of them none
class Estimate:
    """An estimate of a gradient.

    `gradient` has the structure, array type, dtype and device of the parameters it was asked at. `value` is the
    loss there (None where the method does not evaluate it). `error` is the method's own estimate of the error of
    each entry, in the gradient's structure, where it has one. `path` names how it was computed, such as
    "native", "gradest", "batched" or "structured". `crossings` says which entries are difference quotients across a
    kink, NumPy booleans `(P,)` in the order of the layout, where finite differences were asked to look for them.
    `status` says of each entry of a difference that states its error whether that is to be relied on, and if not, why,
    `(P,)` likewise: 0 reliable, 1 mostly rounding or noise, 2 the loss bends within the steps, 3 a kink, 4 not finite
    (`gradest.finite_differences.statuses.Status`); None where the method has none.
    `state_bytes` is the memory of what a stateful estimator hands from this estimate to the next one; 0 for one that
    remembers nothing.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> estimate = gradest.get_estimator("fd-richardson")(lambda x: (x * x).sum(), np.array([1.0, 2.0]))
    >>> value, gradient = estimate
    >>> gradient.round(6).tolist(), str(estimate.cost), bool(np.all(estimate.error < 1e-6))
    ([2.0, 4.0], '13 values', True)
    """

    value: Any
    gradient: Any
    cost: Cost
    path: str
    error: Any = None
    crossings: NDArray[np.bool_] | None = None
    state_bytes: int = 0
    status: NDArray[np.int8] | None = None

    def __iter__(self) -> Any:
        """Unpack as `value, gradient = estimate`."""
        # In the order of `value_and_grad`; what else there is would break the unpacking when a field is added.
        return iter((self.value, self.gradient))


class KernelResult(NamedTuple):
    """What an estimator's kernel hands back: leaves instead of the user's structure.

    A named tuple: it is made at each call, in a third of a frozen dataclass's time.

    Examples
    --------
    >>> from gradest import KernelResult
    >>> result = KernelResult(value=3.0, gradient=[1.0, 2.0])
    >>> result.value, result.error is None
    (3.0, True)
    """

    value: Any
    gradient: Sequence[Any]
    error: Sequence[Any] | None = None
    crossings: NDArray[np.bool_] | None = None
    status: NDArray[np.int8] | None = None
    state_bytes: int = 0
