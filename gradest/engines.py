"""Who carries out a transformation of a loss: the framework itself, or gradest's own automatic differentiation."""

from gradest.backend import Backend
from gradest.errors import InvalidInputError
from gradest.refusals import cannot_differentiate, lacks_native

ENGINES = ("auto", "native", "gradest")
"""What may be asked for; "auto" is the framework's own where it has one (NumPy's: for functions not in operations)."""


def choose_engine(engine: str, transformation: str, backend: Backend, *, written_in_operations: bool) -> str:
    """Return "native" or "gradest" for one of `ENGINES`.

    Raises
    ------
    InvalidInputError
        There is no such engine.
    UnsupportedError
        "native" was asked for, and the framework lacks the transformation; or nobody can carry it out.
    """
    if engine not in ENGINES:
        raise InvalidInputError(f"engine must be one of {', '.join(ENGINES)}; found {engine!r}")
    has_native = transformation in backend.native
    if engine == "native" and not has_native:
        raise lacks_native(transformation, backend, opaque=not written_in_operations)
    if engine == "auto" and not has_native and not written_in_operations:
        raise cannot_differentiate(transformation, backend)
    # NumPy's native mode is gradest's too, of calls that it records: a text in operations needs no recording.
    own = engine == "auto" and written_in_operations and backend.interprets
    return "native" if has_native and engine != "gradest" and not own else "gradest"
