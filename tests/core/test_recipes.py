"""Each recipe trains by the framework's own optimiser, and by reverse mode as the framework's own training does."""

import copy
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradest

RECIPES = Path(__file__).resolve().parents[2] / "examples" / "recipes"
X = np.random.default_rng(0).standard_normal((32, 3))
Y = np.tanh(X @ np.ones((3, 1))) + 0.5
STEPS = 5


def recipe(name: str, function: str = "train") -> Callable[..., Any]:
    return runpy.run_path(str(RECIPES / f"{name}.py"))[function]


TRAINING = sorted(path for path in RECIPES.glob("*.py") if not path.stem.endswith("_backend"))


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_a_recipe_is_ten_lines_at_most(path: Path) -> None:
    name = {"scipy_minimize": "fit", "lightning_manual": None}.get(path.stem, "train")
    text = path.read_text(encoding="utf-8")
    if name is None:
        lines = text.split("def training_step")[1].split("def configure")[0].splitlines()
    else:
        lines = text.split(f"def {name}(")[1].splitlines()
    code = [line for line in lines[1:] if line.strip() and '"""' not in line]
    assert 0 < len(code) <= 10


def torch_or_skip() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")


@pytest.mark.parametrize("method", ["reverse", "fd-central"])
def test_torch_optim_and_a_schedule(method: str) -> None:
    torch = torch_or_skip()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    x, y, own = torch.tensor(X), torch.tensor(Y), copy.deepcopy(model)
    loss = torch.nn.functional.mse_loss
    first = float(loss(model(x), y).detach())
    recipe("torch_optim")(model, x, y, steps=STEPS, method=method)
    assert float(loss(model(x), y).detach()) < first
    optimizer = torch.optim.SGD(own.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(own(x), y).backward()
        optimizer.step()
        schedule.step()
    torch.testing.assert_close(
        model.state_dict(), own.state_dict(), rtol=0, atol=1e-14 if method == "reverse" else 1e-8
    )


def test_optax() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'gradest[jax]'")
    optax = pytest.importorskip("optax", reason="optax is not installed: pip install optax")
    generator = np.random.default_rng(1)
    params = {"w": jax.numpy.asarray(generator.standard_normal((3, 4))), "v": jax.numpy.ones((4, 1))}
    x, y, loss = jax.numpy.asarray(X), jax.numpy.asarray(Y), recipe("optax_adam", "loss")
    found = recipe("optax_adam")(params, x, y, steps=STEPS)
    assert float(loss(found, x, y)) < float(loss(params, x, y))
    optimizer = optax.adam(0.05)
    state, own = optimizer.init(params), params
    for _ in range(STEPS):
        updates, state = optimizer.update(jax.grad(loss)(own, x, y), state, own)
        own = optax.apply_updates(own, updates)
    for name, value in own.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5)  # float32


# MXNet asks SciPy for a sparse class by its old name when it makes an array.
@pytest.mark.filterwarnings("ignore:Please import `csr_matrix`:DeprecationWarning")
def test_gluon_trainer() -> None:
    try:
        gradest.get_backend("mxnet")
    except gradest.MissingDependencyError:
        pytest.skip("MXNet is not installed (it needs NumPy 1)")
    mx: Any = sys.modules["mxnet"]
    weights = np.random.default_rng(1).standard_normal((1, 3))

    def block() -> Any:
        made = mx.gluon.nn.Dense(1, in_units=3, activation="tanh")
        made.initialize()
        made.weight.set_data(mx.nd.array(weights))
        return made

    x, y, loss = mx.nd.array(X), mx.nd.array(Y), mx.gluon.loss.L2Loss()
    model, own = block(), block()
    first = float(loss(model(x), y).mean().asscalar())
    recipe("gluon_trainer")(model, x, y, steps=STEPS)
    assert float(loss(model(x), y).mean().asscalar()) < first
    trainer = mx.gluon.Trainer(own.collect_params(), "adam", {"learning_rate": 0.05})
    for _ in range(STEPS):
        with mx.autograd.record(train_mode=False):
            value = loss(own(x), y).mean()
        value.backward()
        trainer.step(1)
    np.testing.assert_allclose(model.weight.data().asnumpy(), own.weight.data().asnumpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["reverse", "fd-central"])
def test_scipy_finds_the_least_squares_solution(method: str) -> None:
    def loss(params: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> Any:
        return np.mean((x @ params["w"] + params["b"] - y) ** 2)

    found = recipe("scipy_minimize", "fit")(loss, {"w": np.zeros((3, 1)), "b": np.zeros(1)}, X, Y, method=method)
    exact = np.linalg.lstsq(np.column_stack([X, np.ones(32)]), Y, rcond=None)[0]
    np.testing.assert_allclose(np.concatenate([found["w"], found["b"][:, None]]), exact, rtol=0, atol=1e-5)
