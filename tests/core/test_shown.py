"""What a prompt shows of a result is one line, whatever the size of the arrays in it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.training import Budget, Training


def loss(params: dict[str, Any]) -> Any:
    return sum((leaf**2).sum() for leaf in params.values())


PARAMS = {f"w{k}": np.full(300, 0.1234567890123) for k in range(10)}


def trained() -> Training:
    return gradest.train(gradest.Case(loss, PARAMS), "reverse", budget=Budget(steps=3))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (trained, "<Training by reverse: loss 11.99 after 3 steps"),
        (lambda: trained().state, "<TrainingState after 3 steps"),
        (lambda: gradest.graph(loss, PARAMS), "nodes, reverse mode"),
        (lambda: gradest.compare(loss, PARAMS, estimators=["reverse"], budget_seconds=0.001), "<Comparison on loss"),
    ],
)
def test_a_result_is_one_line_at_a_prompt(make: Callable[[], object], says: str) -> None:
    shown = repr(make())
    assert says in shown
    assert "\n" not in shown
    assert "array" not in shown
    assert len(shown) < 200
