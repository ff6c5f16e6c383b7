"""The errors that gradest raises: one small family.

Every message says what was asked, what was found and what to try. Every class takes one message, so that
an error survives pickling between processes. This module knows nothing of gradest but the words of its hints.
"""

from collections.abc import Iterable

from gradest.vocabulary import hint


class GradestError(Exception):
    """Base of every error that gradest raises on purpose; most are an error of Python's as well.

    Examples
    --------
    >>> import gradest
    >>> try:
    ...     gradest.get_problem("quadratic", size=-1)
    ... except gradest.GradestError as error:
    ...     print(type(error).__name__, isinstance(error, ValueError))
    InvalidInputError True
    """


class InvalidInputError(GradestError, ValueError):
    """An argument has a value that cannot be used: a shape, a range, an option."""


class InvalidTypeError(GradestError, TypeError):
    """An argument has a type or dtype that cannot be used: integer parameters, float labels."""


class NonFiniteError(InvalidInputError):
    """An input holds NaN or infinity."""


class UnknownNameError(InvalidInputError):
    """A name is not registered; the message lists near names."""


class UnsupportedError(GradestError, NotImplementedError):
    """The combination asked for cannot be carried out; the message says which one can."""


class MissingDependencyError(GradestError, ImportError):
    """A package or system library that was asked for is not installed; the message has the command."""


class PreparationMismatchError(InvalidInputError):
    """A prepared estimator was called with parameters of other names, shapes, dtypes or devices."""


class StepTooSmallError(InvalidInputError):
    """A finite-difference step vanishes in rounding: x + h == x."""


class InvalidEstimateError(GradestError):
    """An estimator returned what is no gradient here: another structure, shape or dtype, NaN or infinity."""


class MemoryBudgetError(MemoryError, GradestError):  # in this order, as `MemoryError` has a constructor of its own
    """The least that an estimator needs exceeds its memory budget."""


class DatasetError(InvalidInputError):
    """A data set is missing or damaged; the message has the command that fetches it."""


class NoiseWarning(UserWarning):
    """Differences of function values are mostly rounding; the message has the figures."""


class KinkWarning(UserWarning):
    """Difference quotients mix the slopes of the two sides of a kink, or a complex step takes one of the two."""


class StepWarning(UserWarning):
    """The loss bends within the steps of differences; the message says for how many entries, and what to try."""


class NonFiniteWarning(UserWarning):
    """Function values that an estimate is made from are NaN or infinite; the message has their number."""


class FlatLossWarning(UserWarning):
    """The loss has one value wherever it was evaluated, or takes whole numbers alone: its differences say nothing."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """Return the error for a name that is not registered, with what it may mean among those that are."""
    names = sorted(known)
    said = hint(kind, name, names) if isinstance(name, str) else f"a name is a string, not {type(name).__name__}; "
    return UnknownNameError(f"no {kind} is named {name!r}; {said}{'K' if said else 'k'}nown: {', '.join(names)}")
