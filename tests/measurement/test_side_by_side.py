"""Sessions are timed side by side: every round times each once, in a seeded order, and one that raises ends alone."""

from collections.abc import Sequence
from typing import Any, cast

from gradest.measurement.session import Session
from gradest.measurement.side_by_side import LEAST_ROUNDS, time_side_by_side
from gradest.measurement.timing import Block, Timing


class Stated:
    """Stands in for a session: its blocks last as long as stated, and it raises in the round that is stated."""

    def __init__(self, name: str, log: list[tuple[int, str]], *, seconds: float = 1.0, raises_in: int = -1) -> None:
        self.name, self.log, self.seconds, self.raises_in = name, log, seconds, raises_in

    def block(self, *, round_number: int, samples: int, seconds: float) -> Block:
        self.log.append((round_number, self.name))
        if round_number == self.raises_in:
            raise RuntimeError(self.name)
        return Block(wall_seconds=(self.seconds / 2,), cpu_seconds=(self.seconds / 2,), loops=2, value_seconds=1.0)

    def timing(self, blocks: Sequence[Block], *, conversions: bool) -> Timing:
        assert not conversions
        return Timing(preparation_seconds=0.0, first_call_seconds=0.0).with_blocks(blocks, on_processor=True)


def timed(*sessions: Stated, seed: int = 0) -> list[Any]:
    return time_side_by_side(cast(list[Session], list(sessions)), budget_seconds=8.0, seed=seed)


def order(seed: int) -> list[tuple[int, str]]:
    log: list[tuple[int, str]] = []
    timed(*(Stated(name, log) for name in "abcde"), seed=seed)
    return log


def test_each_round_times_all_in_an_order_of_its_own_that_the_seed_decides() -> None:
    rounds = [[name for number, name in order(0) if number == k] for k in range(8)]
    assert all(sorted(names) == list("abcde") for names in rounds)
    assert len({tuple(names) for names in rounds}) > 1
    assert [number for number, _ in order(0)] == sorted(number for number, _ in order(0))
    assert order(0) == order(0) != order(1)


def test_each_takes_part_until_its_samples_have_lasted_the_budget_and_in_the_least_rounds() -> None:
    short, long = timed(Stated("short", [], seconds=1.0), Stated("long", [], seconds=100.0))
    assert (short.rounds, long.rounds) == ([1] * 8, [1] * LEAST_ROUNDS)
    assert timed() == []


def test_one_that_raises_is_timed_no_more_and_the_others_as_if_it_were_not_there() -> None:
    log: list[tuple[int, str]] = []
    bad, good = timed(Stated("bad", log, raises_in=1), Stated("good", log))
    assert isinstance(bad, RuntimeError)
    assert [number for number, name in log if name == "bad"] == [0, 1]
    assert good.rounds == [1] * 8


def test_each_is_announced_once_before_its_first_block() -> None:
    log: list[tuple[int, str]] = []
    sessions = [Stated(name, log) for name in "ab"]

    def begin(number: int) -> None:
        log.append((-1, "ab"[number]))

    time_side_by_side(cast(list[Session], sessions), budget_seconds=1.0, seed=0, begin=begin)
    for name in "ab":
        assert [number for number, which in log if which == name] == [-1, 0, 1, 2]
