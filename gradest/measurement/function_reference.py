"""The reference gradient of a user's own function: the best that it allows, judged by a second method.

A problem's text can be computed in extended precision; of a function nothing is known but that its framework runs it.
The methods are tried from the one with the least error of its own, and the first that is not contradicted is taken:

1. Reverse mode, in the finest dtype that the function can be computed in: its parameters and arguments are those that
   were bound, exact in that dtype. It has no step and no truncation error, rounding alone, and costs one pass.
2. The complex step, where reverse mode cannot follow the function and it is analytic: no truncation error either, but a
   pass for each parameter, and wrong without a sign of it where a magnitude or a branch hides on the way.
3. Richardson-extrapolated central differences, which take whatever returns a number, with the error that they state.
4. For a function that is noisy, the mean of repeats of the first or the third, with its standard error.

(Exact differences, which need a loss in operations, are never the best of such a loss: its text has reverse mode in
extended precision.) Each is compared along random directions with another exact method where there is one, and always
with the function's values, which say what its gradient is. Reverse mode that the values contradict (a custom rule that
is wrong, a detached term) is set aside, and the reference says so. This module knows no framework by name.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np

from gradest.backend import Leaves
from gradest.checking.claims import entry_noise, flat_of, require_finite_loss
from gradest.checking.examination import Examination
from gradest.checking.landscape import Landscape
from gradest.dtypes import epsilon
from gradest.errors import GradestError, KinkWarning, NoiseWarning, StepWarning, UnsupportedError
from gradest.estimator import Estimator, get_estimator
from gradest.lengths import norm_of, root_mean_square, unit_of
from gradest.measurement.reference_record import Reference
from gradest.objective import Objective
from gradest.operations import NumpyArray

Found = TypeVar("Found")

_FINER = ("longdouble", "float64")
_DIRECTIONS = 4
_VALUE_DIRECTIONS = 2
_SEED = 20_260_102
_SAME_VALUE = 1024.0
"""Roundings of its own dtype by which the loss may differ when it is computed in a finer one."""
_ROUNDINGS = 16.0
_AGREES = 1e-6
"""Relative distance from which on a second exact method contradicts the first: what is wrong is wrong by much more."""
_REPEATS = 16
_STEPS: tuple[str | float, ...] = ("auto", 1e-4, 1e-6)
_GOOD = 1e-8
"""An uncertainty of differences at which no shorter step is tried."""


def function_reference(objective: Objective) -> Reference:
    """Return the best reference gradient of a user's function at its start point.

    The framework's random generator, where the function draws from it, is left as it was found, and every method sees
    the numbers that an estimate made now would see.

    Raises
    ------
    GradestError
        The loss is NaN or infinite there, or no method gives a finite gradient: the error is then that of the last
        one, which takes most functions.
    """
    objective.look()
    return _Search(objective).best()


class _Search:
    """The methods tried on one function, and what was set aside."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.set_aside: list[str] = []
        self._state = objective.backend.random_state() if objective.draws else None

    def best(self) -> Reference:
        if self.objective.first_look is not None and self.objective.first_look.noise > 0.0:
            return self._of_noisy(self.objective)
        self._same_draw(self.objective, partial(require_finite_loss, self.objective))
        bounds = list(self._computable())
        for bound in bounds:
            found = self._tried(bound, partial(self._reverse, bound))
            if found is not None:
                return found
        for bound in bounds:
            if "complex" in bound.backend.native:
                found = self._tried(bound, partial(self._complex_step, bound))
                if found is not None:
                    return found
        # Of functions that no method follows few compute in extended precision, and their values do not tell.
        double = next((bound for bound in bounds if bound.dtype != "longdouble"), bounds[-1])
        return self._same_draw(double, partial(self._richardson, double))

    def _computable(self) -> Iterator[Objective]:
        """Yield the function in each finer dtype in which it is the same function, the finest first, then as it is."""
        own = self.objective.parameter_epsilon
        value = self._value(self.objective)
        for dtype in _FINER:
            if dtype in self.objective.backend.dtypes and epsilon(dtype) < own:
                try:
                    finer = self.objective.rebound(dtype=dtype)
                    found = self._value(finer)
                except Exception:  # noqa: BLE001  # it holds arrays of its own dtype, or its model cannot be copied
                    continue
                scale = max(abs(value), abs(found))
                same = abs(found - value) <= min(_SAME_VALUE * max(own, self.objective.value_epsilon), 0.1) * scale
                if not same:
                    self.set_aside.append(
                        f"not in {dtype}: the loss differs there by {abs(found - value):.1g}, as where digits cancel "
                        "or random numbers are drawn in the parameters' dtype"
                    )
                elif _is_computed_in(dtype, found):
                    yield finer
        yield self.objective

    def _value(self, bound: Objective) -> Any:
        """Return the loss as a number of NumPy's, in the precision in which it came back."""
        return self._same_draw(bound, lambda: _host(bound, bound.value())[()])

    def _same_draw(self, bound: Objective, call: Callable[[], Found]) -> Found:
        """Return what a call gives that begins where the generator was; it is left there."""
        if self._state is None:
            return call()
        bound.backend.set_random_state(self._state)
        bound.look()
        bound.backend.set_random_state(self._state)
        try:
            with bound.one_estimate():
                return call()
        finally:
            bound.backend.set_random_state(self._state)

    def _tried(self, bound: Objective, make: Callable[[], Reference | None]) -> Reference | None:
        """Return what a method gives, None where it cannot be carried out."""
        try:
            with _complex_parts_kept():
                return self._same_draw(bound, make)
        except Exception:  # noqa: BLE001  # a user's function may raise anything where it is followed
            return None

    # -- the methods --------------------------------------------------------------------------------------
    def _reverse(self, bound: Objective) -> Reference | None:
        gradient_at, _ = bound.prepare_gradient("native")

        def gradient(leaves: Leaves) -> NumpyArray:
            with bound.common_random_numbers():
                return _flat(bound, gradient_at(leaves)[1])

        value = bound.value()
        return self._judged(bound, value, gradient(bound.start), "reverse mode", gradient)

    def _complex_step(self, bound: Objective) -> Reference | None:
        estimate = get_estimator("complex-step").prepare(bound)()
        return self._judged(bound, bound.value(), _flat_tree(bound, estimate.gradient), "the complex step", None)

    def _richardson(self, bound: Objective) -> Reference:
        """Return the best of some extrapolations: the step that suits a smooth loss is too long beside a kink."""
        found = []
        for step in _STEPS:
            with warnings.catch_warnings():
                # What an estimate doubts of itself is not the user's to hear: others are tried, and all are judged.
                for doubt in (StepWarning, KinkWarning, NoiseWarning):
                    warnings.simplefilter("ignore", doubt)
                estimate = get_estimator("fd-richardson", step=step).prepare(bound)()
            gradient, error = _flat_tree(bound, estimate.gradient), _flat_tree(bound, estimate.error)
            size = norm_of(gradient) or 1.0
            # Its own error estimate is blind to a kink within reach of its steps, which a sweep of others shows.
            defect, contradicts = _values_say(bound, gradient)
            uncertainty = max(norm_of(error) / size, defect if contradicts else 0.0)
            found.append((uncertainty, gradient))
            if uncertainty < _GOOD:
                break
        uncertainty, gradient = min(found, key=lambda each: np.inf if np.isnan(each[0]) else each[0])
        words = f"{self._named('Richardson-extrapolated central differences', bound)}, compared with values of the loss"
        return Reference(bound.value(), gradient, words, uncertainty)

    def _judged(
        self,
        bound: Objective,
        value: Any,
        gradient: NumpyArray,
        name: str,
        again: Callable[[Leaves], NumpyArray] | None,
    ) -> Reference | None:
        """Return a gradient as the reference, with its uncertainty; None where something contradicts it."""
        if not np.isfinite(gradient).all():
            raise UnsupportedError(f"{name} gives a gradient that is not finite")
        exact = _second_method(bound, gradient, but=name)
        defect, contradicts = _values_say(bound, gradient)
        if contradicts:
            self.set_aside.append(f"{name}: values of the loss contradict it, by {defect:.1g} of its length")
            return None
        if exact is None and bound.dtype == "longdouble":
            return None  # values cannot tell extended precision from double: nothing shows that it was computed in it
        uncertainty = max(_rounding(bound, gradient, again), 0.0 if exact is None else exact[1])
        checked = "values of the loss" if exact is None else f"{exact[0]} and values of the loss"
        return Reference(value, gradient, f"{self._named(name, bound)}, compared with {checked}", uncertainty)

    def _named(self, name: str, bound: Objective) -> str:
        own = f"{bound.backend.name}'s {name}" if name == "reverse mode" else name
        aside = f" ({'; '.join(dict.fromkeys(self.set_aside))})" if self.set_aside else ""
        return f"{own} in {bound.dtype}{aside}"

    def _of_noisy(self, bound: Objective) -> Reference:
        """Return the mean of repeated gradients of a function whose values differ at one point."""
        try:
            prepared, name = get_estimator("reverse").prepare(bound), f"{bound.backend.name}'s reverse mode"
            found = [prepared() for _ in range(_REPEATS)]
        except GradestError:  # as in `_tried`
            noisy: Estimator = get_estimator("fd-central", step="noise")
            prepared, name = noisy.prepare(bound), "central differences with the step that the noise allows"
            found = [prepared() for _ in range(_REPEATS)]
        gradients = np.stack([_flat_tree(bound, estimate.gradient) for estimate in found])
        mean = gradients.mean(axis=0)
        unit = unit_of(gradients)
        # The standard error of the mean: of 16 repeats a quarter of what one gradient scatters by.
        spread = unit * norm_of((gradients / unit).std(axis=0, ddof=1)) / np.sqrt(_REPEATS)
        size = norm_of(mean)
        rounding = _ROUNDINGS * bound.parameter_epsilon
        words = f"the mean of {_REPEATS} gradients by {name}, as the loss is noisy"
        return Reference(bound.value(), mean, words, max(spread / size if size > 0 else spread, rounding))


def _is_computed_in(dtype: str, value: Any) -> bool:
    """Return whether a value shows the digits of a dtype, where the parameters were of that dtype.

    A function that converts to a coarser dtype on its way has no finer gradient, whatever its parameters are.
    """
    if np.finfo(value.dtype).eps > epsilon(dtype):
        return False
    return dtype != "longdouble" or np.longdouble(float(value)) != value  # equal by chance one time in 2,000


@contextmanager
def _complex_parts_kept() -> Iterator[None]:
    """Take an imaginary part that is dropped for an error, and give no warning of a method that is only tried."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        yield


def _second_method(bound: Objective, gradient: NumpyArray, *, but: str) -> tuple[str, float] | None:
    """Return another exact method that agrees with a gradient, and their relative distance; None where none does.

    For random signs d, `E <error, d>^2 = ||error||^2`, as in `gradest.measurement.reference`.
    """
    generator = np.random.default_rng(_SEED)
    # The same directions each time, so that a reference is the same whenever it is computed.
    signs = [generator.integers(0, 2, gradient.size) * 2.0 - 1.0 for _ in range(_DIRECTIONS)]
    claimed = np.array([np.sum(gradient.astype(np.longdouble) * d) for d in signs])
    methods = {"complex-step differentiation": _complex_slopes, "forward mode": _forward_slopes}
    for name, slopes in methods.items():
        if name.startswith("complex") and but == "the complex step":
            continue
        try:
            with _complex_parts_kept():
                found = slopes(bound, signs)
        except Exception:  # noqa: BLE001  # a user's function may raise anything where it cannot be followed
            continue
        size = norm_of(gradient)
        apart = root_mean_square(found - claimed) / (size if size > 0 else 1.0)
        if apart <= max(_AGREES, 1e4 * epsilon(bound.dtype)):
            return name, apart
    return None


def _complex_slopes(bound: Objective, signs: list[NumpyArray]) -> NumpyArray:
    """Return directional derivatives `Im f(x + i h d) / h`, in NumPy alone: other frameworks' have forward mode."""
    if not bound.backend.interprets:
        raise UnsupportedError("complex directions are for NumPy")
    step = np.sqrt(np.finfo(np.dtype(bound.dtype)).tiny)
    value, found = bound.prepare_value(), []
    for d in signs:
        parts = zip(bound.start, bound.layout.unflatten(d), bound.dtypes, strict=True)
        slope = np.asarray(value(tuple(leaf + 1j * step * part.astype(dtype) for leaf, part, dtype in parts)))
        if not np.iscomplexobj(slope):
            raise UnsupportedError("the loss lost the imaginary part")
        found.append(slope.imag / step)
    return np.array(found)


def _forward_slopes(bound: Objective, signs: list[NumpyArray]) -> NumpyArray:
    if "value_and_jvps" not in bound.backend.native:
        raise UnsupportedError("no forward mode")
    backend = bound.backend
    make = bound.scoped(lambda a, dtype: backend.array(np.ascontiguousarray(a), dtype=dtype, device=bound.device))
    blocks = zip(bound.layout.unflatten(np.stack(signs)), bound.dtypes, strict=True)
    return _host(bound, bound.prepare_jvps()(bound.start, tuple(make(block, dtype) for block, dtype in blocks))[1])


def _values_say(bound: Objective, gradient: NumpyArray) -> tuple[float, bool]:
    """Return how far a gradient is from what values of the loss say, relative to its length, and whether they tell."""
    generator, land = np.random.default_rng(_SEED + 1), Landscape(bound)
    claim = gradient.astype(np.float64)
    noise = entry_noise(bound, claim, [])
    examination = Examination(land, claim, noise, reverse=None, generator=generator, forward=False)
    size = norm_of(claim * land.scales)
    worst, told = 0.0, False
    for _ in range(_VALUE_DIRECTIONS):
        direction = (generator.integers(0, 2, claim.size) * 2.0 - 1.0) * land.scales
        slope = examination.slope(direction)
        again = examination.slope(direction, shift=0.7) if slope.told else slope  # steps between those of the first
        if slope.told and again.told and abs(again.defect - slope.defect) <= 0.5 * abs(slope.defect):
            told = True
            worst = max(worst, abs(slope.defect))
    return worst / size if size > 0 else worst, told


def _rounding(bound: Objective, gradient: NumpyArray, again: Callable[[Leaves], NumpyArray] | None) -> float:
    """Return how far rounding may have moved a gradient, relative to its length.

    Some roundings of each entry, and how much it varies between points that differ by rounding alone.
    """
    size = norm_of(gradient)
    if bound.dtype == "longdouble":  # points beside the start cannot be told from it in the double precision used there
        return _ROUNDINGS * epsilon("longdouble")
    claim, nearby = gradient.astype(np.float64), []
    if again is not None:
        land, generator = Landscape(bound), np.random.default_rng(_SEED + 2)
        nearby = [np.asarray(again(land.leaves_at(land.beside(generator))), dtype=np.float64) for _ in range(2)]
    found = norm_of(entry_noise(bound, claim, nearby))
    coarse = _ROUNDINGS * bound.value_epsilon  # the loss may compute more coarsely than its parameters are kept
    return max(found / size, coarse) if size > 0 else found


def _flat(bound: Objective, leaves: Any) -> NumpyArray:
    """Return gradient leaves as one vector `(P,)`, in extended precision where they have it."""
    if bound.dtype != "longdouble":
        return flat_of(bound, list(leaves))
    return np.asarray(bound.layout.flatten([np.asarray(leaf, dtype=np.longdouble) for leaf in leaves]))


def _flat_tree(bound: Objective, tree: Any) -> NumpyArray:
    return _flat(bound, bound.backend.flatten(tree)[0])


def _host(bound: Objective, array: Any) -> NumpyArray:
    values = bound.backend.numpy(array) if bound.backend.owns(array) else np.asarray(array)
    return values if values.dtype.kind == "f" else values.astype(np.float64)  # bfloat16 is none of NumPy's
