"""`gradest.assign` writes a gradient where the framework's own optimisers look, or values, and nothing else."""

import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import gradest

HAS_MXNET = find_spec("mxnet") is not None
if find_spec("torch") is None:
    pytest.skip("PyTorch is not installed: pip install 'gradest[torch]'", allow_module_level=True)
gradest.get_backend("torch")
torch: Any = sys.modules["torch"]


class Tied(torch.nn.Module):  # type: ignore[misc]  # imported by name, so that the suite runs without it
    """An embedding that is also the last layer, a frozen bias, and a float64 scale beside float32 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(5, 3)
        self.head = torch.nn.Linear(3, 5)
        self.head.weight = self.embed.weight
        self.head.bias.requires_grad_(False)
        self.scale = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, tokens: Any) -> Any:
        return self.head(self.embed(tokens)) * self.scale


def loss(model: Any, tokens: Any) -> Any:
    return torch.nn.functional.cross_entropy(model(tokens), (tokens + 1) % 5)


@pytest.fixture
def model() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Tied()


TOKENS = torch.tensor([0, 3, 4, 1])


def own_gradient(model: Any) -> dict[str, Any]:
    """Return what `backward` of the framework writes, taking `.grad` away again."""
    loss(model, TOKENS).backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    for parameter in model.parameters():
        parameter.grad = None
    return found


def test_it_is_what_backward_writes(model: Any) -> None:
    expected = own_gradient(model)
    values = {name: value.clone() for name, value in model.state_dict().items()}
    gradient = gradest.grad(loss)(model, TOKENS)
    gradest.assign(model, gradient)
    for name, parameter in model.named_parameters():
        if name in expected:
            assert parameter.grad.dtype == parameter.dtype
            torch.testing.assert_close(parameter.grad, expected[name])
    assert model.head.bias.grad is None
    assert all(torch.equal(values[name], value) for name, value in model.state_dict().items())
    assert model.head.weight is model.embed.weight


def test_a_second_gradient_replaces_or_adds_as_backward_does(model: Any) -> None:
    expected = own_gradient(model)["embed.weight"]
    gradient = gradest.grad(loss)(model, TOKENS)
    gradest.assign(model, gradient)
    held = model.embed.weight.grad
    gradest.assign(model, gradient)
    torch.testing.assert_close(model.embed.weight.grad, expected)
    gradest.assign(model, gradient, accumulate=True)
    torch.testing.assert_close(model.embed.weight.grad, 2 * expected)
    assert model.embed.weight.grad is held  # written to in place: views of it, such as DDP's, stay good
    torch.testing.assert_close(gradient["embed.weight"], expected)  # and the estimate is nobody's buffer


def test_accumulating_begins_with_nothing(model: Any) -> None:
    gradient = gradest.grad(loss)(model, TOKENS)
    gradest.assign(model, gradient, accumulate=True)
    torch.testing.assert_close(model.embed.weight.grad, own_gradient(model)["embed.weight"])


def test_numpy_and_other_dtypes_become_the_parameters_own(model: Any) -> None:
    gradest.assign(model, {"scale": 2.0, "embed.weight": np.full((5, 3), 0.1)})
    assert model.embed.weight.grad.dtype == torch.float32
    assert model.scale.grad.dtype == torch.float64
    assert model.scale.grad.shape == ()
    torch.testing.assert_close(model.embed.weight.grad, torch.full((5, 3), 0.1))


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("held", ["none", "dense", "sparse"])
def test_a_sparse_gradient_of_the_users_own_is_written(held: str, accumulate: bool) -> None:
    model = torch.nn.Embedding(4, 2, sparse=True)
    (sparse,) = torch.autograd.grad(model(torch.tensor([1, 3, 3])).square().sum(), model.weight)
    before = {"none": None, "dense": torch.ones(4, 2), "sparse": sparse.clone()}[held]
    expected = sparse.to_dense()
    if accumulate and before is not None:
        expected = expected + before.to_dense()
    model.weight.grad = before
    gradest.assign(model, {"weight": sparse}, accumulate=accumulate)
    torch.testing.assert_close(model.weight.grad.to_dense(), expected)


def test_a_sparse_or_recorded_gradient_is_replaced_and_not_written_to() -> None:
    model = torch.nn.Embedding(4, 2, sparse=True)
    model(torch.tensor([1])).sum().backward()
    gradest.assign(model, {"weight": np.ones((4, 2))}, accumulate=True)
    expected = np.array([[1, 1], [2, 2], [1, 1], [1, 1]])
    assert model.weight.grad.layout == torch.strided
    assert model.weight.grad.numpy().tolist() == expected.tolist()
    tensor = torch.ones(2, requires_grad=True)
    (tensor.grad,) = torch.autograd.grad((tensor**3).sum(), [tensor], create_graph=True)
    gradest.assign([tensor], [np.zeros(2)])
    assert not tensor.grad.requires_grad
    tensor.grad = None  # a gradient with a graph holds the tensor that holds it


def test_values_are_written_in_place_and_gradients_stay(model: Any) -> None:
    gradest.assign(model, gradest.grad(loss)(model, TOKENS))
    weight, before = model.embed.weight, model.embed.weight.grad.clone()
    gradest.assign(model, parameters={"embed.weight": np.ones((5, 3)), "scale": np.array(3.0)})
    assert model.head.weight is weight
    assert torch.equal(weight.detach(), torch.ones(5, 3))
    assert float(model.scale.detach()) == 3.0
    assert weight.requires_grad
    assert torch.equal(weight.grad, before)


def test_a_pytree_of_leaves_is_as_good_as_a_module() -> None:
    params = {"w": torch.ones(3, requires_grad=True), "name": "relu", "b": [torch.zeros((), requires_grad=True)]}
    x = torch.arange(3.0)
    gradient = gradest.grad(lambda p: (p["w"] @ x + p["b"][0]) ** 2)(params)
    gradest.assign(params, gradient)
    assert params["w"].grad.tolist() == [0.0, 6.0, 12.0]
    assert float(params["b"][0].grad) == 6.0


def wrong_gradients() -> dict[str, tuple[dict[str, Any], type[Exception], str]]:
    right = {"embed.weight": np.ones((5, 3)), "scale": np.ones(())}
    return {
        "a missing name": ({"scale": np.ones(())}, gradest.InvalidInputError, "embed.weight: asked .* found none"),
        "another name": ({**right, "head.bias": np.ones(5)}, gradest.InvalidInputError, "head.bias: asked none"),
        "another shape": ({**right, "scale": np.ones(1)}, gradest.InvalidInputError, r"found shape \(1,\)"),
        "whole numbers": ({**right, "scale": np.array(1)}, gradest.InvalidTypeError, "of dtype int64"),
        "NaN": ({**right, "scale": np.array(np.nan)}, gradest.NonFiniteError, "entries are in scale"),
        "too large": ({**right, "embed.weight": np.full((5, 3), 1e60)}, gradest.NonFiniteError, "in embed.weight"),
    }


@pytest.mark.parametrize("kind", wrong_gradients())
@pytest.mark.parametrize("what", ["gradient", "parameters"])
def test_an_error_changes_nothing(model: Any, kind: str, what: str) -> None:
    gradest.assign(model, gradest.grad(loss)(model, TOKENS))
    before = {name: (p.detach().clone(), p.grad) for name, p in model.named_parameters()}
    grads = {name: g.clone() for name, (_, g) in before.items() if g is not None}
    wrong, error, message = wrong_gradients()[kind]
    gradient, parameters = (wrong, None) if what == "gradient" else (None, wrong)
    with pytest.raises(error, match=message):
        gradest.assign(model, gradient, parameters=parameters)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.detach(), before[name][0])
        assert parameter.grad is before[name][1]
        assert parameter.grad is None or torch.equal(parameter.grad, grads[name])


def test_what_cannot_be_assigned_to_says_what_to_do(model: Any) -> None:
    with pytest.raises(gradest.UnsupportedError, match="params - rate"):
        gradest.assign({"w": np.ones(2)}, {"w": np.ones(2)})
    with pytest.raises(gradest.InvalidTypeError, match="SGD"):
        gradest.assign(torch.optim.SGD(model.parameters(), lr=0.1), {"w": np.ones(2)})
    with pytest.raises(gradest.InvalidTypeError, match=r"pass its \.gradient"):
        gradest.assign(model, gradest.get_estimator("reverse")(lambda m: loss(m, TOKENS), model))
    with pytest.raises(gradest.InvalidInputError, match="nothing to assign"):
        gradest.assign(model)
    with pytest.raises(gradest.InvalidInputError, match="without a gradient"):
        gradest.assign(model, parameters={}, accumulate=True)
    shared = torch.ones(2, requires_grad=True)
    with pytest.raises(gradest.InvalidInputError, match="both 'a' and 'b'"):
        gradest.assign({"a": shared, "b": shared}, {"a": np.ones(2), "b": np.ones(2)})
    with pytest.raises(gradest.InvalidInputError, match="computed from others"):
        gradest.assign([shared * 2], [np.ones(2)])


def test_arrays_of_jax_are_handed_to_its_optimisers() -> None:
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed: pip install 'gradest[jax]'")
    with pytest.raises(gradest.UnsupportedError, match=r"optax\.apply_updates"):
        gradest.assign({"w": jnp.ones(2)}, {"w": jnp.ones(2)})


# -- Gluon ---------------------------------------------------------------------------------------------------------

gluon_only = pytest.mark.skipif(not HAS_MXNET, reason="MXNet is not installed (it needs NumPy 1)")


def dense(devices: int = 1, *, numpy: bool) -> Any:
    mx = gluon()
    with mx.util.np_shape(numpy), mx.util.np_array(numpy):
        network = mx.gluon.nn.Dense(1, in_units=2)
        network.initialize(mx.init.Constant(1.0), ctx=[mx.cpu(k) for k in range(devices)])
        network.bias.grad_req = "null"
    return network


def gluon() -> Any:
    gradest.get_backend("mxnet")
    return sys.modules["mxnet"]


@gluon_only
@pytest.mark.filterwarnings("ignore:ndarray.context has been renamed:DeprecationWarning")  # by the trainer's own text
@pytest.mark.parametrize("numpy", [False, True], ids=["nd", "np"])
def test_a_trainer_takes_it_once_and_calls_it_stale_after(numpy: bool) -> None:
    mx, network = gluon(), dense(numpy=numpy)
    with mx.util.np_shape(numpy), mx.util.np_array(numpy):
        trainer = mx.gluon.Trainer(network.collect_params(), "sgd", {"learning_rate": 0.5})
        with pytest.raises(UserWarning, match="not been updated by backward"):
            trainer.step(1)
        gradest.assign(network, {"weight": np.array([[1.0, 2.0]])})
        gradest.assign(network, {"weight": np.array([[0.0, 2.0]])}, accumulate=True)
        assert network.weight.data().asnumpy().tolist() == [[1.0, 1.0]]
        trainer.step(1)
        assert network.weight.data().asnumpy().tolist() == [[0.5, -1.0]]
        with pytest.raises(UserWarning, match="not been updated by backward"):
            trainer.step(1)
        gradest.assign(network, parameters={"weight": np.zeros((1, 2))})
        assert network.weight.data().asnumpy().tolist() == [[0.0, 0.0]]
        with pytest.raises(UserWarning, match="not been updated by backward"):  # values are no gradient
            trainer.step(1)


@gluon_only
@pytest.mark.parametrize("numpy", [False, True], ids=["nd", "np"])
def test_devices_share_a_gradient_of_which_the_trainer_takes_the_sum(numpy: bool) -> None:
    mx, network = gluon(), dense(2, numpy=numpy)
    with mx.util.np_shape(numpy), mx.util.np_array(numpy):
        trainer = mx.gluon.Trainer(network.collect_params(), "sgd", {"learning_rate": 0.5})
        gradest.assign(network, {"weight": np.array([[1.0, 4.0]])})
        trainer.step(1)
        assert [data.asnumpy().tolist() for data in network.weight.list_data()] == [[[0.5, -1.0]]] * 2
        gradest.assign(network, parameters={"weight": np.zeros((1, 2))})
        assert [data.asnumpy().tolist() for data in network.weight.list_data()] == [[[0.0, 0.0]]] * 2


@gluon_only
def test_a_row_sparse_buffer_is_written_too() -> None:
    mx = gluon()
    network = mx.gluon.nn.Embedding(3, 2, sparse_grad=True)
    network.initialize()
    for accumulate in (False, True):
        gradest.assign(network, {"weight": np.arange(6.0).reshape(3, 2)}, accumulate=accumulate)
    assert network.weight.grad().stype == "row_sparse"
    assert network.weight.grad().asnumpy().tolist() == [[0.0, 2.0], [4.0, 6.0], [8.0, 10.0]]


@gluon_only
def test_an_error_changes_no_buffer_of_a_block() -> None:
    mx, network = gluon(), dense(numpy=False)
    trainer = mx.gluon.Trainer(network.collect_params(), "sgd")
    with pytest.raises(gradest.InvalidInputError, match="bias: asked none"):
        gradest.assign(network, {"weight": np.ones((1, 2)), "bias": np.ones(1)})
    assert network.weight.grad().asnumpy().tolist() == [[0.0, 0.0]]
    with pytest.raises(UserWarning, match="not been updated by backward"):
        trainer.step(1)
    with pytest.raises(gradest.UnsupportedError, match=r"gluon\.Trainer"):
        gradest.assign([mx.nd.ones(2)], [np.ones(2)])
