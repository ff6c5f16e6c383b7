"""What a user's own functions, schedules and batches do to a run: they are asked, and change nothing."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import InvalidInputError, InvalidTypeError
from gradest.training import Budget, Cosine, Schedule, TrainingState, Weights
from gradest.training.budget import _rounds as rounds

X = np.array([[1.0, 2.0], [0.0, 1.0], [3.0, -1.0], [1.0, 1.0]])
Y = np.array([1.0, 2.0, 0.0, 1.0])
WEIGHTS = Weights(jvp=2.0, vjp=3.0)


def squares(w: Any, x: Any, y: Any) -> Any:
    return ((x @ w - y) ** 2).mean()


def run(f: Any = squares, params: Any = None, args: Any = (X, Y), **options: Any) -> Any:
    case = gradest.Case(f, np.zeros(2) if params is None else params, args)
    return gradest.train(case, "reverse", **{"budget": Budget(steps=3), "weights": WEIGHTS, **options})


def arrays_of(framework: str) -> Callable[[Any], Any]:
    if framework == "numpy":
        return np.asarray
    if find_spec(framework) is None:
        pytest.skip(f"pip install 'gradest[{framework}]'")
    gradest.get_backend(framework)
    if framework == "torch":
        make: Callable[[Any], Any] = import_module("torch").tensor
        return make
    mxnp: Any = import_module("mxnet").np
    return lambda values: mxnp.array(values, dtype="float64")


def unseen(params: Any) -> None:
    """Write in a way that PyTorch's counters of versions do not count."""
    params.data[:] = 7.0


def plain(params: Any) -> None:
    params[:] = 7.0


@pytest.mark.parametrize(
    ("framework", "write"),
    [("numpy", plain), ("torch", plain), ("torch", unseen), ("mxnet", plain)],
    ids=["numpy", "torch", "torch-unseen", "mxnet"],
)
def test_what_looks_at_parameters_cannot_move_them(framework: str, write: Callable[[Any], None]) -> None:
    """Both went on from what was written: the loss after three steps was 83 in place of 2."""
    make = arrays_of(framework)
    start, args = make(np.zeros(2)), (make(X), make(Y))

    def metric(params: Any) -> float:
        write(params)
        return 1.0

    with pytest.raises(InvalidInputError, match=r"after_step writes into them.*Optimizer"):
        run(params=start, args=args, after_step=lambda step, params: write(params))
    with pytest.raises(InvalidInputError, match="metric 'mine' writes"):
        run(params=start, args=args, metrics={"mine": metric})
    looked = run(params=start, args=args, metrics={"sum": lambda p: p.sum()}, after_step=lambda step, params: None)
    theirs = np.zeros(2)
    for _ in range(3):  # in closed form
        theirs = theirs - 0.1 * 2.0 / 4 * X.T @ (X @ theirs - Y)
    assert looked.records[-1].metrics["sum"] == pytest.approx(theirs.sum(), rel=1e-12)


class Own(Schedule):
    """Returns what it is told to."""

    formula = "whatever"
    returned: Any = None

    def factor(self, step: int) -> float:
        return self.returned


@pytest.mark.parametrize("returned", [None, float("nan"), "0.1", np.array([1.0])], ids=str)
def test_a_schedule_returns_a_number(returned: Any) -> None:
    schedule = Own()
    object.__setattr__(schedule, "returned", returned)
    with pytest.raises(InvalidInputError, match=r"Own returned .* for step 0"):
        run(schedule=schedule)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"metrics": {"m": lambda p: None}}, InvalidTypeError, "metric 'm' must return one number; found NoneType"),
        ({"metrics": {"m": lambda p: p}}, InvalidTypeError, "one number; found ndarray"),
        ({"metrics": [lambda p: 1.0]}, InvalidTypeError, "mapping from names"),
        ({"metrics": {"loss": lambda p: 1.0}}, InvalidInputError, "log's own columns; found \\['loss'\\]"),
        ({"state": b"PK"}, InvalidTypeError, "from_bytes"),
        ({"weights": (2.0, 3.0)}, InvalidTypeError, "Weights; found tuple"),
        ({"quality_every": 1, "quality_replicates": 1}, InvalidInputError, "at least 2"),
        ({"log_every": 0.5}, InvalidInputError, "log_every"),
        ({"budget": 10**400}, InvalidInputError, "budget must be a number in \\(0, inf\\)"),
        ({"replace": True}, InvalidInputError, "replace was given without batch_size"),
        ({"drop_last": True}, InvalidInputError, "drop_last was given without batch_size"),
        ({"after_step": 3}, InvalidTypeError, "after_step must be a function; found int"),
        ({"on_state": "x"}, InvalidTypeError, "on_state must be a function; found str"),
        ({"batches": iter([])}, InvalidInputError, "hold none"),
        ({"batches": lambda step: (X, Y), "budget": Budget(epochs=2)}, InvalidInputError, "Budget\\(steps"),
        ({"batches": iter([(X, Y)]), "budget": Budget(epochs=2)}, InvalidInputError, "without a length"),
    ],
)
def test_what_a_run_cannot_use_is_told(options: dict[str, Any], error: type[Exception], words: str) -> None:
    """A metric named 'loss' hid the loss in the table; epochs of batches without a number never ended."""
    with pytest.raises(error, match=words):
        run(**options)


def test_a_search_has_no_schedule() -> None:
    with pytest.raises(InvalidInputError, match="no step size; leave it away"):
        gradest.train(gradest.Case(squares, np.zeros(2), (X, Y)), None, "random-search", budget=9, schedule=Cosine())


@pytest.mark.parametrize("weights", [(-1.0, 1.0), (1.0, float("nan")), (0.0, 1.0)])
def test_weights_that_never_spend_a_budget_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(InvalidInputError, match="of Weights must be positive and finite"):
        Weights(*weights)


def test_numbers_of_numpy_are_numbers() -> None:
    assert run(log_every=np.int64(1), patience=np.int64(5), budget=np.float32(9.0)).state.step == 3


def test_a_loss_that_is_nan_is_never_the_least() -> None:
    """At the start 0 log 0 is NaN; no loss is below NaN, so that patience returned the start."""

    def held_out(w: Any, x: Any, y: Any) -> Any:
        return squares(w, x, y) + (0.0 * np.log(np.sum(w * w)) if len(x) == 2 else 0.0)

    with np.errstate(all="ignore"):
        found = run(held_out, held_out=(X[:2], Y[:2]), patience=2, log_every=1, budget=Budget(steps=8))
    values = [record.held_out_loss for record in found.records]
    assert np.isnan(values[0])
    assert found.returned_step == 1 + int(np.argmin(values[1:]))
    always = run(lambda w, x, y: squares(w, x, y) + (np.nan if len(x) == 2 else 0.0),
                 held_out=(X[:2], Y[:2]), patience=2, log_every=1)  # fmt: skip
    assert "NaN at 2 logs" in always.ended
    assert always.returned_step == 1


def test_a_loader_of_a_stream_has_no_length() -> None:
    torch: Any = pytest.importorskip("torch", reason="pip install 'gradest[torch]'")

    class Stream(torch.utils.data.IterableDataset):  # type: ignore[misc]  # of a module that mypy does not see
        def __iter__(self) -> Any:
            return zip(torch.tensor(X), torch.tensor(Y), strict=True)

    loader = torch.utils.data.DataLoader(Stream(), batch_size=3)
    found = run(params=torch.zeros(2, dtype=torch.float64), args=(), batches=loader, budget=Budget(steps=4))
    theirs = np.zeros(2)
    for rows in (slice(0, 3), slice(3, 4)) * 2:
        theirs = theirs - 0.1 * 2.0 / len(X[rows]) * X[rows].T @ (X[rows] @ theirs - Y[rows])
    np.testing.assert_allclose(found.params, theirs, rtol=1e-12)


def test_a_run_in_bfloat16_on_jax_goes_on_from_bytes() -> None:
    """NumPy's files do not know bfloat16, and what came back could not be cast."""
    jnp: Any = pytest.importorskip("jax.numpy", reason="pip install 'gradest[jax]'")
    start = jnp.zeros(2, jnp.bfloat16)
    half = run(params=start, args=(X, Y), optimizer="adam").state
    again = TrainingState.from_bytes(half.to_bytes())
    whole = run(params=start, args=(X, Y), optimizer="adam", budget=Budget(steps=6))
    resumed = run(params=start, args=(X, Y), optimizer="adam", budget=Budget(steps=6), state=again)
    assert resumed.params.dtype == jnp.bfloat16
    assert np.asarray(whole.params, np.float64).tolist() == np.asarray(resumed.params, np.float64).tolist()
    assert float(jnp.abs(whole.params).min()) > 0.0


@pytest.mark.parametrize("backend", ["jax"])
def test_what_a_loss_closes_over_is_what_a_callback_made_of_it(backend: str) -> None:
    """JAX had compiled the first temperature into the steps and the log, and trained and told of that to the end."""

    def annealed(array: Any) -> gradest.training.Training:
        warmth = array(1.0)

        def loss(p: Any, x: Any) -> Any:
            return (warmth * (p - x) ** 2).sum()

        def cooled(step: int, params: Any) -> None:
            nonlocal warmth
            warmth = array(1.0 / (step + 1))

        case = gradest.Case(loss, array([1.0, 2.0]), (array([0.0, 1.0]),))
        others: dict[str, Any] = {"held_out": (array([1.0, 1.0]),), "log_every": 1}
        return gradest.train(case, "reverse", budget=Budget(steps=2), weights=WEIGHTS, after_step=cooled, **others)

    def plain(found: gradest.training.Training) -> list[float]:
        return [*(r.loss for r in found.records), *(r.held_out_loss or 0.0 for r in found.records)]

    make = import_module("jax.numpy").asarray
    expected, found = annealed(lambda x: np.array(x, dtype=np.float32)), annealed(lambda x: make(x, dtype="float32"))
    np.testing.assert_allclose(plain(found), plain(expected), rtol=1e-3)
    assert found.logging_cost == expected.logging_cost


def test_the_first_log_is_told_before_the_first_step() -> None:
    """Of a slow loss nothing was told until the second log, though a state is given at each."""
    told: list[tuple[int, int]] = []
    steps: list[int] = []
    gradest.train(
        gradest.get_problem("quadratic", size=2),
        "reverse",
        budget=Budget(steps=4),
        log_every=2,
        weights=WEIGHTS,
        on_state=lambda state: told.append((state.step, len(steps))),
        after_step=lambda step, params: steps.append(step),
    )
    assert told[0] == (0, 0)
    assert [step for step, _ in told] == sorted(step for step, _ in told)


def test_a_slow_loss_is_not_evaluated_many_times_to_be_timed() -> None:
    """Fourteen evaluations went by before the first step, each of half a minute as well as of a microsecond."""
    clock = {"now": 0.0}
    calls: list[str] = []

    def slow(name: str, seconds: float) -> Any:
        def call() -> None:
            calls.append(name)
            clock["now"] += seconds

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradest.measurement.timing.time.perf_counter", lambda: clock["now"])
        found = list(rounds(slow("derivative", 90.0), slow("value", 30.0), lambda *_: None))
    assert found == [3.0]
    assert len(calls) == 6


def test_a_run_that_cannot_go_on_says_what_is_another() -> None:
    """All words of both runs were told, in which one number differed."""
    state = run(seed=1).state
    with pytest.raises(InvalidInputError) as refused:
        run(seed=2, state=state)
    told = str(refused.value)
    assert "'seed': 2" in told
    assert "'seed': 1" in told
    assert "Reverse" not in told


@pytest.mark.parametrize(
    ("place", "given"), [("optimizer", gradest.training.Adam), ("estimator", gradest.Estimator), ("schedule", Cosine)]
)
def test_a_class_in_the_place_of_what_it_makes_is_told(place: str, given: Any) -> None:
    """Its metaclass was told: "found ABCMeta"."""
    options: dict[str, Any] = {"estimator": "reverse", "budget": Budget(steps=1), place: given}
    with pytest.raises(InvalidTypeError, match=f"found the class {given.__name__}"):
        gradest.train(gradest.get_problem("quadratic"), **options)


def test_a_metric_is_one_number_and_no_text() -> None:
    """NumPy's float of an array of one entry is an error from the next release on, and "3" was a number."""
    found = run(metrics={"first": lambda w: w[:1]})
    assert found.records[-1].metrics["first"] == found.params[0]
    with pytest.raises(InvalidTypeError, match="metric 'first' must return one number; found str 3"):
        run(metrics={"first": lambda w: "3"})


def test_curves_are_of_runs_by_label() -> None:
    wrong: Any
    for wrong, told in ((run(), "found Training"), ({"a": 1}, "found dict"), ({}, "found none")):
        with pytest.raises(gradest.GradestError, match=told):
            gradest.training.plot(wrong)


def test_a_budget_below_one_step_says_what_one_costs_in_losses() -> None:
    assert run(budget=2).ended.endswith("one takes 1 VJP, 3 losses")
