"""The one-line forms: `grad` and `value_and_grad`, in the manner of JAX's, by any registered estimator."""

from collections.abc import Callable
from typing import Any

from gradest.errors import InvalidInputError
from gradest.estimator import Estimator
from gradest.registry import get_estimator

_BINDING = ("backend", "dtype", "device", "kernel")


def value_and_grad(f: Any, *, method: str | Estimator = "reverse", **options: Any) -> Callable[..., tuple[Any, Any]]:
    """Return `g(params, *args, rng=None) -> (value, gradient)` for a function or problem `f`.

    Parameters
    ----------
    f
        A function `f(params, *args) -> scalar` of one framework, or a `Problem`.
    method
        A name from `gradest.names("estimators")`, or an estimator.
    **options
        `backend`, `dtype`, `device` and `kernel` go to `gradest.bind`; the rest are hyper-parameters of the method.

    Raises
    ------
    UnknownNameError
        The method, or one of its hyper-parameters, is unknown.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> gradest.value_and_grad(lambda x: (x * x).sum(), method="fd-central")(np.array([1.0, 2.0]))[0]
    5.0
    """
    binding = {name: options.pop(name) for name in _BINDING if name in options}
    if isinstance(method, Estimator) and options:
        raise InvalidInputError(f"hyper-parameters {sorted(options)} were given beside an estimator that has its own")
    estimator = method if isinstance(method, Estimator) else get_estimator(method, **options)
    return estimator.value_and_grad(f, **binding)


def grad(f: Any, *, method: str | Estimator = "reverse", **options: Any) -> Callable[..., Any]:
    """Return `g(params, *args, rng=None) -> gradient`; see `value_and_grad`.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> gradest.grad(lambda x: (x * x).sum(), method="fd-central")(np.array([1.0, 2.0])).round(6)
    array([2., 4.])
    """
    both = value_and_grad(f, method=method, **options)

    def gradient(params: Any = None, *args: Any, rng: Any = None) -> Any:
        return both(params, *args, rng=rng)[1]

    return gradient
