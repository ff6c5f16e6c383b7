"""JAX is sent the same arrays, to the same place, before and after their transfer is compiled."""

from typing import Any

import numpy as np
import pytest

import gradest

pytest.importorskip("jax", reason="pip install 'gradest[jax]'")
SENT = 260
"""More than twice the arrays of one form after which a transfer is compiled."""


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("copy", [True, False])
def test_a_form_that_comes_again_is_sent_as_before(dtype: str, copy: bool) -> None:
    backend = gradest.get_backend("jax")
    generator = np.random.default_rng(0)
    for number in range(SENT):
        host = generator.standard_normal((3, 5)).astype(dtype)
        if number % 2:
            host = np.asfortranarray(host)
        array: Any = backend.array(host, dtype=dtype, device="cpu", copy=copy)
        assert backend.dtype(array) == dtype
        assert backend.device(array) == "cpu"
        assert array.committed  # else what it is combined with would decide where it is computed
        assert np.array_equal(backend.numpy(array), host)


def test_what_is_sent_again_and_again_keeps_its_values() -> None:
    """Whatever the alignment of the array that is sent, to which XLA's sharing of memory looks."""
    backend = gradest.get_backend("jax")
    memory = np.zeros(64 + 7 * 11)
    for number in range(SENT):
        host = memory[number % 64 :][:77].reshape(7, 11)
        host[...] = number
        array = backend.array(host, dtype="float64", device="cpu")
        host[...] = -1.0
        assert np.all(backend.numpy(array) == number)


def test_a_device_that_is_not_there_is_refused() -> None:
    for _ in range(2):
        with pytest.raises(gradest.UnsupportedError, match="JAX has here: "):
            gradest.get_backend("jax").array(np.ones(3), dtype="float32", device="cuda:77")
