"""Cells that are trained: the grid, the best step, a curve for each seed; kept, resumed, exported, drawn and told."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

import gradest
from gradest.training import Budget, GradientDescent, Weights
from gradest_bench.command.main import main
from gradest_bench.report.curves import curve, grid
from gradest_bench.report.figures import figures_of
from gradest_bench.report.figures_training import training_curves
from gradest_bench.report.page import report_html
from gradest_bench.results.integrity import DamagedError, require_sound
from gradest_bench.results.loading import Run, flat_row, load
from gradest_bench.results.records import Record, number
from gradest_bench.results.seed_ends import ends, lost, mean_end
from gradest_bench.suite.cells import expand
from gradest_bench.suite.scaling import scaled
from gradest_bench.suite.schema import parse_suite

SUITE = """
name = "trained"
measure = ["training"]
seeds = [0, 1, 2]

[training]
optimizer = "gradient-descent"
step_sizes = [0.001, 0.1, 100.0]
losses = 120
logs = 6

[[grid]]
backends = ["numpy"]
problems = [{ name = "quadratic", label = "bowl", fields = { size = 4, condition = 3.0 } }]
estimators = [{ name = "reverse", label = "reverse" }, { name = "spsa", label = "spsa", fields = { num_samples = 1 } }]

[[grid]]
backends = ["numpy"]
problems = [{ name = "quadratic", label = "steep", fields = { size = 4, condition = 1e9 } }]
estimators = [{ name = "es-vanilla", label = "vanilla", fields = { num_samples = 2, sigma = 1e-9 } }]
expect = ["invalid"]
"""
PROBLEM = {"size": 4, "condition": 3.0}


def command(*words: object) -> Result:
    return CliRunner().invoke(main, ["bench", *map(str, words)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("trained")
    (where / "s.toml").write_text(SUITE, encoding="utf-8")
    found = command("run", where / "s.toml", "--out", where / "run")
    assert found.exit_code == 0, found.output
    return where / "run"


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return load(folder)


def record_of(run: Run, label: str) -> Record:
    return next(record for record in run.records if record.cell.estimator.label == label)


@pytest.mark.parametrize("label", ["reverse", "spsa"])
def test_a_seeds_curve_is_that_of_train_by_itself(run: Run, label: str) -> None:
    found = record_of(run, label)
    estimator = gradest.get_estimator("spsa", num_samples=1) if label == "spsa" else gradest.get_estimator("reverse")
    for kept in found.training["curves"]:
        alone = gradest.train(
            gradest.get_problem("quadratic", **PROBLEM),
            estimator,
            GradientDescent(step_size=found.training["step_size"]),
            budget=Budget(losses=120),
            weights=Weights(jvp=2.0, vjp=3.0),
            seed=kept["seed"],
        )
        assert number(kept["loss"][-1]) == alone.records[-1].loss
        assert kept["steps"][-1] == alone.records[-1].step == (40 if label == "reverse" else 60)
        assert kept["losses"][-1] == 120.0


def test_the_step_size_is_the_one_whose_loss_ends_lowest(run: Run) -> None:
    for label in ("reverse", "spsa"):
        found = record_of(run, label)
        losses = dict(grid(found))
        assert list(losses) == [0.001, 0.1, 100.0]
        assert math.isinf(losses[100.0])
        assert losses[0.1] < losses[0.001]
        assert found.training["step_size"] == 0.1
        assert not lost(found)


def test_the_limit_of_noise_is_that_of_its_formula(run: Run) -> None:
    # Of N random directions without bias, 2N/tr(H); H has its trace as data of the problem.
    limit = record_of(run, "spsa").training["limit"]
    hessian = gradest.get_problem("quadratic", **PROBLEM).data()["H"]
    exact = 2 * 4 / (3 * hessian.trace())  # relative MSE of SPSA with one pair is P - 1
    assert number(limit["limit"]) == pytest.approx(exact, rel=0.3)  # the trace by 32 signs: 30 % are seven errors
    assert record_of(run, "reverse").training["limit"] is None


def test_where_every_step_size_diverges_the_cell_says_when(run: Run) -> None:
    found = record_of(run, "vanilla")
    assert found.outcome == "invalid"
    assert "diverged at every step size (0.001: " in found.reason
    assert "became NaN or infinite" in found.reason


def test_figures_hold_what_records_do(run: Run) -> None:
    figures = {figure.key: figure for figure in figures_of(run)}
    assert [key for key in figures if "bowl" in key] == [
        f"training-{what}-bowl-float64" for what in ("loss-losses", "loss-steps", "loss-seconds", "step")
    ]
    for series in figures["training-loss-losses-bowl-float64"].series:
        found = ends(record_of(run, series.name), "loss")
        last = series.points[-1]
        assert (last.low, last.y, last.high) == pytest.approx((min(found), sum(found) / 3, max(found)), rel=1e-12)
        assert last.x == 120
    by_step = figures["training-step-bowl-float64"]
    assert {point.x for series in by_step.series for point in series.points} == {0.001, 0.1}
    assert "Lost, and not drawn: reverse (numpy) at 100; spsa (numpy) at 100." in by_step.sentence
    page = report_html(run)
    assert 'data-name="training"' in page
    assert by_step.title in page


def test_no_number_of_a_lost_seed_is_averaged_away(run: Run) -> None:
    found = json.loads(json.dumps(record_of(run, "spsa").training))
    whole = Record(key="", identity="", suite="", cell=record_of(run, "spsa").cell, outcome="ok", training=found)
    before = curve(whole, "losses", "loss")
    found["curves"][1]["loss"][3] = "nan"
    assert curve(whole, "losses", "loss") == before[:3]
    found["curves"][1]["loss"][-1] = 1e6
    assert lost(whole) == ["seed 1: the loss rose to 1e+06"]
    found["curves"][1]["loss"][-1], found["curves"][1]["ended"] = 0.5, "the loss became NaN or infinite at step 3"
    row = flat_row(whole, ("-", ""))
    assert (mean_end(whole, "loss"), row["training_loss"], row["training_seeds_lost"]) == (math.inf, math.inf, 1)
    assert row["training_held_out_loss"] is None


def test_a_held_out_loss_that_is_nan_is_not_the_lowest(run: Run) -> None:
    """The figure said that it ends lowest, at nan, where its record was the first; NaN is less than nothing."""
    records = []
    for label, end in (("reverse", "nan"), ("spsa", 0.5)):
        record = record_of(run, label)
        training = json.loads(json.dumps(record.training))
        for curve_of in training["curves"]:
            curve_of["held_out_loss"] = [end] * len(curve_of["loss"])
        records.append(msgspec.structs.replace(record, training=training))
    (figure,) = (found for found in training_curves(records) if found.key.startswith("training-held_out_loss"))
    assert figure.sentence.startswith("spsa (numpy) ends lowest, at 0.5 to 0.5 over seeds; no seed of another")


def test_a_resume_trains_nothing_again(folder: Path, run: Run) -> None:
    again = command("run", folder.parent / "s.toml", "--out", folder, "--resume")
    assert again.exit_code == 0, again.output
    assert [record.finished for record in load(folder).records] == [record.finished for record in run.records]


def test_curves_are_not_compared_and_that_is_no_success(folder: Path) -> None:
    found = command("compare", folder, folder)
    assert found.exit_code == 3
    assert "training: 2 cells; curves are not compared" in found.output


def test_rows_tell_how_training_ended(run: Run) -> None:
    found = record_of(run, "spsa")
    row = flat_row(found, run.verdicts[found.key])
    assert row["training_step_size"] == 0.1
    assert row["training_loss"] == sum(ends(found, "loss")) / 3
    assert (row["training_steps"], row["training_losses"], row["training_seeds"]) == (60, 120, 3)


def test_how_it_is_trained_is_part_of_what_is_asked_and_is_scaled_by_the_budget() -> None:
    suite = parse_suite(SUITE)
    half = scaled(suite, 0.5)
    assert half.training is not None
    assert (half.training.losses, half.seeds) == (60, [0, 1, 2])
    assert {cell.key for cell in expand(suite)}.isdisjoint(cell.key for cell in expand(half))
    without = parse_suite(SUITE.replace('measure = ["training"]', 'measure = ["accuracy"]'))
    assert all(cell.training is None for cell in expand(without))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[training]", "[budget]", "budget.optimizer"),
        ("losses = 120", "losses = 0", "training.losses"),
        ("losses = 120", "loses = 120", "did you mean 'losses'"),
        ("step_sizes = [0.001, 0.1, 100.0]", "step_sizes = []", "training.step_sizes"),
    ],
)
def test_what_is_no_training_is_refused_with_its_field(old: str, new: str, words: str) -> None:
    with pytest.raises(gradest.InvalidInputError, match=words.replace("'", ".")):
        parse_suite(SUITE.replace(old, new))


def test_training_without_its_table_is_refused_with_what_it_needs() -> None:
    text = SUITE[: SUITE.index("[training]")] + SUITE[SUITE.index("[[grid]]") :]
    with pytest.raises(gradest.InvalidInputError, match=r"no table \[training\]"):
        parse_suite(text)


def _shortened(training: dict[str, Any]) -> None:
    training["curves"][0]["loss"].pop()


def _unreadable(training: dict[str, Any]) -> None:
    training["grid"][0]["loss"][0] = "high"


def _emptied(training: dict[str, Any]) -> None:
    training["curves"], training["grid"] = [], []


def _unended(training: dict[str, Any]) -> None:
    del training["curves"][0]["ended"]


def _unsized(training: dict[str, Any]) -> None:
    training["grid"][0]["step_size"] = "0.1"


@pytest.mark.parametrize("damage", [_shortened, _unreadable, _emptied, _unended, _unsized])
def test_a_damaged_curve_is_told(run: Run, damage: Any) -> None:
    record = record_of(run, "spsa")
    training = json.loads(json.dumps(record.training))
    require_sound(record)
    damage(training)
    broken = Record(
        key="", identity="", suite="", cell=record.cell, outcome="ok", facts=record.facts, training=training
    )
    with pytest.raises(DamagedError, match="training"):
        require_sound(broken)
