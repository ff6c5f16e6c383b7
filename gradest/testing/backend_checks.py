"""Checks of a backend, ours or a plug-in's: arrays, operations, native transformations, no global setting moved."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Backend, get_backend
from gradest.dtypes import as_floats
from gradest.errors import unknown_name
from gradest.operations import Operations
from gradest.testing import transformation_checks, use_checks
from gradest.testing.operation_table import Trial, trials
from gradest.testing.results import CheckResult, claimed, raised, worst_of
from gradest.testing.subject import finest_dtype
from gradest.testing.transformation_checks import made

_OPERATION_ROUNDING = 32  # units of eps, relative to the largest result: a few roundings of sums of a few terms
_ALIGNMENT_BYTES = 64  # a framework may share memory that happens to be so aligned

Check = Callable[[Backend], CheckResult]
State = Callable[[], Any]


def check_backend(
    backend: str | Backend, *, state: State | None = None, checks: Sequence[str] | None = None
) -> list[CheckResult]:
    """Return the results of all checks of a backend; none of them is statistical.

    Where the form is not that of a backend, that result and "global state" are the only ones: the others would say the
    same in riddles.

    Parameters
    ----------
    checks
        Names of checks, "form" and "global state" aside, which are always looked at; all by default. "estimators"
        takes half a minute where a framework compiles.
    state
        Returns the framework's global settings (dtype, threads, generators) in a form that can be compared: it is
        called before and after all checks. NumPy's own are compared in any case.

    Raises
    ------
    UnknownNameError
        There is no check, or no backend, of a name.

    Examples
    --------
    >>> from gradest.testing import check_backend
    >>> results = check_backend("numpy")
    >>> [result.name for result in results][:3], [str(result) for result in results if result.passed is False]
    (['form', 'round trip', 'aliasing'], [])
    """
    chosen = get_backend(backend)
    before = _global_state(state)
    for name in checks or ():
        if name not in CHECKS:
            raise unknown_name("check of a backend", name, CHECKS)
    asked = [name for name in (CHECKS if checks is None else checks) if name != "form"]
    results = [_carry_out("form", check_form, chosen)]
    if results[0].passed:
        results += [_carry_out(name, CHECKS[name], chosen) for name in asked]
    faults = [f"{name} changed" for name, value in _global_state(state).items() if value != before[name]]
    return [*results, claimed("global state", faults, "NumPy's and the framework's settings are as before")]


def _carry_out(name: str, check: Check, backend: Backend) -> CheckResult:
    try:
        return check(backend)
    except Exception as error:  # noqa: BLE001 - a backend may raise anything; it is a finding, and is reported
        return CheckResult(name, False, raised(error))


def _global_state(state: State | None) -> dict[str, Any]:
    legacy: Any = np.random.get_state(legacy=False)  # noqa: NPY002 - read, to see that it is unchanged
    found = {
        "NumPy's error handling": np.geterr(),
        "NumPy's global generator": (legacy["state"]["key"].tobytes(), legacy["state"]["pos"]),
        "NumPy's print options": str(np.get_printoptions()),
    }
    return found if state is None else {**found, "the framework's state": state()}


# -- form -------------------------------------------------------------------------------------------------------
def check_form(backend: Backend) -> CheckResult:
    """Check that the backend states names in collections, and gives operations.

    A failure means that nothing else can be judged: a string would be read letter by letter.
    """
    return claimed("form", _form_faults(backend), "dtypes, kernels and native are collections of names")


def _form_faults(backend: Backend) -> Iterator[str]:
    for attribute, kinds, example in (
        ("dtypes", (tuple, list), '("float32", "float64")'),
        ("kernels", (tuple, list), '("portable",)'),
        ("native", (frozenset, set), 'frozenset({"value_and_gradient"})'),
    ):
        stated = getattr(backend, attribute, None)
        if not isinstance(stated, kinds):
            yield f"{attribute} must be a {kinds[0].__name__} of names, such as {example}; found {stated!r}"
    operations: Any = backend.operations()
    if not isinstance(operations, Operations):
        found = f"the class {operations.__name__}" if isinstance(operations, type) else type(operations).__name__
        yield f"operations() must return an object of a subclass of gradest.Operations; found {found}"


# -- arrays ---------------------------------------------------------------------------------------------------
def check_round_trip(backend: Backend) -> CheckResult:
    """Check that arrays keep every bit on the way to the framework and back, and know their dtype and device.

    A failure means that parameters or gradients change by being handed over, or end up where nobody asked.
    """
    return claimed("round trip", _round_trip_faults(backend), f"bit for bit in {', '.join(backend.dtypes)}")


def _round_trip_faults(backend: Backend) -> Iterator[str]:
    for dtype in backend.dtypes:
        kind = np.dtype("float32" if dtype == "bfloat16" else dtype)
        limits = np.finfo(kind)
        numbers = [0.0, -0.0, 1.0, -1.5, limits.max, limits.tiny, np.inf, -np.inf, np.nan]
        # NumPy has no bfloat16: of float32 the first four are numbers of it too, and come back as they were.
        numbers = numbers[:4] if dtype == "bfloat16" else numbers
        arrays = (np.array(numbers, dtype=kind), np.array(2.5, dtype=kind), np.ones((2, 3), dtype=kind, order="F"))
        for values in arrays:
            array = made(backend, values, dtype)
            again = backend.numpy(array)
            if again.dtype.name == dtype == "bfloat16":  # of a package that gives NumPy one, as JAX's does
                again = as_floats(again, dtype)
            if again.dtype != kind or again.shape != values.shape or again.tobytes() != values.tobytes():
                yield f"{values!r} comes back as {again!r} in {dtype}"
            if backend.dtype(array) != dtype or not isinstance(backend.dtype(array), str):
                yield f"an array made in {dtype} says it is {backend.dtype(array)!r}; the name was asked for"
            if not backend.owns(array):
                yield f"it does not own an array that it made in {dtype}"
            if backend.device(array) not in backend.devices():
                yield f"an array is on {backend.device(array)!r}, which is none of {backend.devices()}"
        wide = made(backend, np.array([1.0, 0.1], dtype=np.float64), dtype)  # directions come in double precision
        if backend.dtype(wide) != dtype:
            yield f"float64 values that were asked for in {dtype} are made in {backend.dtype(wide)}"
    if backend.owns(object()) or backend.owns("text"):
        yield "it owns objects that are no arrays"


def check_aliasing(backend: Backend) -> CheckResult:
    """Check that arrays own their memory: writing to NumPy's side does not show in the framework's, nor the reverse.

    A failure means that a buffer which is used again would change parameters that are in use.
    """
    faults = []
    # Whether a framework copies may depend on alignment: each one is tried.
    for shift in range(0, _ALIGNMENT_BYTES, 8):
        source = _aligned(shift)
        array = made(backend, source, finest_dtype(backend))
        source += 1
        if backend.numpy(array)[0] != 0:
            faults.append(f"an array made from memory at {shift} bytes from alignment shares it")
        given = backend.numpy(array)
        given[...] = 7
        if backend.numpy(array)[0] != 0:
            faults.append("numpy(array) shares the array's memory")
    return claimed("aliasing", dict.fromkeys(faults), "arrays share no memory with NumPy's")


def _aligned(shift: int) -> NDArray[np.float64]:
    """Return 512 zeros whose memory begins `shift` bytes after a multiple of the alignment."""
    raw = np.zeros(512 + 2 * _ALIGNMENT_BYTES // 8)
    start = (-raw.ctypes.data % _ALIGNMENT_BYTES + shift) // 8
    return raw[start : start + 512]


# -- operations -------------------------------------------------------------------------------------------------
def check_operations(backend: Backend) -> CheckResult:
    """Check each operation, of each kernel, against NumPy in extended precision; operands must stay as they are.

    A failure means that a loss has another value, or another gradient, on this backend than elsewhere.
    """
    found: list[tuple[float, str]] = []
    faults: dict[str, str] = {}  # by what went wrong: the same of many operations is told of the first
    for dtype in ("float64", "float32"):
        if dtype not in backend.dtypes:
            continue
        for kernel, trial in _distinct_trials(backend, dtype):
            try:
                error, changed, given = _tried(backend, kernel, dtype, trial)
            except Exception as refusal:  # noqa: BLE001  # the other operations are tried all the same
                faults.setdefault(raised(refusal), f"{trial} {raised(refusal)}, {kernel}, {dtype}")
                continue
            if changed:
                faults[str(trial)] = f"{trial} writes to its operands ({kernel}, {dtype})"
            if given != dtype:
                faults.setdefault(f"dtype of {trial.name}", f"{trial} of {dtype} gives {given} ({kernel})")
            found.append((error, f"{trial}, {kernel}, {dtype}"))
        for kernel in backend.kernels:
            faults.update((fault, f"{fault} ({kernel}, {dtype})") for fault in _constant_faults(backend, kernel, dtype))
    if faults:
        return claimed("operations", faults.values(), "")
    return worst_of("operations", found, _OPERATION_ROUNDING)


def _distinct_trials(backend: Backend, dtype: str) -> Iterator[tuple[str, Trial]]:
    """Yield every trial with each kernel, once where kernels have the operation in common."""
    for trial in trials(dtype):
        seen = []
        for kernel in backend.kernels:
            method = getattr(type(backend.operations(kernel)), trial.name)
            if method not in seen:
                yield kernel, trial
            seen.append(method)


def _constant_faults(backend: Backend, kernel: str, dtype: str) -> Iterator[str]:
    """Yield what `constant` does not take from the array that it is to be like; the interpreters make theirs by it."""
    like = made(backend, np.zeros(2), dtype)
    values = np.array([0.1, -3.0])  # in double precision, as constants come
    with backend.scope(dtype) or nullcontext():
        constant = backend.operations(kernel).constant(values, like=like)
    if backend.dtype(constant) != dtype:
        yield f"constant(values, like=x) is {backend.dtype(constant)}, x is {dtype}; make it in the dtype of x"
    elif not np.array_equal(backend.numpy(constant), values.astype(dtype)):
        yield f"constant({values}, like=x) holds {backend.numpy(constant)}"
    if backend.device(constant) != backend.device(like):
        yield f"constant(values, like=x) is on {backend.device(constant)!r}, x on {backend.device(like)!r}"


def _tried(backend: Backend, kernel: str, dtype: str, trial: Trial) -> tuple[float, bool, str]:
    """Return an operation's error in units of eps of its largest result, whether it wrote to an operand, its dtype."""
    operands = [made(backend, x, dtype) for x in trial.operands]
    operation = getattr(backend.operations(kernel), trial.name)
    with backend.scope(dtype) or nullcontext():
        result = operation(*operands, *trial.shape, **dict(trial.options))
    found = backend.numpy(result).astype(np.longdouble)
    expected = np.asarray(trial.meaning(*(x.astype(np.longdouble) for x in trial.operands)))
    changed = any(not np.array_equal(backend.numpy(o), x) for o, x in zip(operands, trial.operands, strict=True))
    given = dtype if expected.dtype == bool else backend.dtype(result)  # a mask has a dtype of its own
    if found.shape != expected.shape:
        return float("inf"), changed, given
    least = float(np.max(np.abs(expected))) if trial.floor is None else trial.floor
    scale = np.maximum(np.abs(expected), max(least, float(np.finfo(dtype).tiny)))
    return float(np.max(np.abs(found - expected) / scale)) / float(np.finfo(dtype).eps), changed, given


CHECKS: dict[str, Check] = {
    "form": check_form,
    "round trip": check_round_trip,
    "aliasing": check_aliasing,
    "operations": check_operations,
    "declaration": transformation_checks.check_declaration,
    "gradient": transformation_checks.check_gradient,
    "jvps": transformation_checks.check_jvps,
    "population": transformation_checks.check_population,
    "compilation": transformation_checks.check_compilation,
    "draws": transformation_checks.check_draws,
    "kinks": transformation_checks.check_kinks,
    "estimators": use_checks.check_estimators,
}
