"""The whole table: all losses, all cells, and those that are known to be wrong yet."""

from collections.abc import Iterator

from gauntlet import losses_operations
from gauntlet.paths import PATHS
from gauntlet.records import Loss

LOSSES: tuple[Loss, ...] = (*losses_operations.LOSSES,)

PENDING: dict[tuple[str, str, str], str] = {}
"""Cells (loss, path, backend) that are not yet as the table says, with what is found: they must fail until mended."""


def cells() -> Iterator[tuple[Loss, str, str, str]]:
    """Yield (loss, path, backend, dtype) of every cell that the tests carry out."""
    for loss in LOSSES:
        for backend in loss.backends:
            for dtype in loss.dtypes:
                for path in PATHS:
                    yield loss, path, backend, dtype


def pending(loss: Loss, path: str, backend: str, dtype: str) -> str:
    """Return why a cell is known to fail, "" where it is not."""
    return PENDING.get((loss.name, path, backend), "")
