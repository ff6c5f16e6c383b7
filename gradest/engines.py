"""Who carries out a transformation of a loss: the framework itself, or gradest's own automatic differentiation."""

from gradest.backend import Backend
from gradest.errors import InvalidInputError, UnsupportedError

ENGINES = ("auto", "native", "gradest")
"""What may be asked for; "auto" is the framework's own where it has one."""


def choose_engine(engine: str, transformation: str, backend: Backend, *, written_in_operations: bool) -> str:
    """Return "native" or "gradest" for one of `ENGINES`.

    Raises
    ------
    InvalidInputError
        There is no such engine.
    UnsupportedError
        "native" was asked for, and the framework lacks the transformation.
    """
    if engine not in ENGINES:
        raise InvalidInputError(f"engine must be one of {', '.join(ENGINES)}; found {engine!r}")
    has_native = transformation in backend.native
    if engine == "native" and not has_native:
        raise UnsupportedError(
            f"backend {backend.name!r} has no native {transformation}; use engine='gradest'"
            + ("" if written_in_operations else " with a loss written in gradest's operations")
        )
    return "native" if has_native and engine != "gradest" else "gradest"
