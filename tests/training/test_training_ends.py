"""How runs end: what is not finite, and where; patience that is spent; batches that are used up."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import NonFiniteWarning
from gradest.testing.plain_estimators import PlainEvolution
from gradest.training import Budget, GradientDescent, TrainingState, Weights

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", f"ignore::gradest.{NonFiniteWarning.__name__}")
X = np.array([[1.0, 2.0], [0.0, 1.0], [3.0, -1.0], [1.0, 1.0]])
Y = np.array([1.0, 2.0, 0.0, 1.0])


def run(
    f: Any, start: Any, estimator: Any = "reverse", optimizer: Any = "sgd", *, args: Any = (), **options: Any
) -> Any:
    given = {"budget": Budget(steps=4), "weights": Weights(jvp=2.0, vjp=3.0), **options}
    return gradest.train(gradest.Case(f, np.array(start), args), estimator, optimizer, **given)


def squares(w: Any, x: Any, y: Any) -> Any:
    return ((x @ w - y) ** 2).mean()


@pytest.mark.parametrize(
    ("estimator", "optimizer"),
    [("reverse", "sgd"), ("fd-central", "adam"), ("es", "sgd"), (None, "iterative-refinement")],
)
def test_a_loss_that_is_nan_at_the_start_is_told_of_the_start(estimator: Any, optimizer: str) -> None:
    """It was said to have become NaN at step 1, a step that was never made."""
    found = run(lambda w: np.nan * (w * w).sum(), [1.0, 2.0], estimator, optimizer)
    assert found.ended.startswith("the loss is NaN or infinite at the starting point, before any step")
    assert found.diverged
    assert found.state.step == 0


def test_a_gradient_that_is_infinite_at_the_start_is_told_beside_the_loss() -> None:
    found = run(lambda w: np.sqrt(w).sum(), [0.0, 0.0])
    assert "the gradient by 'params' is NaN or infinite at the starting point, where the loss is 0;" in found.ended
    assert found.diverged
    first = run(lambda w, x: ((w - x) ** 2).sum(), [1.0], batches=lambda k: (np.array([np.nan]),), args=(np.ones(1),))
    assert "at the starting point on the first batch" in first.ended


def test_what_becomes_infinite_later_is_told_of_its_step() -> None:
    later = run(lambda w: np.sqrt(w).sum(), [1e-3, 1e-3], budget=Budget(steps=9))
    assert later.ended == "the loss became NaN or infinite at step 2; the parameters are those before it"
    last = run(lambda w: (w * w).sum(), [1.0], "reverse", GradientDescent(step_size=1e300), budget=Budget(steps=1))
    assert last.ended == "1 steps were made"
    assert last.diverged  # its last loss is infinite, as the log says
    assert not run(lambda w: (w * w).sum(), [1.0]).diverged


def test_a_run_that_ended_by_patience_does_not_go_on_by_itself() -> None:
    """It made steps to the next log each time that it was resumed; with more patience it does go on."""
    problem = gradest.get_problem("mlp", dataset="iris", widths=(4,), batch=None)
    given: dict[str, Any] = {"budget": Budget(epochs=60), "batch_size": 40, "weights": Weights(jvp=2.0, vjp=3.0)}
    whole = gradest.train(problem, "reverse", GradientDescent(step_size=8.0), patience=2, **given)
    assert "at 2 logs" in whole.ended
    kept = TrainingState.from_bytes(whole.state.to_bytes())
    again = gradest.train(problem, "reverse", GradientDescent(step_size=8.0), patience=2, state=kept, **given)
    assert (again.ended, again.state.step, again.records) == (whole.ended, whole.state.step, whole.records)
    further = gradest.train(problem, "reverse", GradientDescent(step_size=8.0), patience=9, state=kept, **given)
    assert further.state.step > whole.state.step


def test_a_state_of_parameters_in_another_order_is_not_read_into_them() -> None:
    """Its arrays have no names, and equal shapes: those of a dict with sorted keys were swapped without a word."""

    def loss(p: Any) -> Any:
        return (p["z"] ** 2).sum() + (p["a"] ** 3).sum()

    params = {"z": np.ones(2), "a": np.full(2, 5.0)}
    state = gradest.train(gradest.Case(loss, params), "reverse", budget=Budget(steps=1)).state
    kept = gradest.training.parameters_of(state, gradest.Case(loss, params))
    assert kept["z"].tolist() == [0.8, 0.8]
    with pytest.raises(gradest.InvalidInputError, match=r"names=\('a', 'z'\).*in the same order"):
        gradest.training.parameters_of(state, gradest.Case(loss, dict(sorted(params.items()))))


class Bowl(gradest.Problem):
    """A problem that is no dataclass, as the shortest ones are."""

    name = "bowl"

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def parameters(self) -> Any:
        return {"x": np.array([1.0, 2.0])}

    def loss(self, ops: Any, params: Any, data: Any) -> Any:
        return self.factor * ops.sum(params["x"] * params["x"], axis=-1)


def test_a_run_goes_on_with_a_problem_that_is_made_again() -> None:
    """By its address in memory, which its repr had, it was another problem in the next process."""
    state = gradest.train(Bowl(), "reverse", budget=Budget(steps=2)).state
    again = gradest.train(Bowl(), "reverse", budget=Budget(steps=4), state=state)
    assert again.params["x"] == pytest.approx(0.8**4 * np.array([1.0, 2.0]))
    with pytest.raises(gradest.InvalidInputError, match=r"asked Bowl\(factor=2.0\).*found Bowl\(factor=1.0\)"):
        gradest.train(Bowl(2.0), "reverse", budget=Budget(steps=4), state=state)


def test_an_estimator_is_given_a_seed_of_its_contract() -> None:
    """Its `rng` is an int, a SeedSequence, a Generator or None; it was a list, which the plain ones do not take."""
    found = gradest.train(Bowl(), PlainEvolution(num_samples=5), budget=Budget(steps=8), quality_every=4, log_every=4)
    assert found.records[-1].loss < found.records[0].loss
    assert [record.quality is not None for record in found.records] == [True] * 3
    assert found.records[-1].params_norm == gradest.train(
        Bowl(), PlainEvolution(num_samples=5), budget=Budget(steps=8)
    ).records[-1].params_norm  # fmt: skip


def test_the_quality_of_the_last_step_needs_no_batch_that_is_not_there() -> None:
    """A run over an iterator ended in an error at its last log, and what was trained was lost."""
    found = run(squares, [0.0, 0.0], "spsa", args=(X, Y), batches=iter([(X, Y)] * 4), quality_every=2, log_every=2)
    assert found.state.step == 4
    assert [record.quality is not None for record in found.records] == [True, True, False]


def test_quality_is_measured_at_the_next_log_where_logs_fall_elsewhere() -> None:
    """Every 20 steps with logs at multiples of 29 it was measured at the start alone: 20 and 29 have no such factor."""
    found = run(squares, [0.0, 0.0], "spsa", args=(X, Y), budget=Budget(steps=70), log_every=29, quality_every=20,
                quality_replicates=2)  # fmt: skip
    assert [(record.step, record.quality is not None) for record in found.records] == [
        (0, True), (29, True), (58, True), (70, True)
    ]  # fmt: skip
    rare = run(squares, [0.0, 0.0], "spsa", args=(X, Y), budget=Budget(steps=40), log_every=10, quality_every=25,
               quality_replicates=2)  # fmt: skip
    assert [record.step for record in rare.records if record.quality is not None] == [0, 30]


@pytest.mark.parametrize("limits", [{"losses": 50.0}, {"evaluations": 50}, {"cost": gradest.Cost(values=50)}])
def test_limits_on_evaluations_do_not_end_what_takes_none(limits: Any) -> None:
    """Training under the null estimator went on without end."""
    with pytest.raises(gradest.UnsupportedError, match=r"takes none: training would never end; give Budget\(steps"):
        run(lambda w: (w * w).sum(), [1.0, 2.0], "null", budget=Budget(**limits))
    found = run(lambda w: (w * w).sum(), [1.0, 2.0], "null", budget=Budget(**limits, steps=3))
    assert found.ended == "3 steps were made"


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_squares_beyond_the_range_of_a_dtype_end_a_run(backend: str) -> None:
    """Adam divided by their root: every step was 0, and the run went on to its end without having moved."""
    start = np.zeros(2, dtype=np.float32)
    at = start if backend == "numpy" else import_module("torch").tensor(start)
    steep = gradest.Case(lambda p: ((p - 1.0) ** 2 * 1e15).sum() * 1e10, at)
    found = gradest.train(steep, "reverse", "adam", budget=Budget(steps=3), weights=Weights(jvp=2.0, vjp=3.0))
    assert found.diverged
    assert found.state.step == 0
    assert (
        "what Adam remembers of 'params' became NaN or infinite at step 1, beyond the range of float32" in found.ended
    )


@pytest.mark.parametrize("estimator", ["reverse", PlainEvolution(num_samples=3)], ids=["reverse", "es"])
def test_a_loss_that_becomes_nan_ends_a_run_whose_quality_is_measured(estimator: Any) -> None:
    """The reference gradient was refused there, and the error ended the run with all of its log."""
    given = {"log_every": 1, "quality_every": 1, "quality_replicates": 2}
    found = run(lambda w: np.sqrt(w).sum(), [1.0, 1.0], estimator, GradientDescent(step_size=9.0), **given)
    assert found.ended.endswith("became NaN or infinite at step 2; the parameters are those before it")
    first, last = (record.quality for record in (found.records[0], found.records[-1]))
    assert first is not None
    assert last is not None
    assert np.isfinite(first.relative_mse)
    assert np.isnan(last.relative_mse)
    assert last.reference.startswith("none: a loss was asked for that is finite")


def test_what_was_watched_before_is_not_returned_where_it_is_no_longer_watched() -> None:
    """A run that went on without patience, or with data held out, returned parameters of the least loss before that."""
    first = run(squares, [0.0, 0.0], args=(X, Y), patience=9, log_every=1)
    assert (first.watched, first.returned_step) == ("training loss", 4)
    whole: dict[str, Any] = {"args": (X, Y), "log_every": 1, "budget": Budget(steps=8)}
    last = run(squares, [0.0, 0.0], state=first.state, **whole)
    assert (last.watched, last.returned_step) == (None, 8)
    assert squares(last.params, X, Y) == last.records[-1].loss < first.records[-1].loss
    other = run(squares, [0.0, 0.0], state=first.state, patience=2, held_out=(X, Y + 9.0), **whole)
    held_out = {record.step: record.held_out_loss for record in other.records[5:]}
    assert other.watched == "held-out loss"
    assert held_out[other.returned_step] == min(held_out.values()) == other.state.best_loss


def test_weights_that_are_not_those_of_the_state_are_refused() -> None:
    """They were left out without a word: what a run costs is one sum, by one price."""
    first = run(squares, [0.0, 0.0], args=(X, Y))
    with pytest.raises(gradest.InvalidInputError, match=r"1 VJP = 5 losses.*1 VJP = 3 losses.*leave weights away"):
        run(squares, [0.0, 0.0], args=(X, Y), state=first.state, weights=Weights(jvp=2.0, vjp=5.0))
    assert run(squares, [0.0, 0.0], args=(X, Y), state=first.state, weights=None).weights == first.weights


def test_a_run_that_goes_on_within_a_smaller_budget_says_what_it_has_made() -> None:
    """It said that 2 steps were made, where 4 were."""
    first = run(squares, [0.0, 0.0], args=(X, Y))
    again = run(squares, [0.0, 0.0], args=(X, Y), state=first.state, budget=Budget(steps=2))
    assert (again.state.step, again.ended) == (4, "4 steps were made")
