"""Each operation's derivative and difference, against PyTorch's autograd and extended-precision subtraction."""

import numpy as np
import pytest
from autodiff_texts import OPERATIONS, direct_differences, operands, scalar_text

from gradest.autodiff import perturbed_values, rules, value_and_differences, value_and_gradient, value_and_jvps
from gradest.operations import Operations
from gradest.registry import get_backend
from gradest.tangents import Dense

NUMPY = get_backend("numpy").operations()
# The first has no derivative, the second computes nothing, the third has its own test.
ELSEWHERE = {"greater", "blockwise", "stop_gradient"}


def torch_gradient(text, leaves, data):
    torch = pytest.importorskip("torch", reason="PyTorch's autograd is the independent evidence")
    tensors = tuple(torch.tensor(x, requires_grad=True) for x in leaves)
    value = text(get_backend("torch").operations(), tensors, tuple(torch.tensor(d) for d in data))
    gradient = torch.autograd.grad(value, tensors, allow_unused=True)
    filled = [np.zeros_like(x) if g is None else g.numpy() for x, g in zip(leaves, gradient, strict=True)]
    return float(value.detach()), filled


def test_every_operation_has_a_text():
    public = {name for name in vars(Operations) if not name.startswith("_")}
    assert public - ELSEWHERE == {name for name in OPERATIONS if name in public}


@pytest.mark.parametrize("name", OPERATIONS)
def test_reverse_and_forward_mode_equal_torch(name):
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
def test_differences_and_perturbed_values_equal_extended_precision(name, size):
    leaves, data = operands()
    text = scalar_text(OPERATIONS[name])
    steps = size * np.random.default_rng(2).uniform(-1.0, 1.0, (2, 5, 3, 4))
    expected = direct_differences(text, NUMPY, leaves, steps, data)

    value, differences = value_and_differences(text, NUMPY, leaves, [Dense(d) for d in steps], data)
    rounding_of_reference = 1e3 * float(np.finfo(np.longdouble).eps)
    assert np.abs(differences - expected).max() <= 3e-14 * np.abs(expected).max() + rounding_of_reference

    values = perturbed_values(text, NUMPY, leaves, [Dense(d) for d in steps], data)
    assert np.abs(values - value - expected).max() <= 1e-13 * (1.0 + abs(value))


def test_a_wrong_rule_is_rejected(monkeypatch):
    leaves, data = operands()
    text = scalar_text(OPERATIONS["tanh"])
    expected = torch_gradient(text, leaves, data)[1]
    monkeypatch.setitem(rules.UNARY, "tanh", lambda ops, x, y: 1.0 - y)
    gradient = value_and_gradient(text, NUMPY, leaves, data)[1]
    assert np.abs(gradient[0] - expected[0]).max() > 1e-2
