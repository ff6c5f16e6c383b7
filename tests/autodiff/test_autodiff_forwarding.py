"""What looks into a loss hands every operation on, those to come included; a subclass sees each call by its name."""

from typing import Any

import numpy as np
import pytest

import gradest
from gradest.autodiff.forwarding import ForwardingOperations
from gradest.operations import Operations

OPS = gradest.get_backend("numpy").operations()


def test_every_operation_is_handed_on() -> None:
    names = {name for name, method in vars(Operations).items() if callable(method) and not name.startswith("_")}
    assert len(names) > 25
    assert not ForwardingOperations.__abstractmethods__
    assert all(getattr(ForwardingOperations, name) is not getattr(Operations, name) for name in names)


@pytest.mark.parametrize("unpacks", [False, True])
def test_what_is_stated_beside_the_operations_is_the_other_s_own(unpacks: bool) -> None:
    class Stating(ForwardingOperations):
        def __init__(self) -> None:
            super().__init__(OPS)
            self.unpacks_signs = unpacks

    assert ForwardingOperations(Stating()).unpacks_signs is unpacks


def test_a_loss_is_the_same_through_it_and_each_call_is_seen() -> None:
    seen: list[str] = []

    class Listening(ForwardingOperations):
        def forward(self, name: str, *operands: Any, **options: Any) -> Any:
            seen.append(name)
            return super().forward(name, *operands, **options)

    problem = gradest.get_problem("mlp", dataset="iris", widths=(5,), batch=12)
    through = problem.loss(Listening(OPS), problem.parameters(), problem.data())
    assert np.array_equal(np.asarray(through), np.asarray(problem.loss(OPS, problem.parameters(), problem.data())))
    assert seen == ["affine", "tanh", "affine", "softmax_cross_entropy"]


def test_a_subclass_may_carry_out_an_operation_itself() -> None:
    class Doubled(ForwardingOperations):
        def tanh(self, x: Any) -> Any:
            return 2.0 * self.ops.tanh(x)

    assert float(np.asarray(Doubled(OPS).tanh(np.array(1.0)))) == 2.0 * np.tanh(1.0)
