"""Estimators and backends that go wrong in every way that the harness must survive; used by the tests alone."""

import ctypes
import os
import sys
import time
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest.backend import Leaves
from gradest.errors import MissingDependencyError, UnsupportedError
from gradest.estimate import Cost, KernelResult
from gradest.estimator import Estimator, PreparedKernel
from gradest.estimators.evolution import EvolutionStrategy
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.situation import Situation
from gradest.theory import Prediction
from gradest_numpy import NumpyBackend


@dataclass(frozen=True)
class Faulty(Estimator):
    """Returns the closed-form gradient, after going wrong in the way that `fault` names."""

    name = "faulty"
    source = "a control"
    formula = "closed form, damaged"
    cost_formula = "1 VJP"

    fault: str = "none"
    size: int = 0

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=self.size, vjps=1)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        closed_form = objective.prepare_closed_form()
        damage = FAULTS[self.fault]

        def kernel(leaves: Leaves, rng: Any) -> KernelResult:
            value, gradient = closed_form(leaves)
            return KernelResult(value, tuple(damage(block) for block in gradient))

        return PreparedKernel(kernel, "faulty")


@dataclass(frozen=True, kw_only=True)
class ScaledES(EvolutionStrategy):
    """Is an evolution strategy that is wrong by a factor, as published ones are by sigma or by 1/n."""

    name = "scaled-es"
    factor: float = 1.0

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        right = super().prepare_kernel(objective, executor=executor)

        def kernel(leaves: Leaves, rng: Any) -> KernelResult:
            result = right.call(leaves, rng)
            return KernelResult(result.value, tuple(self.factor * block for block in result.gradient))

        return PreparedKernel(kernel, right.path)


@dataclass(frozen=True, kw_only=True)
class UnpredictedES(EvolutionStrategy):
    """Is an evolution strategy whose prediction raises."""

    name = "unpredicted-es"

    def predict(self, at: Situation) -> Prediction | None:
        raise ZeroDivisionError("no such law")


class BrokenBackend(NumpyBackend):
    """Dies while it is imported into a worker."""

    def __init__(self) -> None:
        os._exit(7)


class MissingBackend(NumpyBackend):
    """Is not installed."""

    def __init__(self) -> None:
        raise MissingDependencyError("backend 'absent' needs the package 'absent'; install it with: pip install absent")


def _hang(block: Any) -> Any:
    time.sleep(600)


def _segfault(block: Any) -> Any:
    ctypes.string_at(0)


def _allocate(block: Any) -> Any:
    kept = []
    while True:
        kept.append(np.ones(2_000_000))


def _exit(block: Any) -> Any:
    os._exit(3)


def _print(block: Any) -> Any:
    sys.stdout.write('{"protocol": 1, "id": 1, "ok": true, "result": {}}\n')
    sys.stdout.flush()
    os.write(1, b"from C, not Python\n")
    return block


def _nan(block: Any) -> Any:
    return block * np.nan


def _infinite(block: Any) -> Any:
    block = block.copy()
    block.flat[0] = np.inf
    return block


def _wrong_shape(block: Any) -> Any:
    return block[..., None]


def _wrong_dtype(block: Any) -> Any:
    return block.astype(np.float32)


def _raise(block: Any) -> Any:
    raise RuntimeError("this estimator raises")


def _unsupported(block: Any) -> Any:
    raise UnsupportedError("this was asked for; that can be used")


FAULTS = {
    "none": lambda block: block,
    "double": lambda block: 2 * block,
    "hang": _hang,
    "segfault": _segfault,
    "allocate": _allocate,
    "exit": _exit,
    "print": _print,
    "nan": _nan,
    "infinite": _infinite,
    "wrong-shape": _wrong_shape,
    "wrong-dtype": _wrong_dtype,
    "raise": _raise,
    "unsupported": _unsupported,
}
