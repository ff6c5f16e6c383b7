"""What `gradest.check` is given in the wrong place is told in words of its own, not in those of the loss."""

from typing import Any

import numpy as np
import pytest

import gradest


def test_an_argument_of_the_loss_in_the_gradients_place_is_told() -> None:
    """As `compare(loss, params, x, y)` has it; a loss that takes what it is given is asked about as it stands."""
    x, y, w = np.eye(3), np.ones(3), np.zeros(3)

    def loss(w: Any, x: Any, y: Any) -> Any:
        return np.mean((x @ w - y) ** 2)

    with pytest.raises(
        gradest.InvalidInputError, match=r"third argument, found ndarray.*check\(f, params, None, \*args"
    ):
        gradest.check(loss, w, x, y)
    assert gradest.check(loss, w, None, x, y)
    assert gradest.check(lambda w, x=x: np.sum((x @ w - y) ** 2), w, -2.0 * y)  # right, and no argument is missing


def test_a_gradient_whose_keys_are_in_another_order_is_the_same_gradient() -> None:
    """JAX gives dicts back by sorted keys: block by block, a right gradient of a nested dict was called wrong."""
    params: Any = {"z": {"x": np.array([1.0, 2.0])}, "a": np.array([3.0, 4.0])}

    def loss(p: Any) -> Any:
        return (p["z"]["x"] ** 2).sum() + (p["a"] ** 3).sum()

    right = {"a": 3.0 * params["a"] ** 2, "z": {"x": 2.0 * params["z"]["x"]}}
    assert gradest.check(loss, params, right)
    wrong = gradest.check(loss, params, {**right, "a": 2.0 * right["a"]})
    assert [defect.block for defect in wrong.defects] == ["a"]
