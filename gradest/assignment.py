"""Writes into a user's model: a gradient where the framework's optimiser looks for it, or the parameters' values.

It is the one door through which gradest changes what it did not make. This module knows no framework by name.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from gradest.backend import Backend
from gradest.errors import InvalidInputError, InvalidTypeError, NonFiniteError
from gradest.estimate import Estimate
from gradest.operations import Array
from gradest.owner import infer_backend
from gradest.places import ParameterPlace
from gradest.tree import Leaf, Tree, is_static

Pairs = list[tuple[ParameterPlace, Array]]
"""Each place with what is to be written there."""


def assign(model: Tree, gradient: Tree = None, *, parameters: Tree = None, accumulate: bool = False) -> None:
    """Write a gradient into a model where its framework's optimiser looks, or new values into its parameters.

    Everything is looked at before anything is written: after an error the model is as it was.

    Parameters
    ----------
    model
        An `nn.Module` or a Gluon `Block`; for PyTorch also a pytree of tensors that are leaves of autograd.
    gradient
        What `gradest.grad` returns for the model: arrays by the names of its trainable parameters, as the framework's
        or NumPy's. They are copied, in the dtype and on the device of each parameter. PyTorch's go to `p.grad`,
        Gluon's to `p.grad()`, which is marked as fresh for `Trainer.step`. No parameter's value changes; frozen
        parameters are left alone, and a tied one is written once. Over several devices of a Block it is spread in equal
        shares, of which the trainer takes the sum.
    parameters
        New values of the same names, shapes and any floating-point dtype, such as `gradest.train` returns. They are
        written in place, so that optimisers go on with them; gradients stay as they are.
    accumulate
        Whether the gradient is added to the one that is there, as PyTorch's `backward` does.

    Raises
    ------
    InvalidInputError
        Neither or no writable parameter was given; names or shapes differ from those of the model's.
    InvalidTypeError
        An entry is not a floating-point array of the model's framework or of NumPy.
    NonFiniteError
        An entry is NaN or infinite, which the next step would spread over the model.
    UnsupportedError
        The arrays cannot be written to, or have no gradient beside them: the message says what to do with it.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> try:
    ...     gradest.assign({"w": np.ones(2)}, {"w": np.zeros(2)})
    ... except gradest.UnsupportedError as error:
    ...     print(str(error).split(";")[0])
    a model that holds its gradient was asked for, as an nn.Module or a Block
    """
    backend = infer_backend(model)
    if gradient is None and parameters is None:
        raise InvalidInputError(
            "nothing to assign was given; pass a gradient, as gradest.grad returns it, or parameters=..."
        )
    if accumulate and gradient is None:
        raise InvalidInputError("accumulate=True was given without a gradient; parameters are written, never added to")
    places = _places(backend, model)
    with backend.scope(backend.dtype(next(iter(places.values())).like)) or nullcontext():
        gradients = _pairs(backend, places, gradient, "gradient")
        values = _pairs(backend, places, parameters, "parameters")
        for place, array in values:
            place.put_values(array)
        for place, array in gradients:
            place.put_gradient(array, accumulate=accumulate)


def _places(backend: Backend, model: Tree) -> dict[str, ParameterPlace]:
    places = backend.places(model)
    owners: dict[int, str] = {}
    for name, place in places.items():
        first = owners.setdefault(id(place.owner), name)
        if first != name:
            raise InvalidInputError(
                f"each parameter was asked for once; one array is both {first!r} and {name!r}, which two entries would "
                "be written over; give it one name"
            )
    return places


def _pairs(backend: Backend, places: dict[str, ParameterPlace], tree: Tree, what: str) -> Pairs:
    """Return each place with its array, refusing a tree that is not of the model's names, shapes and dtypes."""
    if tree is None:
        return []
    if isinstance(tree, Estimate):
        raise InvalidTypeError(f"{what} was asked for as arrays by name; found an Estimate: pass its .gradient")
    if isinstance(getattr(tree, "params", None), Mapping):  # what gradest.train returns, of which nothing is known here
        raise InvalidTypeError(
            f"{what} was asked for as arrays by name; found {type(tree).__name__}: write parameters=run.params"
        )
    leaves, paths, _ = backend.flatten(tree)
    found = {path: leaf for path, leaf in zip(paths, leaves, strict=True) if not is_static(leaf)}
    differing = [name for name in dict.fromkeys((*places, *found)) if not _fits(places.get(name), found.get(name))]
    if differing:
        lines = [f"  {name}: asked {_shape(places.get(name))}, found {_shape(found.get(name))}" for name in differing]
        raise InvalidInputError(
            "\n".join(
                (
                    f"the model's trainable parameters and the entries of {what} must agree in names and shapes; these "
                    "differ (take the gradient of this very model, with the same parameters frozen):",
                    *lines,
                )
            )
        )
    pairs = [(place, _array(backend, found[name], place, f"{what} {name!r}")) for name, place in places.items()]
    _require_finite(backend, pairs, list(places), what)
    return pairs


def _fits(place: ParameterPlace | None, leaf: Leaf) -> bool:
    return place is not None and leaf is not None and tuple(place.like.shape) == tuple(np.shape(leaf))


def _shape(held: Any) -> str:
    if held is None:
        return "none"
    array: Any = held.like if isinstance(held, ParameterPlace) else held
    return f"shape {tuple(np.shape(array))}"


def _array(backend: Backend, leaf: Leaf, place: ParameterPlace, what: str) -> Array:
    """Return a leaf as an array of the framework in the dtype of its place."""
    owned, dtype = backend.owns(leaf), backend.dtype(place.like)
    kind = backend.dtype(leaf) if owned else getattr(leaf, "dtype", np.dtype(type(leaf) if _is_number(leaf) else "O"))
    if not ((owned or isinstance(leaf, np.ndarray | np.generic | float)) and "float" in str(kind)):
        raise InvalidTypeError(
            f"{what} must be a floating-point array of backend {backend.name!r} or of NumPy; found "
            f"{type(leaf).__name__} of dtype {kind}; convert it, e.g. by numpy.asarray(x, dtype='float64')"
        )
    if owned:  # in the dtype that it is written in, where a number may be too large that was not too large before
        return leaf if backend.dtype(leaf) == dtype else backend.cast(leaf, dtype)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is told below
        return backend.array(np.asarray(leaf), dtype=dtype, device=backend.device(place.like))


def _is_number(leaf: Leaf) -> bool:
    return isinstance(leaf, bool | int | float | complex)


def _require_finite(backend: Backend, pairs: Pairs, names: list[str], what: str) -> None:
    """Refuse NaN and infinity, told on the device: zero times either is NaN, and one number an array comes back."""
    sums = [backend.operations().sum(array * 0.0) for _, array in pairs]
    bad = [name for name, total in zip(names, sums, strict=True) if float(backend.numpy(total)) != 0.0]
    if bad:
        raise NonFiniteError(
            f"finite {what} was asked for; NaN or infinite entries are in {', '.join(bad)}; nothing was written: leave "
            "this step out, or make it smaller"
        )
