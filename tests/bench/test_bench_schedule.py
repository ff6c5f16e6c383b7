"""The order of measuring: problems together, small ones first, every cell once a round, drawn from the seed."""

from collections import Counter

import msgspec
from support.bench_runs import faulty_suite

from gradest_bench.run.schedule import GROUP_CELLS, Size, TooLarge, groups, rounds
from gradest_bench.suite.cells import Cell, expand
from gradest_bench.suite.schema import parse_suite

SIZES = [9, 3, 27]
TEXT = faulty_suite("none", "double", "nan").replace("fields = { size = 3 }", f"vary = {{ size = {SIZES} }}")
CELLS = expand(parse_suite(TEXT))


def sized(cell: Cell, evaluations: int = 1) -> tuple[Cell, Size]:
    size = cell.problem.fields["size"]
    return cell, Size(size, size * size, evaluations)


def test_groups_share_a_problem_and_grow() -> None:
    found = groups([sized(cell) for cell in CELLS], seed=0)
    assert [{cell.problem.fields["size"] for cell in group} for group in found] == [{3}, {9}, {27}]
    assert Counter(cell.key for group in found for cell in group) == Counter(cell.key for cell in CELLS)


def test_order_is_the_seeds_and_differs_between_seeds() -> None:
    orders = {seed: [c.key for g in groups([sized(c) for c in CELLS], seed=seed) for c in g] for seed in range(5)}
    again = [c.key for g in groups([sized(c) for c in CELLS], seed=0) for c in g]
    assert again == orders[0]
    assert len({tuple(order) for order in orders.values()}) > 1


def test_large_groups_are_parted() -> None:
    many = [msgspec.structs.replace(CELLS[0], seeds=(k,)) for k in range(2 * GROUP_CELLS + 1)]
    assert [len(group) for group in groups([sized(cell) for cell in many], seed=0)] == [GROUP_CELLS, GROUP_CELLS, 1]


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
    generous = msgspec.structs.replace(cell, budget=msgspec.structs.replace(cell.budget, timeout_seconds=1e6))
    assert limit.reason(generous, size) is None
