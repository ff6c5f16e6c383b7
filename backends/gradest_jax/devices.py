"""Devices of JAX by name, and the way of NumPy's arrays to them."""

import math
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import SingleDeviceSharding
from numpy.typing import NDArray

from gradest.errors import UnsupportedError

_COMPILED_FROM = 100
"""The arrays of one form after which a transfer is compiled: 15 ms then, for some 60 us less of each that follows."""
_LARGEST_BYTES = 1 << 20
"""Beyond it the copy is what takes the time, and a compiled transfer makes another."""
_FORMS = 512


def device_name(device: Any) -> str:
    """Return the name of a device as gradest has it, such as "cpu" or "cuda:0"."""
    kind = {"gpu": "cuda"}.get(device.platform, device.platform)
    return "cpu" if kind == "cpu" and device.id == 0 else f"{kind}:{device.id}"


def device_names() -> tuple[str, ...]:
    """Return the names of the devices that can be used here, the default one first."""
    return tuple(_devices())


def _devices() -> dict[str, Any]:
    return {device_name(d): d for d in (*jax.local_devices(), *jax.local_devices(backend="cpu"))}


@lru_cache
def on_host(device: str | None) -> bool:
    """Return whether a device, the default one where none is named, computes in the host's memory."""
    return bool(device_of(device_names()[0] if device is None else device).platform == "cpu")


class Transfer:
    """Sends NumPy arrays of one form to a device, and commits them to it unless JAX computes there anyway.

    A function that was compiled for arrays without a commitment, as users' are, is compiled again for committed ones.

    `jax.device_put` takes some 70 us for the smallest array, nearly all of it in Python: more than the gradient of a
    small network. A compiled identity takes ten, and commits its result or does not all the same; but it has to be
    compiled for each form. So forms that come again and again are sent by it, and no others.
    """

    def __init__(self, device: Any, *, small: bool) -> None:
        self._device = None if device == _default_device() else device
        self._small = small
        self._sent = 0
        sharding = None if self._device is None else SingleDeviceSharding(device)
        self._compiled = jax.jit(lambda array: array, out_shardings=sharding)

    def send(self, host: NDArray[Any]) -> Array:
        """Return an array on the device, which may share the memory of `host`."""
        self._sent += 1  # threads may lose a count: it decides about speed alone
        if self._small and self._sent > _COMPILED_FROM:
            made: Any = self._compiled(host)
            if made is not host:  # which it is under `jax.disable_jit`
                return made  # type: ignore[no-any-return]  # of `jax.jit`
        sent: Array = jax.device_put(host, self._device)
        return sent


def _default_device() -> Any:
    """Return where JAX puts arrays of which nothing is said: a setting of the user's, a device or a platform's name."""
    chosen: Any = jax.config.jax_default_device  # type: ignore[attr-defined]  # made at run time
    if chosen is None:
        return jax.local_devices()[0]
    return jax.local_devices(backend=chosen)[0] if isinstance(chosen, str) else chosen


def device_of(name: str) -> Any:
    """Return the device of a name.

    Raises
    ------
    UnsupportedError
        There is no such device here.
    """
    found = _devices()
    if name not in found:
        raise UnsupportedError(f"device {name!r} was asked for; JAX has here: {', '.join(found)}")
    return found[name]


def transfer_of(shape: tuple[int, ...], dtype: np.dtype[Any], device: str | None) -> Transfer:
    """Return the transfer of arrays of one form, to the default device where none is named; raises as `device_of`."""
    default: Any = jax.config.jax_default_device  # type: ignore[attr-defined]  # as above
    return _transfer_of(shape, dtype, device, default)


@lru_cache(maxsize=_FORMS)
def _transfer_of(shape: tuple[int, ...], dtype: np.dtype[Any], device: str | None, default: Any) -> Transfer:
    place = device_of(device_names()[0] if device is None else device)
    return Transfer(place, small=dtype.itemsize * math.prod(shape) <= _LARGEST_BYTES)
