"""The whole table: all losses and all cells, and which of them are known to be wrong yet."""

from collections.abc import Iterator

from gauntlet import (
    losses_arrays,
    losses_black_boxes,
    losses_hazards,
    losses_jax,
    losses_mxnet,
    losses_operations,
    losses_operations_small,
    losses_parameters,
    losses_torch,
)
from gauntlet.paths import PATH_OF, PATHS
from gauntlet.pending import PENDING, PENDING_NAMES
from gauntlet.records import Loss
from support.turns import in_turn

from gradest.registry import ESTIMATORS

LOSSES: tuple[Loss, ...] = (
    *losses_operations.LOSSES,
    *losses_operations_small.LOSSES,
    *losses_arrays.LOSSES,
    *losses_parameters.LOSSES,
    *losses_black_boxes.LOSSES,
    *losses_hazards.LOSSES,
    *losses_torch.LOSSES,
    *losses_jax.LOSSES,
    *losses_mxnet.LOSSES,
)


ANCHORS = (
    "MLP",
    "rosenbrock",
    "sines and exponentials",
    "regression on a dict",
    "dropout, training",
    "a number of Python's",
)
"""Losses on which every name is tried: layers, a closed form, arrays, a dict, a random module, a black box."""


def anchor_cells() -> Iterator[tuple[Loss, str, str]]:
    """Yield (loss, name, backend) of every registered name on the anchors; on JAX on every other one of them."""
    for row, loss in enumerate(loss for loss in LOSSES if loss.name in ANCHORS):
        for backend in loss.backends:
            for column, name in enumerate(ESTIMATORS, row):
                if backend != "jax" or in_turn(column, (True, False)):
                    yield loss, name, backend


def cells() -> Iterator[tuple[Loss, str, str, str]]:
    """Yield (loss, path, backend, dtype) of every cell."""
    for loss in LOSSES:
        for backend in loss.backends:
            for dtype in loss.dtypes:
                for path in PATHS:
                    yield loss, path, backend, dtype


def cells_here() -> Iterator[tuple[Loss, str, str, str]]:
    """Yield the cells that the tests carry out in this environment.

    XLA compiles each cell of JAX anew, which is nine tenths of the time of all cells. Where a loss has two dtypes, its
    paths have them in turn; where it has one, every other path is carried out. So every loss and every path is tried
    with each version of JAX, and every cell in one of two environments. `make gauntlet` carries out all in one.
    """
    number = {loss.name: k for k, loss in enumerate(LOSSES)}
    place = {path: k for k, path in enumerate(PATHS)}
    for loss, path, backend, dtype in cells():
        turns = loss.dtypes if len(loss.dtypes) > 1 else (dtype, None)
        if backend != "jax" or dtype == in_turn(number[loss.name] + place[path], turns):
            yield loss, path, backend, dtype


def pending(loss: Loss, path: str, backend: str, dtype: str) -> str:
    """Return why a cell is known to fail, "" where it is not."""
    return PENDING.get((loss.name, path, backend)) or PENDING.get((loss.name, path, backend, dtype), "")


def pending_name(loss: Loss, name: str, backend: str, dtype: str) -> str:
    """Return why a registered name is known to fail on a loss, "" where it is not."""
    own = PENDING_NAMES.get((loss.name, name, backend), "")
    return own or (pending(loss, PATH_OF[name], backend, dtype) if name in PATH_OF else "")
