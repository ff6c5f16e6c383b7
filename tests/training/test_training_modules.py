"""A user's own module trains under exact and black-box estimators, and is not written into."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.training import Adam, Budget, TrainingState, Weights, parameters_of

torch = pytest.importorskip("torch", reason="pip install 'gradest[torch]'")
IRIS = gradest.datasets.load("iris")
WEIGHTS = Weights(jvp=2.0, vjp=3.0)


def case() -> Any:
    """Return a network with batch normalisation and dropout, in training mode, and the data of iris."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(8, 3)
    )
    x = torch.tensor(IRIS.features - IRIS.features.mean(axis=0), dtype=torch.float32)

    def loss(model: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(model(x), y)

    return gradest.Case(loss, network, (x, torch.tensor(IRIS.labels)))


def batches(found: Any) -> Any:
    x, y = found.args
    return [(x[rows], y[rows]) for rows in torch.arange(150).reshape(3, 50).T.reshape(5, 30)]


def evaluated(network: Any, found: Any, params: Any) -> float:
    """Return the loss of the whole in evaluation mode, with the running means that the network has by itself."""
    network.eval()
    with torch.no_grad():
        value = torch.func.functional_call(network, params, found.args[0])
        return float(torch.nn.functional.cross_entropy(value, found.args[1]))


@pytest.mark.parametrize(
    ("estimator", "factor"),
    [
        ("reverse", 0.5),
        (gradest.get_estimator("spsa", num_samples=20, sigma=0.05), 0.85),
        (gradest.get_estimator("es-low-rank", num_samples=20, sigma=0.05), 0.85),
    ],
    ids=["reverse", "spsa", "es-low-rank"],
)
def test_a_module_with_dropout_and_batch_normalisation_trains(estimator: Any, factor: float) -> None:
    """The loss in evaluation mode falls; `after_step` is where the running means are brought up to date."""
    found = case()
    network, before = found.params, {name: x.clone() for name, x in found.params.state_dict().items()}
    start = {name: x.detach().clone() for name, x in network.named_parameters()}
    twin = case().params  # what is given running means; the network that is trained is left alone

    def forward(step: int, params: Any) -> None:
        twin.train()
        with torch.no_grad():
            torch.func.functional_call(twin, {**params, **dict(twin.named_buffers())}, batches(found)[step % 5][0])

    result = gradest.train(found, estimator, Adam(step_size=0.05), batches=batches(found), budget=Budget(epochs=8),
                           weights=WEIGHTS, after_step=forward)  # fmt: skip
    for name, x in network.state_dict().items():
        assert torch.equal(x, before[name]), name
    assert network.training
    assert set(result.params) == set(start)
    assert int(twin[1].num_batches_tracked) == 40
    assert not torch.equal(twin[1].running_mean, before["1.running_mean"])
    assert evaluated(twin, found, result.params) < factor * evaluated(twin, found, start)


def test_a_run_with_dropout_that_goes_on_draws_what_it_would_have_drawn() -> None:
    states: list[bytes] = []

    def trained(**given: Any) -> Any:
        found = case()  # which seeds PyTorch's generator
        return gradest.train(found, "reverse", batches=batches(found), budget=Budget(steps=9), log_every=3,
                             weights=WEIGHTS, **given)  # fmt: skip

    whole = trained(on_state=lambda state: states.append(state.to_bytes()))
    again = trained(state=TrainingState.from_bytes(states[0]))
    assert again.state.step == 9
    assert all(torch.equal(x, again.params[name]) for name, x in whole.params.items())
    assert [record.loss for record in again.records] == [record.loss for record in whole.records]


def test_looking_does_not_move_what_dropout_draws() -> None:
    """A run that was logged more often, held out data, or stopped between two logs was another run."""

    def trained(**given: Any) -> Any:
        found = case()  # which seeds PyTorch's generator
        return gradest.train(found, "reverse", batches=batches(found), weights=WEIGHTS,
                             **{"budget": Budget(steps=6), "log_every": 4, **given})  # fmt: skip

    plain = case()
    optimizer = torch.optim.SGD(plain.params.parameters(), lr=0.1)
    for x, y in (batches(plain) * 2)[:6]:
        optimizer.zero_grad()
        plain.f(plain.params, x, y).backward()
        optimizer.step()
    half = trained(budget=Budget(steps=3))  # where there is no log of the others
    x, y = plain.args
    looked: dict[str, Any] = {
        "as a loop of PyTorch's": {},
        "each step": {"log_every": 1},
        "held out": {"held_out": (x[:7], y[:7])},
        "quality": {"quality_every": 1},
        "a metric that draws": {"metrics": {"drawn": lambda p: torch.rand(())}},
        "stopped": {"state": half.state},
    }
    expected, ends = {name: x.detach() for name, x in plain.params.named_parameters()}, set()
    for how, given in looked.items():
        torch.testing.assert_close(trained(**given).params, expected, rtol=0, atol=1e-6, msg=how)
        ends.add(float(torch.rand(())))  # where the generator is left, too
    assert len(ends) == 1


def test_quality_is_measured_under_one_mask_of_dropout() -> None:
    """Replicates had a mask each, and the reference another: noise of the masks was taken for that of the estimator."""
    found = case()
    network = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
    small = gradest.Case(lambda model, x: model(x).square().mean(), network, (found.args[0][:8],))
    exact = gradest.get_estimator("es-orthogonal", num_samples=5, sigma=0.01)  # as many as parameters: of a square loss
    run = gradest.train(small, exact, budget=Budget(steps=1), weights=WEIGHTS, quality_every=1, quality_replicates=4)
    assert all(record.quality is not None and record.quality.relative_mse < 1e-6 for record in run.records)


def test_a_loader_that_shuffles_draws_the_orders_of_a_loop() -> None:
    """It draws them from PyTorch's generator: at each epoch, also where quality looks at its first batch before."""

    def loader(found: Any) -> Any:
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*found.args), batch_size=30, shuffle=True)

    def made() -> Any:
        found = case()
        found.params[3].p = 0.0
        return found

    def trained(**given: Any) -> Any:
        found = made()
        return gradest.train(found, "reverse", batches=loader(found), weights=WEIGHTS,
                             **{"budget": Budget(steps=13), "log_every": 5, **given}).params  # fmt: skip

    plain = made()
    optimizer, shuffled = torch.optim.SGD(plain.params.parameters(), lr=0.1), loader(plain)
    for x, y in [batch for _ in range(3) for batch in shuffled][:13]:
        optimizer.zero_grad()
        plain.f(plain.params, x, y).backward()
        optimizer.step()
    expected = {name: x.detach() for name, x in plain.params.named_parameters()}
    states: list[Any] = []
    looked: dict[str, Any] = {
        "as a loop of PyTorch's": {},
        "quality": {"quality_every": 1, "log_every": 1},
        "kept": {"log_every": 7, "on_state": states.append},
    }
    for how, given in looked.items():
        torch.testing.assert_close(trained(**given), expected, rtol=0, atol=1e-6, msg=how)
    torch.testing.assert_close(trained(state=states[1]), expected, rtol=0, atol=1e-6, msg="within an epoch")


def test_parameters_that_were_kept_go_back_into_the_model() -> None:
    """With patience those of the least loss, as the run returned them; a state of another model is refused."""
    found = case()
    run = gradest.train(found, "reverse", Adam(step_size=0.3), batches=batches(found), budget=Budget(steps=12),
                        weights=WEIGHTS, log_every=2, patience=1)  # fmt: skip
    assert run.returned_step < run.state.step
    kept = TrainingState.from_bytes(run.state.to_bytes())
    gradest.assign(found.params, parameters=parameters_of(kept, found))
    assert all(torch.equal(x, run.params[name]) for name, x in found.params.named_parameters())
    other = gradest.Case(found.f, torch.nn.Linear(4, 3), found.args)
    with pytest.raises(
        gradest.InvalidInputError, match=r"found a state of arrays of shapes \[\(8, 4\).*what was trained"
    ):
        parameters_of(kept, other)


def trained_at_measured_weights(found: Any, given: Any, seconds: float, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the parameters after some steps, where derivatives are timed in blocks of so many seconds each."""
    monkeypatch.setattr("gradest.training.budget._BLOCK_SECONDS", seconds)
    return gradest.train(found, "reverse", batches=given, budget=Budget(steps=3)).params


def test_timing_derivatives_does_not_move_what_dropout_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run at weights that are measured is the run at weights that are given, however many evaluations timing took."""
    found = case()
    stated = gradest.train(found, "reverse", batches=batches(found), budget=Budget(steps=3), weights=WEIGHTS).params
    for seconds in (1e-4, 3e-3):
        found = case()  # which seeds PyTorch's generator
        measured = trained_at_measured_weights(found, batches(found), seconds, monkeypatch)
        assert all(torch.equal(x, measured[name]) for name, x in stated.items())


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # MXNet's own, of SciPy's old names
@pytest.mark.skipif(find_spec("mxnet") is None, reason="MXNet is not installed (it needs NumPy 1)")
def test_timing_derivatives_of_a_gluon_block_does_not_either(monkeypatch: pytest.MonkeyPatch) -> None:
    gradest.get_backend("mxnet")  # MXNet is imported by the backend, or not at all
    mx: Any = import_module("gradest_mxnet.framework").mx
    network = mx.gluon.nn.Sequential()
    network.add(mx.gluon.nn.Dense(8, in_units=4), mx.gluon.nn.Dropout(0.5), mx.gluon.nn.Dense(3, in_units=8))
    mx.random.seed(0)
    network.initialize()
    x, y = mx.nd.array(IRIS.features - IRIS.features.mean(axis=0)), mx.nd.array(IRIS.labels)
    entropy = mx.gluon.loss.SoftmaxCrossEntropyLoss()

    def loss(block: Any, x: Any, y: Any) -> Any:
        with mx.autograd.train_mode():
            return entropy(block(x), y).mean()

    runs = []
    for seconds in (1e-3, 1e-2):
        mx.random.seed(1)
        found = trained_at_measured_weights(gradest.Case(loss, network, (x, y)), [(x, y)], seconds, monkeypatch)
        runs.append({name: value.asnumpy() for name, value in found.items()})
    assert all(np.array_equal(value, runs[1][name]) for name, value in runs[0].items())


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # MXNet's own, of SciPy's old names
@pytest.mark.skipif(find_spec("mxnet") is None, reason="MXNet is not installed (it needs NumPy 1)")
def test_a_gluon_block_trains_and_is_left_alone() -> None:
    gradest.get_backend("mxnet")  # MXNet is imported by the backend, or not at all
    mx: Any = import_module("gradest_mxnet.framework").mx
    mx.random.seed(0)
    network = mx.gluon.nn.Dense(3)
    network.initialize()
    x, y = mx.nd.array(IRIS.features - IRIS.features.mean(axis=0)), mx.nd.array(IRIS.labels)
    network(x)
    before = network.weight.data().asnumpy()
    entropy = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    made = gradest.Case(lambda block, x, y: entropy(block(x), y).mean(), network, (x, y))
    for estimator in ("reverse", gradest.get_estimator("es", num_samples=10, sigma=0.05)):
        found = gradest.train(made, estimator, "nesterov", budget=Budget(steps=15), weights=WEIGHTS)
        assert found.records[-1].loss < 0.6 * found.records[0].loss
    assert np.array_equal(network.weight.data().asnumpy(), before)


def test_what_a_run_returned_and_what_a_framework_optimises_with_are_told_their_places() -> None:
    network = torch.nn.Linear(3, 1)
    made = gradest.Case(lambda model, x: model(x).square().mean(), network, (torch.ones(4, 3),))
    run = gradest.train(made, "spsa", budget=Budget(steps=1))
    with pytest.raises(gradest.InvalidTypeError, match=r"found Training: write parameters=run\.params"):
        gradest.assign(network, run)
    optimizer: Any = torch.optim.SGD(network.parameters(), lr=0.1)
    with pytest.raises(gradest.InvalidTypeError, match=r"found SGD; an optimiser of a framework .* gradest\.assign"):
        gradest.train(made, "spsa", optimizer, budget=Budget(steps=1))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"schedule": "cosine"}, r"schedule must be a gradest\.training\.Schedule, .* found str"),
        ({"schedule": lambda step: 0.5**step}, r"found function; one of your own is a subclass"),
        ({"lr": 0.1}, r"no option 'lr'; write the optimiser with its own, .*step_size=0\.1"),
        ({"epochs": 3}, r"no option 'epochs'; write budget=gradest\.training\.Budget\(epochs="),
        ({"bakcend": "numpy"}, r"options of gradest\.bind were asked for"),
    ],
)
def test_what_train_takes_otherwise_is_told_how(options: dict[str, Any], told: str) -> None:
    problem = gradest.get_problem("quadratic", size=3)
    with pytest.raises(gradest.GradestError, match=told):
        gradest.train(problem, "reverse", budget=Budget(steps=1), **options)
