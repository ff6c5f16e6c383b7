"""A Gluon loss is differentiated in the mode in which it runs: training or predicting, set around it or inside."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import gradest

if find_spec("mxnet") is None:
    pytest.skip("MXNet is not installed (it needs NumPy 1)", allow_module_level=True)

BACKEND = gradest.get_backend("mxnet")

from gradest_mxnet.framework import mx  # noqa: E402  # MXNet is imported by the backend, or not at all

autograd = mx.autograd
HYBRIDIZED: dict[str, Any] = {"eager": None, "hybridized": {}, "static": {"static_alloc": True, "static_shape": True}}
GENERATOR = np.random.default_rng(2)
X_VALUES = GENERATOR.standard_normal((8, 4))
LABELS = np.arange(8) % 3

Loss = Callable[..., Any]


def array(values: np.ndarray, dtype: str = "float64") -> Any:
    made: Any = BACKEND.array(values, dtype=dtype)
    return made.as_nd_ndarray()


def network(flags: dict[str, bool] | None = None, dropout: float = 0.0) -> Any:
    nn, generator = mx.gluon.nn, np.random.default_rng(1)
    made = nn.HybridSequential()
    made.add(nn.Dense(6, activation="tanh", in_units=4), nn.BatchNorm(in_channels=6), nn.Dropout(dropout))
    made.add(nn.Dense(3, in_units=6))
    made.initialize()
    made.cast("float64")
    for parameter in made.collect_params().values():
        parameter.set_data(array(np.abs(generator.standard_normal(parameter.shape)) + 0.1))
    if flags is not None:
        made.hybridize(**flags)
    return made


X, Y = array(X_VALUES), array(LABELS.astype(float))
TEACHER = network()


def loss(net: Any, x: Any, y: Any) -> Any:
    return mx.gluon.loss.SoftmaxCrossEntropyLoss()(net(x), y).mean()


def inside(scope: Callable[[], AbstractContextManager[object]]) -> Loss:
    def scoped(net: Any, x: Any, y: Any) -> Any:
        with scope():
            return loss(net, x, y)

    return scoped


def around_the_network_alone(net: Any, x: Any, y: Any) -> Any:
    with autograd.train_mode():
        outputs = net(x)
    return mx.gluon.loss.SoftmaxCrossEntropyLoss()(outputs, y).mean()


def by_hand(net: Any, x: Any, y: Any) -> Any:
    before = autograd.set_training(True)
    try:
        return loss(net, x, y)
    finally:
        autograd.set_training(before)


def with_a_pause(net: Any, x: Any, y: Any) -> Any:
    with autograd.train_mode():
        with autograd.pause():  # predicts, and is no part of the backward pass
            weight = net(x).mean()
        return loss(net, x, y) + 0.0 * weight


def beside_something_without_a_mode(net: Any, x: Any, y: Any) -> Any:
    with autograd.train_mode():
        penalty = (x * x).sum() * 1e-3
    return loss(net, x, y) + penalty


def from_a_teacher(net: Any, x: Any, y: Any) -> Any:
    with autograd.predict_mode():
        wanted = mx.nd.softmax(TEACHER(x))
    with autograd.train_mode():
        return mx.nd.square(net(x) - wanted).mean()


def from_itself(net: Any, x: Any, y: Any) -> Any:
    with autograd.predict_mode():
        wanted = mx.nd.softmax(net(x)).detach()
    with autograd.train_mode():
        return mx.nd.square(net(x) - wanted).mean()


CASES: dict[str, tuple[Loss, bool]] = {  # the loss, and whether it is computed in training mode
    "train_mode()": (inside(autograd.train_mode), True),
    "predict_mode()": (inside(autograd.predict_mode), False),
    "record()": (inside(autograd.record), True),
    "record(False)": (inside(lambda: autograd.record(train_mode=False)), False),
    "around the network alone": (around_the_network_alone, True),
    "set_training": (by_hand, True),
    "with a pause": (with_a_pause, True),
    "a teacher that predicts": (from_a_teacher, True),
}
AROUND: dict[str, tuple[Callable[[], AbstractContextManager[object]], bool]] = {
    "nothing": (nullcontext, False),
    "train_mode()": (autograd.train_mode, True),
    "predict_mode()": (autograd.predict_mode, False),
    "record()": (autograd.record, True),
}


def gluon_gradient(f: Loss, training: bool) -> dict[str, np.ndarray]:
    """Return what MXNet gives where everything is in one mode, forward and backward."""
    net = network()
    with autograd.record(train_mode=training):
        value = f(net, X, Y)
    value.backward(train_mode=training)
    parameters = net._collect_params_with_prefix()
    return {name: p.grad().asnumpy() for name, p in parameters.items() if p.grad_req != "null"}


def error(found: Any, right: dict[str, np.ndarray]) -> float:
    return max(float(np.abs(found[name].asnumpy() - block).max()) for name, block in right.items())


every_network = pytest.mark.parametrize("flags", HYBRIDIZED.values(), ids=HYBRIDIZED.keys())
every_surrounding = pytest.mark.parametrize(("around", "outer"), AROUND.values(), ids=AROUND.keys())


def _surrounded() -> Iterator[Any]:
    """Yield each loss in each surrounding, by networks in turn, and alone by all three."""
    for row, (case, (f, training)) in enumerate(CASES.items()):
        for column, (name, (around, _)) in enumerate(AROUND.items()):
            for number, (kind, flags) in enumerate(HYBRIDIZED.items()):
                if name == "nothing" or (row + column) % len(HYBRIDIZED) == number:
                    yield pytest.param(f, training, around, flags, id=f"{case}-{name}-{kind}")


@pytest.mark.parametrize(("f", "training", "around", "flags"), list(_surrounded()))
def test_the_mode_set_inside_the_loss_holds(f: Loss, training: bool, around: Any, flags: Any) -> None:
    right, other = gluon_gradient(f, training), gluon_gradient(f, not training)
    assert max(np.abs(other[name] - block).max() for name, block in right.items()) > 1e-3  # the backward mode matters
    net = network(flags)
    prepared = gradest.get_estimator("reverse").prepare(gradest.bind(f, net, X, Y))
    with around():
        for _ in range(2):
            assert error(prepared().gradient, right) <= 1e-14
        assert error(gradest.get_estimator("fd-central")(f, net, X, Y).gradient, right) <= 1e-8


@every_network
@every_surrounding
def test_what_is_detached_may_be_in_another_mode(around: Any, outer: bool, flags: Any) -> None:
    """Differences see it move, so they have another slope: only reverse mode knows what is held constant."""
    right, net = gluon_gradient(from_itself, True), network(flags)
    with around():
        assert error(gradest.get_estimator("reverse")(from_itself, net, X, Y).gradient, right) <= 1e-14


@every_network
@every_surrounding
@pytest.mark.parametrize("f", [loss, beside_something_without_a_mode])
def test_else_the_mode_of_the_caller_does_predicting_by_default(f: Loss, around: Any, outer: bool, flags: Any) -> None:
    net = network(flags)
    with around():
        found = gradest.get_estimator("reverse")(f, net, X, Y).gradient
        differences = gradest.get_estimator("fd-central")(f, net, X, Y).gradient
    assert error(found, gluon_gradient(loss, outer)) <= 1e-14
    assert error(differences, gluon_gradient(loss, outer)) <= 1e-8


@every_network
def test_one_prepared_estimator_follows_the_caller_from_call_to_call(flags: Any) -> None:
    prepared = gradest.get_estimator("reverse").prepare(gradest.bind(loss, network(flags), X, Y))
    for training in (False, True, False, True):
        with autograd.train_mode() if training else nullcontext():
            assert error(prepared().gradient, gluon_gradient(loss, training)) <= 1e-14


def in_both_modes(net: Any, x: Any, y: Any) -> Any:
    with autograd.train_mode():
        first = loss(net, x, y)
    with autograd.predict_mode():
        return first + loss(net, x, y)


def in_the_callers_mode_too(net: Any, x: Any, y: Any) -> Any:
    with autograd.train_mode():
        first = loss(net, x, y)
    return first + loss(net, x, y)


@every_network
@pytest.mark.parametrize("f", [in_both_modes, in_the_callers_mode_too])
def test_layers_in_both_modes_are_refused_by_reverse_mode_and_right_by_differences(f: Loss, flags: Any) -> None:
    with pytest.raises(gradest.UnsupportedError, match="training mode and others in predict mode"):
        gradest.get_estimator("reverse")(f, network(flags), X, Y)
    parts = [gluon_gradient(loss, training) for training in (True, False)]
    right = {name: parts[0][name] + parts[1][name] for name in parts[0]}
    assert error(gradest.get_estimator("fd-central")(f, network(flags), X, Y).gradient, right) <= 1e-8


def test_mxnet_is_left_as_it_was() -> None:
    scope = autograd._RecordingStateScope
    before = scope.__enter__, scope.__exit__, autograd.set_training
    for f in (inside(autograd.train_mode), in_both_modes, by_hand):
        try:
            gradest.get_estimator("reverse")(f, network(), X, Y)
        except gradest.UnsupportedError:
            assert f is in_both_modes
        assert (scope.__enter__, scope.__exit__, autograd.set_training) == before
        assert not autograd.is_training()
        assert not autograd.is_recording()


WEIGHTS = np.sqrt(np.arange(4.0, 14.0))


def dropped(p: Any, weights: Any) -> Any:
    with autograd.train_mode():
        return (mx.nd.Dropout(p, p=0.5) * weights).sum()


@pytest.mark.parametrize("name", ["reverse", "fd-forward", "fd-central", "fd-richardson", "es", "spsa"])
def test_dropout_has_one_mask_within_an_estimate(name: str) -> None:
    """The loss is linear, its slope 2 w at what is kept: with more than one mask, values differ by no slope."""
    # The standard error of a component is |g| / sqrt(100) = 0.7 of slopes that are 0 or at least 4.
    options: dict[str, Any] = {"num_samples": 100} if name in ("es", "spsa") else {}
    values = WEIGHTS[:4] if options else WEIGHTS
    p, weights = array(np.ones(values.size)), array(values)
    estimator, rng = gradest.get_estimator(name, **options), {"rng": 0} if options else {}
    masks = []
    for seed in (5, 5, 6):
        mx.random.seed(seed)
        gradient = estimator(dropped, p, weights, **rng).gradient.asnumpy()
        mask = gradient > values
        assert np.abs(gradient - 2 * values * mask).max() <= (3.5 if options else 1e-5)  # five standard errors
        assert 0 < mask.sum() < values.size
        masks.append(mask)
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


def test_another_estimate_has_another_mask() -> None:
    p, weights, estimator = array(np.ones(WEIGHTS.size)), array(WEIGHTS), gradest.get_estimator("fd-central")
    mx.random.seed(5)
    first, second = (estimator(dropped, p, weights).gradient.asnumpy() > WEIGHTS for _ in range(2))
    assert not np.array_equal(first, second)


@every_network
def test_a_network_with_dropout_and_normalisation_has_the_slope_of_its_own_mask(flags: Any) -> None:
    """Along a direction, the loss at one seed has the slope of the gradient at that seed."""
    net = network(flags, dropout=0.5)
    f = inside(autograd.train_mode)
    prepared = gradest.get_estimator("reverse").prepare(gradest.bind(f, net, X, Y))
    prepared()  # what mode it is in is found out now
    mx.random.seed(11)
    gradient = {name: block.asnumpy() for name, block in prepared().gradient.items()}
    parameters = net._collect_params_with_prefix()
    step, values = 1e-5, []
    for sign in (1, -1):
        for name, block in gradient.items():
            parameters[name].set_data(parameters[name].data() + array(sign * step * block))
        mx.random.seed(11)
        with autograd.record(train_mode=True):
            values.append(float(loss(net, X, Y).asscalar()))
        for name, block in gradient.items():
            parameters[name].set_data(parameters[name].data() - array(sign * step * block))
    square = sum(float((block**2).sum()) for block in gradient.values())
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(square, rel=1e-6)
