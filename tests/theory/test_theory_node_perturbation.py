"""The predicted error of node perturbation agrees with exact expectations of J^T (1/N) sum_i (d.v_i) v_i."""

import itertools

import numpy as np
import pytest
from support.theory_ensembles import ensemble, low_rank, mean_and_mse

from gradest import theory
from gradest.errors import InvalidInputError
from gradest.theory.node_perturbation import NodeLayer

GENERATOR = np.random.default_rng(8)
CASES = [
    ("normal", 3, 1),
    ("normal", 2, 2),
    ("rademacher", 3, 2),
    ("uniform", 3, 1),
    ("sphere", 3, 2),
    ("coordinates", 3, 2),
    ("coordinates-without-replacement", 3, 2),
    ("orthogonal", 2, 1),
    ("orthogonal", 2, 3),
    ("orthogonal-chi", 2, 2),
]


def layer(samples: int, units: int, *, inputs: int = 2, bias: bool = True) -> NodeLayer:
    return theory.NodeLayer(
        inputs=GENERATOR.standard_normal((samples, inputs)),
        slopes=GENERATOR.standard_normal((samples, units)),
        bias=bias,
    )


def jacobian(one: NodeLayer) -> np.ndarray:
    """Return dz/d(W, b) `(B H, D H + H)`, entry by entry."""
    samples, units = one.slopes.shape
    columns = np.hstack([one.inputs, np.ones((samples, 1))]) if one.bias else one.inputs
    return np.kron(columns, np.eye(units))


def stacked(layers: list[NodeLayer], *, tied: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return d `(n,)` and J `(n, P)` of layers of their own parameters, or of the same ones."""
    blocks = [jacobian(one) for one in layers]
    width = blocks[0].shape[1] if tied else sum(block.shape[1] for block in blocks)
    whole = np.zeros((sum(len(block) for block in blocks), width))
    row = column = 0
    for block in blocks:
        whole[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column if tied else column + block.shape[1]
    return np.concatenate([one.slopes.ravel() for one in layers]), whole


def exact_mse(weights: np.ndarray, directions: np.ndarray, slopes: np.ndarray, whole: np.ndarray) -> float:
    estimates = np.einsum("mnp,mn->mp", directions, directions @ slopes) / directions.shape[1]
    mean, mse = mean_and_mse(weights, estimates @ whole, slopes @ whole)
    np.testing.assert_allclose(mean, slopes @ whole, atol=1e-11)
    return mse


def rows_of(layers: list[NodeLayer]) -> np.ndarray:
    """Return the example that each node belongs to, `(n,)`."""
    return np.concatenate([np.repeat(np.arange(one.slopes.shape[0]), one.slopes.shape[1]) for one in layers])


def exact_mse_by_example(
    weights: np.ndarray, directions: np.ndarray, layers: list[NodeLayer], *, tied: bool = False
) -> float:
    """Return the error where the noise of each node is weighted by the loss of its own example."""
    slopes, whole = stacked(layers, tied=tied)
    rows = rows_of(layers)
    within = (rows[:, None] == rows).astype(float)
    losses = (directions * slopes) @ within  # d_b . v_b, at each node of example b
    estimates = (directions * losses).mean(axis=1)
    mean, mse = mean_and_mse(weights, estimates @ whole, slopes @ whole)
    np.testing.assert_allclose(mean, slopes @ whole, atol=1e-11)
    return mse


def predicted(
    law: str,
    layers: list[NodeLayer],
    count: int,
    *,
    tied: bool = False,
    rank: int = 1,
    by_example: bool = False,
) -> float:
    slopes, whole = stacked(layers, tied=tied)
    norm, rows = float(np.linalg.norm(slopes @ whole)), rows_of(layers)
    squares = sum(float(np.sum((slopes[rows == b] @ whole[rows == b]) ** 2)) for b in set(rows))
    found = theory.predict_node_perturbation(
        law,
        layers=layers,
        gradient_norm=norm,
        num_samples=count,
        rank=rank,
        example_squares=squares if by_example else None,
    )
    assert found.relative_mse is not None
    return found.relative_mse


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("law", "size", "count"), CASES)
def test_the_error_equals_the_exact_expectation(law: str, size: int, count: int, bias: bool) -> None:
    layers = [layer(size, 1, bias=bias)]
    expected = exact_mse(*ensemble(law, size, count), *stacked(layers))
    assert predicted(law, layers, count) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_the_error_of_several_layers_equals_the_mean_over_all_signs(tied: bool) -> None:
    layers = [layer(2, 2), layer(1, 2)] if tied else [layer(2, 2), layer(2, 1, inputs=3, bias=False)]
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=6)))[:, None]
    expected = exact_mse(np.full(64, 1 / 64), signs, *stacked(layers, tied=tied))
    assert predicted("rademacher", layers, 1, tied=tied) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("law", [law for law in theory.DISTRIBUTIONS if law != "low-rank"])
@pytest.mark.parametrize("count", [1, 4, 8])
def test_the_error_is_the_trace_of_the_covariance_between_jacobians(law: str, count: int) -> None:
    layers = [layer(2, 2), layer(2, 1, inputs=3, bias=False)]
    slopes, whole = stacked(layers)
    by_node = theory.covariance(law, slopes, count)
    expected = np.trace(whole.T @ by_node @ whole) / np.sum((slopes @ whole) ** 2)
    assert predicted(law, layers, count) == pytest.approx(expected, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("rank", [1, 2])
def test_low_rank_directions_of_a_layer(rank: int) -> None:
    layers = [layer(2, 1)] if rank == 2 else [layer(2, 2)]
    weights, directions = low_rank((2, 1) if rank == 2 else (2, 2), rank)
    expected = exact_mse(weights, directions[:, None], *stacked(layers))
    assert predicted("low-rank", layers, 1, rank=rank) == pytest.approx(expected, rel=1e-10)
    assert abs(predicted("normal", layers, 1) - expected) > 0.1


@pytest.mark.parametrize("law", ["orthogonal", "coordinates-without-replacement"])
def test_a_full_frame_of_nodes_leaves_no_error(law: str) -> None:
    assert predicted(law, [layer(3, 2)], 6) == pytest.approx(0.0, abs=1e-12)


# -- each example weighted by its own loss -----------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("law", "size", "count"), CASES)
def test_the_error_by_example_equals_the_exact_expectation(law: str, size: int, count: int, bias: bool) -> None:
    layers = [layer(size, 1, bias=bias)]
    expected = exact_mse_by_example(*ensemble(law, size, count), layers)
    found = predicted(law, layers, count, by_example=True)
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)
    # Along coordinates one node moves at a time, whose own example is the only one that feels it.
    alike = "coordinates" in law or (law == "orthogonal" and count >= size)
    assert alike or abs(predicted(law, layers, count) - expected) > 1e-3 * expected


@pytest.mark.parametrize("tied", [False, True])
def test_the_error_by_example_of_several_layers_equals_the_mean_over_all_signs(tied: bool) -> None:
    layers = [layer(2, 2), layer(2, 2)] if tied else [layer(2, 2), layer(2, 1, inputs=3, bias=False)]
    size = 8 if tied else 6
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=size)))[:, None]
    expected = exact_mse_by_example(np.full(2**size, 0.5**size), signs, layers, tied=tied)
    assert predicted("rademacher", layers, 1, tied=tied, by_example=True) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("shape", "rank"), [((2, 1), 2), ((2, 2), 1)])
def test_low_rank_directions_of_a_layer_by_example(shape: tuple[int, int], rank: int) -> None:
    layers = [layer(*shape)]
    weights, directions = low_rank(shape, rank)
    expected = exact_mse_by_example(weights, directions[:, None], layers)
    assert predicted("low-rank", layers, 1, rank=rank, by_example=True) == pytest.approx(expected, rel=1e-10)
    assert abs(predicted("normal", layers, 1, by_example=True) - expected) > 0.1


@pytest.mark.parametrize("law", [law for law in theory.DISTRIBUTIONS if "without" not in law])
def test_of_one_example_its_own_loss_is_the_joint_loss(law: str) -> None:
    layers = [layer(1, 3), layer(1, 2, inputs=3, bias=False)]
    joint, by_example = (predicted(law, layers, 2, by_example=apart) for apart in (False, True))
    assert by_example == pytest.approx(joint, rel=1e-12)


def test_examples_of_unequal_batches_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"one batch.*\[2, 3\]"):
        predicted("normal", [layer(2, 2), layer(3, 2)], 1, by_example=True)


def test_wrong_gains_and_laws_are_noticed() -> None:
    one = layer(3, 1)
    expected = exact_mse(*ensemble("normal", 3, 1), *stacked([one]))
    without_bias = theory.NodeLayer(inputs=one.inputs, slopes=one.slopes, bias=False)
    norm = float(np.linalg.norm(one.slopes.T @ np.hstack([one.inputs, np.ones((3, 1))])))
    mutants = [
        theory.predict_node_perturbation("normal", layers=[without_bias], gradient_norm=norm, num_samples=1),
        theory.predict_node_perturbation("rademacher", layers=[one], gradient_norm=norm, num_samples=1),
        theory.predict_node_perturbation("normal", layers=[one], gradient_norm=norm, num_samples=2),
    ]
    for mutant in mutants:
        assert mutant.relative_mse is not None
        assert abs(mutant.relative_mse - expected) > 0.1 * expected


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="one B"):
        theory.NodeLayer(inputs=np.ones((2, 3)), slopes=np.ones((3, 2)), bias=True)
    with pytest.raises(InvalidInputError, match="positive gradient norm"):
        theory.predict_node_perturbation("normal", layers=[layer(2, 2)], gradient_norm=0.0, num_samples=1)
    with pytest.raises(InvalidInputError, match="0 layers"):
        theory.predict_node_perturbation("normal", layers=[], gradient_norm=1.0, num_samples=1)
