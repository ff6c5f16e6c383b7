"""The one-line forms: `grad` and `value_and_grad`, in the manner of JAX's, by any registered estimator."""

from collections.abc import Callable
from typing import Any

from gradest.binding import BINDING, Bindable
from gradest.errors import InvalidInputError
from gradest.estimator import Estimator, get_estimator


def value_and_grad(
    f: Bindable,
    *,
    method: str | Estimator = "reverse",
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    **options: Any,
) -> Callable[..., tuple[Any, Any]]:
    """Return `g(*args, rng=None, **kwargs) -> (value, gradient)` for a function or problem `f`.

    Parameters
    ----------
    f
        A function `f(params, *args, **kwargs) -> scalar` of one framework, a `Case`, a `Problem` or an `Objective`.
        `rng` is the method's: a function's own argument of that name is given by position or by `functools.partial`.
    method
        A name from `gradest.names("estimators")`, or an estimator.
    argnums
        Which positional argument is differentiated; for a tuple of places the gradient is a tuple.
    has_aux
        Whether `f` returns `(loss, auxiliary)`: then `g` returns `((value, auxiliary), gradient)`, the auxiliary of one
        evaluation more, which no derivative is taken of.
    **options
        Options of `gradest.bind` (`backend`, `dtype`, `device`, `kernel`, `population`, `verify`, `per_example`) go
        there; the rest are hyper-parameters of the method.

    Raises
    ------
    InvalidInputError
        `argnums` names no argument, or `f` does not return a pair where `has_aux` says so.
    UnknownNameError
        The method, or one of its hyper-parameters, is unknown.

    Notes
    -----
    The first call prepares: it compiles, and checks that the parameters are finite. Later calls of the same form, with
    new parameters and a new batch, do neither, so that they need not wait for the device.

    On JAX, reverse mode composes with JAX's own transformations: `jax.jit(g)(params, *args)`, `jax.vmap(g)`, and
    `jax.jacfwd(g)` for second derivatives. Methods that read values of the loss (differences, evolution strategies)
    stay outside of them, and say so.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> value, gradient = gradest.value_and_grad(lambda x: (x * x).sum(), method="fd-central")(np.array([1.0, 2.0]))
    >>> float(value), gradient.round(6)
    (5.0, array([2., 4.]))
    """
    estimator, binding = _read(method, options)
    return estimator.value_and_grad(f, argnums=argnums, has_aux=has_aux, **binding)


def grad(
    f: Bindable,
    *,
    method: str | Estimator = "reverse",
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    **options: Any,
) -> Callable[..., Any]:
    """Return `g(*args, rng=None, **kwargs) -> gradient`, with `has_aux` `(gradient, auxiliary)`.

    Parameters, errors and notes are those of `value_and_grad`.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> gradest.grad(lambda x: np.sum(np.exp(x)))(np.array([0.0, 1.0])).round(6)
    array([1.      , 2.718282])
    >>> gradest.grad(lambda x: (x * x).sum(), method="fd-central")(np.array([1.0, 2.0])).round(6)
    array([2., 4.])
    >>> scaled = gradest.grad(lambda x, w, scale: scale * float(x @ w), argnums=1, method="fd-central")
    >>> scaled(np.array([1.0, 2.0]), np.zeros(2), scale=3.0).round(6)
    array([3., 6.])
    """
    estimator, binding = _read(method, options)
    return estimator.grad(f, argnums=argnums, has_aux=has_aux, **binding)


def _read(method: str | Estimator, options: dict[str, Any]) -> tuple[Estimator, dict[str, Any]]:
    """Return the estimator, and the options that are for binding."""
    binding = {name: options[name] for name in BINDING if name in options}
    hyperparameters = {name: value for name, value in options.items() if name not in BINDING}
    # By name, the options that are left are the estimator's own; an object has had its own.
    if isinstance(method, str):
        return get_estimator(method, **hyperparameters), binding
    if hyperparameters:
        raise InvalidInputError(
            f"hyper-parameters {sorted(hyperparameters)} were given beside an estimator, which has its own"
        )
    return method, binding
