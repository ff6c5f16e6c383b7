"""Each operation's derivative and difference, against PyTorch's autograd and extended-precision subtraction."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.autodiff_texts import OPERATIONS, direct_differences, operands, scalar_text

from gradest.autodiff import derivative_rules as rules
from gradest.autodiff import perturbed_values, value_and_differences, value_and_gradient, value_and_jvps
from gradest.backend import get_backend
from gradest.operations import Operations
from gradest.tangents import Dense

NUMPY = get_backend("numpy").operations()
# The first has no derivative, the second computes nothing, the others have their own tests.
ELSEWHERE = {
    "greater",
    "accumulate",
    "blockwise",
    "both_sides",
    "stop_gradient",
    "sum_each",
    "unpack_signs",
    "unpacks_signs",
    "vectorises_last_axis",
}


def torch_gradient(
    text: Callable[..., Any], leaves: tuple[np.ndarray, np.ndarray], data: tuple[np.ndarray]
) -> tuple[float, list[np.ndarray]]:
    torch = pytest.importorskip("torch", reason="PyTorch's autograd is the independent evidence")
    tensors = tuple(torch.tensor(x, requires_grad=True) for x in leaves)
    value = text(get_backend("torch").operations(), tensors, tuple(torch.tensor(d) for d in data))
    gradient = torch.autograd.grad(value, tensors, allow_unused=True)
    filled = [np.zeros_like(x) if g is None else g.numpy() for x, g in zip(leaves, gradient, strict=True)]
    return float(value.detach()), filled


def test_every_operation_has_a_text() -> None:
    public = {name for name in vars(Operations) if not name.startswith("_")}
    assert public - ELSEWHERE == {name for name in OPERATIONS if name in public}


@pytest.mark.parametrize("name", OPERATIONS)
def test_reverse_and_forward_mode_equal_torch(name: str) -> None:
    leaves, data = operands()
    text = scalar_text(OPERATIONS[name])
    expected_value, expected = torch_gradient(text, leaves, data)

    value, gradient = value_and_gradient(text, NUMPY, leaves, data)
    assert value == pytest.approx(expected_value, rel=1e-14)
    for found, wanted in zip(gradient, expected, strict=True):
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() <= 1e-13 * (1.0 + np.abs(wanted).max())

    directions = np.random.default_rng(1).standard_normal((2, 5, 3, 4))
    value, jvps = value_and_jvps(text, NUMPY, leaves, [Dense(d) for d in directions], data)
    wanted = sum((d * g).sum(axis=(1, 2)) for d, g in zip(directions, expected, strict=True))
    assert value == pytest.approx(expected_value, rel=1e-14)
    assert np.abs(jvps - wanted).max() <= 1e-13 * (1.0 + np.abs(wanted).max())


@pytest.mark.parametrize("size", [1e-9, 1e-4, 0.15])
@pytest.mark.parametrize("name", OPERATIONS)
def test_differences_and_perturbed_values_equal_extended_precision(name: str, size: float) -> None:
    leaves, data = operands()
    text = scalar_text(OPERATIONS[name])
    steps = size * np.random.default_rng(2).uniform(-1.0, 1.0, (2, 5, 3, 4))
    expected = direct_differences(text, NUMPY, leaves, steps, data)

    value, differences = value_and_differences(text, NUMPY, leaves, [Dense(d) for d in steps], data)
    rounding_of_reference = 1e3 * float(np.finfo(np.longdouble).eps)
    assert np.abs(differences - expected).max() <= 3e-14 * np.abs(expected).max() + rounding_of_reference

    values = perturbed_values(text, NUMPY, leaves, [Dense(d) for d in steps], data)
    assert np.abs(values - value - expected).max() <= 1e-13 * (1.0 + abs(value))


def test_a_wrong_rule_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    leaves, data = operands()
    text = scalar_text(OPERATIONS["tanh"])
    expected = torch_gradient(text, leaves, data)[1]
    monkeypatch.setitem(rules.UNARY, "tanh", lambda ops, x, y: 1.0 - y)
    gradient = value_and_gradient(text, NUMPY, leaves, data)[1]
    assert np.abs(gradient[0] - expected[0]).max() > 1e-2


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])  # on NumPy the first is one ufunc, the second is not
@pytest.mark.parametrize("shape", [(3, 4), (700, 40), (2, 200, 100)])  # below a block, several rows, more than a block
def test_both_sides_are_the_function_at_either_point(backend: str, name: str, shape: tuple[int, ...]) -> None:
    found = get_backend(backend)
    ops, generator = found.operations(), np.random.default_rng(0)
    base, change = generator.standard_normal(shape[1:]), generator.standard_normal(shape)
    x, d = (found.array(values.astype("float32"), dtype="float32") for values in (base, change))
    both = found.numpy(ops.both_sides(getattr(ops, name), x, d, 0.5))
    function = np.tanh if name == "tanh" else lambda a: 1 / (1 + np.exp(-a))
    wanted = np.concatenate([function(base + 0.5 * change), function(base - 0.5 * change)])
    assert both.dtype == np.float32
    assert np.allclose(both, wanted, rtol=0.0, atol=1e-6)
    assert np.array_equal(found.numpy(d), change.astype("float32"))


def test_accumulating_gives_the_sum_in_the_wider_dtype() -> None:
    for total, x in ((np.ones(3, "float32"), np.full(3, 2.0)), (np.ones(3), np.full(3, 2.0, "float32"))):
        found = NUMPY.accumulate(total, x)
        assert found.dtype == np.float64
        assert np.array_equal(found, [3.0, 3.0, 3.0])
    assert NUMPY.accumulate(np.float32(1), np.float32(2)) == 3.0
