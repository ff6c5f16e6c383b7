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
from gauntlet.paths import PATHS
from gauntlet.pending import PENDING
from gauntlet.records import Loss

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
