"""Directions drawn by the framework: right by theory, the same for one seed, and refused where nothing draws them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from support.turns import WITH_THE_NEWEST, is_in_turn, shared_by_two, with_numpy

import gradest
from gradest.backend import Backend
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.testing import check_estimator
from gradest.testing.transformation_checks import check_draws

DRAWING = ("jax", "torch")
LAWS: dict[str, dict[str, Any]] = {
    "normal": {},
    "rademacher": {"distribution": "rademacher"},
    "low-rank": {"distribution": "low-rank"},
    "one-sided": {"antithetic": False, "baseline": "value"},
}


def cube(p: Any) -> Any:
    return (p["W"] * p["W"] * p["W"]).sum() + (p["b"] * p["b"]).sum()


def point(backend: str, dtype: str = "float64") -> dict[str, Any]:
    home = gradest.get_backend(backend)
    return {
        "W": home.array(np.linspace(-1.0, 1.0, 6).reshape(2, 3), dtype=dtype),
        "b": home.array(np.linspace(0.5, 2.0, 3), dtype=dtype),
    }


DRAWN = [  # thousands of estimates, compiled for JAX: some of the laws here, the others in the other environments
    *shared_by_two((law, "torch") for law in LAWS),
    *(
        (law, "jax")
        for number, laws in enumerate([("normal", "rademacher"), ("low-rank", "one-sided")])
        for law in laws
        if is_in_turn(number, law, laws)
    ),
]


@pytest.mark.parametrize(("law", "backend"), DRAWN)
def test_estimates_have_the_mean_and_the_variance_that_theory_states(law: str, backend: str) -> None:
    es = gradest.get_estimator("es", num_samples=4, noise="native", **LAWS[law])
    checks = ("cost", "inputs", "rng", "seeds", "unbiasedness", "scale", "variance")
    results = check_estimator(es, backends=[backend], checks=checks, false_alarm=1e-6)
    assert [str(result) for result in results if result.failed] == []
    assert {result.name for result in results if result.applies} >= {"unbiasedness", "scale", "variance"}


@pytest.mark.parametrize(
    "backend", [pytest.param("jax", marks=WITH_THE_NEWEST), pytest.param("torch", marks=with_numpy(2))]
)
def test_a_generator_of_the_wrong_scale_is_found(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(gradest.get_backend(backend))
    right = kind.draw

    def louder(self: Backend, *given: Any, **more: Any) -> Iterator[Any]:
        return (1.1 * array for array in right(self, *given, **more))

    monkeypatch.setattr(kind, "draw", louder)
    assert check_draws(gradest.get_backend(backend)).failed
    if backend == "torch":  # where a thousand estimates take no half minute; what they are judged by knows no backend
        es = gradest.get_estimator("es", num_samples=4, noise="native")
        (scale,) = check_estimator(es, backends=[backend], checks=["scale"])
        assert scale.failed


@pytest.mark.parametrize("backend", DRAWING)
def test_a_generator_that_forgets_half_of_its_seed_is_found(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(gradest.get_backend(backend))
    right = kind.draw

    def short(self: Backend, seed: int, *given: Any, **more: Any) -> Iterator[Any]:
        return right(self, seed & 0xFFFFFFFF, *given, **more)

    monkeypatch.setattr(kind, "draw", short)  # the right one passes, with every backend's checks
    assert check_draws(gradest.get_backend(backend)).failed


@pytest.mark.parametrize("backend", DRAWING)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_estimate_is_a_function_of_its_seed_and_leaves_the_users_generator(backend: str, dtype: str) -> None:
    home, at = gradest.get_backend(backend), point(backend, dtype)
    es = gradest.get_estimator("es", num_samples=8, noise="native")
    before = home.random_state()
    first, again, other = (es(cube, at, rng=seed) for seed in (3, 3, 4))
    assert first.path == "in place, native noise"
    for name, leaf in first.gradient.items():
        assert home.dtype(leaf) == dtype
        assert np.array_equal(home.numpy(leaf), home.numpy(again.gradient[name]))
        assert not np.array_equal(home.numpy(leaf), home.numpy(other.gradient[name]))
    assert repr(home.random_state()) == repr(before)


@pytest.mark.parametrize("shaping", [None, "centered-rank"])
def test_the_estimate_is_that_of_a_plain_loop_over_the_same_directions(shaping: str | None) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
    home, at, sigma, count = gradest.get_backend("torch"), point("torch"), 0.1, 6
    seen: list[dict[str, np.ndarray]] = []

    def watched(p: Any) -> Any:
        seen.append({name: home.numpy(leaf).copy() for name, leaf in p.items()})
        return cube(p)

    es = gradest.get_estimator("es", num_samples=count, noise="native", sigma=sigma, shaping=shaping)
    prepared = es.prepare(gradest.bind(watched, at))
    seen.clear()
    found = prepared(rng=0).gradient
    start = {name: home.numpy(leaf) for name, leaf in at.items()}
    points = seen[: 2 * count]  # after them the weights are known: the rest is drawn and not evaluated
    ahead, behind = points[::2], points[1::2]
    values = np.array([[float(cube(p)) for p in side] for side in (ahead, behind)])
    if shaping is None:
        weights = (values[0] - values[1]) / (2 * sigma) / count
    else:
        ranks = (np.argsort(np.argsort(values.ravel())) / (values.size - 1) - 0.5).reshape(values.shape)
        weights = (ranks[0] - ranks[1]) / count
    for name, leaf in found.items():
        expected = sum(w * (p[name] - start[name]) / sigma for w, p in zip(weights, ahead, strict=True))
        scale = float(np.max(np.abs(expected)))
        factor = float(np.vdot(home.numpy(leaf), expected) / np.vdot(expected, expected))
        assert np.allclose(home.numpy(leaf), factor * expected, atol=1e-11 * scale)
        if shaping is None:
            assert factor == pytest.approx(1.0, abs=1e-11)


@pytest.mark.parametrize("backend", ["numpy", "mxnet"])
def test_a_backend_that_draws_nothing_says_what_to_do(backend: str) -> None:
    es = gradest.get_estimator("es", noise="native")
    with pytest.raises(UnsupportedError, match="draws no random numbers of its own; use noise='portable'"):
        es(cube, point(backend))


@pytest.mark.parametrize(
    "fields",
    [{"noise": "loud"}, {"noise": "native", "distribution": "sphere"}, {"noise": "native", "chunk_size": 2},
     {"noise": "native", "differences": "exact"}],
)  # fmt: skip
def test_what_no_framework_draws_is_refused_when_it_is_asked_for(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="noise"):
        gradest.get_estimator("es", **fields)


def shapes_of(arrays: Sequence[Any]) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in arrays]


@pytest.mark.parametrize("backend", DRAWING)
def test_draws_have_the_shapes_and_dtypes_that_were_asked_for(backend: str) -> None:
    home = gradest.get_backend(backend)
    with home.scope("float64") or pytest.MonkeyPatch.context():
        drawn = list(home.draw(1, [(2, 3), (), (0,)], ["float32", "float64", "float32"], device="cpu", signs=False))
    assert shapes_of(drawn) == [(2, 3), (), (0,)]
    assert [home.dtype(array) for array in drawn] == ["float32", "float64", "float32"]
