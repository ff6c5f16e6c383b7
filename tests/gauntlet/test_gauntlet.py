"""Every loss by every path on every backend that can state it: right, warned or refused, as the table says."""

import pytest
from gauntlet import outcomes, paths, table
from gauntlet.records import Loss


def cells() -> list[object]:
    """Return one parameter set for each cell; those that are known to be wrong yet must fail until they are mended."""
    return [
        pytest.param(
            loss, path, backend, dtype,
            id=f"{loss.name}-{path}-{backend}-{dtype}",
            marks=[pytest.mark.xfail(strict=True, reason=reason)] if (reason := table.pending(loss, path, backend, dtype)) else [],
        )
        for loss, path, backend, dtype in table.cells()
    ]  # fmt: skip


@pytest.mark.parametrize(("loss", "path", "backend", "dtype"), cells())
def test_cell(loss: Loss, path: str, backend: str, dtype: str) -> None:
    found = outcomes.carry_out(loss, backend, dtype, paths.PATHS[path])
    assert not outcomes.complaint(found, loss.outcome(path, backend))
