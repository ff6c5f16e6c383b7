"""Functions of `mx.np` that MXNet 1.9.1 gives a gradient of 0, or of other entries, without a word.

Percentiles, eigenvalues and pseudo-inverses have no backward pass there: what is recorded gets zeros from them. They
are refused by name where a parameter goes into them. The gradient of `rot90` turns further where it ought to turn back:
it is made of functions that go backward rightly. What a hybridized block has compiled cannot be reached.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from gradest.errors import UnsupportedError
from gradest_mxnet.framework import Array, mx
from gradest_mxnet.replaced import Change

_NONE = {"np": ("percentile", "quantile"), "np.linalg": ("eig", "eigh", "eigvals", "eigvalsh", "pinv")}


@cache
def on_arrays() -> tuple[Change, ...]:
    """Return what takes the place of these functions where arrays are recorded."""
    rooms = {"np": mx.np, "np.linalg": mx.np.linalg}
    refusing = [
        (rooms[room], name, _refusing(getattr(rooms[room], name), f"mx.{room}.{name}"))
        for room, names in _NONE.items()
        for name in names
    ]
    return *refusing, (mx.np, "rot90", _rot90)


def _refusing(function: Callable[..., Array], name: str) -> Any:
    @wraps(function)
    def refusing(*args: Any, **kwargs: Any) -> Array:
        if mx.autograd.is_recording() and any(map(_is_followed, (*args, *kwargs.values()))):
            raise UnsupportedError(
                f"{name} was called with what is being differentiated, and MXNet 1.9.1 gives it a gradient of 0; write "
                "it in functions that have one (mx.np.sort for a percentile, mx.nd.linalg.syevd for eigenvalues, "
                "mx.np.linalg.solve for a pseudo-inverse), or use an estimator of values ('fd-central', 'es', 'spsa')"
            )
        return function(*args, **kwargs)

    return refusing


def _is_followed(x: Any) -> bool:
    """Return whether an array is, or was computed from, what autograd records derivatives by."""
    if not isinstance(x, mx.nd.NDArray):
        return False
    try:
        mx.autograd.get_symbol(x)  # of the computation that it is part of; MXNet has no other way to ask
    except mx.MXNetError:
        return False
    return True


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
