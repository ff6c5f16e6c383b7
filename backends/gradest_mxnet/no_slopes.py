"""Functions of MXNet's own that MXNet 1.9.1 gives a gradient of 0, or another one than theirs, without a word.

Percentiles, eigenvalues and pseudo-inverses have no backward pass there, nor have random numbers by the parameters of
most laws: what is recorded gets zeros from them. Output layers go backward as if a loss of their own stood behind them.
They are refused by name where a parameter goes into them. Variances and `atleast_*`, which get zeros too, and `rot90`,
whose gradient turns further where it ought to turn back, are made of functions that go backward rightly. What a
hybridized block that f closes over has compiled cannot be reached; it is refused for a variance in it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest_mxnet.framework import Array, mx
from gradest_mxnet.replaced import Change, Refusal

_OF_VALUES = "an estimator of values ('fd-central', 'es', 'spsa')"
_ZERO = (
    "MXNet 1.9.1 gives it a gradient of 0; write it in functions that have one ({}), or use "
    + _OF_VALUES
    + ", or detach() it where it is to have none"
)
_NO_PASS = _ZERO.format(
    "mx.np.sort for a percentile, mx.nd.linalg.syevd for eigenvalues, mx.np.linalg.solve for a pseudo-inverse"
)
_NO_PATH = _ZERO.format("numbers of a fixed law, and arithmetic: mean + scale * mx.np.random.normal(size=shape)")
_OWN_LOSS = (
    "its backward pass is that of a loss of its own, whatever is computed from its values; write the values and the "
    "loss apart, as gluon.loss does, or use " + _OF_VALUES
)
_REFUSED = (
    ("nd.np", ("percentile", "quantile", "unique"), _NO_PASS),
    ("nd.np.linalg", ("eig", "eigh", "eigvals", "eigvalsh", "pinv"), _NO_PASS),
    ("nd.np.random", ("uniform", "gamma", "beta", "power", "chisquare"), _NO_PATH),
    ("nd.random", ("uniform", "normal", "gamma", "exponential"), _NO_PATH),
    ("nd", ("sample_uniform", "sample_normal", "sample_gamma", "sample_exponential"), _NO_PATH),
    ("nd", ("SoftmaxOutput", "Softmax", "SVMOutput", "MakeLoss", "make_loss"), _OWN_LOSS),
    ("nd", ("LinearRegressionOutput", "LogisticRegressionOutput", "MAERegressionOutput"), _OWN_LOSS),
)
"""Rooms of functions, their names, and why they are refused. Those of `mx.np` come to the ones of `mx.nd.np`."""


@cache
def on_arrays() -> tuple[Change, ...]:
    """Return what takes the place of these functions where arrays are recorded."""
    changes = [(mx.np, "rot90", _rot90)]
    for path, names, why in _REFUSED:
        room = mx
        for part in path.split("."):
            room = getattr(room, part)
        shown = path.replace("nd.np", "np")
        changes += [(room, name, _refusing(getattr(room, name), f"mx.{shown}.{name}", why)) for name in names]
    changes += [(mx.np, f"atleast_{n}d", _followed(getattr(mx.np, f"atleast_{n}d"), _atleast(n))) for n in (1, 2, 3)]
    changes += [(room, "SequenceLast", _sequence_last(room.SequenceLast)) for room in (mx.nd, mx.nd.op)]
    # Functions and methods alike, of either module, come to these two.
    within = mx.nd.numpy._internal
    changes += [(within, name, _followed(getattr(within, name), _spread(name))) for name in ("var", "std")]
    return tuple(changes)


@cache
def on_symbols() -> tuple[Change, ...]:
    """Return what takes the place of variances where a graph is traced."""
    within = mx.sym.numpy._internal
    return tuple((within, name, _spread(name)) for name in ("var", "std"))


def refusal(block: Any, nodes: Sequence[Mapping[str, Any]]) -> Refusal | None:
    """Return what refuses a compiled graph that has a variance, the user's own; None of another."""
    if not any(node["op"] in ("_npi_var", "_npi_std") for node in nodes):
        return None

    def refuse(inputs: Sequence[Any]) -> None:
        if mx.autograd.is_recording() and any(map(_is_followed, inputs)):
            raise UnsupportedError(
                f"reverse mode was asked for through the variance or standard deviation of {type(block).__name__}, a "
                "hybridized block that f closes over; MXNet 1.9.1 gives it a gradient of 0 there; pass the block "
                f"itself as params, call its hybridize(False), or use {_OF_VALUES}"
            )

    return refuse


def _refusing(function: Callable[..., Array], name: str, why: str) -> Any:
    @wraps(function)
    def refusing(*args: Any, **kwargs: Any) -> Array:
        if mx.autograd.is_recording() and any(map(_is_followed, (*args, *kwargs.values()))):
            raise UnsupportedError(f"{name} was called with what is being differentiated, and {why}")
        return function(*args, **kwargs)

    return refusing


def _sequence_last(function: Callable[..., Array]) -> Any:
    @wraps(function)
    def last(data: Array, sequence_length: Any = None, use_sequence_length: bool = False, **kwargs: Any) -> Array:
        if not use_sequence_length and data.dtype == np.float64 and mx.autograd.is_recording() and _is_followed(data):
            raise UnsupportedError(
                "reverse mode was asked for through mx.nd.SequenceLast in float64, where MXNet 1.9.1 writes beyond its "
                f"memory and ends the process; take data[-1], compute in float32, or use {_OF_VALUES}"
            )
        return function(data, sequence_length, use_sequence_length=use_sequence_length, **kwargs)

    return last


def _followed(function: Callable[..., Array], other: Callable[..., Array]) -> Any:
    """Return a function that computes as another does where what is differentiated goes into it."""

    @wraps(function)
    def either(*args: Any, **kwargs: Any) -> Array:
        concerned = mx.autograd.is_recording() and kwargs.get("out") is None and any(map(_is_followed, args))
        return other(*args, **kwargs) if concerned else function(*args, **kwargs)

    return either


def _is_followed(x: Any) -> bool:
    """Return whether an array is, or was computed from, what autograd records derivatives by."""
    if not isinstance(x, mx.nd.NDArray):
        return False
    try:
        mx.autograd.get_symbol(x)  # of the computation that it is part of; MXNet has no other way to ask
    except mx.MXNetError:
        return False
    return True


def _spread(name: str) -> Callable[..., Array]:
    """Return a variance or standard deviation, of arrays or symbols, made of means."""

    def spread(a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: bool = False, **_: Any) -> Any:
        values = a if dtype is None else a.astype(dtype)
        away = values - values.mean(axis=axis, keepdims=True)
        variance = (away * away).mean(axis=axis, keepdims=keepdims)
        if ddof:
            # A symbol does not know its shape: what there are is counted.
            count = (values * 0 + 1).sum(axis=axis, keepdims=keepdims)
            variance = variance * count / (count - ddof)
        if name == "var":
            return variance
        still = variance == 0  # where the root has an infinite slope, and what goes into it none
        return (variance + still) ** 0.5 - still

    return spread


def _atleast(num_axes: int) -> Callable[..., Any]:
    def atleast(*arrays: Array) -> Any:
        found = [_with_axes(array, num_axes) for array in arrays]
        return found[0] if len(found) == 1 else found

    return atleast


def _with_axes(array: Array, num_axes: int) -> Array:
    shape = array.shape
    if len(shape) >= num_axes:
        return array * 1  # as MXNet's, an array of its own
    if num_axes == 3 and shape:  # NumPy's order: (1, n, 1), and (m, n, 1)
        return array.reshape((1, *shape, 1) if len(shape) == 1 else (*shape, 1))
    return array.reshape((1,) * (num_axes - len(shape)) + shape)


def _rot90(m: Array, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    first, second = axes
    turns = k % 4
    if turns in (1, 2):
        m = mx.np.flip(m, second)
    if turns == 2:
        return mx.np.flip(m, first)
    if turns:
        m = mx.np.swapaxes(m, first, second)
    return mx.np.flip(m, second) if turns == 3 else m
