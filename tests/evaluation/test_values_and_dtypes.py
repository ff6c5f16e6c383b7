"""What values of a user's loss are made of: how coarse they are, whether they are finite, whether they ever differ."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import FlatLossWarning, InvalidInputError, NoiseWarning, NonFiniteError, NonFiniteWarning
from gradest.dtypes import as_floats, dtype_of, epsilon, rounded, shortest_epsilon
from gradest.operations import NumpyArray

FRAMEWORKS = ["numpy", "jax", "torch", "mxnet"]
DIFFERENCES = ["fd-forward", "fd-central", "fd-five-point", "fd-richardson"]
SAMPLED = ["es", "es-low-rank", "spsa", "es-forward"]


def array(framework: str, values: Any, dtype: str = "float64") -> Any:
    backend = gradest.get_backend(framework)
    with backend.scope(dtype) or warnings.catch_warnings():
        return backend.array(np.asarray(values), dtype=dtype)


def numbers(framework: str, value: Any, dtype: str = "float64") -> NumpyArray:
    return np.asarray(as_floats(gradest.get_backend(framework).numpy(value), dtype), dtype=np.float64)


# -- coarse values ---------------------------------------------------------------------------------------------------
COARSE: dict[str, Callable[[NumpyArray], Any]] = {
    "an array in float32": lambda p: (p.astype(np.float32) ** 2).sum(),
    "a Python number computed in float32": lambda p: float((p.astype(np.float32) ** 2).sum()),
    "float16 inside": lambda p: float((p.astype(np.float16) ** 2).sum()),
}


@pytest.mark.parametrize("method", ["fd-forward", "fd-central"])
@pytest.mark.parametrize(("loss", "bar"), list(zip(COARSE.values(), (1e-3, 1e-3, 0.15), strict=True)), ids=COARSE)
def test_a_step_suits_a_loss_that_is_coarser_than_its_parameters(
    loss: Callable[[NumpyArray], Any], bar: float, method: str
) -> None:
    point = np.array([1 / 3, 2.0])
    found = gradest.get_estimator(method)(loss, point).gradient
    assert np.linalg.norm(found - 2 * point) <= bar * np.linalg.norm(2 * point)


@pytest.mark.parametrize("backend", ["torch", "mxnet"])
def test_a_step_suits_a_coarse_loss_of_a_framework(backend: str) -> None:
    def loss(p: Any) -> Any:
        low = p.float() if backend == "torch" else p.astype("float32")
        return (low * low).sum()

    found = gradest.get_estimator("fd-central")(loss, array(backend, [1 / 3, 2.0])).gradient
    assert np.allclose(numbers(backend, found), [2 / 3, 4.0], rtol=1e-4)


def test_the_rounding_of_a_coarse_loss_is_told_to_sampled_slopes_too() -> None:
    with pytest.warns(NoiseWarning, match="rounding in float32"):
        gradest.get_estimator("es", sigma=1e-7)(
            lambda p: float((p.astype(np.float32) ** 2).sum()), np.ones(2) / 3, rng=0
        )


def test_digits_tell_what_a_number_was_computed_in() -> None:
    generator = np.random.default_rng(0)
    for dtype in ("float64", "float32", "float16"):
        values = np.exp(generator.standard_normal(200)).astype(dtype).astype(np.float64)
        # The last digit of a float32 is 0 in half of them; 2^-29 of doubles end in 29 zeros.
        assert {shortest_epsilon(float(v)) for v in values} <= {epsilon(dtype), 2.0**-7, 2.0**-10}
        assert np.mean([shortest_epsilon(float(v)) == epsilon(dtype) for v in values]) > 0.85
    assert [shortest_epsilon(v) for v in (0.0, np.inf, np.nan)] == [0.0, 0.0, 0.0]
    assert [dtype_of(epsilon(name)) for name in ("float64", "float32", "float16", "bfloat16")] == [
        "float64", "float32", "float16", "bfloat16"
    ]  # fmt: skip


def test_rounding_to_bfloat16_is_that_of_the_frameworks() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch rounds to bfloat16 beside us")
    values = np.concatenate(
        [np.random.default_rng(0).standard_normal(10_000) * 10.0**k for k in (-30, -3, 0, 7)]
        + [[0.0, 1.00390625, np.inf]]
    ).astype(np.float32)
    expected = torch.tensor(values).bfloat16().float().numpy()
    assert np.array_equal(rounded(values, "bfloat16"), expected)
    assert np.isnan(rounded(np.array([np.nan], dtype=np.float32), "bfloat16")).all()


# -- half precision and mixed dtypes ---------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["reverse", "forward", "complex-step", *DIFFERENCES])
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_bfloat16_is_differentiated_to_its_own_digits(backend: str, method: str) -> None:
    point = array(backend, [0.25, 1.0, -0.5], "bfloat16")
    with warnings.catch_warnings():
        if method in ("fd-five-point", "fd-richardson"):  # which say that two digits leave their quotients little
            warnings.filterwarnings("ignore", ".*[23] of 3 difference quotients are mostly rounding", NoiseWarning)
        found = gradest.get_estimator(method)(lambda p: (p * p * p).sum(), point).gradient
    assert gradest.get_backend(backend).dtype(found) == "bfloat16"
    bar = {"fd-forward": 0.6, "fd-central": 0.1}.get(method, 0.05)
    assert np.allclose(numbers(backend, found, "bfloat16"), [0.1875, 3.0, 0.75], rtol=0, atol=bar)


@pytest.mark.parametrize("method", SAMPLED)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_bfloat16_is_sampled_where_sigma_is_long_enough(backend: str, method: str) -> None:
    point = array(backend, [0.25, 1.0, -0.5], "bfloat16")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoiseWarning)
        found = gradest.get_estimator(method, sigma=0.25, num_samples=400)(
            lambda p: (p * 2).sum(), point, rng=0
        ).gradient
    assert gradest.get_backend(backend).dtype(found) == "bfloat16"
    # 2 in each entry, a standard error of 2 sqrt((P + 1) / N) = 0.2 by theory; five of them: a false alarm in 10^6.
    assert np.allclose(numbers(backend, found, "bfloat16"), 2.0, rtol=0, atol=1.0)


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize(
    "method", ["reverse", "forward", "forward-gradient", "complex-step", "es-rank", *DIFFERENCES, *SAMPLED]
)
@pytest.mark.parametrize(
    ("backend", "other"), [("jax", "bfloat16"), ("torch", "bfloat16"), ("torch", "float64"), ("numpy", "float32")]
)
def test_each_leaf_of_a_gradient_has_its_own_dtype(
    backend: str, other: str, method: str, order: tuple[str, str]
) -> None:
    if backend == "numpy" and method in ("reverse", "forward", "forward-gradient"):
        method = "es"  # a plain NumPy function has no derivative of its own
    dtypes = {"a": "float32" if backend != "numpy" else "float64", "b": other}
    params = {name: array(backend, [1.0, 0.5], dtypes[name]) for name in order}
    estimator = gradest.get_estimator(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoiseWarning)  # bfloat16 and sigma = 0.01
        found = estimator(lambda p: (p["a"] ** 2).sum() + (p["b"] ** 2).sum(), params, rng=0).gradient
    assert {name: gradest.get_backend(backend).dtype(leaf) for name, leaf in found.items()} == dtypes
    if not estimator.stochastic:
        for name in order:
            bar = 0.25 if other == "bfloat16" else 2e-2
            assert np.allclose(numbers(backend, found[name], dtypes[name]), [2.0, 1.0], rtol=0, atol=bar), name


# -- values that are not finite, flat losses, whole numbers ----------------------------------------------------------
@pytest.mark.parametrize("method", [*DIFFERENCES, *SAMPLED])
@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_values_that_are_not_finite_are_counted(backend: str, method: str) -> None:
    def loss(p: Any) -> Any:  # infinite beyond 2 in the first entry, at which the point lies
        return (p * p).sum() + (float("inf") if float(p[0]) > 2.0 else 0.0)

    with pytest.warns(NonFiniteWarning, match=r"\d+ of \d+ function values are NaN or infinite"):
        found = gradest.get_estimator(method)(loss, array(backend, [2.0, 1.0]), rng=0).gradient
    assert not np.isfinite(numbers(backend, found)).all()


def test_values_are_counted_inside_what_a_framework_compiles() -> None:
    jnp = pytest.importorskip("jax.numpy", reason="JAX compiles the loss")
    with pytest.warns(NonFiniteWarning, match="100 of 200"):
        gradest.get_estimator("es")(lambda p: jnp.log(p).sum(), jnp.array([1e-7, 1.0]), rng=0)
    with pytest.raises(NonFiniteError, match="100 of 200"):
        gradest.get_estimator("es-rank")(lambda p: jnp.log(p).sum(), jnp.array([1e-7, 1.0]), rng=0)


@pytest.mark.parametrize("method", [*DIFFERENCES, *SAMPLED])
@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_a_loss_that_never_changes_is_told(backend: str, method: str) -> None:
    other = array(backend, [3.0, 4.0])
    with pytest.warns(FlatLossWarning, match="does not depend on these parameters"):
        found = gradest.get_estimator(method)(lambda p: (other * other).sum(), array(backend, [2.0, 1.0]), rng=0)
    assert not numbers(backend, found.gradient).any()


@pytest.mark.parametrize("method", ["fd-central", "es", "spsa"])
def test_a_loss_with_equal_values_about_its_minimum_is_not_called_flat(method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradest.get_estimator(method)(lambda p: float((p * p).sum()), np.zeros(3), rng=0)


def test_a_loss_of_whole_numbers_is_told_where_nothing_smooths() -> None:
    def jumps(p: NumpyArray) -> int:
        return int(1000 * p.sum())

    point = np.array([0.3, -0.2])
    with pytest.warns(FlatLossWarning, match="whole numbers"):
        gradest.get_estimator("fd-central")(jumps, point)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gradest.get_estimator("es", sigma=1.0, num_samples=4000)(jumps, point, rng=0).gradient
    # The smoothed slope is 1000; a standard error of 1000 sqrt(3 / 4000) = 27, five of them: a false alarm in 10^6.
    assert np.allclose(found, 1000.0, rtol=0, atol=140)


# -- the complex step ------------------------------------------------------------------------------------------------
def through_a_real_buffer(p: NumpyArray) -> Any:
    held = np.zeros(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy says that it discards imaginary parts
        held[:] = p**2
    return held.sum() + p.sum()


NOT_ANALYTIC: dict[str, Callable[[NumpyArray], Any]] = {
    "vdot": lambda p: np.vdot(p, p),
    "a conjugate": lambda p: (p * np.conj(p)).sum() + p[0],
    "a real buffer": through_a_real_buffer,
    "a real part": lambda p: p.real.sum() * 2.0 + p[0],
    "an inner magnitude": lambda p: (np.abs(p) ** 2 * p).sum(),
}


@pytest.mark.parametrize("loss", list(NOT_ANALYTIC.values()), ids=NOT_ANALYTIC)
def test_the_complex_step_refuses_a_loss_that_is_not_analytic(loss: Callable[[NumpyArray], Any]) -> None:
    with pytest.raises(InvalidInputError, match="analytic loss; along one line"):
        gradest.get_estimator("complex-step")(loss, np.array([-2.0, 3.0, 0.5]))


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_complex_step_refuses_it_on_other_backends(backend: str) -> None:
    def loss(p: Any) -> Any:
        conjugate = p.conj() if hasattr(p, "conj") else p
        return (p * conjugate).sum()

    with pytest.raises(InvalidInputError, match="analytic loss"):
        gradest.get_estimator("complex-step")(loss, array(backend, [-2.0, 3.0]))


ANALYTIC: dict[str, tuple[Callable[[NumpyArray], Any], NumpyArray, NumpyArray]] = {
    "much quicker than its parameters": (
        lambda p: np.sin(p).sum(), np.array([1e10, 0.0, 3.0]), np.cos(np.array([1e10, 0.0, 3.0]))
    ),
    "at a kink": (lambda p: np.where(p.real > 0, p, 0).sum(), np.array([0.0, 1.0, -1.0]), np.array([0.0, 1.0, 0.0])),
    "much smaller than one": (lambda p: ((p / 1e-6) ** 3).sum(), np.array([2e-6, -1e-6]), np.array([1.2e7, 3e6])),
    "flat": (lambda p: ((p - 1) ** 2).sum(), np.ones(2), np.zeros(2)),
    "beside its pole": (lambda p: (1 / p).sum(), np.array([1e-9, 1.0]), np.array([-1e18, -1.0])),
}  # fmt: skip


@pytest.mark.parametrize("case", list(ANALYTIC.values()), ids=ANALYTIC)
def test_the_complex_step_takes_an_analytic_loss_however_hard_for_differences(
    case: tuple[Callable[[NumpyArray], Any], NumpyArray, NumpyArray],
) -> None:
    loss, point, exact = case
    objective = gradest.bind(loss, point)
    assert np.allclose(gradest.get_estimator("complex-step")(objective).gradient, exact, rtol=1e-14, atol=0)
    assert objective.counts.values == point.size  # what is found out first is counted apart
    assert 20 <= objective.preparation_cost.values <= 36  # three lines that are clear, six where none is


@pytest.mark.parametrize("convert", [np.float32, lambda value: float(np.float32(value))], ids=["float32", "float"])
def test_large_losses_of_few_digits_are_not_taken_for_counts(convert: Any) -> None:
    """From 2^23 on every number of float32 is whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", gradest.FlatLossWarning)
        found = gradest.grad(lambda p: convert(1e8 * np.sin(p).sum()), method="fd-central")(np.ones(2, np.float32))
    np.testing.assert_allclose(found, 1e8 * np.cos(1.0), 1e-2)
    with pytest.warns(gradest.FlatLossWarning, match="whole numbers"):
        gradest.grad(lambda p: float(np.rint(1e5 * np.sin(p).sum())), method="fd-central")(np.ones(2))
