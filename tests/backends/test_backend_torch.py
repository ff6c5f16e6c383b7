"""What is PyTorch's own: unusual memory, gradients without recording, modules left as they were, threads."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import gradest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn

BACKEND = gradest.get_backend("torch")
REVERSE = gradest.get_estimator("reverse", engine="native")


def test_bfloat16_crosses_as_float32() -> None:
    array = BACKEND.array(np.array([1.0, 2.0**-100, 3.140625]), dtype="bfloat16")
    assert array.dtype == torch.bfloat16
    assert BACKEND.numpy(array).tolist() == [1.0, 2.0**-100, 3.140625]


@pytest.mark.parametrize("copy", [True, False])
def test_unusual_memory_is_taken(copy: bool) -> None:
    values = np.arange(6.0).reshape(2, 3)
    read_only = values.copy()
    read_only.flags.writeable = False
    for odd in (values[:, ::-1], np.asfortranarray(values), values.astype(">f8"), read_only, values[:, :1]):
        assert np.array_equal(BACKEND.numpy(BACKEND.array(odd, dtype="float64", copy=copy)), odd)
    assert np.array_equal(read_only, values)


def test_a_gradient_is_computed_where_the_caller_records_nothing() -> None:
    params, x = {"w": torch.tensor([1.0, 2.0])}, torch.tensor([3.0, 4.0])

    def loss(params: Any, x: Any) -> Any:
        return torch.sum(params["w"] ** 2 * x)

    with torch.no_grad():
        assert REVERSE(loss, params, x).gradient["w"].tolist() == [6.0, 16.0]
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        made_there = {"w": torch.tensor([1.0, 2.0])}
        prepared = REVERSE.prepare(gradest.bind(loss, made_there, torch.tensor([3.0, 4.0])))
        assert prepared(made_there).gradient["w"].tolist() == [6.0, 16.0]
        assert torch.is_inference_mode_enabled()
    outside = prepared(params).gradient["w"]
    assert outside.tolist() == [6.0, 16.0]
    assert not outside.requires_grad


def test_parameters_that_are_not_used_have_gradient_zero() -> None:
    params = {"used": torch.tensor([2.0]), "not": torch.tensor([3.0, 4.0])}
    gradient = REVERSE(lambda p: torch.sum(p["used"] ** 2), params).gradient
    assert gradient["used"].tolist() == [4.0]
    assert gradient["not"].tolist() == [0.0, 0.0]


def test_a_loss_that_leaves_the_graph_is_refused() -> None:
    with pytest.raises(gradest.InvalidInputError, match="not connected"):
        REVERSE(lambda p: torch.sum(p.detach() ** 2), torch.ones(2))


class Network(nn.Module):  # type: ignore[misc, name-defined]  # imported where it is installed: of type Any
    """Has a frozen parameter, a tied one, dropout-free batch normalisation and buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.second = nn.Linear(4, 4, bias=False)
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.second.weight
        self.first.bias.requires_grad_(False)

    def forward(self, x: Any) -> Any:
        return self.tied(torch.tanh(self.second(self.norm(self.first(x)))))


def _module_case() -> tuple[Network, Any, Any, Any]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x, y = Network().double(), torch.randn(8, 3, dtype=torch.float64), torch.randn(8, 4, dtype=torch.float64)
    return model, lambda model, x, y: nn.functional.mse_loss(model(x), y), x, y


@pytest.mark.parametrize("training", [True, False])
def test_a_module_is_left_as_it_was(training: bool) -> None:
    model, loss, x, y = _module_case()
    model.train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    identities = {name: id(p) for name, p in model.named_parameters()}
    gradient = REVERSE(loss, model, x, y).gradient

    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert {name: id(p) for name, p in model.named_parameters()} == identities
    assert tuple(gradient) == ("first.weight", "norm.weight", "norm.bias", "second.weight")

    loss(model, x, y).backward()  # what the user would have done; it does change the buffers
    for name, block in gradient.items():
        assert torch.allclose(block, model.get_parameter(name).grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("training", [True, False])
def test_a_population_of_modules_updates_no_shared_buffer(training: bool) -> None:
    model, loss, x, y = _module_case()
    model.train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    differences = gradest.get_estimator("fd-central")(loss, model, x, y)
    exact = REVERSE(loss, model, x, y)
    assert differences.path == "vmap"
    for name, block in exact.gradient.items():
        assert torch.allclose(differences.gradient[name], block, rtol=1e-6, atol=1e-8)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_prepared_module_follows_its_parameters() -> None:
    model, loss, x, y = _module_case()
    prepared = REVERSE.prepare(gradest.bind(loss, model, x, y))
    first = prepared(model).gradient
    with torch.no_grad():
        model.second.weight.mul_(2.0)
    moved = prepared(model).gradient
    assert not torch.equal(first["first.weight"], moved["first.weight"])
    assert torch.equal(prepared().gradient["first.weight"], first["first.weight"])


def test_a_module_without_trainable_parameters_is_refused() -> None:
    with pytest.raises(gradest.InvalidInputError, match="ReLU has none"):
        REVERSE(lambda model, x: model(x).sum(), nn.ReLU(), torch.ones(2))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("whole", [True, False])
def test_a_module_compiled_by_torch_jit_is_refused_in_words(whole: bool) -> None:
    inner = nn.Linear(2, 1)
    script: Any = torch.jit.script
    model = script(inner) if whole else nn.Sequential(script(inner), nn.Tanh())
    with pytest.raises(gradest.UnsupportedError, match="pass the module before that"):
        REVERSE(lambda model, x: model(x).sum(), model, torch.ones(1, 2))


def test_wait_versions_and_devices() -> None:
    BACKEND.wait([torch.ones(3)])
    assert BACKEND.versions()["torch"] == torch.__version__
    assert BACKEND.devices()[0] == "cpu"
    assert BACKEND.peak_memory_bytes("cpu") is None


def test_forward_mode_serves_several_threads() -> None:
    objective = gradest.bind(gradest.get_problem("mlp", dataset="iris", widths=(3,)), backend="torch")
    prepared = gradest.get_estimator("forward-gradient", num_samples=4).prepare(objective)
    expected = prepared(rng=0).gradient["W1"]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: prepared(rng=0).gradient["W1"], range(100)))
    assert all(torch.equal(each, expected) for each in found)


@pytest.mark.parametrize("engine", [True, False], ids=["by the engine", "by the public function"])
def test_reverse_mode_is_autograd_grads_whatever_calls_the_engine(
    engine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parameter without influence has zeros either way; the engine has no public name, and may be gone."""
    from gradest_torch import reverse_mode

    assert reverse_mode._ENGINE is not None
    if not engine:
        monkeypatch.setattr(reverse_mode, "_ENGINE", None)
    params = {"w": torch.tensor([0.5, -1.5], dtype=torch.float64), "free": torch.ones(3)}
    value, found = gradest.value_and_grad(lambda p: (p["w"].sin() * p["w"]).sum())(params)
    w = params["w"].clone().requires_grad_()
    loss = (w.sin() * w).sum()
    (own,) = torch.autograd.grad(loss, w)
    assert torch.equal(found["w"], own)
    assert torch.equal(found["free"], torch.zeros(3))
    assert torch.equal(value, loss.detach())


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_large_array_begins_at_a_cache_line_and_keeps_its_numbers(dtype: str) -> None:
    framework = gradest.get_backend("torch")
    for rows in range(130, 140):
        values = np.arange(rows * 100.0).reshape(100, rows).T % 128
        array: Any = framework.array(values, dtype=dtype)
        assert array.data_ptr() % 64 == 0
        assert array.is_contiguous()
        assert np.array_equal(framework.numpy(array), values)


@pytest.mark.parametrize(
    ("method", "options"),
    [("fd-central", {}), ("es", {"num_samples": 4}), ("es", {"num_samples": 4, "noise": "native"}), ("spsa", {})],
)
@pytest.mark.parametrize("black_box", [True, False])
def test_a_default_device_that_the_caller_has_set_moves_nothing(
    method: str, options: dict[str, Any], black_box: bool
) -> None:
    """Nothing can be computed on the device "meta", so that what comes to it by default shows."""
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)

    def loss(p: Any) -> Any:
        value = (p**3).sum()
        return value.item() if black_box else value

    gradient = gradest.grad(loss, method=method, **options)
    expected = gradient(x, rng=0)
    with torch.device("meta"):
        found = gradest.grad(loss, method=method, **options)(x, rng=0)
        steps = gradest.graph(lambda p: (p**3).sum(), x, mode="forward")
    assert torch.equal(found, expected)
    assert float(steps.nodes[-1].value) == 9.0
