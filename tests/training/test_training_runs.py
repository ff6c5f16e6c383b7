"""Runs of training: the same on every backend, the same when resumed, ended by what they say, logged as stated."""

import warnings
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from support.plain_residual_feedback import PlainResidualFeedback

import gradest
from gradest import Cost, InvalidInputError, InvalidTypeError, NonFiniteWarning, UnsupportedError
from gradest.training import Budget, GradientDescent, TrainingState, Weights, step_limit
from gradest.training.budget import measured_weights

WEIGHTS = Weights(jvp=2.0, vjp=3.0)
IRIS = gradest.get_problem("mlp", dataset="iris", widths=(4,), batch=None)
HELD_OUT = gradest.get_problem("mlp", dataset="iris", widths=(4,), batch=60)
OTHER = gradest.get_problem("mlp", dataset="iris", widths=(3,))
BACKENDS = [name for name in ("numpy", "jax", "torch", "mxnet") if find_spec(name)]


def run(
    estimator: Any = "reverse", optimizer: Any = "sgd", *, f: Any = IRIS, **options: Any
) -> gradest.training.Training:
    given = {"budget": Budget(epochs=2), "batch_size": 40, "held_out": HELD_OUT, "weights": WEIGHTS, **options}
    return gradest.train(f, estimator, optimizer, **given)


def losses(found: gradest.training.Training) -> list[float]:
    return [number for each in found.records for number in (each.loss, each.held_out_loss or 0.0)]


@pytest.mark.parametrize(
    ("estimator", "optimizer"), [("reverse", "adam"), ("es", "heavy-ball"), (None, "random-search")]
)
def test_the_same_run_gives_the_same_curve_on_every_backend(estimator: str | None, optimizer: str) -> None:
    given = gradest.get_estimator("es", num_samples=5) if estimator == "es" else estimator
    curves = {backend: run(given, optimizer, backend=backend) for backend in BACKENDS}
    for found in curves.values():
        np.testing.assert_allclose(losses(found), losses(curves["numpy"]), rtol=1e-11)
        for each, other in zip(found.records, curves["numpy"].records, strict=True):
            assert each.metrics == pytest.approx(other.metrics, rel=1e-14)
    first = curves["numpy"].records
    assert first[-1].loss != first[0].loss
    assert losses(run(given, optimizer, seed=1))[2:] != losses(curves["numpy"])[2:]


RESUMED: list[tuple[str, Any, str]] = [
    ("numpy", "reverse", "adam"),
    ("torch", "reverse", "adam"),
    ("torch", gradest.get_estimator("es", num_samples=3), "heavy-ball"),
    ("numpy", PlainResidualFeedback(), "sgd"),
    ("numpy", None, "iterative-refinement"),
]


@pytest.mark.parametrize(("backend", "estimator", "optimizer"), RESUMED, ids=lambda x: getattr(x, "name", str(x)))
def test_a_run_that_goes_on_from_bytes_is_the_run_that_was_not_stopped(
    backend: str, estimator: Any, optimizer: str
) -> None:
    states: list[bytes] = []
    kept = {"backend": backend, "budget": Budget(steps=9), "log_every": 2, "quality_every": 4, "quality_replicates": 3}
    whole = run(estimator, optimizer, on_state=lambda state: states.append(state.to_bytes()), patience=50, **kept)
    for content in (states[0], states[2]):
        again = run(estimator, optimizer, state=TrainingState.from_bytes(content), patience=50, **kept)
        assert untimed(again.state) == untimed(whole.state)
        for name, array in whole.params.items():
            assert np.array_equal(np.asarray(array), np.asarray(again.params[name]))


def untimed(state: TrainingState) -> bytes:
    records = tuple(replace(record, seconds=0.0) for record in state.records)
    return replace(state, seconds=0.0, records=records).to_bytes()


def test_a_state_of_another_run_and_what_is_none_are_refused() -> None:
    state = run().state
    with pytest.raises(InvalidInputError, match=r"of another: asked Analytic\(\), found Reverse\([^;]*; ask for"):
        run("analytic", state=state)
    with pytest.raises(InvalidInputError, match="of no such"):
        TrainingState.from_bytes(state.to_bytes()[:100])


def test_vanilla_evolution_search_diverges_and_says_when() -> None:
    """Its estimate is the loss times noise over sigma: relative MSE of 1e6, so that a step of 0.1 is far too long."""
    vanilla = gradest.get_estimator("es-vanilla", num_samples=10, sigma=1e-4)
    problem = gradest.get_problem("mlp", dataset="iris", widths=(4,), batch=None, activation="requ")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonFiniteWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, of the overflow that is looked for
        found = run(vanilla, GradientDescent(step_size=1.0), f=problem, budget=Budget(epochs=50), held_out=None)
    assert "became NaN or infinite at step" in found.ended
    assert found.state.step == int(found.ended.split("at step ")[1].split(";")[0]) - 1
    assert all(np.isfinite(block).all() for block in found.params.values())
    limit = step_limit(gradest.bind(problem), vanilla)
    assert limit is not None
    assert limit.limit < 1e-3


BUDGETS: list[tuple[Any, int, str]] = [
    (Budget(steps=7), 7, "7 steps"),
    (Budget(epochs=1.5), 6, "1.5 epochs"),
    (20.0, 6, "20 loss-equivalents"),  # 3 each
    (Budget(evaluations=5), 5, "5 evaluations"),
    (Cost(vjps=4), 4, "4 VJPs"),
    (Budget(steps=7, losses=10.0), 3, "10 loss-equivalents"),
]


@pytest.mark.parametrize(("budget", "steps", "words"), BUDGETS)
def test_a_budget_ends_a_run_before_it_is_exceeded(budget: Any, steps: int, words: str) -> None:
    found = run(budget=budget)
    assert found.state.step == steps
    assert words in found.ended
    assert found.records[-1].cost == Cost(vjps=steps)
    assert found.records[-1].losses == 3.0 * steps


def test_a_budget_of_time_ends_a_run() -> None:
    found = run(budget=Budget(seconds=1e-9, steps=100))
    assert found.state.step == 1
    assert "s were spent" in found.ended


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_are_measured_where_they_are_not_given(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of the test's own: what a derivative takes beside a loss is for the machine to say."""
    sizes: list[tuple[int, int]] = []

    def rounds(derivative: Any, loss: Any, wait: Any) -> Any:
        sizes.append((len(derivative()), len(loss())))
        return iter([7.0, 2.5, 3.0])

    options: dict[str, Any] = {"weights": None, "budget": Budget(steps=1), "backend": backend}
    assert 0.0 < run("forward", **options).weights.jvp < np.inf  # by the framework's forward mode, or by gradest's
    monkeypatch.setattr("gradest.training.budget._rounds", rounds)
    assert run("reverse", **options).weights == Weights(jvp=1.0, vjp=3.0)
    assert run("forward", **options).weights == Weights(jvp=3.0, vjp=1.0)
    assert sizes == [(4, 1), (2, 1)]  # a gradient of four parameters and a JVP with its value, each beside a loss
    assert run("fd-central", **options).weights == Weights(jvp=1.0, vjp=1.0)


def test_measuring_what_a_jvp_costs_draws_no_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate along a random direction was timed, mostly its drawing: 158 losses of a small function on JAX."""

    def drawn(*_arguments: Any, **_options: Any) -> Any:
        raise AssertionError("a direction was drawn")

    monkeypatch.setattr("gradest.estimators.forward_gradient.ForwardGradient.prepare_kernel", drawn)
    assert measured_weights(gradest.bind(IRIS), Cost(jvps=1)).vjp == 1.0


def test_cost_is_what_was_counted_and_logging_is_counted_apart() -> None:
    found = run(gradest.get_estimator("es", num_samples=5), budget=Budget(steps=4), log_every=2)
    assert found.records[-1].cost == Cost(values=40)
    assert found.logging_cost == Cost(values=3 * 4)  # loss and accuracy on two sets, at 0, 2, 4


def test_patience_returns_the_parameters_of_the_least_held_out_loss() -> None:
    """So long a step that the loss climbs again: what is returned has the least of the logged losses."""
    found = run(optimizer=GradientDescent(step_size=8.0), budget=Budget(epochs=60), patience=2)
    logged = [float(record.held_out_loss or 0.0) for record in found.records]
    assert "at 2 logs" in found.ended
    assert found.watched == "held-out loss"
    best = int(np.argmin(logged))
    assert found.returned_step == found.records[best].step < found.state.step
    ops = gradest.get_backend("numpy").operations()
    assert float(np.asarray(IRIS.loss(ops, found.params, HELD_OUT.data()))) == pytest.approx(min(logged), rel=1e-12)


def test_searches_never_climb_and_leave_what_they_go_back_to() -> None:
    for name in ("random-search", "iterative-refinement"):
        found = run(None, name, batch_size=None, budget=Budget(steps=60), log_every=1, held_out=None)
        curve = [record.loss for record in found.records]
        assert curve == sorted(curve, reverse=True)
        assert curve[-1] < curve[0]
        assert found.records[-1].cost == Cost(values=120)


def test_quality_is_measured_beside_theory_on_the_batch_of_the_step() -> None:
    """64 replicates: the measured relative MSE is within 6 standard errors of theory's; false alarm 2e-9 a record."""
    found = run(gradest.get_estimator("spsa", num_samples=8, sigma=1e-4), budget=Budget(steps=4), log_every=2,
                quality_every=2, quality_replicates=64)  # fmt: skip
    assert len(found.records) == 3
    for record in found.records:
        quality = record.quality
        assert quality is not None
        assert quality.predicted_mse is not None
        error = quality.relative_mse_error or 0.0
        assert abs(quality.relative_mse - quality.predicted_mse) < 6 * error
        assert abs(quality.relative_mse / 2 - quality.predicted_mse) > 6 * error, "half of it has to be seen"
        assert quality.replicates == 64
    assert found.limit is not None


def test_the_step_limit_is_twice_the_samples_over_the_trace() -> None:
    """Gaussian directions: (P + 1)/N of relative MSE, so 2 P N / ((P + 1) tr H); above it one climbs on average."""
    bowl = gradest.get_problem(
        "quadratic", size=30, condition=4.0, linear=np.zeros(30), hessian=np.diag(np.full(30, 2.0))
    )
    estimator = gradest.get_estimator("forward-gradient", num_samples=1)
    found = step_limit(gradest.bind(bowl), estimator)
    assert found is not None
    assert found.trace == pytest.approx(60.0)
    assert found.limit == pytest.approx(2 * 30 / (31 * 60.0))
    assert step_limit(gradest.bind(bowl), gradest.get_estimator("reverse")) is None
    change = [
        np.mean([end(bowl, estimator, factor * found.limit, seed) for seed in range(400)]) for factor in (0.5, 2.0)
    ]
    # One step on average: f falls by 0.5 of the most it can at half the limit, and climbs at twice it.
    assert change[0] < 0.0 < change[1]


def end(problem: Any, estimator: Any, step_size: float, seed: int) -> float:
    """Return the change of the loss in one step."""
    found = gradest.train(problem, estimator, GradientDescent(step_size=step_size), budget=Budget(steps=1), seed=seed,
                          weights=WEIGHTS)  # fmt: skip
    return found.records[-1].loss - found.records[0].loss


def test_given_batches_are_gone_through_for_each_epoch() -> None:
    listed = [IRIS.batch_of(range(k, k + 50)) for k in (0, 50, 100)]
    by_list = run(batches=listed, batch_size=None, budget=Budget(epochs=2))
    by_step = run(batches=lambda step: listed[step % 3], batch_size=None, budget=Budget(steps=6), log_every=3)
    assert by_list.state.step == 6
    assert losses(by_list) == losses(by_step)
    assert str(by_list).split()[:2] == ["step", "epoch"]
    assert str(by_step).split()[:2] == ["step", "cost,"]  # a function of the step does not say how many an epoch has
    assert "epoch" not in by_step._repr_html_()
    ended = run(batches=iter(listed), batch_size=None, budget=Budget(steps=4), log_every=3)
    assert "used up after 3" in ended.ended
    assert losses(ended) == losses(by_step)[:4]  # what was trained until then is kept


def test_a_function_is_trained_with_arguments_batch_by_batch() -> None:
    """Least squares as a plain NumPy function, beside the Problem that it is."""
    problem = gradest.get_problem("least-squares", num_samples=40, num_features=3)
    data = problem.data()
    batches = [problem.batch_of(range(k, k + 20)) for k in (0, 20)]

    def loss(w: Any, x: Any, y: Any, *, half: float) -> Any:
        return half * np.mean((x @ w - y) ** 2)

    case = gradest.Case(loss, problem.parameters()["w"], (data["x"], data["y"]), {"half": 0.5})
    ours = gradest.train(case, "reverse", batches=[(b["x"], b["y"]) for b in batches], budget=Budget(epochs=3),
                         weights=WEIGHTS, metrics={"norm": lambda w: float(np.linalg.norm(w))},
                         held_out=(data["x"][:5], data["y"][:5]))  # fmt: skip
    theirs = gradest.train(problem, "reverse", batches=batches, budget=Budget(epochs=3), weights=WEIGHTS)
    np.testing.assert_allclose(ours.params, theirs.params["w"], rtol=1e-12)
    assert [r.loss for r in ours.records] == pytest.approx([r.loss for r in theirs.records], rel=1e-12)
    assert ours.records[-1].metrics["norm"] == pytest.approx(np.linalg.norm(ours.params))
    assert ours.records[-1].held_out_loss == pytest.approx(
        float(loss(ours.params, data["x"][:5], data["y"][:5], half=0.5))
    )


def test_a_run_prints_its_log_and_its_end() -> None:
    found = run(estimator="spsa", budget=Budget(steps=4), quality_every=2)
    table, _, end = str(found).partition("\n\n")
    heading, *rows = table.splitlines()
    assert len({*map(len, (heading, *rows))}) == 1
    assert len(rows) == len(found.records)
    assert [
        name for name in ("step", "cost, in losses", "loss", "relative MSE", "predicted") if name not in heading
    ] == []
    assert found.limit is not None
    assert found.line() in end
    assert f"{found.limit.limit:.2g}" in end
    assert "VJP" not in end  # it has none
    assert str(WEIGHTS) in str(run(budget=Budget(steps=1)))  # at which price the third column is


def test_after_step_sees_the_parameters_of_each_step() -> None:
    seen: list[int] = []

    def note(step: int, params: Any) -> None:
        assert params["W1"].shape == (4, 4)
        seen.append(step)

    run(budget=Budget(steps=3), after_step=note)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    ("estimator", "optimizer", "options", "error", "words"),
    [
        ("reverse", "random-search", {}, InvalidInputError, "uses no gradient"),
        (None, "adam", {}, InvalidInputError, "needs a gradient"),
        ("reverse", 3, {}, InvalidTypeError, "optimizer"),
        (3, "sgd", {}, InvalidTypeError, "estimator"),
        ("reverse", "sgd", {"budget": "10"}, InvalidTypeError, "budget"),
        ("reverse", "sgd", {"batch_size": 0}, InvalidInputError, "size of a batch"),
        ("reverse", "sgd", {"batches": []}, InvalidInputError, "both given"),
        ("reverse", "sgd", {"batches": [], "batch_size": None}, InvalidInputError, "hold none"),
        ("reverse", "sgd", {"held_out": 3}, InvalidTypeError, "dict of arrays"),
        ("reverse", "sgd", {"held_out": OTHER}, InvalidInputError, "form"),
        ("reverse", "sgd", {"metrics": {}}, InvalidInputError, "its own"),
        ("reverse", "sgd", {"patience": 0}, InvalidInputError, "patience"),
        ("reverse", "sgd", {"f": lambda x: x}, InvalidInputError, "Case"),
        ("reverse", "sgd", {"f": gradest.get_problem("quadratic"), "held_out": None}, UnsupportedError, "per_example"),
        ("reverse", "sgd", {"lr": 0.1}, InvalidInputError, "lr"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused(
    estimator: Any, optimizer: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        run(estimator, optimizer, **options)


@pytest.mark.parametrize("limits", [{}, {"steps": 0}, {"losses": float("inf")}, {"seconds": -1.0}])
def test_budgets_that_allow_nothing_or_everything_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"budget|must be a number in \(0, inf\)"):
        Budget(**limits)
