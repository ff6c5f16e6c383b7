"""What a user's function may return: one real number, as an array of the framework, of NumPy, or of Python."""

from collections.abc import Hashable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from gradest.errors import InvalidInputError

_HINTS: dict[type, str] = {
    type(None): "None; is a `return` missing?",
    str: "a string; return the number itself",
    bytes: "bytes; return the number itself",
}


_NO_NUMBERS = (
    "object",
    "<U",
    ">U",
    "|S",
    "|V",
    "[",
    "record",
    "datetime",
    "timedelta",
    "key",
    "float8_",
    "float6_",
    "float4_",
)
"""How the names of dtypes begin whose entries are no numbers, or numbers that nothing computes with."""


def as_scalar(value: Any, *, complex_parameters: bool = False) -> Any:
    """Return what a function returned, refusing what is not one real number.

    Parameters
    ----------
    value
        An array of shape `()` of any framework, or a number. Inside a transformation of the framework (vmap, jit)
        it has a shape and a dtype and no value, so nothing is asked of the value here.
    complex_parameters
        Whether the parameters are complex, as the complex step makes them: then so may the value be.

    Raises
    ------
    InvalidInputError
        It is None, text, a boolean, a complex number, a container, an array with axes, or an object of another kind.
    """
    if type(value) is float:  # the commonest answer of a black box needs no more questions
        return value
    shape = getattr(value, "shape", None)
    if shape is None:
        return _number(value, complex_parameters=complex_parameters)
    if tuple(shape) != ():
        examples = (
            ", or say per_example=True to gradest.bind or gradest.grad if it holds one loss for each example"
            if len(shape) == 1
            else ""
        )
        raise _refusal(f"an array of shape {tuple(shape)}; reduce it, e.g. by a mean{examples}")
    kind = _kind(value)
    if kind == "bool":
        raise _refusal("a boolean, which has no slope; return the number that it was decided by")
    if kind == "complex" and not complex_parameters:
        raise _refusal("a complex number; a gradient is of a real loss: return its real part, or abs(...)**2")
    if kind == "other":
        raise _refusal(f"an array of dtype {value.dtype}; return a real number, such as float(...) of it")
    return value


def as_losses(value: Any, *, complex_parameters: bool = False) -> Any:
    """Return what a function of one loss for each example returned, refusing what is not an array `(B,)` of them.

    Raises
    ------
    InvalidInputError
        It is no array, has other than one axis, no examples, or holds what is not a real number.
    """
    shape = getattr(value, "shape", None)
    if shape is None or len(shape) != 1 or int(shape[0]) < 1:
        found = type(value).__name__ if shape is None else f"an array of shape {tuple(shape)}"
        raise InvalidInputError(
            f"per_example=True asks for one loss for each example, an array of shape (B,); found {found}; return the "
            "losses before they are reduced, or leave per_example away"
        )
    kind = _kind(value)
    if kind in ("bool", "other") or (kind == "complex" and not complex_parameters):
        raise InvalidInputError(
            f"per_example=True asks for one real loss for each example; found an array of dtype {value.dtype}; return "
            "real numbers"
        )
    return value


def mean_of(losses: Any) -> Any:
    """Return the mean of losses `(B,)`, an array of shape `()`."""
    # PyTorch has no mean of whole numbers; of floating-point ones the mean cannot overflow where the sum might.
    return losses.sum() / int(losses.shape[0]) if _kind(losses) == "int" else losses.mean()


def _number(value: Any, *, complex_parameters: bool) -> Any:
    """Return a number that is no array."""
    if isinstance(value, bool):
        raise _refusal("a boolean, which has no slope; return the number that it was decided by")
    if isinstance(value, int | float):
        return value
    if isinstance(value, complex):
        if complex_parameters:
            return value
        raise _refusal("a complex number; a gradient is of a real loss: return its real part, or abs(...)**2")
    hint = next((text for kind, text in _HINTS.items() if isinstance(value, kind)), None)
    if hint is None and isinstance(value, Decimal | Fraction):
        hint = f"a {type(value).__name__}; return float(...) of it"
    if hint is None and isinstance(value, tuple | list | dict):
        hint = f"{type(value).__name__}; return the loss alone, or give gradest.grad has_aux=True"
    if hint is None and hasattr(value, "loss"):  # the outputs of models of several libraries
        hint = f"an object {type(value).__name__} that has an attribute `loss`; return out.loss"
    raise _refusal(hint or f"{type(value).__name__}; reduce it to one number")


def _kind(value: Any) -> str:
    return kind_of(getattr(value, "dtype", ""))


def kind_of(dtype: Any) -> str:
    """Return "bool", "int", "complex", "float" or "other", by the name of a dtype, which all frameworks share."""
    # Kept by the type too: dtypes of two libraries may have one hash, and some warn when they are compared.
    return _kind_of(type(dtype), dtype)  # type: ignore[arg-type]  # a class is hashable, which mypy doubts


@cache
def _kind_of(_: Hashable, dtype: Any) -> str:
    name = str(dtype).rpartition(".")[2]
    if name.startswith(_NO_NUMBERS):
        return "other"
    return next((kind for kind in ("bool", "complex") if name.startswith(kind)), "int" if "int" in name else "float")


def _refusal(found: str) -> InvalidInputError:
    return InvalidInputError(f"f must return a scalar, one real number or an array of shape (); found {found}")
