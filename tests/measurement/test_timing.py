"""The clock counts, calibrates and waits; a cell's times follow from its blocks. Nothing asserts how long it takes."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

import gradest.measurement.timing as timing_module
from gradest.measurement.timing import Block, Timing, calibrate, machine_share, time_block, time_once


class Probe:
    """Counts its calls and waits, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def call(self, name: str) -> object:
        self.events.append(name)
        return name

    def wait(self, result: object) -> None:
        self.events.append(f"wait {result}")


def block(*walls: float, cpu: float = 1.0, loops: int = 1, value: float = 1.0) -> Block:
    return Block(wall_seconds=walls, cpu_seconds=tuple(cpu * w for w in walls), loops=loops, value_seconds=value)


def timing(*blocks: Block, on_processor: bool = True) -> Timing:
    return Timing(preparation_seconds=0.0, first_call_seconds=0.0).with_blocks(blocks, on_processor=on_processor)


def test_a_single_call_is_awaited_inside_the_clock() -> None:
    probe = Probe()
    seconds, result = time_once(lambda: probe.call("a"), probe.wait)
    assert seconds > 0
    assert result == "a"
    assert probe.events == ["a", "wait a"]


def test_a_block_is_awaited_once_at_its_end() -> None:
    probe = Probe()
    time_block(lambda: probe.call("a"), probe.wait, 3)
    assert probe.events == ["a", "a", "a", "wait a"]


def test_calibration_reaches_the_block_length() -> None:
    assert calibrate(lambda: None, lambda _: None, 1e-3) > 10


def test_median_spread_and_units_follow_from_the_blocks() -> None:
    found = timing(block(1.0, 2.0, 3.0, value=2.0), block(4.0, 100.0, value=2.0))
    assert found.median_seconds == 3.0
    assert found.iqr_seconds == 4.0 - 2.0
    assert found.loss_units == 1.5
    assert found.rounds == [3, 2]
    assert timing(block(1.0)).iqr_seconds is None


@pytest.mark.parametrize(
    ("share", "on_processor", "disturbed"), [(1.0, True, False), (0.5, True, True), (0.5, False, False)]
)
def test_waiting_is_disturbance_where_the_processor_does_the_work(
    share: float, on_processor: bool, disturbed: bool
) -> None:
    assert timing(block(1.0, 1.0, cpu=share), on_processor=on_processor).disturbed is disturbed


def test_long_samples_weigh_more_in_the_share_of_the_processor() -> None:
    found = timing(block(1.0, cpu=1.0, loops=9), block(1.0, cpu=0.0, loops=1))
    assert found.cpu_wall_ratio == pytest.approx(0.9)


def test_without_blocks_nothing_is_said_of_steady_time() -> None:
    assert timing().median_seconds is None


@pytest.mark.parametrize(
    ("own", "machine", "disturbed", "waiting"),
    [(1.0, 1.0, False, False), (0.1, 1.0, False, True), (0.1, 0.5, True, False), (1.0, 0.5, True, False)],
)
def test_a_call_that_waits_is_told_from_a_machine_that_lets_it_wait(
    own: float, machine: float, disturbed: bool, waiting: bool
) -> None:
    blocks = [replace(block(1.0, 1.0, cpu=own), machine_share=machine) for _ in range(3)]
    found = timing(*blocks)
    assert (found.disturbed, found.waiting) == (disturbed, waiting)
    assert found.machine_shares == [machine] * 3


def test_the_share_of_the_machine_is_measured_around_a_call_and_not_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = {"wall": 0.0, "processor": 0.0, "given": 0.5}

    def wall() -> float:  # each look at the clock takes a millisecond, of which the machine gives a part
        clock["wall"] += 1e-3
        clock["processor"] += 1e-3 * clock["given"]
        return clock["wall"]

    monkeypatch.setattr("gradest.measurement.timing.time.perf_counter", wall)
    monkeypatch.setattr("gradest.measurement.timing.time.thread_time", lambda: clock["processor"])
    monkeypatch.setattr(
        "gradest.measurement.timing._RUN_QUEUE", tmp_path / "none"
    )  # the kernel's clock is the true one

    def sleep() -> str:
        clock["wall"] += 100.0
        return "slept"

    share, result = machine_share(sleep)
    assert result == "slept"
    assert 0.4 < share <= 0.6
    clock["given"] = 1.0
    assert machine_share(sleep)[0] > 0.95


def test_a_round_that_the_machine_held_up_is_no_call_that_waits() -> None:
    """One of five was held up for long: the machine was not disturbed on the whole, and the call waited for nothing."""
    held_up = replace(block(10.0, cpu=0.1), machine_share=0.1)
    quiet = replace(block(1.0), machine_share=1.0)
    found = timing(quiet, quiet, held_up, quiet, quiet)
    assert found.cpu_wall_ratio is not None
    assert found.cpu_wall_ratio < 0.8
    assert (found.disturbed, found.waiting) == (False, False)
    asleep = replace(block(10.0, cpu=0.1), machine_share=1.0)
    assert timing(quiet, quiet, asleep, quiet, quiet).waiting


@pytest.mark.parametrize(("stood", "share"), [(0.3, 0.25), (0.0, 1.0), (None, 1.0)])
def test_what_a_thread_stood_ready_in_the_call_counts_where_the_kernel_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stood: float | None, share: float
) -> None:
    """The loops before and after found nothing of a call that was interrupted in its middle."""
    clock, place = {"wall": 0.0, "processor": 0.0}, tmp_path / "schedstat"

    def wall() -> float:
        for each in clock:
            clock[each] += 1e-4
        return clock["wall"]

    def call() -> None:
        clock["processor"] += 0.1
        clock["wall"] += 0.1 + (stood or 0.0)
        if stood is not None:
            place.write_text(f"5 {int(7 + stood * 1e9)} 1")

    monkeypatch.setattr("gradest.measurement.timing.time.perf_counter", wall)
    monkeypatch.setattr("gradest.measurement.timing.time.thread_time", lambda: clock["processor"])
    monkeypatch.setattr("gradest.measurement.timing._RUN_QUEUE", place)
    if stood is not None:
        place.write_text("5 7 1")
    assert machine_share(call)[0] == pytest.approx(share, abs=0.03)


@pytest.mark.skipif(timing_module._stood_ready() is None, reason="this kernel does not count the run queue")
def test_a_thread_stands_ready_no_longer_than_it_is_kept_from_running() -> None:
    """Another thread's numbers, or the processor seconds beside them, would say more."""
    start, processor = time.perf_counter(), time.thread_time()  # around all of it: reading the file may be held up too
    stood = timing_module._stood_ready()
    while time.perf_counter() - start < 0.05:
        sum(range(100))
    since = timing_module._stood_ready()
    ran, wall = time.thread_time() - processor, time.perf_counter() - start
    assert stood is not None
    assert since is not None
    assert 0.0 <= since - stood <= wall - ran + 0.01
