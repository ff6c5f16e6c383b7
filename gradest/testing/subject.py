"""The estimator under checks, and the runs that several checks share. This module judges nothing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Backend, get_backend
from gradest.binding import bind
from gradest.dtypes import epsilon
from gradest.errors import InvalidInputError, InvalidTypeError
from gradest.estimator import Estimator, Prepared
from gradest.measurement.session import flat
from gradest.objective import Objective
from gradest.problem import Problem
from gradest.target import Target
from gradest.testing.known_problems import Cubic, network

Floats = NDArray[np.float64]

REPLICATES = 1000
"""How many independent estimates a statistical test is made of."""

MOST_REPLICATES = 16 * REPLICATES
"""How many are made where the estimates scatter so much that a thousand would tell nothing."""

ODD_NUMBERS = (31, 33)
"""Around what chunks of 2, 4, 8, 16 and 32 make up: with a last chunk that is nearly full, and with one of one."""

_MOST_SAMPLES = 500
"""Of an estimator's own number of directions; an estimate of more would take too long to be repeated."""

_ROUNDINGS = 1000
"""What sums of a few terms, divided by a smoothing radius, may be off in units of a dtype's epsilon."""

FEW_SAMPLES = 5
"""The most directions of an estimate in statistical tests: few, so that 1/N and 1/(N - 1) differ visibly."""

WIDE_SIGMA = 0.3
"""The smoothing radius of statistical tests: far from 1 and large, so that its powers show and rounding does not."""


@dataclass(frozen=True, eq=False)
class Subject:
    """An estimator under checks.

    Attributes
    ----------
    estimator
        With the hyper-parameters as given.
    backends
        Where it runs; the first is the one that most checks use.
    seed
        Of all estimates.
    false_alarm
        The probability of a false alarm that one statistical test may have.
    """

    estimator: Estimator
    backends: tuple[str, ...]
    seed: int
    false_alarm: float
    _kept: dict[tuple[str, str], Prepared] = field(default_factory=dict, repr=False)

    # -- the estimator's hyper-parameters ---------------------------------------------------------------------
    def has(self, *names: str) -> bool:
        """Return whether the estimator has hyper-parameters of all these names."""
        # Of fields, not attributes: `replace` varies these alone.
        known = {f.name for f in fields(self.estimator)}
        return known.issuperset(names)

    def option(self, name: str, default: Any = None) -> Any:
        """Return a hyper-parameter's value, or the default where there is none of the name."""
        return getattr(self.estimator, name) if self.has(name) else default

    def varied(self, **values: Any) -> Estimator:
        """Return the estimator with some hyper-parameters changed; names that it does not have are passed over."""
        return replace(self.estimator, **{name: value for name, value in values.items() if self.has(name)})

    def with_few_samples(self, most: int = FEW_SAMPLES, **values: Any) -> Estimator:
        """Return the estimator with at most so many directions, and other values of further hyper-parameters."""
        number = self.option("num_samples")
        return self.varied(num_samples=min(number, most) if isinstance(number, int) else number, **values)

    @property
    def judged_by_length(self) -> bool:
        """Whether the estimates should have a gradient's length."""
        return self.estimator.target in (Target.GRADIENT, Target.SMOOTHED)

    @property
    def scatters(self) -> bool:
        """Whether estimates scatter about a target by chance, and not by a step length alone."""
        return self.estimator.stochastic and not self.estimator.random_step

    # -- runs -----------------------------------------------------------------------------------------------
    def prepared(self, backend: str, dtype: str) -> Prepared:
        """Return the estimator prepared for the small network on a backend; once for each."""
        key = (backend, dtype)
        # Where a framework compiles, preparing takes longer than most checks.
        if key not in self._kept:
            self._kept[key] = self.estimator.prepare(bind(network(), backend=backend, dtype=dtype))
        return self._kept[key]

    @property
    def dtype(self) -> str:
        """The dtype of most checks: float64, or what the first backend has in its place."""
        return finest_dtype(get_backend(self.backends[0]))

    def rounding(self, limit: float) -> float:
        """Return what rounding may do: a limit that is for float64, or a thousand roundings of a coarser dtype."""
        return max(limit, _ROUNDINGS * epsilon(self.dtype))

    def objective(self, problem: Problem, *, dtype: str | None = None) -> Objective:
        """Return a problem's objective on the first backend, in the dtype of most checks by default."""
        return bind(problem, backend=self.backends[0], dtype=dtype or self.dtype)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """float64 and float32, as far as the first backend has them."""
        here = get_backend(self.backends[0]).dtypes
        return tuple(name for name in ("float64", "float32") if name in here) or (self.dtype,)

    def settings(self) -> tuple[tuple[str, str], ...]:
        """Return the backends, each with float64 and float32 where it has them."""
        return tuple(
            (name, dtype)
            for name in self.backends
            for dtype in ("float64", "float32")
            if dtype in get_backend(name).dtypes
        )

    def estimates(self, estimator: Estimator, problem: Problem, seeds: Iterable[Any]) -> Floats:
        """Return one estimate of the gradient at the start point for each seed, `(K, P)`, on the first backend."""
        prepared = estimator.prepare(self.objective(problem))
        return np.stack([flat(prepared.objective, prepared(rng=seed)) for seed in seeds])

    @property
    def statistical(self) -> Estimator:
        """The estimator as it is in statistical tests: few directions, a wide radius."""
        return replace(self.estimator, **statistical_settings(self.estimator))

    @cached_property
    def quadratic_estimates(self) -> Floats:
        """Independent estimates on the quadratic `Cubic()`, `(K, P)`."""
        return self.estimates(self.statistical, Cubic(), range(self.seed, self.seed + REPLICATES))

    def enough_estimates(self, resolution: Callable[[Floats], float], limit: float) -> Floats:
        """Return estimates on the quadratic, so many that a test on them resolves `limit`, or the most there are."""
        found = self.quadratic_estimates
        while resolution(found) > limit and len(found) < MOST_REPLICATES:
            # Four times as many, of which the standard error is half; those that were made stay.
            seeds = range(self.seed + len(found), self.seed + 4 * len(found))
            found = np.concatenate([found, self.estimates(self.statistical, Cubic(), seeds)])
        return found

    @property
    def larger_numbers(self) -> list[int]:
        """Numbers of directions beyond those of statistical tests: the estimator's own, and odd ones."""
        own = self.option("num_samples")
        if not isinstance(own, int):
            return []
        return [number for number in dict.fromkeys((min(own, _MOST_SAMPLES), *ODD_NUMBERS)) if number > FEW_SAMPLES]


def named_backends(backends: Iterable[str]) -> tuple[str, ...]:
    """Return backends to be checked on, by their names.

    Raises
    ------
    InvalidTypeError, InvalidInputError
        They are one string, which would be gone through by its letters, or none.
    UnknownNameError, MissingDependencyError
        There is no backend of a name, or its framework is not installed.

    Examples
    --------
    >>> from gradest.testing.subject import named_backends
    >>> named_backends(["numpy"])
    ('numpy',)
    """
    if isinstance(backends, str) or not isinstance(backends, Iterable):
        raise InvalidTypeError(f"backends must be a sequence of names; found {backends!r}; try ('numpy', 'torch')")
    found = tuple(backends)
    if not found:
        raise InvalidInputError("backends to check on were asked for; found none; leave backends= out for NumPy alone")
    for name in found:
        get_backend(name)
    return found


def finest_dtype(backend: Backend) -> str:
    """Return float64 where a backend has it, else the finest of those that it has.

    Examples
    --------
    >>> import gradest
    >>> from gradest.testing.subject import finest_dtype
    >>> finest_dtype(gradest.get_backend("numpy"))
    'float64'
    """
    return "float64" if "float64" in backend.dtypes else min(backend.dtypes, key=epsilon)


def statistical_settings(estimator: Estimator) -> dict[str, Any]:
    """Return the hyper-parameters that statistical tests change, where they are others, with the values used there."""
    known = {f.name: getattr(estimator, f.name) for f in fields(estimator)}
    number = known.get("num_samples")
    used = {"num_samples": min(number, FEW_SAMPLES) if isinstance(number, int) else number, "sigma": WIDE_SIGMA}
    return {name: value for name, value in used.items() if name in known and known[name] != value}
