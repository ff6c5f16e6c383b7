"""Every loss by every path on every backend that can state it: right, warned or refused, as the table says."""

from typing import Any

import pytest
from gauntlet import outcomes, paths, table
from gauntlet.pending import PENDING
from gauntlet.records import Loss, Right
from support.many import of_each

import gradest

pytestmark = pytest.mark.usefixtures("quickly_compiled")  # as by `make gauntlet`


def failing(reason: str) -> list[pytest.MarkDecorator]:
    """Return that a cell which is known to be wrong yet must fail, until it is mended."""
    return [pytest.mark.xfail(strict=True, reason=reason)] if reason else []


Cell = tuple[Loss, str, str, str]


def together() -> list[Any]:
    """Return the cells that a test carries out each: those of one loss on one backend, and alone what must fail yet."""
    tests: dict[str, list[Cell]] = {}
    for loss, path, backend, dtype in table.cells_here():
        cell = (loss, path, backend, dtype)
        rest = f"-{path}-{dtype}" if table.pending(*cell) else ""
        tests.setdefault(f"{loss.name}-{backend}{rest}", []).append(cell)
    return [
        pytest.param(cells[0][2], cells, id=name, marks=failing(table.pending(*cells[0])))
        for name, cells in tests.items()
    ]


@pytest.mark.parametrize(("backend", "cells"), together())
def test_cells(backend: str, cells: list[Cell]) -> None:
    @of_each(cells, lambda cell: f"{cell[1]}-{cell[3]}")
    def right(cell: Cell) -> None:
        loss, path, _, dtype = cell
        found = outcomes.carry_out(loss, backend, dtype, paths.PATHS[path])
        assert not outcomes.complaint(found, loss.outcome(path, backend))

    right()


def anchored(loss: Loss, name: str, backend: str) -> Any:
    reason = table.pending_name(loss, name, backend, loss.dtypes[0])
    return pytest.param(loss, name, backend, id=f"{loss.name}-{name}-{backend}", marks=failing(reason))


@pytest.mark.parametrize(("loss", "name", "backend"), [anchored(*cell) for cell in table.anchor_cells()])
def test_every_registered_name(loss: Loss, name: str, backend: str) -> None:
    found = outcomes.carry_out(loss, backend, loss.dtypes[0], name)
    assert not outcomes.complaint(found, paths.outcome(name, loss, backend))


BESIDE = (
    ("a Python float", "guided-es", "numpy"),
    ("a number beside an array", "guided-es", "torch"),
    ("a registered class", "guided-es", "jax"),
    ("dropout, training mode inside", "smoothed", "mxnet"),
    ("relu and penalties", "fd-five-point", "numpy"),
    ("relu and penalties", "fd-richardson", "torch"),
    ("a logarithm near zero", "smoothed", "numpy"),
    ("a logarithm near zero", "smoothed", "torch"),
    ("a wider transformer layer with dropout", "forward-gradient", "torch"),
)
"""Cells of names that stand for no path, and of losses that are no anchors: each has been wrong."""


@pytest.mark.parametrize(("name_of_loss", "name", "backend"), BESIDE)
def test_cells_beside_the_anchors(name_of_loss: str, name: str, backend: str) -> None:
    loss = next(loss for loss in table.LOSSES if loss.name == name_of_loss)
    found = outcomes.carry_out(loss, backend, loss.dtypes[0], name)
    assert not outcomes.complaint(found, paths.outcome(name, loss, backend))


def test_the_table_is_as_large_as_it_says() -> None:
    cells = list(table.cells())
    assert len(table.LOSSES) >= 60
    assert len({loss.name for loss in table.LOSSES}) == len(table.LOSSES)
    assert sum(isinstance(loss.outcome(path, backend), Right) for loss, path, backend, _ in cells) >= 0.75 * len(cells)
    assert sum(len(loss.dtypes) > 1 for loss in table.LOSSES) >= len(table.LOSSES) / 3


def test_every_cell_of_jax_is_carried_out_in_one_of_two_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    every = {(loss.name, *rest) for loss, *rest in table.cells()}
    here = []
    for major in (1, 2):
        monkeypatch.setattr("support.turns.NUMPY_MAJOR", major)
        here.append({(loss.name, *rest) for loss, *rest in table.cells_here()})
        on_jax = {cell for cell in here[-1] if cell[2] == "jax"}
        assert {cell[0] for cell in on_jax} == {cell[0] for cell in every if cell[2] == "jax"}
        for path in paths.PATHS:  # on half of the losses with each version
            share = sum(cell[1] == path for cell in on_jax) / sum(cell[1:3] == (path, "jax") for cell in every)
            assert 0.4 < share < 0.6, path
    assert here[0] | here[1] == every
    assert {cell[2] for cell in here[0] ^ here[1]} == {"jax"}


def test_what_is_pending_is_in_the_table() -> None:
    there = {(loss.name, *rest) for loss, *rest in table.cells()}
    assert not [key for key in PENDING if not any(cell[: len(key)] == key for cell in there)]


def test_a_dict_in_another_order_is_the_same_parameters() -> None:
    """`jax.tree_util.tree_map`, by which every training loop steps, returns dicts in the order of their keys."""
    jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'gradest[jax]'")
    params = {"b": jax.numpy.ones(2), "a": jax.numpy.full(2, 3.0)}
    objective = gradest.bind(lambda p: (p["a"] ** 2 * p["b"]).sum(), params)
    gradient = gradest.get_estimator("reverse").prepare(objective)(jax.tree_util.tree_map(lambda x: x, params)).gradient
    assert gradient["a"].tolist() == [6.0, 6.0]
    assert gradient["b"].tolist() == [9.0, 9.0]
