"""How records of users' functions are written: one text for several frameworks, a closed form or a twin in PyTorch."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from gauntlet.frameworks import framework, rebuilt
from gauntlet.records import Asked, Leaves, Loss, Outcome

EVERYWHERE = ("numpy", "jax", "torch", "mxnet")
BOTH = ("float64", "float32")


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal(shape)


def converted(backend: str, tree: Any, dtype: str) -> Any:
    """Return NumPy arrays in a tree as the framework's: floating-point ones in the dtype, others in their own."""
    on = framework(backend)

    def convert(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        return on.array(leaf, dtype if leaf.dtype.kind == "f" else leaf.dtype.name)

    return rebuilt(tree, convert)


def arrays(
    name: str,
    kind: str,
    f: Callable[..., Any],
    params: Any,
    *args: Any,
    gradient: Callable[..., Sequence[Any]] | None = None,
    backends: Sequence[str] = EVERYWHERE,
    expected: Mapping[Any, Outcome] | None = None,
    options: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Loss:
    """Return the record of `f(xp, params, *args)`, with xp the framework's functions, for a tree of NumPy arrays.

    `gradient(*leaves)` is a closed form in NumPy; without it PyTorch differentiates the same text.
    """

    def make(backend: str, dtype: str) -> Asked:
        on = framework(backend)
        return Asked(
            on,
            partial(f, on.xp),
            converted(backend, params, dtype),
            tuple(converted(backend, arg, dtype) for arg in args),
            options=options or {},
            gradient=partial(twin, f, params, args) if gradient is None else lambda leaves: gradient(*leaves),
        )

    makers = {backend: partial(make, backend) for backend in backends}
    return Loss(name, kind, makers, expected or {}, **fields)


def twin(f: Callable[..., Any], params: Any, args: tuple[Any, ...], leaves: Leaves) -> Leaves:
    """Return the gradient of the same text by PyTorch's own autograd, in float64."""
    torch = framework("torch")
    given = [converted("torch", arg, "float64") for arg in args]
    return torch.gradient(lambda p: f(torch.xp, p, *given), converted("torch", params, "float64"), leaves)


def stated(
    name: str,
    kind: str,
    makers: Mapping[str, Callable[[str], Asked]],
    expected: Mapping[Any, Outcome] | None = None,
    **fields: Any,
) -> Loss:
    """Return the record of a loss that each framework states in its own words."""
    return Loss(name, kind, makers, expected or {}, **fields)
