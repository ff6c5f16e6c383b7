"""What cannot differentiate a user's function says so in the field's words, and names what can: tried here."""

import re
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import UnsupportedError

X = np.array([1.0, 2.0])
INTERNAL = ("Sealed", "value_and", "operand", "engine=", "NoneType")


def loss(x: Any) -> Any:
    return (x * x).sum()


def params(backend: str) -> Any:
    return gradest.get_backend(backend).array(X, dtype="float32")


def refused(method: str, backend: str, **options: Any) -> str | None:
    """Return the message where a method is refused for the loss on a backend."""
    try:
        gradest.grad(loss, method=method, **options)(params(backend), rng=0)
    except UnsupportedError as error:
        return str(error)
    return None


METHODS = [name for name in gradest.names("estimators") if name != "guided-es"]  # which asks for guides


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
def test_whatever_is_refused_names_what_can_be_used_and_that_works(backend: str) -> None:
    for method in METHODS:
        message = refused(method, backend)
        if message is None:
            continue
        said = [name for name in re.findall(r"'([a-z-]+)'", message.partition("; use ")[2]) if name in METHODS]
        assert said, (method, message)
        assert not any(word in message for word in INTERNAL), message
        for name in said:
            assert refused(name, backend) is None, (method, name, message)


@pytest.mark.parametrize("method", ["reverse", "forward", "forward-gradient", "smoothed"])
def test_of_a_numpy_function_what_has_no_rule_is_named(method: str) -> None:
    with pytest.raises(
        UnsupportedError, match=r"^numpy\.fft\.fft was called .*gradest\.primitive; .*'fd-central', 'es'"
    ):
        gradest.grad(lambda x: np.abs(np.fft.fft(x)).sum(), method=method)(X, rng=0)


@pytest.mark.parametrize("backend", ["mxnet"])
@pytest.mark.parametrize("method", ["forward", "forward-gradient"])
def test_a_mode_that_nobody_has_is_said_of_the_backend(method: str, backend: str) -> None:
    message = refused(method, backend)
    assert message is not None
    assert message.startswith("forward mode was asked for of an opaque function on backend 'mxnet'")
    assert "gradest.Problem" in message


@pytest.mark.parametrize("backend", ["mxnet"])
def test_a_native_engine_that_is_not_there_is_named(backend: str) -> None:
    message = refused("forward", backend, engine="native")
    assert message is not None
    assert "engine='native' was asked for; backend 'mxnet' has no native value_and_jvps (forward mode)" in message
    assert "'reverse', 'fd-central'" in message


@pytest.mark.parametrize("backend", ["torch"])
def test_an_engine_that_was_asked_for_is_named(backend: str) -> None:
    message = refused("reverse", backend, engine="gradest")
    assert message is not None
    assert message.endswith("use engine='native'")


def test_looking_into_layers_of_a_loss_that_has_none_names_no_internals() -> None:
    for method in ("node-perturbation", "es-row-space"):
        with pytest.raises(UnsupportedError) as caught:
            gradest.get_estimator(method)(gradest.get_problem("rosenbrock"), rng=0)
        assert "'es'" in str(caught.value)
        assert not any(word in str(caught.value) for word in ("Sealed", "operand", "NoneType"))
