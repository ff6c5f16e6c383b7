"""`gradest.check` raises no false alarm on right gradients, finds what is wrong, and says where and why."""

import math
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import islice
from typing import Any

import numpy as np
import pytest
from support import mistaken_gradients
from support import right_gradients as cases
from support.small_losses import differentiable_once
from support.turns import shared_by_two, with_numpy

import gradest
from gradest.autodiff.dual import DualOperations
from gradest.checking.result import BlockCheck, GradientCheck, Verdict

if find_spec("mxnet") is not None:
    # While modules are collected: MXNet warns as it and its parts are imported, which a test may not.
    next(cases.mxnet_blocks(0))

SOURCES: dict[str, tuple[Callable[[int], Iterator[cases.Loss]], int]] = {
    "numpy": (cases.closed_forms, 32),
    "torch": (cases.torch_layers, 12),
    "jax": (cases.jax_functions, 4),
    "mxnet": (cases.mxnet_blocks, 4),
}


LONG = {"torch": with_numpy(2), "jax": with_numpy(1)}


@pytest.mark.parametrize("source", [pytest.param(source, marks=LONG.get(source, ())) for source in SOURCES])
def test_no_false_alarm_on_right_gradients(source: str) -> None:
    """Each block is tried along 4 random directions, seeded; the wrong ones below are the mutants that it rejects."""
    if find_spec(source) is None:
        pytest.skip(f"{source} is not installed: pip install 'gradest[{source}]'")
    make, count = SOURCES[source]
    for name, f, params, gradient, args in islice(make(11), count):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kinks and noise are the check's own to tell
            found = gradest.check(f, params, gradient, *args)
        assert found.verdict is not Verdict.WRONG, f"{name}\n{found}"


def network(p: dict[str, Any], x: Any) -> Any:
    return np.mean((np.tanh(x @ p["w"] + p["b"]) @ p["v"]) ** 2)


def network_gradient(p: dict[str, Any], x: Any) -> dict[str, Any]:
    hidden = np.tanh(x @ p["w"] + p["b"])
    by_out = 2 * (hidden @ p["v"]) / (len(x) * p["v"].shape[1])
    by_hidden = (by_out @ p["v"].T) * (1 - hidden**2)
    return {"w": x.T @ by_hidden, "b": by_hidden.sum(axis=0), "v": hidden.T @ by_out}


def at(dtype: str = "float64") -> tuple[dict[str, Any], Any]:
    r = np.random.default_rng(3)
    shapes = {"w": (4, 4), "b": (4,), "v": (4, 3)}
    return {k: (r.standard_normal(s) / 2).astype(dtype) for k, s in shapes.items()}, r.standard_normal((5, 4)).astype(
        dtype
    )


@pytest.mark.parametrize("dtype", shared_by_two(["float64", "float32"]))
def test_every_planted_defect_of_ten_resolutions_is_found(dtype: str) -> None:
    params, x = at(dtype)
    truth = network_gradient(params, x)
    right = gradest.check(network, params, truth, x)
    assert right
    assert 1.9 < right.rate < 2.1
    for block in right.blocks:
        for kind, where, wrong in cases.planted(truth, params, 10 * block.resolution):
            if where == block.name:
                found = gradest.check(network, params, wrong, x)
                assert [defect.block for defect in found.defects] == [where], (kind, where, str(found))


@pytest.mark.parametrize("dtype", shared_by_two(["float32", "float64"]))
def test_every_mistake_of_a_derivation_is_found_at_ten_resolutions(dtype: str) -> None:
    """Each kind in the first block that it makes wrong; half of the kinds in each dtype, all of them in the table."""
    params, x = at(dtype)
    truth = network_gradient(params, x)
    resolution = {block.name: block.resolution for block in gradest.check(network, params, truth, x).blocks}
    kinds = list(mistaken_gradients.MISTAKES)[0 if dtype == "float64" else 1 :: 2]
    tried: set[str] = set()
    for block in ("w", "v", "b"):
        for kind, where, wrong in mistaken_gradients.mistaken(params, x, 10 * resolution[block]):
            if where == block and kind in kinds and kind not in tried:
                tried.add(kind)
                found = gradest.check(network, params, wrong, x)
                assert [defect.block for defect in found.defects] == [where], (kind, where, str(found))
    assert tried == set(kinds)


def test_there_are_as_many_kinds_of_defects_as_the_table_says() -> None:
    params, x = at()
    planted = {kind for kind, _, _ in cases.planted(network_gradient(params, x), params, 1.0)}
    assert len(planted | set(mistaken_gradients.MISTAKES)) >= 40
    right = mistaken_gradients.gradient(mistaken_gradients.passed(params, x))
    for name, values in network_gradient(params, x).items():  # the mistakes begin from a right derivation
        np.testing.assert_allclose(right[name], values, rtol=1e-12)


MISTAKES: dict[str, tuple[str, Callable[[dict[str, Any], dict[str, Any]], Any], str]] = {
    "factor": ("w", lambda g, p: 2 * g["w"], "a factor of 2"),
    "mean forgotten": ("w", lambda g, p: g["w"] * 15, "a factor of 15"),
    "sign": ("v", lambda g, p: -g["v"], "a wrong sign"),
    "transposed": ("w", lambda g, p: g["w"].T, "a transposed block"),
    "zero": ("b", lambda g, p: 0 * g["b"], "no gradient at all"),
    "weight decay": ("v", lambda g, p: g["v"] + 0.1 * p["v"], "0.1 times the parameters"),
    "one entry": ("w", lambda g, p: g["w"] + np.eye(16)[5].reshape(4, 4), "1 of 16 entries"),
    "constant": ("v", lambda g, p: g["v"] + 0.5, "a constant 0.5"),
    "precision": ("w", lambda g, p: g["w"].astype(np.float16).astype(float), "precision"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_cause_and_the_place_are_told(mistake: str) -> None:
    params, x = at()
    truth = network_gradient(params, x)
    block, make, cause = MISTAKES[mistake]
    wrong = {**truth, block: make(truth, params)}
    found = gradest.check(network, params, wrong, x)
    defect = found.defects[0]
    assert [each.block for each in found.defects] == [block]
    assert cause in defect.cause, str(found)
    assert defect.claimed == wrong[block][defect.index]
    assert defect.expected == pytest.approx(truth[block][defect.index], rel=1e-4, abs=1e-8)
    assert defect.expected_by == "reverse mode"


def test_a_factor_near_one_is_told_by_what_it_is_off() -> None:
    """A rounded "factor of 1" would call a wrong gradient right."""
    params, x = at()
    wrong = {name: (1 + 1e-6) * block for name, block in network_gradient(params, x).items()}
    assert {defect.cause for defect in gradest.check(network, params, wrong, x).defects} == {"a factor of 1 + 1e-06"}


@pytest.mark.skipif(find_spec("mxnet") is None, reason="MXNet is not installed: pip install 'gradest[mxnet]'")
def test_a_gradient_in_legacy_arrays_by_name_is_judged() -> None:
    mx = pytest.importorskip("gradest_mxnet").mx
    params = {"w": mx.nd.arange(1, 4)}
    assert gradest.check(lambda p: (p["w"] ** 2).sum(), params, lambda p: {"w": 2 * p["w"]})
    assert not gradest.check(lambda p: (p["w"] ** 2).sum(), params, lambda p: {"w": -2 * p["w"]})


def test_a_gradient_of_a_black_box_is_judged_by_its_values_alone() -> None:
    params, x = at()
    truth = network_gradient(params, x)
    assert gradest.check(lambda p, x: float(network(p, x)), params, truth, x)
    wrong = gradest.check(lambda p, x: float(network(p, x)), params, {**truth, "w": 2 * truth["w"]}, x)
    assert [each.block for each in wrong.defects] == ["w"]
    assert "numerical" in wrong.defects[0].expected_by


def test_the_worst_entry_of_a_large_block_is_found_without_walking_it() -> None:
    x = np.random.default_rng(0).standard_normal(5000)
    wrong = 2 * x
    wrong[3210] += 3.0
    found = gradest.check(lambda p: np.sum(p * p), x, wrong)
    assert found.defects[0].index == (3210,)
    assert "entries" in found.defects[0].cause
    assert found.evaluations < 5000  # fewer than one value for each entry


def test_a_kink_at_the_point_is_no_defect_and_a_wrong_slope_beside_it_is_one() -> None:
    def loss(p: Any) -> Any:
        return np.sum(np.abs(p))

    found = gradest.check(loss, np.zeros(3), np.full(3, 0.5))
    assert found.blocks[0].kink
    assert "kink there: what lies between its two sides' slopes passes" in str(found)  # it said "right" alone
    assert gradest.check(loss, np.zeros(3), np.zeros(3))
    assert gradest.check(loss, np.zeros(3), np.full(3, 9.0)).verdict is Verdict.WRONG


def test_where_noise_hides_everything_it_cannot_tell() -> None:
    noise = np.random.default_rng(0)
    with pytest.warns(gradest.NoiseWarning):
        found = gradest.check(lambda p: float(np.sum(p * p)) + noise.standard_normal(), np.ones(2), np.full(2, 2.0))
    assert found.verdict is Verdict.CANNOT_TELL
    assert not found
    assert "cannot tell" in str(found)


def test_it_takes_what_grad_takes() -> None:
    found = gradest.check(
        lambda x, w, scale: scale * (x @ w) ** 2,
        np.array([1.0, 2.0]),
        lambda x, w, scale: 2 * scale * (x @ w) * x,
        np.array([0.5, 1.0]),
        argnums=1,
        scale=3.0,
    )
    assert found
    case = gradest.Case(lambda p, x: np.sum((p - x) ** 2), np.zeros(2), (np.ones(2),))
    assert gradest.check(case, gradient=np.full(2, -2.0))
    assert not gradest.check(case, gradient=np.full(2, 2.0))


@pytest.mark.parametrize(
    ("gradient", "error", "words"),
    [
        (np.ones(3), gradest.InvalidEstimateError, r"shape \(2,\); found \(3,\)"),
        ({"a": np.ones(2), "b": np.ones(2)}, gradest.InvalidEstimateError, "1 blocks"),
        (np.array([np.nan, 1.0]), gradest.InvalidEstimateError, "1 of 2 entries"),
        (None, gradest.UnsupportedError, r"float\(\) was asked"),
        (lambda p: None, gradest.InvalidEstimateError, "returned None: is a `return` missing"),
        (np.full(2, 2.0 + 1.0j), gradest.InvalidEstimateError, "real numbers, .*; found entries of dtype complex128"),
        ("2, 2", gradest.InvalidEstimateError, "real numbers, .*; found entries of dtype <U4"),
        ([object()], gradest.InvalidEstimateError, "real numbers, .*; found object"),
    ],
)
def test_wrong_use_is_told(gradient: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        gradest.check(lambda p: float(np.sum(p * p)), np.ones(2), gradient)


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed: pip install 'gradest[torch]'")
def test_a_gradient_of_a_loss_with_dropout_is_judged_at_its_own_draw() -> None:
    import torch

    torch.manual_seed(0)
    layers = torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Tanh(), torch.nn.Linear(8, 1)
    model, x = torch.nn.Sequential(*layers).double(), torch.randn(16, 4, dtype=torch.float64)

    def loss(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        return model(x).square().mean()

    def by_backward(model: torch.nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
        model.zero_grad()
        loss(model, x).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    assert gradest.check(loss, model, by_backward, x)
    torch.manual_seed(1)
    found = by_backward(model, x)
    after = torch.get_rng_state()
    torch.manual_seed(1)
    assert gradest.check(loss, model, found, x)
    assert torch.equal(torch.get_rng_state(), after)
    other = gradest.check(loss, model, found, x)
    assert not other
    assert "of which arrays have to be too" in str(other)


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed: pip install 'gradest[torch]'")
def test_a_wrong_custom_rule_of_torch_is_found() -> None:
    import torch

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, by: Any) -> Any:
            return by * 2 * ctx.saved_tensors[0] ** 2  # the factor should be 3

    found = gradest.check(lambda p: Cube.apply(p).sum(), torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert found.claimed_by == "reverse mode"
    assert not found
    assert found.defects[0].cause == "a factor of 2/3"
    assert found.rate == pytest.approx(1.0, abs=0.05)


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed: pip install 'gradest[jax]'")
def test_a_wrong_custom_rule_of_jax_is_found() -> None:
    import jax
    import jax.numpy as jnp

    sine: Any = jax.custom_vjp(jnp.sin)
    sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, by: (-by * jnp.cos(x),))
    found = gradest.check(lambda p: sine(p).sum(), jnp.array([0.3, 1.1, -0.4]))
    assert not found
    assert found.defects[0].cause == "a wrong sign"


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed: pip install 'gradest[jax]'")
def test_second_order_takes_right_products_and_finds_a_wrong_second_rule() -> None:
    """The first derivative is right; the rule by which it is differentiated once more is off by a factor."""
    import jax
    import jax.numpy as jnp

    cosine: Any = jax.custom_jvp(jnp.cos)
    cosine.defjvp(lambda x, t: (jnp.cos(x[0]), -2 * jnp.sin(x[0]) * t[0]))
    sine: Any = jax.custom_jvp(jnp.sin)
    sine.defjvp(lambda x, t: (sine(x[0]), cosine(x[0]) * t[0]))
    at = jnp.array([0.3, 1.1, -0.4])
    assert gradest.check(lambda p: jnp.sin(p).sum(), at, order=2)
    assert gradest.check(lambda p: sine(p).sum(), at)
    found = gradest.check(lambda p: sine(p).sum(), at, order=2)
    assert found.verdict is Verdict.WRONG
    assert found.defects[0].cause == "a factor of 2"


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed: pip install 'gradest[torch]'")
def test_second_order_of_a_module() -> None:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    assert gradest.check(lambda m, x: m(x).square().mean(), model, None, torch.randn(5, 3).double(), order=2)


@pytest.mark.parametrize(("order", "gradient"), [(0, None), (3, None), (2, np.ones(2))])
def test_an_order_that_does_not_exist_is_told(order: int, gradient: Any) -> None:
    with pytest.raises(gradest.InvalidInputError, match="order must be 1"):
        gradest.check(lambda p: np.sum(p * p), np.ones(2), gradient, order=order)


def test_second_order_of_a_numpy_function() -> None:
    assert gradest.check(lambda p: np.sum(p**4), np.ones(2), order=2)


def test_second_order_asks_for_forward_over_reverse() -> None:
    with pytest.raises(gradest.UnsupportedError, match="its derivative would be lost"):
        gradest.check(differentiable_once(np.exp, np.exp), np.ones(2), order=2)


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
def test_second_order_of_a_problem_on_every_backend(backend: str) -> None:
    """By the framework's forward over reverse or gradest's; the rule of one operation made wrong is found."""
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: pip install 'gradest[{backend}]'")
    assert gradest.check(gradest.bind(gradest.get_problem("logsumexp"), backend=backend), order=2)


def test_second_order_finds_a_wrong_rule_of_gradests_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dual numbers that forget `g dx` in a product: the gradient stays right, and products with the Hessian do not."""
    objective = gradest.bind(gradest.get_problem("rosenbrock"))
    assert gradest.check(objective, order=2)
    right = DualOperations.product_change
    monkeypatch.setattr(
        DualOperations,
        "product_change",
        lambda self, x, y, dx, dy: right(self, x, y, dx, dy) if dx is None or dy is None else dx * y,
    )
    assert gradest.check(objective)
    assert gradest.check(objective, order=2).verdict is Verdict.WRONG


NOT_FINITE: dict[str, Any] = {
    "nan": lambda p: np.sum(np.log(p)),  # with finite exact derivatives 1 / p, in which both modes agree
    "infinite": lambda p: np.sum(1.0 / np.maximum(p, 0.0)),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", NOT_FINITE)
@pytest.mark.parametrize("ask", [gradest.check, gradest.compare])
def test_a_loss_that_is_not_finite_at_the_point_is_not_called_right(ask: Any, kind: str) -> None:
    with pytest.raises(gradest.NonFiniteError, match="finite where its gradient is judged; it is"):
        ask(NOT_FINITE[kind], np.array([-1.0, 2.0]))


def test_a_result_shows_what_it_found_where_it_is_asserted_or_typed() -> None:
    found = gradest.check(lambda p: np.sum(p * p), np.ones(2), np.ones(2))
    assert repr(found) == str(found)
    assert "a factor of 1/2" in repr(found)


def test_what_cannot_be_told_says_what_hides_it_in_a_whole_sentence() -> None:
    kink = BlockCheck("w", Verdict.CANNOT_TELL, 12.0, math.nan, kink=True)
    result = GradientCheck(Verdict.CANNOT_TELL, "reverse mode", (kink,), (), ("values",), 0.0, 1)
    assert "w: cannot tell; the loss has a kink there, and the gradient is near what its two sides give" in str(result)
    beside = gradest.check(lambda x: float(np.abs(x).sum()), np.zeros(3), 3.0 * np.ones(3))
    assert "cannot tell; the loss has a kink there" in str(beside)  # it was said to hide errors below 6e-15


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_gradient_that_changes_from_call_to_call_is_wrong(scale: float) -> None:
    """As of a rule that leaves an adjoint unwritten; its changes are no rounding that would hide errors."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")

    class Product(torch.autograd.Function):  # type: ignore[misc,name-defined]  # PyTorch's class is Any here
        generate_vmap_rule = True

        @staticmethod
        def forward(a: Any, b: Any) -> Any:
            return a * b

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.saved_tensors[1], scale * torch.randn_like(g)

    params = {"a": torch.tensor([0.5, -2.0]).double(), "b": torch.tensor([1.5, 0.75]).double()}
    found = gradest.check(lambda p: (Product.apply(p["a"], p["b"]) ** 2).sum(), params)
    assert found.verdict is Verdict.WRONG
    assert [(defect.block, "from call to call" in defect.cause) for defect in found.defects] == [("b", True)]
