"""Checks of a backend's native transformations against gradest's own interpreters, which share no code with them."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import NATIVE, Backend
from gradest.binding import bind
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.problems.mlp import MLP
from gradest.tangents import Dense
from gradest.testing.known_problems import network, samples
from gradest.testing.results import CheckResult, claimed, judged, not_applicable, worst_of
from gradest.testing.subject import finest_dtype
from gradest.theory import normal_quantile

_TRANSFORMATION_ROUNDING = 256  # units of eps: frameworks sum in orders of their own
_POPULATION = 3
_DRAWS = 20_000


def check_declaration(backend: Backend) -> CheckResult:
    """Check that the native transformations stated are those overridden.

    A failure means that engine "native" is offered where there is none, or hidden where there is one.
    """
    known = ", ".join(sorted(NATIVE))
    faults = [f"{name!r} is no native transformation; there are: {known}" for name in backend.native - NATIVE]
    # complex arithmetic is no method: a dtype has it or has not
    for name in sorted(NATIVE - {"complex"}):
        overridden = getattr(type(backend), name) is not getattr(Backend, name)
        if overridden != (name in backend.native):
            faults.append(f"{name} is {'overridden' if overridden else 'not overridden'}, and `native` says otherwise")
    return claimed("declaration", faults, f"native: {', '.join(sorted(backend.native)) or 'nothing'}")


def check_gradient(backend: Backend) -> CheckResult:
    """Check the native gradient of a small network against gradest's tape, in each dtype.

    A failure means that one of the two is wrong; "operations" and `check_problem` tell which.
    """
    if "value_and_gradient" not in backend.native:
        return not_applicable(
            "gradient", "it has no native reverse mode; one that has names value_and_gradient in `native`"
        )
    return _agreement("gradient", backend, lambda o, engine: o.prepare_gradient(engine)[0](o.start)[1])


def check_population(backend: Backend) -> CheckResult:
    """Check a loss that the framework maps over a population against single losses, where it has a native vmap.

    A failure means that evolution strategies get the losses of other members than they asked for.
    """
    if "vmap" not in backend.native:
        return not_applicable("population", "it has no native vmap; one that has names vmap in `native`")

    def losses(objective: Objective, engine: str) -> Any:
        mapped = backend.vmap(objective.evaluate) if engine == "native" else objective.evaluate_population
        return (objective.compile(mapped)(_population(objective)),)

    return _agreement("population", backend, losses)


def check_jvps(backend: Backend) -> CheckResult:
    """Check native directional derivatives of a small network against gradest's dual numbers, in each dtype.

    A failure means that forward mode, and every forward gradient, is wrong on this backend.
    """
    if "value_and_jvps" not in backend.native:
        return not_applicable("jvps", "it has no native forward mode; one that has names value_and_jvps in `native`")

    def products(objective: Objective, engine: str) -> Any:
        tangents = _population(objective)
        if engine == "native":
            return (objective.prepare_jvps()(objective.start, tangents)[1],)
        step = objective.compile(
            lambda at, directions, data: objective.evaluate_jvps(at, tuple(map(Dense, directions)), data)
        )
        return (step(objective.start, tangents)[1],)

    return _agreement("jvps", backend, products)


def check_compilation(backend: Backend) -> CheckResult:
    """Check that a compiled loss gives the value of the loss that is not compiled.

    A failure means that what is timed, compiled, is not what was checked.
    """
    if "compile" not in backend.native:
        return not_applicable("compilation", "it compiles nothing; one that does names compile in `native`")

    def value(objective: Objective, engine: str) -> Any:
        if engine == "native":
            return (objective.prepare_value()(objective.start),)
        return (objective.scoped(objective.evaluate)(objective.start, objective.data),)

    return _agreement("compilation", backend, value)


def check_draws(backend: Backend) -> CheckResult:
    """Check that random numbers of the framework's own are a function of the seed, and of their law, in each dtype.

    A failure means that estimates with noise="native" cannot be repeated, or are of the wrong length.
    """
    if "draw" not in backend.native:
        return not_applicable("draws", "it draws no random numbers; one that does names draw in `native`")
    worst, faults = (0.0, "all moments as they should be"), []
    for dtype in backend.dtypes:
        for signs in (False, True):
            first, again, other = (_drawn(backend, dtype, seed, signs=signs) for seed in (7, 7, 8))
            what = f"{'signs' if signs else 'normal numbers'} in {dtype}"
            if not np.array_equal(first, again) or np.array_equal(first, other):
                faults.append(f"{what} are no function of the seed alone")
            if signs and set(np.unique(first)) != {-1.0, 1.0}:
                faults.append(f"{what} are not +1 and -1")
            # Each statistic has mean 0 and variance 1: of the numbers, their squares, neighbours and two seeds.
            squares = 0.0 if signs else float((first**2 - 1).sum()) / np.sqrt(2)
            moments = (first.sum(), squares, first[1:] @ first[:-1], first @ other)
            worst = max(worst, (max(map(abs, moments)) / np.sqrt(first.size), f"a moment of {what}"))
    if faults:
        return claimed("draws", faults, "")
    rate = 1e-6
    # Two tails of four moments of two kinds of numbers in each dtype (Bonferroni): one false alarm in a million.
    bound = normal_quantile(1 - rate / (2 * 8 * len(backend.dtypes)))
    return judged("draws", worst[0], bound, f"{worst[1]} is {worst[0]:.2f} standard errors off", false_alarm=rate)


def _drawn(backend: Backend, dtype: str, seed: int, *, signs: bool) -> NDArray[np.float64]:
    """Return the draws of two arrays of a seed as one vector, in float64."""
    # The high word of a seed counts too: a framework that keeps 32 bits repeats itself.
    shapes = [(_DRAWS // 8, 4), (_DRAWS // 2,)]
    with backend.scope(dtype) or nullcontext():
        found = backend.draw(seed << 40, shapes, [dtype] * 2, device=backend.devices()[0], signs=signs)
        return np.concatenate([np.ravel(backend.numpy(array)).astype(np.float64) for array in found])


def _agreement(name: str, backend: Backend, compute: Callable[[Objective, str], Any]) -> CheckResult:
    errors: list[tuple[float, str]] = []
    for dtype in ("float64", "float32"):
        if dtype not in backend.dtypes:
            continue
        objective = bind(network(), backend=backend, dtype=dtype)
        native, own = (
            np.concatenate([np.ravel(backend.numpy(block)).astype(np.float64) for block in compute(objective, engine)])
            for engine in ("native", "gradest")
        )
        error = float(np.linalg.norm(native - own) / np.linalg.norm(own)) / float(np.finfo(dtype).eps)
        errors.append((error, f"native and gradest's own differ in {dtype}"))
    return worst_of(name, errors, _TRANSFORMATION_ROUNDING)


def _population(objective: Objective) -> tuple[Any, ...]:
    """Return K random arrays of each parameter's shape, `(K, *shape)`."""
    generator = np.random.default_rng(20_260_402)
    return tuple(
        made(objective.backend, generator.standard_normal((_POPULATION, *shape)), dtype)
        for shape, dtype in zip(objective.layout.shapes, objective.dtypes, strict=True)
    )


def check_kinks(backend: Backend) -> CheckResult:
    """Check that relu has derivative 0 at 0 in every reverse mode: behind it, the gradient vanishes.

    A failure means that gradients at a kink differ between backends, which frameworks settle by convention.
    """
    problem = MLP(dataset=samples(), widths=(2,), activation="relu", batch=None)
    start = problem.parameters()
    # Zero weights put every unit of the first layer on its kink, and the gradient behind it shows the convention.
    at = {**start, "W1": np.zeros_like(start["W1"]), "b1": np.zeros_like(start["b1"])}
    faults = []
    for kernel in backend.kernels:
        for engine in ("native", "gradest") if "value_and_gradient" in backend.native else ("gradest",):
            objective = bind(problem, at, backend=backend, kernel=kernel, dtype=finest_dtype(backend))
            gradient = objective.prepare_gradient(engine)[0](objective.start)[1]
            if np.any(backend.numpy(gradient[0])):
                faults.append(f"with the {kernel} kernel and the {engine} engine it is not")
    return claimed("kinks", faults, "relu has derivative 0 at 0")


def made(backend: Backend, values: NumpyArray, dtype: str) -> Any:
    """Return NumPy values as an array of the backend, inside its scope for the dtype."""
    with backend.scope(dtype) or nullcontext():
        return backend.array(values, dtype=dtype)
