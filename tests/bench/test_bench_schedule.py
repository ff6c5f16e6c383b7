"""The order of measuring: problems together, small ones first, every cell once a round, drawn from the seed."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.bench_runs import TWO_ROUNDS, faulty_suite, run_suite

from gradest.measurement.outcome import Outcome
from gradest_bench.results.outcomes import CellError
from gradest_bench.results.store import read_records
from gradest_bench.run.schedule import GROUP_CELLS, PlannedCell, Size, TooLarge, groups, rounds, size_of
from gradest_bench.run.sweep import Sweep
from gradest_bench.suite.cells import Cell, expand
from gradest_bench.suite.schema import parse_suite
from gradest_bench.worker.pool import WorkerPool

SIZES = [9, 3, 27]
TEXT = faulty_suite("none", "double", "nan", budget=TWO_ROUNDS).replace(
    "fields = { size = 3 }", f"vary = {{ size = {SIZES} }}"
)
CELLS = expand(parse_suite(TEXT))


def planned(cell: Cell) -> PlannedCell:
    size = cell.problem.fields["size"]
    return PlannedCell(cell, "", {"num_parameters": size, "data_entries": size * size, "evaluations": 1})


def sized(cell: Cell) -> tuple[Cell, Size]:
    return cell, planned(cell).size


def test_groups_share_a_problem_and_grow() -> None:
    found = groups(map(planned, CELLS), seed=0)
    assert [{plan.cell.problem.fields["size"] for plan in group} for group in found] == [{3}, {9}, {27}]
    assert Counter(plan.cell.key for group in found for plan in group) == Counter(cell.key for cell in CELLS)


def test_order_is_the_seeds_and_differs_between_seeds() -> None:
    orders = {s: [p.cell.key for g in groups(map(planned, CELLS), seed=s) for p in g] for s in range(5)}
    again = [p.cell.key for g in groups(map(planned, CELLS), seed=0) for p in g]
    assert again == orders[0]
    assert len({tuple(order) for order in orders.values()}) > 1


def test_large_groups_are_parted() -> None:
    many = [msgspec.structs.replace(CELLS[0], seeds=(k,)) for k in range(2 * GROUP_CELLS + 1)]
    assert [len(group) for group in groups(map(planned, many), seed=0)] == [GROUP_CELLS, GROUP_CELLS, 1]


def test_cells_are_interleaved_in_every_round() -> None:
    found = list(rounds(CELLS, seed=1))
    assert [number for number, _ in found] == [0, 1]
    for _, cells in found:
        assert sorted(cell.key for cell in cells) == sorted(cell.key for cell in CELLS)
    assert found[0][1] != found[1][1]


def test_only_what_is_nowhere_smaller_is_not_tried() -> None:
    by_size = {c.problem.fields["size"]: c for c in CELLS if c.estimator.label == "none"}
    limit = TooLarge()
    limit.add(*sized(by_size[9]), "timeout")
    assert limit.reason(*sized(by_size[3])) is None
    assert limit.reason(*sized(by_size[9])) is None  # itself, on a resume
    outcome, reason = limit.reason(*sized(by_size[27])) or ("", "")
    assert outcome == "timeout"
    assert by_size[9].title in reason
    cell, size = sized(by_size[27])
    assert limit.reason(cell, Size(size.num_parameters, size.data_entries, 0)) is None
    others = [c for c in CELLS if c.estimator.label == "double"]
    assert all(limit.reason(*sized(other)) is None for other in others)
    # what is as large and differs in another field, or is larger and asked for less, may well end
    other_field = msgspec.structs.replace(cell, problem=msgspec.structs.replace(cell.problem, fields={"condition": 2}))
    assert limit.reason(other_field, sized(by_size[9])[1]) is None
    assert limit.reason(msgspec.structs.replace(cell, measure=("time",)), size) is None
    many = TooLarge()
    many.add(msgspec.structs.replace(by_size[9], seeds=tuple(range(1000))), sized(by_size[9])[1], "timeout")
    assert many.reason(cell, size) is None
    generous = msgspec.structs.replace(cell, budget=msgspec.structs.replace(cell.budget, timeout_seconds=1e6))
    assert limit.reason(generous, size) is None


def test_size_is_known_where_a_worker_found_it_and_not_taken_for_the_smallest_else() -> None:
    assert size_of(planned(CELLS[0]).facts) == planned(CELLS[0]).size
    assert size_of({}) is None


def test_cell_whose_data_took_too_long_to_read_says_nothing_about_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identify = Sweep._identify

    def slow_for_the_smallest(sweep: Sweep, cell: Cell, pool: WorkerPool) -> dict[str, Any]:
        if cell.problem.fields["size"] == min(SIZES):
            raise CellError(Outcome.TIMEOUT, "reading took too long")
        return identify(sweep, cell, pool)

    monkeypatch.setattr(Sweep, "_identify", slow_for_the_smallest)
    run_suite(TEXT.replace('"double", "nan"', '"double"'), tmp_path)
    found = {(r.cell.problem.fields["size"], r.cell.estimator.label): r.outcome for r in read_records(tmp_path)}
    assert {outcome for (size, _), outcome in found.items() if size == min(SIZES)} == {"timeout"}
    assert {outcome for (size, _), outcome in found.items() if size > min(SIZES)} == {"ok"}
