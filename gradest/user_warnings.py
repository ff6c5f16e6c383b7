"""Warnings at the line of the user's that led to them, whichever door of the library it went through.

A fixed `stacklevel` counts the frames of one door, and `gradest.grad(f)(x)`, `get_estimator("es")(f, x)`, a prepared
estimator and `gradest.compare` differ by several. Python 3.12 can skip files by their prefix; 3.11 cannot.
"""

import inspect
import warnings

from gradest.registry import BACKENDS

_OURS = {"gradest", "gradest_bench", *(entry.location.partition(":")[0] for entry in BACKENDS.values())}


def warn_user(message: str, category: type[Warning]) -> None:
    """Give a warning whose file and line are those of the first frame outside of gradest, its backends and harness.

    Where there is none, in a thread that runs nothing else, they are those of the outermost frame.

    Examples
    --------
    >>> import warnings
    >>> from gradest.user_warnings import warn_user
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_user("differences are mostly rounding", UserWarning)
    >>> str(caught[0].message), caught[0].category.__name__
    ('differences are mostly rounding', 'UserWarning')
    """
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_back is not None and _is_ours(str(frame.f_globals.get("__name__", ""))):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_ours(module: str) -> bool:
    # By the whole name of the package: a user's own module may be called `gradest_experiments`.
    return module.partition(".")[0] in _OURS
