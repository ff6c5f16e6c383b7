"""compare never ends early, loses no finished cell, and measures what the worker of the harness measures."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest
from click.testing import CliRunner

import gradest
from gradest import Situation
from gradest.estimators import EvolutionStrategy, FiniteDifference
from gradest.measurement.comparison import CellResult, Compared, Comparison
from gradest.measurement.outcome import Outcome, outcome_of
from gradest.measurement.session import Bound, Session
from gradest.measurement.timing import Block, Timing
from gradest.problems.quadratic import Quadratic
from gradest_bench.command.compare_view import show_comparison
from gradest_bench.command.main import main
from gradest_bench.suite.cells import expand
from gradest_bench.suite.schema import parse_suite
from gradest_bench.worker.__main__ import Worker

QUADRATIC = gradest.get_problem("quadratic", size=3)


@dataclass(frozen=True, kw_only=True)
class Failing(EvolutionStrategy):
    """Raises at a stage: when it is prepared, at its n-th call, or when its error is predicted."""

    stage: str = "prepare"
    error: type[BaseException] = RuntimeError

    def prepare_kernel(self, objective: Any, *, executor: Any = None) -> Any:
        if self.stage == "prepare":
            raise self.error("boom")
        prepared = super().prepare_kernel(objective, executor=executor)
        calls = iter(range(10**9))

        def call(leaves: Any, rng: Any) -> Any:
            if self.stage.isdigit() and next(calls) >= int(self.stage):
                raise self.error("boom")
            return prepared.call(leaves, rng)

        return replace(prepared, call=call)

    def predict(self, at: Situation) -> Any:
        if self.stage == "predict":
            raise self.error("boom")
        return super().predict(at)


def of(results: list[CellResult]) -> Comparison:
    return Comparison(Compared("quadratic", repr(QUADRATIC), 3), tuple(results))


def compared(**estimators: Any) -> dict[str, CellResult]:
    found = gradest.compare(
        QUADRATIC, estimators=estimators, backends=("numpy",), dtypes=("float64",), replicates=4, budget_seconds=0.01
    )
    return {result.cell.estimator: result for result in found}


@pytest.mark.parametrize("stage", ["prepare", "0", "1", "3", "8"])
def test_an_estimator_that_raises_is_the_outcome_of_its_cell(stage: str) -> None:
    found = compared(reverse=gradest.get_estimator("reverse"), bad=Failing(stage=stage))
    assert found["reverse"].outcome is Outcome.OK
    assert found["reverse"].timing is not None
    assert (found["bad"].outcome, found["bad"].reason) == (Outcome.ERROR, "RuntimeError: boom")


def test_an_interruption_by_the_user_ends_it() -> None:
    with pytest.raises(KeyboardInterrupt):
        compared(bad=Failing(stage="1", error=KeyboardInterrupt))


@pytest.mark.parametrize(("error", "reason"), [(gradest.UnsupportedError, ""), (RuntimeError, "RuntimeError: boom")])
def test_a_prediction_that_fails_costs_the_cell_nothing_but_itself(error: type[Exception], reason: str) -> None:
    result = compared(bad=Failing(stage="predict", error=error))["bad"]
    assert result.outcome is Outcome.OK
    assert result.accuracy is not None
    assert result.replicates is not None
    assert result.timing is not None
    assert result.predicted is None
    assert reason in result.reason


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (gradest.MissingDependencyError("m"), Outcome.MISSING),
        (gradest.UnsupportedError("u"), Outcome.UNSUPPORTED),
        (gradest.InvalidEstimateError("i"), Outcome.INVALID),
        (MemoryError(), Outcome.OUT_OF_MEMORY),
        (RuntimeError("RESOURCE_EXHAUSTED: out of memory"), Outcome.OUT_OF_MEMORY),
        (ZeroDivisionError("z"), Outcome.ERROR),
    ],
)
def test_each_exception_has_its_outcome(error: Exception, outcome: Outcome) -> None:
    assert outcome_of(error)[0] is outcome
    assert outcome_of(error)[1]


def suite() -> str:
    return """
name = "one"
seeds = [0, 1, 2, 3]
[[grid]]
backends = ["numpy"]
dtypes = ["float64"]
problems = [{ name = "quadratic", fields = { size = 3 } }]
estimators = [{ name = "es", fields = { num_samples = 10 } }]
"""


def test_compare_and_the_worker_find_the_same() -> None:
    """Counts, path, errors to the last digit, prediction: the same session stands behind both."""
    (cell,) = [cell for cell in expand(parse_suite(suite())) if cell.estimator.name == "es"]
    worker = Worker()
    facts = worker.prepare(asdict_of(cell))
    judged = worker.accuracy(cell.key)
    result: Any = compared(es=gradest.get_estimator("es", num_samples=10))["es"]
    assert facts["counts"]["counted"] == asdict(result.cost)
    assert facts["path"] == result.path
    assert judged["replicates"] == asdict(result.replicates)
    assert judged["predicted"] == asdict(result.predicted)
    assert {**judged["single"], "blocks": judged["blocks"]} == asdict(result.accuracy)
    assert type(facts["timing"]) is dict
    assert set(facts["timing"]) == set(asdict(result.timing))


def asdict_of(cell: Any) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(cell)
    return found


class Tracing(FiniteDifference):
    """Evaluates the loss once more at its first call, as tracing does."""

    def prepare_kernel(self, objective: Any, *, executor: Any = None) -> Any:
        prepared = super().prepare_kernel(objective, executor=executor)
        value, calls = objective.prepare_value(), iter(range(10**9))

        def call(leaves: Any, rng: Any) -> Any:
            if next(calls) == 0:
                value(leaves)
            return prepared.call(leaves, rng)

        return replace(prepared, call=call)


def test_counts_are_of_the_second_call() -> None:
    estimator = Tracing()
    session = Session(estimator, Bound(QUADRATIC, backend="numpy"), seeds=(0,))
    assert session.counts.counted == session.counts.stated
    assert compared(tracing=estimator)["tracing"].cost == session.counts.stated


class Unbound(Quadratic):
    """Has a closed form that raises, so that no reference can be had."""

    def loss_and_gradient(self, ops: Any, params: Any, data: Any) -> Any:
        raise FloatingPointError("overflow in the closed form")


def test_a_problem_that_raises_is_the_outcome_of_its_cells() -> None:
    found = gradest.compare(
        Unbound(size=3), estimators=("reverse", "es"), backends=("numpy",), dtypes=("float64",), replicates=4
    )
    assert [(result.outcome, result.reason) for result in found] == [
        (Outcome.ERROR, "FloatingPointError: overflow in the closed form")
    ] * 2
    assert [result.stochastic for result in found] == [False, True]


def test_a_data_set_that_is_not_here_is_told_before_anything_is_measured() -> None:
    steps: list[Any] = []

    class Elsewhere(Quadratic):
        def parameters(self) -> Any:
            raise gradest.DatasetError("data set 'elsewhere' is not on this machine")

    with pytest.raises(gradest.DatasetError, match="elsewhere"):
        gradest.compare(Elsewhere(), estimators=["reverse"], progress=lambda *step: steps.append(step))
    assert steps == []


def test_a_backend_that_nobody_knows_is_a_mistake_of_the_call() -> None:
    with pytest.raises(gradest.UnknownNameError, match="did you mean 'numpy'"):
        gradest.compare(QUADRATIC, estimators=("reverse",), backends=("nunpy",))


@pytest.mark.parametrize("replicates", [0, 1])
def test_scatter_asks_for_two_replicates(replicates: int) -> None:
    where: dict[str, Any] = {"backends": ("numpy",), "dtypes": ("float64",), "budget_seconds": 0.01}
    with pytest.raises(gradest.InvalidInputError, match=f"'es' asks for at least 2 replicates; found {replicates}"):
        gradest.compare(QUADRATIC, estimators=("reverse", "es"), replicates=replicates, **where)
    (result,) = gradest.compare(QUADRATIC, estimators=("reverse",), replicates=replicates, **where)
    assert result.outcome is Outcome.OK


def test_the_legend_says_for_which_losses_theory_is_exact_and_what_bias_it_leaves_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from rich.console import Console

    names = ("es", "spsa", "forward-gradient", "es-sign", "es-forward", "reverse")
    found = compared(**{name: gradest.get_estimator(name) for name in names})
    show_comparison(Console(width=250), of(list(found.values())))
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Theory of")]
    assert printed == [
        "Theory of es, spsa: exact for quadratic f; a bias of order sigma^2.",
        "Theory of forward-gradient: exact for any differentiable f; no bias.",
        "Theory of es-sign: exact for quadratic f; a bias that stays as sigma vanishes.",
        "Theory of es-forward: exact for linear f; a bias of order sigma^2.",
    ]


def disturbed_result() -> CellResult:
    result = compared(reverse=gradest.get_estimator("reverse"))["reverse"]
    block = Block(wall_seconds=(1.0, 1.0), cpu_seconds=(0.1, 0.1), loops=1, value_seconds=0.5)
    timing = Timing(preparation_seconds=0.0, first_call_seconds=1.0).with_blocks([block], on_processor=True)
    return replace(result, timing=timing)


def test_a_table_without_a_number_explains_none() -> None:
    found = gradest.compare(Unbound(size=3), estimators=("reverse",), backends=("numpy",), dtypes=("float64",))
    assert "FloatingPointError" in str(found)
    assert "uncertainty" not in str(found)


def test_a_disturbed_time_is_marked_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    result = disturbed_result()
    show_comparison(Console(width=250), of([result]))
    printed = capsys.readouterr().out
    assert "1 s~" in printed
    assert "~ the machine was doing something else" in printed
    quiet = replace(result, timing=replace(result.timing, disturbed=False))  # type: ignore[type-var]  # there is one
    show_comparison(Console(width=250), of([quiet]))
    assert "~" not in capsys.readouterr().out


def test_the_command_ends_in_one_where_an_estimator_failed_and_shows_the_others() -> None:
    options = ["compare", "--problem", "quadratic", "--backends", "numpy", "--dtypes", "float64", "--budget", "0.01"]
    result = CliRunner().invoke(main, [*options, "--estimators", f"reverse,{__file__}:Failing"])
    assert result.exit_code == 1
    assert "RuntimeError: boom" in result.output
    assert Outcome.ERROR.wording in result.output
    assert "reverse" in result.output


def test_units_of_a_loss_are_nan_where_nothing_was_timed() -> None:
    assert math.isnan(replace(disturbed_result(), timing=None).loss_units)
