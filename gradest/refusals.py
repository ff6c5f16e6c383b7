"""What to say where a loss cannot be differentiated as it was asked to be: why not, and by what it can be.

A message names only estimators that can be used on that backend for that loss. This module knows no estimator but by
its registered name.
"""

from gradest.backend import Backend
from gradest.errors import InvalidInputError, UnsupportedError

MODES = {"value_and_gradient": "reverse mode", "value_and_jvps": "forward mode"}
"""A native transformation of a backend -> what people call it."""

IN_OPERATIONS = "a loss in operations (a gradest Problem)"
FORWARD_MODE = "a loss that its framework differentiates forwards, or one in operations"
REVERSE_MODE = "a loss that its framework differentiates backwards, or one in operations"
ANALYTIC = "values of an analytic loss at complex parameters"
"""What estimators need, as `gradest list` says it; a refusal says the same of one loss."""

WRITES = "a loss that leaves its inputs as they are was asked for; this one writes into its parameters or arguments; "
"""What is wrong with a loss that does; a backend's `in_place` says what to do about it."""

_EVALUATING = ("fd-central", "es", "spsa")


def usable_estimators(backend: Backend) -> str:
    """Return the names of estimators that take any function of a backend's arrays, as the end of a sentence.

    Examples
    --------
    >>> import gradest
    >>> from gradest.refusals import usable_estimators
    >>> usable_estimators(gradest.get_backend("numpy"))
    "'reverse', 'forward', 'fd-central', 'es', 'spsa', or 'complex-step' where it is analytic"
    """
    modes = {"value_and_gradient": "reverse", "value_and_jvps": "forward"}
    named = [modes[each] for each in modes if each in backend.native] + list(_EVALUATING)
    listed = ", ".join(map(repr, named))
    return f"{listed}, or 'complex-step' where it is analytic" if "complex" in backend.native else listed


def writes(backend: Backend) -> InvalidInputError:
    """Return the error for a loss that writes into what it is given.

    Examples
    --------
    >>> import gradest
    >>> from gradest.refusals import writes
    >>> str(writes(gradest.get_backend("numpy"))).partition("work ")[2]
    'on a copy, such as `p = p.copy()`, and not in place'
    """
    return InvalidInputError(WRITES + backend.in_place)


def needs_operations(asked: str, backend: Backend, *, instead: str | None = None) -> UnsupportedError:
    """Return the error for what asks for a loss written in operations, of a function that is not."""
    return UnsupportedError(
        f"{asked} was asked for; it needs the loss as a gradest Problem written in operations, and this objective is "
        f"an opaque function; use {instead or usable_estimators(backend)}"
    )


def cannot_differentiate(transformation: str, backend: Backend) -> UnsupportedError:
    """Return the error for a mode of differentiation that nobody asked to be of a particular engine."""
    return UnsupportedError(
        f"{MODES[transformation]} was asked for of an opaque function on backend {backend.name!r}, which cannot "
        f"differentiate a function as it is in this mode; use {usable_estimators(backend)}; or write the loss as a "
        "gradest.Problem in operations, or with a framework that differentiates it"
    )


def has_no_derivative(asked: str, problem: str) -> UnsupportedError:
    """Return the error for a derivative of a problem whose loss changes in steps."""
    return UnsupportedError(
        f"{asked} was asked for of problem {problem!r}, whose loss changes in steps: its derivative is 0 wherever "
        "there is one; use an estimator that smooths, 'es' or 'spsa', with a sigma of the size of the parameters"
    )


def lacks_native(transformation: str, backend: Backend, *, opaque: bool) -> UnsupportedError:
    """Return the error for engine='native' where the framework has no such mode."""
    instead = usable_estimators(backend) if opaque else "engine='gradest'"
    return UnsupportedError(
        f"engine='native' was asked for; backend {backend.name!r} has no native {transformation} "
        f"({MODES[transformation]}); use {instead}"
    )
