"""Networks: reverse and forward mode against PyTorch, and structured directions against dense ones."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from support.autodiff_texts import direct_differences, network

from gradest.autodiff import perturbed_values, value_and_differences, value_and_gradient, value_and_jvps
from gradest.backend import get_backend
from gradest.problems.mlp import ACTIVATIONS
from gradest.tangents import Dense, LowRank, Rows, Tangent, Zero

NUMPY = get_backend("numpy").operations()


def torch_gradient(
    text: Callable[..., Any], leaves: Any, data: dict[str, np.ndarray]
) -> tuple[float, list[np.ndarray]]:
    torch = pytest.importorskip("torch", reason="PyTorch's autograd is the independent evidence")
    tensors = tuple(torch.tensor(x, requires_grad=True) for x in leaves)
    value = text(get_backend("torch").operations(), tensors, {k: torch.tensor(v) for k, v in data.items()})
    return float(value.detach()), [g.numpy() for g in torch.autograd.grad(value, tensors)]


def blocks_of(leaves: Any, leaf: int, generator: np.random.Generator) -> Sequence[Rows | LowRank]:
    """Return structured blocks of directions of one leaf."""
    shape = leaves[leaf].shape
    if len(shape) == 1:
        return [Rows(None, generator.uniform(0.1, 1.5, (1, *shape)))]
    rows = np.eye(shape[0])[[shape[0] // 3, shape[0] // 2]]
    left, right = generator.standard_normal((4, shape[0], 2)), generator.standard_normal((4, shape[1], 2))
    return [
        Rows(rows, generator.uniform(0.1, 1.5, (2, shape[1]))),
        LowRank(left, 0.1 * right),
        LowRank(left[:, :, :1], right[:, :, :1]),
    ]


def in_leaf(leaves: Any, leaf: int, block: Tangent) -> list[Tangent]:
    return [block if k == leaf else Zero(block.count, x) for k, x in enumerate(leaves)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_tape_equals_torch(activation: str) -> None:
    text, leaves, data, _ = network(activation)
    expected_value, expected = torch_gradient(text, leaves, data)
    value, gradient = value_and_gradient(text, NUMPY, leaves, data)
    assert value == pytest.approx(expected_value, rel=1e-14)
    for found, wanted in zip(gradient, expected, strict=True):
        assert np.abs(found - wanted).max() <= 1e-14


@pytest.mark.parametrize("widths", [(), (5,), (6, 5)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_structured_directions_are_right_in_every_leaf(activation: str, widths: Any) -> None:
    text, leaves, data, _ = network(activation, widths)
    expected = torch_gradient(text, leaves, data)[1]
    generator = np.random.default_rng(0)
    for leaf in range(len(leaves)):
        for block in blocks_of(leaves, leaf, generator):
            tangents, dense = in_leaf(leaves, leaf, block), block.dense(NUMPY)
            slopes = (dense * expected[leaf]).reshape(block.count, -1).sum(axis=1)
            steps = [dense if k == leaf else np.zeros((block.count, *x.shape)) for k, x in enumerate(leaves)]
            changes = direct_differences(text, NUMPY, leaves, steps, data)
            scale = 1.0 + np.abs(changes).max()
            value, jvps = value_and_jvps(text, NUMPY, leaves, tangents, data)
            _, differences = value_and_differences(text, NUMPY, leaves, tangents, data)
            values = perturbed_values(text, NUMPY, leaves, tangents, data)
            assert jvps.shape == differences.shape == values.shape == (block.count,)
            assert np.abs(jvps - slopes).max() <= 1e-13 * (1.0 + np.abs(slopes).max())
            assert np.abs(differences - changes).max() <= 1e-13 * scale
            assert np.abs(values - value - changes).max() <= 1e-13 * scale


@pytest.mark.parametrize("structure", ["dense", "low rank"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_directions_in_all_leaves_at_once(activation: str, structure: str) -> None:
    text, leaves, data, _ = network(activation)
    expected = torch_gradient(text, leaves, data)[1]
    generator = np.random.default_rng(0)
    tangents = [
        LowRank(generator.standard_normal((3, x.shape[0], 1)), 0.3 * generator.standard_normal((3, x.shape[1], 1)))
        if structure == "low rank" and x.ndim == 2
        else Dense(0.3 * generator.standard_normal((3, *x.shape)))
        for x in leaves
    ]
    steps = [t.dense(NUMPY) for t in tangents]
    slopes = sum((d * g).reshape(3, -1).sum(axis=1) for d, g in zip(steps, expected, strict=True))
    changes = direct_differences(text, NUMPY, leaves, steps, data)
    scale = 1.0 + np.abs(changes).max()
    value, jvps = value_and_jvps(text, NUMPY, leaves, tangents, data)
    assert np.abs(jvps - slopes).max() <= 1e-12 * scale
    assert np.abs(value_and_differences(text, NUMPY, leaves, tangents, data)[1] - changes).max() <= 1e-13 * scale
    assert np.abs(perturbed_values(text, NUMPY, leaves, tangents, data) - value - changes).max() <= 1e-13 * scale


def test_a_wrong_direction_is_noticed() -> None:
    text, leaves, data, _ = network("tanh")
    block = blocks_of(leaves, 0, np.random.default_rng(0))[0]
    assert isinstance(block, Rows)
    assert block.selector is not None
    shifted = Rows(np.roll(block.selector, 1, axis=1), block.scale)
    found, other = (value_and_jvps(text, NUMPY, leaves, in_leaf(leaves, 0, b), data)[1] for b in (block, shifted))
    assert np.abs(found - other).max() > 1e-6
