"""The one-line forms: `grad` and `value_and_grad`, in the manner of JAX's, by any registered estimator."""

from collections.abc import Callable
from typing import Any

from gradest.binding import Bindable
from gradest.errors import InvalidInputError
from gradest.estimator import Estimator, get_estimator

_BINDING = ("backend", "dtype", "device", "kernel", "population", "verify")


def value_and_grad(
    f: Bindable, *, method: str | Estimator = "reverse", **options: Any
) -> Callable[..., tuple[Any, Any]]:
    """Return `g(params, *args, rng=None) -> (value, gradient)` for a function or problem `f`.

    Parameters
    ----------
    f
        A function `f(params, *args) -> scalar` of one framework, a `Case`, a `Problem` or an `Objective`.
    method
        A name from `gradest.names("estimators")`, or an estimator.
    **options
        `backend`, `dtype`, `device` and `kernel` go to `gradest.bind`; the rest are hyper-parameters of the method.

    Raises
    ------
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
    return estimator.value_and_grad(f, **binding)


def grad(f: Bindable, *, method: str | Estimator = "reverse", **options: Any) -> Callable[..., Any]:
    """Return `g(params, *args, rng=None) -> gradient`; parameters, errors and notes as in `value_and_grad`.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> gradest.grad(lambda x: (x * x).sum(), method="fd-central")(np.array([1.0, 2.0])).round(6)
    array([2., 4.])
    """
    estimator, binding = _read(method, options)
    return estimator.grad(f, **binding)


def _read(method: str | Estimator, options: dict[str, Any]) -> tuple[Estimator, dict[str, Any]]:
    """Return the estimator, and the options that are for binding."""
    binding = {name: options[name] for name in _BINDING if name in options}
    hyperparameters = {name: value for name, value in options.items() if name not in _BINDING}
    if isinstance(method, str):
        return get_estimator(method, **hyperparameters), binding
    if hyperparameters:
        raise InvalidInputError(
            f"hyper-parameters {sorted(hyperparameters)} were given beside an estimator, which has its own"
        )
    return method, binding
