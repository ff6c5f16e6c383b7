"""Every estimate works on every device that a backend states, and stays there; where there is a GPU, on it too."""

from typing import Any

import numpy as np
import pytest
from support.turns import is_in_turn

import gradest
from gradest import InvalidInputError, UnsupportedError, bind, get_backend, get_estimator, get_problem
from gradest.errors import MissingDependencyError
from gradest.measurement.accuracy import compare_gradients
from gradest.measurement.reference import reference_gradient
from gradest.measurement.session import flat

BACKENDS = ("numpy", "jax", "torch", "mxnet")


def devices(backend: str) -> tuple[str, ...]:
    try:
        return get_backend(backend).devices()
    except MissingDependencyError:
        return ("cpu",)  # the case is skipped, with the reason, when it is set up


PLACES = [(backend, device) for backend in BACKENDS for device in devices(backend)]


DTYPES = ("float64", "float32")
ON_PLACES = [
    (*place, dtype, method)
    for number, method in enumerate(("analytic", "reverse", "forward", "fd-exact"))
    for place in PLACES
    for dtype in DTYPES
    if place != ("jax", "cpu") or is_in_turn(number, dtype, DTYPES)
]


@pytest.mark.parametrize(("backend", "device", "dtype", "method"), ON_PLACES)
def test_gradients_are_right_where_the_parameters_are(backend: str, device: str, dtype: str, method: str) -> None:
    problem = get_problem("mlp", dataset="iris", widths=(4,), bias=False)
    objective = bind(problem, backend=backend, device=device, dtype=dtype)
    estimate = get_estimator(method)(objective)
    error = compare_gradients(flat(objective, estimate), reference_gradient(objective).gradient).relative_error
    assert error <= {"float64": 1e-14, "float32": 4e-6}[dtype]
    assert {objective.backend.device(leaf) for leaf in estimate.gradient.values()} == {device}


@pytest.mark.parametrize(("backend", "device"), PLACES)
def test_directions_are_the_same_on_every_device(backend: str, device: str) -> None:
    problem = get_problem("mlp", dataset="iris", widths=(4,), bias=False)
    expected = get_estimator("es", num_samples=7)(bind(problem), rng=3)
    objective = bind(problem, backend=backend, device=device)
    found = get_estimator("es", num_samples=7)(objective, rng=3)
    reference = objective.layout.flatten(list(expected.gradient.values()))
    assert compare_gradients(flat(objective, found), reference).relative_error <= 1e-11


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_device_that_is_not_there_is_refused(backend: str) -> None:
    with pytest.raises((UnsupportedError, InvalidInputError), match="device"):
        bind(get_problem("cubic-graph"), backend=backend, device="cuda:99")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize(("backend", "device"), PLACES)
def test_a_copy_stays_where_its_array_is_and_its_bad_entries_are_counted(backend: str, device: str, dtype: str) -> None:
    framework = get_backend(backend)
    if dtype not in framework.dtypes:
        pytest.skip(f"{backend} has no {dtype}")
    values = np.array([[1.5, -np.inf, 0.0], [np.nan, -2.0, np.inf]])
    array = framework.array(values, dtype=dtype, device=device)
    copy: Any = framework.copied(array)
    assert framework.dtype(copy) == dtype
    assert framework.device(copy) == device
    assert np.array_equal(np.asarray(framework.numpy(copy), dtype=np.float64), values, equal_nan=True)
    assert framework.same(copy, array)
    without = np.where(np.isnan(values), 0.0, values)
    assert not framework.same(copy, framework.array(without, dtype=dtype, device=device))
    assert framework.count_non_finite(copy) == framework.count_non_finite(array) == 3
    finite = framework.array(np.array([1.0, -2.0]), dtype=dtype, device=device)
    assert framework.count_non_finite(finite) == 0
    with pytest.raises(gradest.NonFiniteError, match="has 3 of 6 entries NaN or infinite"):
        bind(lambda w: (w * w).sum(), array)


@pytest.mark.parametrize(("backend", "device"), [place for place in PLACES if place[0] in {"numpy", "torch"}])
def test_a_bound_parameter_is_a_copy_whatever_its_strides(backend: str, device: str) -> None:
    """A transposed, an expanded and a lazily negated array; writing into them afterwards is not seen."""
    framework = get_backend(backend)
    square: Any = framework.array(np.array([[1.0, 2.0], [3.0, 4.0]]), dtype="float64", device=device)
    params = {"transposed": square.T, "whole": square, "column": square[:, 1]}
    if backend == "torch":
        import torch

        params["negated"] = torch.conj(torch.complex(square, square)).imag
        params["parameter"] = torch.nn.Parameter(square)
        params["expanded"] = square[:1].expand(3, 2)
    expected = {name: framework.numpy(array) for name, array in params.items()}
    objective = bind(lambda p: sum((each * each).sum() for each in p.values()), params)
    square *= 100.0
    for name, leaf in zip(objective.layout.names, objective.start, strict=True):
        assert np.array_equal(framework.numpy(leaf), expected[name.strip("[]'")]), name


GPUS = [place for place in PLACES if place[1] != "cpu"]
ON_GPUS = pytest.mark.skipif(not GPUS, reason="no framework here has a GPU")
ROUGH = {"fd-forward": 1e-5, "fd-backward": 1e-5}
"""One-sided differences divide the rounding of two losses, which differs between devices, by a short step."""


@ON_GPUS
@pytest.mark.parametrize(("backend", "device"), GPUS)
@pytest.mark.parametrize("name", [name for name in gradest.names("estimators") if name != "guided-es"])
def test_every_estimator_gives_on_a_gpu_what_it_gives_on_numpy(backend: str, device: str, name: str) -> None:
    problem = get_problem("mlp", dataset="iris", widths=(4,), batch=16)
    estimator = get_estimator(name)
    expected = flat(bind(problem), estimator(bind(problem), rng=3))
    objective = bind(problem, backend=backend, device=device)
    estimate = estimator(objective, rng=3)
    assert (
        compare_gradients(flat(objective, estimate), expected).relative_error <= ROUGH.get(name, 1e-7)
        or not expected.any()
    )
    assert {objective.backend.device(leaf) for leaf in estimate.gradient.values()} == {device}


@ON_GPUS
@pytest.mark.parametrize(("backend", "device"), [place for place in GPUS if place[1].endswith(":0")])
def test_the_kind_of_a_device_alone_is_the_first_of_its_kind(backend: str, device: str) -> None:
    assert bind(get_problem("cubic-graph"), backend=backend, device=device.partition(":")[0]).device == device


METHODS = ("reverse", "forward", "fd-central", "spsa", "es", "es-low-rank", "forward-gradient")


@pytest.mark.skipif(not {"torch"} & {backend for backend, _ in GPUS}, reason="PyTorch has no GPU here")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["attention", "lstm", "batch-norm", "a value read out"])
def test_a_module_on_a_gpu_has_the_estimates_it_has_on_the_processor(kind: str, method: str) -> None:
    import torch

    if (kind, method) in {("lstm", "forward"), ("lstm", "forward-gradient")}:
        pytest.skip("PyTorch has no forward mode of its fused LSTM")
    found = {}
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        module, inputs = _module(kind), torch.randn(5, 6, 4, dtype=torch.float64)
        module, inputs = module.to(device), inputs.to(device)
        before = {name: value.clone() for name, value in module.state_dict().items()}
        gradient = gradest.grad(_module_loss, method=method)(module, inputs, rng=1)
        assert {leaf.device.type for leaf in gradient.values()} == {device}
        for name, value in module.named_parameters():
            assert torch.equal(value, before[name])
        found[device] = torch.cat([leaf.detach().cpu().ravel() for leaf in gradient.values()]).numpy()
    assert compare_gradients(found["cuda"], found["cpu"]).relative_error <= 1e-6


def _module_loss(module: Any, inputs: Any) -> Any:
    return module(inputs).pow(2).mean()


def _module(kind: str) -> Any:
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(4, 2, dim_feedforward=6, dropout=0.0, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(4, 3, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.layer(x)[0]

    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.norm = nn.Linear(4, 3), nn.BatchNorm1d(6)

        def forward(self, x: Any) -> Any:
            return torch.tanh(self.norm(self.layer(x)))

    class Read(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            y = self.layer(x)
            return y if y.sum().item() > -1e9 else -y

    kinds: dict[str, type[nn.Module]] = {
        "attention": Attention,
        "lstm": Recurrent,
        "batch-norm": Normed,
        "a value read out": Read,
    }
    return kinds[kind]().to(torch.float64)
