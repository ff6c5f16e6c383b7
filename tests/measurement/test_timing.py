"""The clock counts, calibrates, interleaves and waits; nothing here asserts how long anything takes."""

from gradest.measurement.timing import Timing, measure, time_once


class Probe:
    """Counts its calls and waits, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def call(self, name: str) -> object:
        self.events.append(name)
        return name

    def wait(self, result: object) -> None:
        self.events.append(f"wait {result}")


def test_a_single_call_is_awaited_inside_the_clock() -> None:
    probe = Probe()
    seconds, result = time_once(lambda: probe.call("a"), probe.wait)
    assert seconds > 0
    assert result == "a"
    assert probe.events == ["a", "wait a"]


def test_blocks_of_all_calls_alternate_and_each_block_is_awaited() -> None:
    probe, ends = Probe(), []
    calls = {name: ((lambda name=name: probe.call(name)), probe.wait) for name in ("a", "b", "c")}
    timings = measure(
        calls,
        block_seconds=1e-5,
        budget_seconds=0.0,
        minimum_blocks=4,
        after_block=lambda: ends.append(probe.events[-1]),
    )
    assert all(len(timing.samples_seconds) == 4 for timing in timings.values())
    assert all(event.startswith("wait") for event in ends)
    rounds = [ends[k : k + 3] for k in range(0, 12, 3)]
    assert all(sorted(each) == ["wait a", "wait b", "wait c"] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1  # the order is drawn anew


def test_calibration_reaches_the_block_length() -> None:
    timing = measure({"pass": ((lambda: None), (lambda _: None))}, block_seconds=1e-3, budget_seconds=0.0)["pass"]
    assert timing.calls_per_block > 10


def test_median_and_spread() -> None:
    timing = Timing((1.0, 2.0, 3.0, 4.0, 100.0), 1, 1.0)
    assert timing.median_seconds == 3.0
    assert timing.spread == (4.0 - 2.0) / 3.0
    assert Timing((1.0,), 1, 1.0).spread == 0.0
