"""Compiled differences leave out the forms for large steps, and find out when they would have been needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import gradest
from gradest.autodiff import NearOnly
from gradest.backend import get_backend
from gradest.estimators import FiniteDifference

GENERATOR = np.random.default_rng(0)
SAMPLES = {"plain": 20, "relu": 5}  # of many samples and few classes a compiled loss has the samples as its last axis
X, WEIGHT = GENERATOR.standard_normal((20, 3)), GENERATOR.standard_normal((3, 4))
TARGETS = np.eye(4)[[0, 3, 1, 2, 3] * 4]
HEADS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any], Any]]] = {
    "plain": (lambda ops, loss: loss, lambda loss: loss),
    # 0 for NaN: what is left out on the way would be lost here, and 0 taken for the loss
    "relu": (lambda ops, loss: ops.relu(loss - 1.0), lambda loss: np.maximum(loss - 1.0, 0.0)),
}


@dataclass(frozen=True, eq=False)
class Headed(gradest.Problem):
    """A layer of classes of which a function of the loss is taken."""

    name: ClassVar[str] = "headed"
    head: str = "plain"

    def parameters(self) -> dict[str, np.ndarray]:
        return {"weight": WEIGHT}

    def data(self) -> dict[str, np.ndarray]:
        return {"x": X[: SAMPLES[self.head]], "targets": TARGETS[: SAMPLES[self.head]]}

    def loss(self, ops: Any, params: Any, data: Any) -> Any:
        z = ops.matmul(data["x"], params["weight"])
        return HEADS[self.head][0](ops, ops.softmax_cross_entropy(z + ops.tanh(z), data["targets"]))


def wanted(head: str, step: float) -> np.ndarray:
    """Central differences in extended precision, each loss by itself."""

    def loss(weight: np.ndarray) -> np.longdouble:
        z = X[: SAMPLES[head]].astype(np.longdouble) @ weight
        z = z + np.tanh(z)
        largest = z.max(axis=1, keepdims=True)
        rows = np.log(np.exp(z - largest).sum(axis=1)) + largest[:, 0] - (z * TARGETS[: SAMPLES[head]]).sum(axis=1)
        return HEADS[head][1](rows.mean())

    found = np.empty(WEIGHT.shape)
    for place in np.ndindex(WEIGHT.shape):
        move = np.zeros(WEIGHT.shape, np.longdouble)
        move[place] = step
        found[place] = (loss(WEIGHT + move) - loss(WEIGHT - move)) / (2 * np.longdouble(step))
    return found


@pytest.mark.parametrize("differences", ["plain", "exact"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of steps that are far too long, on purpose
def test_steps_of_any_length_give_what_they_should(head: str, differences: str) -> None:
    objective = gradest.bind(Headed(head), backend="jax", dtype="float64")
    for step, digits in ((0.05, 1e-12), (2.0, 1e-13)):  # the longer one needs what is left out
        estimator = FiniteDifference(scheme="central", step=step, step_mode="absolute", differences=differences)
        prepared = estimator.prepare(objective)
        before = objective.counts
        found = prepared()
        np.testing.assert_allclose(np.asarray(found.gradient["weight"]), wanted(head, step), rtol=0, atol=digits)
        # what is computed again is no further evaluation
        assert objective.counts.values - before.values == estimator.cost(objective.layout).values


def test_a_choice_after_what_was_left_out_does_not_hide_it() -> None:
    """The mutant is a loss that is not marked: relu makes 0 of what the near form has there, or of NaN."""
    ops = get_backend("numpy").operations()
    x = np.array([0.1, 7.0])
    for far, marks in ((np.array([False, True]), True), (np.array([False, False]), False)):
        near = NearOnly(ops)
        value = near.relu(near.piecewise(x, far, np.exp, lambda e: 1.0 - e))
        assert value.tolist() == [0.9, 0.0]
        assert np.isnan(near.marked(value)).all() == marks
        assert np.array_equal(near.marked(value), value) != marks
