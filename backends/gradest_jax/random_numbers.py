"""JAX's own random numbers, as a function of a seed, on a device."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

_WORD = 0xFFFFFFFF


def draw(
    seed: int,
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[str],
    place: Any,
    *,
    signs: bool,
    scope: Callable[[str], AbstractContextManager[object] | None],
) -> Iterator[Array]:
    """Yield an array of each shape and dtype on the device, normal or +1 and -1."""
    # Not `key(seed)`: out of 64-bit mode that keeps 32 bits of it. The generator is named: a user may set another.
    words = np.array([seed >> 32, seed & _WORD], dtype=np.uint32)
    law = jax.random.rademacher if signs else jax.random.normal
    for index, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True)):
        with scope(dtype) or nullcontext(), jax.default_device(place):  # closed before it is left to the caller
            key = jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(words), impl="threefry2x32"), index)
            array = law(key, shape, dtype)
        yield array
