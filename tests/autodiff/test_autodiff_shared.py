"""What perturbed evaluations have in common is computed once, and again as soon as parameters or data are others."""

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.autodiff import Expressions, Shared, perturbed_values, value_and_differences
from gradest.autodiff.forwarding import ForwardingOperations
from gradest.datasets import synthetic_classification
from gradest.operations import Operations
from gradest.tangents import Rows, Zero

DATA = synthetic_classification(30, 4, 3, seed=0)
OBJECTIVE = gradest.bind(gradest.get_problem("mlp", dataset=DATA, widths=(5,), batch=12))
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("fd-forward", {}),
    ("fd-exact", {"step": 1e-6}),
    ("es", {"num_samples": 30}),
    ("es-low-rank", {"num_samples": 30}),
    ("es", {"num_samples": 30, "differences": "exact"}),
]


class Counted(ForwardingOperations):
    """Operations that count what they are asked for."""

    def __init__(self, ops: Operations) -> None:
        super().__init__(ops)
        self.calls: Counter[str] = Counter()

    def forward(self, name: str, *operands: Any, **options: Any) -> Any:
        self.calls[name] += 1
        return super().forward(name, *operands, **options)


def tangents(row: int) -> tuple[Any, ...]:
    """Return displacements of one row of the first weights."""
    weight = OBJECTIVE.start[0]
    selector = np.eye(weight.shape[0])[row : row + 1]
    moving = Rows(selector, np.full((1, weight.shape[1]), 1e-3))
    return (moving, *(Zero(weight.shape[1], leaf) for leaf in OBJECTIVE.start[1:]))


@pytest.mark.parametrize("interpret", [perturbed_values, value_and_differences])
def test_a_second_evaluation_computes_the_unperturbed_values_no_more(interpret: Any) -> None:
    ops, shared = Counted(OBJECTIVE.ops), Shared()
    assert OBJECTIVE.text is not None
    results, calls = [], []
    for row in (0, 1, 2):
        before = ops.calls.copy()
        results.append(interpret(OBJECTIVE.text, ops, OBJECTIVE.start, tangents(row), OBJECTIVE.data, shared=shared))
        calls.append(ops.calls - before)
    alone = [interpret(OBJECTIVE.text, OBJECTIVE.ops, OBJECTIVE.start, tangents(k), OBJECTIVE.data) for k in (0, 1, 2)]
    for found, expected in zip(results, alone, strict=True):
        np.testing.assert_array_equal(found[-1], expected[-1])
    assert calls[1] == calls[2]
    assert calls[1].total() < calls[0].total()
    assert not calls[1]["logsumexp"]


def test_other_parameters_start_anew_and_numbers_stay() -> None:
    expressions = Expressions()
    shared, x, y = Shared(expressions), np.ones(3), np.full(3, 2.0)
    found = []
    for array in (x, x, y, x):
        shared.begin([array], {"data": x})
        found.append(shared.compute("double", [array], partial(np.multiply, 2, array)))
    assert found[0] is found[1]
    assert found[2].tolist() == [4.0] * 3
    assert found[3].tolist() == [2.0] * 3
    assert found[3] is not found[0]
    given = Shared(expressions, shared.values)
    given.begin([np.zeros(3)], {"data": np.zeros(3)})
    assert shared.compute("other", [np.zeros(3)], lambda: "computed") == "computed"  # unknown operands are no key
    assert len({expressions.number((name, 0)) for name in "abcabc"}) == 3


def test_values_that_are_given_are_taken() -> None:
    """A compiled evaluation is given what another has computed."""
    expressions, x = Expressions(), np.ones(3)
    first = Shared(expressions)
    first.begin([x], ())
    first.compute(("times", 3.0), [x, 3.0], lambda: 3 * x)
    other = np.zeros(3)
    second = Shared(expressions, first.values)
    second.begin([other], ())
    assert second.compute(("times", 3.0), [other, 3.0], lambda: 3 * other).tolist() == [3.0] * 3
    assert second.compute(("times", 3.0), [other, 2.0], lambda: 2 * other).tolist() == [0.0] * 3


@pytest.mark.parametrize(("name", "fields"), METHODS, ids=str)
@pytest.mark.parametrize("backend", ["numpy", "torch"])  # JAX's arrays cannot be written to
def test_parameters_changed_in_place_between_calls_are_seen(name: str, fields: dict[str, Any], backend: str) -> None:
    """The arrays are the same objects, and nothing kept from the first call may stand in for them."""
    objective = gradest.bind(OBJECTIVE.problem, backend=backend)
    prepared = gradest.get_estimator(name, **fields).prepare(objective)
    params = {
        key: objective.backend.array(objective.backend.numpy(x), dtype="float64")
        for key, x in objective.start_tree.items()
    }
    first = prepared(params, rng=1)
    for array in params.values():
        array *= 1.5
    second = prepared(params, rng=1)
    fresh = {
        key: objective.backend.array(objective.backend.numpy(array), dtype="float64") for key, array in params.items()
    }
    expected = gradest.get_estimator(name, **fields).prepare(objective)(fresh, rng=1)
    for key in params:
        found, wanted, before = (objective.backend.numpy(e.gradient[key]) for e in (second, expected, first))
        np.testing.assert_array_equal(found, wanted)
        assert not np.allclose(found, before)
