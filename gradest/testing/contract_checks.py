"""Checks of the contract that every estimator signs: a frozen value, an honest cost, the form of the result, inputs.

None of them is statistical: they hold for each single estimate.
"""

import inspect
import math
import pickle
import warnings
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import numpy as np

from gradest.directions.laws import LAWS
from gradest.errors import NonFiniteError, NonFiniteWarning, UnsupportedError, unknown_name
from gradest.estimator import Estimator, Prepared
from gradest.measurement.session import flat
from gradest.objective import Objective
from gradest.target import Smoothing, Target
from gradest.testing.known_problems import Cubic
from gradest.testing.results import CheckResult, claimed, judged, not_applicable, worse
from gradest.testing.subject import Subject

_LOSS_ROUNDING = 64  # units of the dtype's eps: what a loss of a few sums and exponentials may be off


def check_configuration(subject: Subject) -> CheckResult:
    """Check that the estimator is a frozen dataclass that survives pickling and prints its hyper-parameters.

    A failure means that a result cannot be traced to its hyper-parameters, or that it cannot run in a process pool.
    """
    return claimed("configuration", _configuration_faults(subject.estimator), "frozen, pickles, prints its fields")


def _configuration_faults(estimator: Estimator) -> Iterator[str]:
    if not is_dataclass(estimator):
        yield "it is no dataclass: write @dataclass(frozen=True) above the class"
        return
    names = [f.name for f in fields(estimator)]
    for name in names[:1]:  # frozen is a property of the class: one field tells
        try:
            setattr(estimator, name, getattr(estimator, name))
        except FrozenInstanceError:
            continue
        yield f"hyper-parameter {name!r} can be assigned to: write @dataclass(frozen=True)"
    # As it travels to the workers of an executor.
    again = pickle.loads(pickle.dumps(estimator))
    if again != estimator:
        yield f"pickling gives {again!r}, which is not equal to {estimator!r}"
    # The repr is what a kept run knows of its estimator.
    missing = [name for name in names if name not in repr(estimator)]
    if missing:
        yield f"its repr does not show {', '.join(missing)}"
    unlisted = _annotated(type(estimator)) - set(names)
    if unlisted:  # of its base, which is one: what the class itself annotates would be nobody's hyper-parameter
        yield f"{', '.join(sorted(unlisted))}: no field; write @dataclass(frozen=True, kw_only=True) above the class"
    for attribute in ("name", "source", "formula", "cost_formula"):
        if not isinstance(getattr(estimator, attribute, None), str):
            yield f"the class attribute {attribute!r} must be a string"
    yield from _target_faults(estimator)


def _annotated(cls: type) -> set[str]:
    """Return the names that a class annotates itself, but for its constants."""
    return {name for name, kind in inspect.get_annotations(cls).items() if "ClassVar" not in str(kind)}


def _target_faults(estimator: Estimator) -> Iterator[str]:
    """Yield what is wrong with the target that it states: checks that ask for it would not apply, and say nothing."""
    target, smoothing = estimator.target, estimator.smoothing
    if not isinstance(target, Target):
        yield f"its target must be one of {', '.join(map(str, Target))}; found {target!r}"
    if smoothing is None:
        return
    if not isinstance(smoothing, Smoothing):
        yield f"its smoothing must be a gradest.Smoothing(law, sigma), or None; found {smoothing!r}"
    elif smoothing.law not in LAWS:
        yield f"its smoothing is by no law of gradest.directions.LAWS: {unknown_name('law', smoothing.law, LAWS)}"


def check_result(subject: Subject) -> CheckResult:
    """Check structure, names, shapes, dtype and array type of the gradient, on each backend in each dtype.

    A failure means that an optimizer could not apply the gradient to the parameters as it is.
    """
    faults: list[str] = []
    done: list[str] = []
    for backend, dtype in subject.settings():
        try:
            prepared = subject.prepared(backend, dtype)
        except UnsupportedError as error:
            # Elsewhere a refusal is a limit that it states; where the other checks are made, nothing would be checked.
            if backend == subject.backends[0] and dtype == subject.dtype:
                faults.append(f"cannot run on {backend}: {error}")
            continue
        faults += [f"on {backend} in {dtype}: {fault}" for fault in _result_faults(prepared, subject.seed)]
        done.append(f"{backend} {dtype}")
    return claimed("result", faults, f"structure, shapes, dtype and array type as the parameters': {', '.join(done)}")


def _result_faults(prepared: Prepared, seed: int) -> Iterator[str]:
    objective = prepared.objective
    backend, asked = objective.backend, objective.start_tree
    found = prepared(rng=seed).gradient
    if type(found) is not type(asked) or tuple(found) != tuple(asked):
        yield f"the gradient has the keys {tuple(found)}, the parameters {tuple(asked)}"
        return
    for name, like in asked.items():
        leaf = found[name]
        if not backend.owns(leaf) or type(leaf) is not type(like):
            yield f"{name!r} is a {type(leaf).__name__}, the parameter a {type(like).__name__}"
        elif backend.dtype(leaf) != backend.dtype(like):
            yield f"{name!r} has dtype {backend.dtype(leaf)}, the parameter {backend.dtype(like)}"
        elif tuple(leaf.shape) != tuple(like.shape):
            yield f"{name!r} has shape {tuple(leaf.shape)}, the parameter {tuple(like.shape)}"
        elif not np.isfinite(backend.numpy(leaf)).all():
            yield f"{name!r} holds NaN or infinity at finite parameters"


def check_value(subject: Subject) -> CheckResult:
    """Check that the value, where one is returned, is the loss at the parameters.

    A failure means that `value_and_grad` reports the loss of another point, such as a perturbed one.
    """
    worst, seen = 0.0, 0
    for backend, dtype in _supported(subject):
        prepared = subject.prepared(backend, dtype)
        objective = prepared.objective
        value = prepared(rng=subject.seed).value
        if value is None:
            continue
        loss = float(objective.backend.numpy(objective.prepare_value()(objective.start)))
        found = float(objective.backend.numpy(value) if objective.backend.owns(value) else value)
        error = abs(found - loss) / abs(loss) / float(np.finfo(dtype).eps)
        worst, seen = (error if worse(error, worst) else worst), seen + 1
    if not seen:
        return not_applicable("value", "it returns no value; one that knows the loss returns it in KernelResult")
    return judged("value", worst, _LOSS_ROUNDING, f"differs from the loss by {worst:.3g} units of rounding at most")


def check_cost(subject: Subject) -> CheckResult:
    """Check that evaluations counted are those declared, at the first call and the next.

    A failure means that comparisons at equal cost are unfair: the estimator does more, or less, than it says.
    """
    faults = []
    declared = ""
    for backend, dtype in _supported(subject):
        prepared = subject.prepared(backend, dtype)
        objective = prepared.objective
        expected = subject.estimator.cost(objective.layout)
        declared = str(expected)
        # A framework that compiles counts at the first call what it traces; both have to come out the same.
        for call in ("first", "second"):
            before = objective.counts
            prepared(rng=subject.seed)
            counted = objective.counts - before
            if counted != expected:
                faults.append(f"{call} call on {backend} in {dtype}: declared {expected}, counted {counted}")
    return claimed("cost", faults, f"declared and counted: {declared}")


def check_inputs(subject: Subject) -> CheckResult:
    """Check that parameters and data are the same bytes after an estimate, and need not be writable.

    A failure means that an estimate changes the model that it is asked about.
    """
    faults = []
    for backend, dtype in _supported(subject):
        prepared = subject.prepared(backend, dtype)
        faults += [f"on {backend} in {dtype}: {fault}" for fault in _input_faults(prepared, subject.seed)]
    return claimed("inputs", faults, "parameters and data are unchanged, byte for byte")


def _input_faults(prepared: Prepared, seed: int) -> Iterator[str]:
    objective = prepared.objective
    given = objective.form.params_of(
        [_private(objective, leaf, dtype) for leaf, dtype in zip(objective.start, objective.dtypes, strict=True)]
    )
    watched = {
        **{f"data {k!r}": v for k, v in objective.data.items()},
        **{f"parameter {k!r}": v for k, v in given.items()},
    }
    watched |= {f"start {n!r}": leaf for n, leaf in zip(objective.layout.names, objective.start, strict=True)}
    before = {name: objective.backend.numpy(array).tobytes() for name, array in watched.items()}
    # Only NumPy can refuse a write; the other frameworks' arrays are compared afterwards.
    frozen = [leaf for leaf in given.values() if isinstance(leaf, np.ndarray)]
    for leaf in frozen:
        leaf.flags.writeable = False
    try:
        prepared(given, rng=seed)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        yield f"it writes to its parameters: {error}"
    for name, array in watched.items():
        if objective.backend.numpy(array).tobytes() != before[name]:
            yield f"{name} was changed"


def _private(objective: Objective, leaf: Any, dtype: str) -> Any:
    return objective.scoped(
        lambda: objective.backend.array(objective.backend.numpy(leaf), dtype=dtype, device=objective.device)
    )()


def check_fresh_results(subject: Subject) -> CheckResult:
    """Check that a gradient is neither overwritten by the next call nor a view of the parameters.

    A failure means that gradients kept for later (momentum, averages over replicates) change behind one's back.
    """
    prepared = subject.prepared(subject.backends[0], subject.dtype)
    objective = prepared.objective
    first = prepared(rng=subject.seed)
    kept = flat(objective, first)
    prepared(rng=subject.seed + 1)
    faults = [] if np.array_equal(flat(objective, first), kept) else ["the next call overwrites an earlier gradient"]
    for name, leaf in first.gradient.items():
        if isinstance(leaf, np.ndarray) and any(np.shares_memory(leaf, x) for x in objective.start):
            faults.append(f"gradient {name!r} shares memory with a parameter")
    return claimed("fresh results", faults, "each gradient owns its memory")


def check_preparation(subject: Subject) -> CheckResult:
    """Check that an estimate depends on its arguments alone: not on earlier calls, nor on which preparation made it.

    A failure means that something is kept between calls, so that a result cannot be repeated from its seed.
    """
    problem = Cubic(cubic=0.3)
    one = subject.estimator.prepare(subject.objective(problem))
    other = subject.estimator.prepare(subject.objective(problem))
    seeds = (subject.seed, subject.seed + 1, subject.seed, subject.seed)
    # Another seed in between, and the same one twice: what is kept may show after either.
    first, _, again, thrice = (flat(one.objective, one(rng=seed)) for seed in seeds)
    second = flat(other.objective, other(rng=subject.seed))
    faults = []
    if not (np.array_equal(first, again) and np.array_equal(first, thrice)):
        faults.append("the same call gives another estimate after other calls: it keeps something between calls")
    if not np.array_equal(first, second):
        faults.append("prepared a second time, it gives another estimate")
    return claimed("preparation", faults, "estimates depend on their arguments alone")


def check_non_finite(subject: Subject) -> CheckResult:
    """Check that a loss that is NaN shows: as NaN in the gradient, or as NonFiniteError.

    A failure means that training would go on with plausible numbers after the loss has broken down.
    """
    if subject.estimator.target is Target.NOTHING:
        return not_applicable("non-finite", "it is a control that evaluates nothing; any other target is looked at")
    # NaN at every point: an estimator that leaves single bad values out has none left.
    objective = subject.objective(Cubic(factor=math.nan))
    prepared = subject.estimator.prepare(objective)
    try:
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", NonFiniteWarning)  # which says what is looked for here
            found = flat(objective, prepared(rng=subject.seed))
    except NonFiniteError as error:
        return claimed("non-finite", (), f"NonFiniteError: {error}")
    hidden = bool(np.isfinite(found).all())
    faults = ["a loss that is NaN everywhere gives a gradient of finite numbers"] if hidden else []
    return claimed("non-finite", faults, "a loss that is NaN gives NaN")


def _supported(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield the settings that the estimator can run in."""
    for backend, dtype in subject.settings():
        try:
            subject.prepared(backend, dtype)
        except UnsupportedError:
            continue
        yield backend, dtype
