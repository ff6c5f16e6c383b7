"""What the gauntlet's table is made of: a loss, how each backend has it, and what each of its cells should give.

One loss is one record. A backend's statement of it is made anew for each cell, so that no cell sees what another one
left behind; what is right is found once, and kept as numbers. Nothing here runs an estimator.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from gauntlet.frameworks import Framework
from gauntlet.layers import Layers

Leaves = Sequence[np.ndarray]
"""The arrays of a pytree in their order, as NumPy has them."""


@dataclass(frozen=True)
class Asked:
    """A loss as one backend has it: what a user would write, and what it should be compared with.

    Attributes
    ----------
    f, params, args, kwargs
        What is given to gradest; `f` is a problem where the loss is written in operations, `params` None then.
    options
        Given to `gradest.grad`: `population=`, `has_aux=`, ...
    first
        Arguments that stand before the parameters (for `argnums`).
    value
        From leaves to the loss, by the framework directly; made from `f` where it is None.
    gradient
        From leaves to the gradient, independent of gradest; the framework's own differentiation where it is None.
    seed
        Sets the random state that an evaluation begins with; None where the loss draws nothing.
    layers
        What its layers are, where the loss is written in operations.
    aux
        Whether a pair (gradient, aux) comes back.
    variants
        The same loss with each set of numbers that it might draw, where a framework does not tell which: the
        estimate has to be right for one of them throughout.
    draws_numpy
        Whether the loss itself moves NumPy's global generator, of which nobody then says where it stands.
    known
        Values and gradients that were found for this very loss before, by the bits of the leaves: what is right does
        not depend on the path, and most paths ask for the same.
    """

    on: Framework
    f: Any
    params: Any
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    first: tuple[Any, ...] = ()
    value: Callable[[Leaves], Any] | None = None
    gradient: Callable[[Leaves], Leaves] | None = None
    seed: Callable[[], None] | None = None
    layers: Layers | None = None
    aux: bool = False
    variants: Callable[[], Iterable["Asked"]] | None = None
    draws_numpy: bool = False
    known: dict[tuple[str, bytes], Any] = field(default_factory=dict)

    def leaves(self) -> list[np.ndarray]:
        """Return the parameters as they were made, in NumPy, each in float64."""
        return [self.on.numpy(leaf) for leaf in self.on.leaves(self.params)]

    def scope(self) -> AbstractContextManager[Any]:
        """Return the context in which the framework computes in the parameters' own dtypes."""
        kinds = [str(getattr(leaf, "dtype", "float64")) for leaf in self.on.leaves(self.params)]
        return self.on.scope(wide=any("float64" in kind for kind in kinds or [self.options.get("dtype", "float64")]))

    def evaluate(self, leaves: Leaves) -> float:
        """Return the loss by one call of the user's function, gradest being nowhere near."""
        if self.seed is not None:
            self.seed()
        with self.scope():
            if self.value is not None:
                return self.on.number(self.value(leaves))
            found = self.on.evaluate(self._call, self.params, leaves)
            return self.on.number(found[0] if self.aux else found)

    def value_at(self, leaves: Leaves) -> float:
        """Return the loss, evaluated where it is not known."""
        found: float = self._known("value", leaves, self.evaluate)
        return found

    def gradient_at(self, leaves: Leaves) -> list[np.ndarray]:
        """Return the independent gradient, differentiated where it is not known."""
        found: list[np.ndarray] = self._known("gradient", leaves, self._differentiate)
        return [g.copy() for g in found]

    def _known(self, kind: str, leaves: Leaves, find: Callable[[Leaves], Any]) -> Any:
        key = kind, b"".join(np.asarray(x).tobytes() for x in leaves)
        if key not in self.known:
            self.known[key] = find(leaves)
        return self.known[key]

    def _differentiate(self, leaves: Leaves) -> list[np.ndarray]:
        if self.seed is not None:
            self.seed()
        with self.scope():
            if self.gradient is not None:
                return [np.asarray(g, dtype=np.float64) for g in self.gradient(leaves)]
            call = (lambda p: self._call(p)[0]) if self.aux else self._call
            return [np.asarray(g, dtype=np.float64) for g in self.on.gradient(call, self.params, leaves)]

    def _call(self, params: Any) -> Any:
        return self.f(*self.first, params, *self.args, **self.kwargs)


# -- what a cell should give -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Right:
    """The number is right, to the tolerance of the path, and nothing is said."""


@dataclass(frozen=True)
class Warned:
    """A warning of this kind says what is wrong with the number, which is not judged."""

    category: str
    match: str


@dataclass(frozen=True)
class Refused:
    """An error of gradest's says what to use instead."""

    match: str
    error: str = "GradestError"


@dataclass(frozen=True)
class Either:
    """Both are fit: what is asked of a cell is that nobody is misled."""

    one: Right | Warned | Refused
    other: Right | Warned | Refused


RIGHT = Right()
Outcome = Right | Warned | Refused | Either

OPAQUE = Refused("opaque function.*; use ", "UnsupportedError")
NO_COMPLEX = Refused("no complex arrays; use", "UnsupportedError")
NOT_ANALYTIC = Refused("complex step.*use", "GradestError")
"""For losses that take no complex parameters, or are not analytic."""
READS_VALUES = Refused("use|keep to", "GradestError")
"""For losses that read their values, where a derivative is asked of the framework."""
ROUNDED = Either(RIGHT, Warned("NoiseWarning", "rounding in"))
"""For differences of values that rounding may spoil, by chance of the directions: right, or told."""
ACROSS_KINKS = Either(RIGHT, Warned("StepWarning", "bends|across a kink"))
"""For the long steps of high orders, which may reach a kink beside the point: right, or told."""
COARSE = Either(RIGHT, Warned("Warning", "bends|across a kink|mostly rounding"))
"""For high orders in half precision, which has few digits for their long steps: right, or told."""
NOISY = Warned("NoiseWarning", "differ by .*seed or key")


_KNOWN: dict[tuple[str, str, str], dict[tuple[str, bytes], Any]] = {}
"""What is right of each loss, by its name, backend and dtype."""


@dataclass(frozen=True)
class Loss:
    """One row of the table.

    Attributes
    ----------
    makers
        For each backend that can state it, `dtype -> Asked`.
    expected
        Exceptions from what a loss of its kind gives: by registered name, by (path, backend), by path, by backend.
    dtypes
        The first is the parameters' in all cells; a second one is tried too.
    sigma
        The radius of sampled estimates.
    loose
        A factor for all tolerances, with the reason beside it in the table.
    text, closed_form, layers
        Whether it is written in operations, has its gradient stated there, and is made of layers alone.
    """

    name: str
    kind: str
    makers: Mapping[str, Callable[[str], Asked]]
    expected: Mapping[Any, Outcome] = field(default_factory=dict)
    dtypes: tuple[str, ...] = ("float64",)
    sigma: float | None = None
    loose: float = 1.0
    text: bool = False
    closed_form: bool = False
    layers: bool = False

    @property
    def backends(self) -> tuple[str, ...]:
        return tuple(self.makers)

    def ask(self, backend: str, dtype: str) -> Asked:
        """Return a fresh statement of the loss, which remembers what others of its kind found to be right."""
        return replace(self.makers[backend](dtype), known=_KNOWN.setdefault((self.name, backend, dtype), {}))

    def outcome(self, path: str, backend: str) -> Outcome:
        """Return what the cell should give: the most particular exception, or what is usual."""
        for key in ((path, backend), path, backend):
            if key in self.expected:
                return self.expected[key]
        return usual(path, backend, text=self.text)


def usual(path: str, backend: str, *, text: bool) -> Outcome:
    """Return what a loss without peculiarities gives: right, where the backend has what the path needs."""
    if path == "complex-step" and backend == "mxnet":
        return NO_COMPLEX
    if text:
        return RIGHT
    lacking = path == "structured" or (path, backend) == ("forward", "mxnet")
    return OPAQUE if lacking else RIGHT
