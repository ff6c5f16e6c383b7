"""Two sides are measured beside each other: in the same starts and rounds, each its own code, judged by pairs."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.bench_runs import TESTS, faulty_suite

from gradest_bench.command.main import main
from gradest_bench.report.run_comparison_words import comparison_sentences
from gradest_bench.results.accuracy_change import AccuracyChange
from gradest_bench.results.loading import load
from gradest_bench.results.run_comparison import (
    EXIT_DISTURBED,
    EXIT_UNJUDGED,
    EXIT_WORSE,
    RunComparison,
    TimeChange,
    compare_variants,
)
from gradest_bench.results.significance import Ratio
from gradest_bench.run.schedule import GROUP_CELLS, PlannedCell, groups, rounds
from gradest_bench.suite.cells import expand
from gradest_bench.suite.schema import parse_suite
from gradest_bench.worker.launch import Launch

ROOT = TESTS.parent
BUDGET = "[budget]\nminimum_seconds = 0.01\n"
SUITE = faulty_suite("none", budget=BUDGET)
CELLS = [
    cell.for_worker(f"numpy:{side}")
    for cell in expand(parse_suite(faulty_suite(*map(str, range(GROUP_CELLS + 5)), budget=BUDGET)))
    for side in "ab"
]


def test_what_differs_in_its_worker_alone_is_timed_one_after_the_other() -> None:
    for _, cells in rounds(CELLS, seed=3):
        pairs = list(zip(cells[::2], cells[1::2], strict=True))
        assert all(a.shared_key == b.shared_key and a.worker != b.worker for a, b in pairs)
        assert len({a.worker for a, _ in pairs}) == 2, "one side is always the first"


def test_no_pair_is_parted_by_the_size_of_a_group() -> None:
    facts = {"num_parameters": 3, "data_entries": 0, "evaluations": 1}
    for group in groups([PlannedCell(cell, "", facts) for cell in CELLS], seed=0):
        workers: dict[str, set[str]] = {}
        for plan in group:
            workers.setdefault(plan.cell.shared_key, set()).add(plan.cell.worker)
        assert all(len(found) == 2 for found in workers.values())
        assert len(group) <= GROUP_CELLS


def test_a_worker_of_a_checkout_imports_its_code_alone(tmp_path: Path) -> None:
    launch = Launch(pythons={}, logs=tmp_path, checkouts={"numpy:b": tmp_path})
    roots = {worker: launch.environment(worker)["PYTHONPATH"].split(":") for worker in ("numpy:a", "numpy:b")}
    assert roots["numpy:b"][0].rstrip("/") == str(tmp_path)
    assert str(tmp_path) not in roots["numpy:a"]


@pytest.mark.parametrize("option", ["--a", "--b"])
def test_a_side_that_is_nowhere_is_told_by_its_option(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(main, ["bench", "compare-now", "quick", "--backends", "numpy", option, "no/such"])
    assert found.exit_code == 2
    assert f"{option} asks for the interpreter 'no/such'" in found.output
    assert not list(Path("results").iterdir())


_BUSY = """        import time
        end = time.perf_counter() + 2e-3
        while time.perf_counter() < end:
            pass
"""


@pytest.fixture
def slower(tmp_path: Path) -> Path:
    """A checkout in which the closed form of the quadratic takes two milliseconds more."""
    folder = tmp_path / "slower"
    for name in ("gradest", "backends", "benchmarks/gradest_bench"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "gradest" / "problems" / "quadratic.py"
    text = file.read_text(encoding="utf-8")
    first_line = '        x = params["x"]\n        image = ops.matmul(data["H"], x)\n        return ops.sum(x'
    assert text.count(first_line) == 1
    file.write_text(text.replace(first_line, _BUSY + first_line), encoding="utf-8")
    return folder


def test_a_slower_checkout_is_told_from_this_one(slower: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    estimator = 'name = "support.bench_faults:Faulty", label = "{fault}", vary = { fault = ["none"] }'
    assert estimator in SUITE
    Path("s.toml").write_text(SUITE.replace(estimator, 'name = "analytic", label = "a"'), encoding="utf-8")
    command = ["bench", "compare-now", "s.toml", "--b", str(slower), "--starts", "6", "--out", "run", "--json"]
    # Strict: of two cells one is slower by far, and where a busy machine leaves that one unjudged, that is told too.
    found = CliRunner().invoke(main, [*command, "--strict"])
    assert found.exit_code in (EXIT_WORSE, EXIT_UNJUDGED, EXIT_DISTURBED), found.output
    kept = load(Path("run"))
    assert {record.cell.worker for record in kept.records} == {"numpy:a", "numpy:b"}
    for record in kept.records:  # how busy the machine of the tests is, is not what is tested here
        assert record.timing is not None, record.reason
        record.timing.machine_shares[:] = [1.0] * len(record.timing.machine_shares)
    verdicts = {change.title: change.verdict for change in compare_variants(kept, "a", "b").times}
    assert verdicts["a on numpy float64, quadratic"] == "slower"
    assert json.loads(found.stdout)["times"][0]["starts"] <= 6


@pytest.mark.parametrize(
    ("times", "errors", "only_before", "codes"),
    [
        (["no change"], ["same"], 0, (0, 0)),
        (["no change"], ["same"], 1, (0, 3)),  # a cell that is gone was no failure, however strict
        (["no change"], ["same", "cannot tell"], 0, (0, 3)),
        ([], ["cannot tell"], 0, (3, 3)),  # nothing was judged, and that was a success
        ([], ["same", "cannot tell"], 0, (0, 3)),
        (["slower"], ["same"], 1, (1, 1)),
    ],
)
def test_a_strict_comparison_has_told_all_there_was(
    times: list[str], errors: list[str], only_before: int, codes: tuple[int, int]
) -> None:
    span = {"no change": (0.99, 1.01), "slower": (1.9, 2.1)}
    found = RunComparison(
        times=tuple(TimeChange("cell", 7, Ratio(sum(span[word]) / 2, *span[word]), 1.0) for word in times),
        accuracies=tuple(AccuracyChange("cell", "relative MSE", 1.0, 1.0, word) for word in errors),
        outcomes=(),
        only_before=only_before,
        only_after=3,  # what is new has nothing to be judged by
        versions=(),
    )
    assert (found.exit_code(), found.exit_code(strict=True)) == codes


def test_what_was_measured_beside_each_other_hopes_for_no_like_minutes() -> None:
    few = (TimeChange("cell", 1, None, 1.0),)
    apart, paired = (
        " ".join(comparison_sentences(RunComparison(few, (), (), 0, 0, (), paired=each))) for each in (False, True)
    )
    assert "if the machine was alike" in apart
    assert "if the machine was alike" not in paired
    assert "gradest bench run SUITE --repeat" in apart
    assert "gradest bench compare-now SUITE --starts" in paired
