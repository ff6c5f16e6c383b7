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
    """Yield (loss, name, backend) of every registered name on the anchors."""
    for loss in LOSSES:
        if loss.name in ANCHORS:
            for backend in loss.backends:
                for name in ESTIMATORS:
                    yield loss, name, backend


def cells() -> Iterator[tuple[Loss, str, str, str]]:
    """Yield (loss, path, backend, dtype) of every cell that the tests carry out."""
    for loss in LOSSES:
        for backend in loss.backends:
            for dtype in loss.dtypes:
                for path in PATHS:
                    yield loss, path, backend, dtype


def pending(loss: Loss, path: str, backend: str, dtype: str) -> str:
    """Return why a cell is known to fail, "" where it is not."""
    return PENDING.get((loss.name, path, backend)) or PENDING.get((loss.name, path, backend, dtype), "")


def pending_name(loss: Loss, name: str, backend: str, dtype: str) -> str:
    """Return why a registered name is known to fail on a loss, "" where it is not."""
    own = PENDING_NAMES.get((loss.name, name, backend), "")
    return own or (pending(loss, PATH_OF[name], backend, dtype) if name in PATH_OF else "")
