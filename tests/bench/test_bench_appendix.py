"""One plug-in in the roles in which estimators deceive a harness: it forks, slows down, waits, or is wrong.

Each role is a run of its own with times of milliseconds, and each is told by its name: no other cell is harmed by the
first, the second and the third are found by `compare`, the last fails the run.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gradest.measurement.timing import DISTURBED_BELOW
from gradest_bench.command.main import main
from gradest_bench.results.loading import load
from gradest_bench.results.outcomes import EXIT_WRONG
from gradest_bench.results.records import Record
from gradest_bench.results.run_comparison import EXIT_UNJUDGED, EXIT_WORSE
from gradest_bench.results.store import RESULTS, latest, read_records

PLUGIN = """
import os, time
from dataclasses import dataclass
from gradest import Cost, Estimator, get_estimator
from gradest.estimate import KernelResult
from gradest.estimator import PreparedKernel

@dataclass(frozen=True)
class F(Estimator):
    name = "F"; source = "x"; formula = "x"; cost_formula = "1 VJP"
    busy: float = 0.0
    fork_at: int = 0
    scale: float = 1.0

    def cost(self, layout):
        return Cost(vjps=1)

    def prepare_kernel(self, objective, *, executor=None):
        inner, calls = get_estimator("analytic").prepare_kernel(objective), [0]
        factor, nap = float(os.environ.get("FACTOR", "1")), float(os.environ.get("NAP", "0"))
        def kernel(leaves, rng):
            end = time.perf_counter() + self.busy * factor
            while time.perf_counter() < end:
                pass
            if nap:
                time.sleep(nap)
            calls[0] += 1
            if calls[0] == self.fork_at:
                os.fork()
            found = inner.call(leaves, rng)
            return KernelResult(found.value, tuple(self.scale * x for x in found.gradient))
        return PreparedKernel(kernel, "plug")
"""

SUITE = """
name = "appendix"
plugins = ["f.py"]
measure = {measure}
[budget]
starts = {starts}
repetitions = 3
minimum_samples = 3
minimum_seconds = 0.03
[[grid]]
backends = ["numpy"]
problems = [{{ name = "quadratic", label = "quad", fields = {{ size = 5 }} }}]
estimators = [{estimators}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "f.py").write_text(PLUGIN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, name: str, *roles: str, starts: int = 1, measure: str = '["time"]') -> Result:
    """Run the plug-in in roles, each "label: fields"; the run is kept in a folder of that name."""
    listed = ", ".join(
        f'{{ name = "f:F", label = "{label}", fields = {{ {fields} }} }}'
        for label, _, fields in (role.partition(": ") for role in roles)
    )
    (folder / f"{name}.toml").write_text(
        SUITE.format(starts=starts, estimators=listed, measure=measure), encoding="utf-8"
    )
    return CliRunner().invoke(main, ["bench", "run", f"{name}.toml", "--out", name])


def records(name: str) -> dict[str, Record]:
    return {record.cell.estimator.label: record for record in latest(read_records(Path(name))).values()}


def compared(before: str, after: str) -> tuple[int, dict[str, str]]:
    """Return the exit code of `bench compare`, and the verdict on each cell by the label of its estimator."""
    found = CliRunner().invoke(main, ["bench", "compare", before, after, "--json"])
    rows = json.loads(found.stdout)["times"]
    return found.exit_code, {row["title"].partition(" on ")[0]: row["verdict"] for row in rows}


def test_one_that_forks_loses_its_own_cell_and_moves_no_other(folder: Path) -> None:
    busy = {"B": 0.02, "C": 0.04, "D": 0.08}
    found = run(folder, "forks", "A: busy = 0.01, fork_at = 4", *(f"{k}: busy = {v}" for k, v in busy.items()))
    assert found.exit_code == 3, found.output
    after = records("forks")
    assert after["A"].outcome == "crashed"
    assert {after[label].outcome for label in (*busy, "null")} == {"ok"}
    for label, seconds in busy.items():
        timing = after[label].timing
        assert timing is not None
        assert min(timing.wall_seconds) >= seconds, "a time of another cell"


def test_one_that_forks_in_its_first_call_ends_no_sweep(folder: Path) -> None:
    run(folder, "forks", "A: fork_at = 1", "B: busy = 0.001")
    assert {label: record.outcome for label, record in records("forks").items()} == {
        "A": "crashed", "B": "ok", "null": "ok",
    }  # fmt: skip


def test_one_that_slows_down_or_waits_is_found_or_said_to_be_beyond_what_was_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The waiting one leaves its processor idle, which must not be taken for a machine that is disturbed."""
    for name, change in {"before": ("FACTOR", "1"), "tenfold": ("FACTOR", "10"), "asleep": ("NAP", "0.02")}.items():
        with monkeypatch.context() as within:
            within.setenv(*change)
            assert run(folder, name, "F: busy = 0.004", starts=4).exit_code == 0
        _rewrite(name, _let_every_round_count)
    timing = records("asleep")["F"].timing
    assert timing is not None
    assert timing.cpu_wall_ratio is not None
    assert timing.cpu_wall_ratio < DISTURBED_BELOW
    for after in ("tenfold", "asleep"):
        found, verdicts = compared("before", after)
        assert (found, verdicts["F"]) == (EXIT_WORSE, "slower"), after
    for name in ("before", "tenfold"):
        _rewrite(name, _keep_one_start)
    found, verdicts = compared("before", "tenfold")
    assert (found, verdicts["F"]) == (EXIT_UNJUDGED, "too few starts")


def test_one_that_is_twice_the_gradient_fails_the_run(folder: Path) -> None:
    found = run(folder, "wrong", "right: scale = 1.0", "double: scale = 2.0", measure='["accuracy"]')
    assert found.exit_code == EXIT_WRONG, found.output
    assert "1 judged wrong" in found.output
    kept = load("wrong")
    verdicts = {record.cell.estimator.label: kept.verdicts[record.key] for record in kept.records}
    assert verdicts["right"] == ("agrees", "")
    assert verdicts["double"] == ("wrong", "relative error 1")


def _let_every_round_count(timing: dict[str, Any]) -> None:
    """Take from a cell what it says of the machine: how busy that of the tests is, is not what is tested here."""
    timing["machine_shares"] = [1.0] * len(timing["rounds"])


def _keep_one_start(timing: dict[str, Any]) -> None:
    rounds = timing["starts"][0]
    samples = sum(timing["rounds"][:rounds])
    for name, count in (("starts", 1), ("rounds", rounds), ("machine_shares", rounds)):
        timing[name] = timing[name][:count]
    for name in ("wall_seconds", "cpu_seconds", "loops"):
        timing[name] = timing[name][:samples]


def _rewrite(name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the times of each record of a run."""
    path = Path(name) / RESULTS
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        change(line["timing"])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
