"""The gradients that a check compares, flat in float64: a user's, and what the framework itself gives."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradest.backend import Backend, Leaves, as_float64
from gradest.dtypes import epsilon
from gradest.errors import InvalidEstimateError, NonFiniteError, UnsupportedError
from gradest.lengths import root_mean_square
from gradest.objective import Objective
from gradest.operations import NumpyArray

Gradients = Callable[[Leaves], NumpyArray]
"""Parameter leaves -> a gradient, flat `(P,)`."""

ROUNDINGS = 8.0
"""Units in the last place by which each entry of a right gradient may be off, beside what is seen to vary."""


def flat_of(objective: Objective, gradient: Any) -> NumpyArray:
    """Return a user's gradient as one vector `(P,)`.

    It is a pytree like the parameters, of the framework's arrays or of NumPy's; of a model, a mapping by name or the
    arrays in the model's order. None stands for zeros.

    Raises
    ------
    InvalidEstimateError
        It has other blocks or shapes than the parameters, or entries that are no real, finite numbers.
    """
    backend, layout = objective.backend, objective.layout
    if backend.is_model(gradient):
        raise InvalidEstimateError("a gradient was asked for; found a model: give its arrays, as {name: p.grad}")
    if isinstance(gradient, dict) and set(gradient) == set(layout.names):
        leaves: tuple[Any, ...] = tuple(gradient[name] for name in layout.names)
    elif gradient is None:
        leaves = ()
    else:
        leaves, paths, _ = backend.flatten(gradient)
        if sorted(paths) == sorted(layout.names):  # dicts in another order: JAX gives back nested ones by sorted keys
            by_path = dict(zip(paths, leaves, strict=True))
            leaves = tuple(by_path[name] for name in layout.names)
    if len(leaves) != len(layout.names):
        raise InvalidEstimateError(
            f"a gradient of {len(layout.names)} blocks was asked for ({', '.join(layout.names)}); found {len(leaves)}; "
            "give a pytree like the parameters, with zeros where the loss does not depend on them"
        )
    blocks = []
    for name, shape, leaf in zip(layout.names, layout.shapes, leaves, strict=True):
        if leaf is None:
            leaf = np.zeros(shape)
        values = _real(backend, name, leaf)
        if values.shape != shape:
            raise InvalidEstimateError(f"block {name!r} of the gradient must be of shape {shape}; found {values.shape}")
        bad = values.size - int(np.isfinite(values).sum())
        if bad:
            raise InvalidEstimateError(f"block {name!r} of the gradient has {bad} of {values.size} entries NaN or Inf")
        blocks.append(values)
    return np.asarray(layout.flatten(blocks), dtype=np.float64)


def _real(backend: Backend, name: str, leaf: Any) -> NumpyArray:
    """Return the values of a block in float64; an imaginary part would be dropped, so there may be none."""
    leaves = backend.flatten(leaf)[0]  # of one array it is the array, as the framework's new kind where it has an old
    leaf = leaves[0] if len(leaves) == 1 else leaf
    try:
        values = backend.numpy(leaf) if backend.owns(leaf) else np.asarray(leaf)
        if values.dtype.kind not in "cSU":
            return np.asarray(values, dtype=np.float64)
        found = f"entries of dtype {values.dtype}"
    except (TypeError, ValueError, RuntimeError) as error:  # an array of another framework raises what it likes
        found = f"{type(leaf).__name__} ({error})"
    kinds = "NumPy's" if backend.name == "numpy" else f"{backend.name}'s or NumPy's"
    raise InvalidEstimateError(
        f"block {name!r} of the gradient must hold real numbers, in an array of {kinds}; found {found}"
    )


def require_finite_loss(objective: Objective) -> None:
    """Refuse a loss that is NaN or infinite at the point where its gradient is asked.

    Exact methods may agree there all the same: the derivative of log(p) is 1/p at negative p too.

    Raises
    ------
    NonFiniteError
        It is.
    """
    value = objective.value()
    found = float(as_float64(objective.backend, value) if objective.backend.owns(value) else value)
    if not np.isfinite(found):
        raise NonFiniteError(
            f"a loss was asked for that is finite where its gradient is judged; it is {found} at these parameters; "
            "look at its data, or choose a point inside the region where it is defined"
        )


def reverse_mode(objective: Objective) -> Gradients | None:
    """Return the reverse mode that there is for an objective, the framework's own or gradest's, or None."""
    try:
        found, _ = objective.prepare_gradient()
    except UnsupportedError:
        return None

    def gradient(leaves: Leaves) -> NumpyArray:
        with objective.common_random_numbers():
            return flat_of(objective, list(found(leaves)[1]))

    return gradient


def hessian_products(objective: Objective) -> Callable[[Leaves, NumpyArray], NumpyArray] | None:
    """Return `(leaves, flat direction) -> Hessian times direction`, flat, by forward over reverse; None without it."""
    prepared = objective.prepare_hessian_product()
    if prepared is None:
        return None
    exact, _ = prepared
    make = objective.scoped(lambda values, dtype: objective.backend.array(values, dtype=dtype, device=objective.device))

    def product(leaves: Leaves, direction: NumpyArray) -> NumpyArray:
        parts = zip(objective.layout.unflatten(direction), objective.dtypes, strict=True)
        with objective.common_random_numbers():
            return flat_of(objective, list(exact(leaves, tuple(make(part, dtype) for part, dtype in parts))))

    return product


def forward_slopes(
    objective: Objective, directions: Sequence[NumpyArray], points: Sequence[Leaves]
) -> NumpyArray | None:
    """Return the slopes along K flat directions at some points, `(points, K)`, by the framework's forward mode.

    None where it has none for this loss.
    """
    backend, layout = objective.backend, objective.layout
    if "value_and_jvps" not in backend.native:
        return None
    make = objective.scoped(lambda a, dtype: backend.array(a, dtype=dtype, device=objective.device))
    blocks = zip(layout.unflatten(np.stack(directions)), objective.dtypes, strict=True)
    tangents = tuple(make(np.ascontiguousarray(block), dtype) for block, dtype in blocks)
    try:
        jvps = objective.prepare_jvps()
        return np.stack([as_float64(backend, jvps(leaves, tangents)[1]) for leaves in points])
    except UnsupportedError:  # an operation without a rule of forward mode: there is nothing to compare with
        return None


def entry_noise(objective: Objective, gradient: NumpyArray, nearby: list[NumpyArray]) -> NumpyArray:
    """Return how far each entry of a right gradient may be off by rounding, `(P,)`.

    Some roundings of its own size and of its block's, and how much it varies between points that differ by rounding:
    a gradient that is a difference of large terms is known no better.
    """
    layout = objective.layout
    parts = []
    for name_block, dtype in zip(layout.unflatten(gradient), objective.dtypes, strict=True):
        # Of its block as well: an entry that is a sum of terms of the block's size cancels to less than their rounding.
        size = root_mean_square(name_block)
        parts.append(ROUNDINGS * epsilon(dtype) * np.maximum(np.abs(name_block), size))
    noise = np.asarray(layout.flatten(parts), dtype=np.float64)
    for other in nearby:
        # Four times: two points may both lie in the middle of what an entry scatters by.
        noise = np.maximum(noise, 4.0 * np.abs(other - gradient))
    return noise
