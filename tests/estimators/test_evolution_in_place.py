"""Evaluated in place, an estimate is that of a plain loop, at any number of directions in the memory of one model."""

import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradest
from gradest import Objective
from gradest.directions import DISTRIBUTIONS, Directions, root_key
from gradest.errors import MemoryBudgetError
from gradest.estimators.evolution import EvolutionStrategy
from gradest.layout import Layout
from gradest.problems.mlp import MLP
from gradest.sampling import in_place, workers
from gradest.sampling.shaping import shaped_weights

Point = dict[str, NDArray[Any]]

POINT: Point = {"W": np.linspace(-1.0, 1.0, 12).reshape(3, 4), "b": np.linspace(0.5, 2.0, 5), "s": np.array(0.3)}
SAMPLES, SIGMA = 6, 0.1
TINY = 100
"""A budget that no direction fits: it is drawn again to be added up."""

WAYS: dict[str, dict[str, Any]] = {"kept": {"chunk_size": 1}, "drawn again": {"memory_budget_bytes": TINY}}
KINDS: dict[str, dict[str, Any]] = {
    **{law: {"distribution": law} for law in DISTRIBUTIONS if not law.startswith("orthogonal")},  # refused by TINY
    "no baseline": {"antithetic": False},
    "value": {"antithetic": False, "baseline": "value"},
    "leave-one-out": {"antithetic": False, "baseline": "leave-one-out"},
    "mean": {"antithetic": False, "baseline": "mean"},
    "ranks": {"shaping": "centered-rank"},
    "one-sided ranks": {"shaping": "centered-rank", "antithetic": False},
    "signs of differences": {"shaping": "sign", "distribution": "rademacher"},
    "signs": {"shaping": "sign", "antithetic": False, "baseline": "value"},
    "rank 2": {"distribution": "low-rank", "rank": 2, "shaping": "z-score"},
}


def bend(p: Any) -> Any:
    """Return a loss that any framework's arrays can compute, and NumPy's; neither linear nor even about the point."""
    return (p["W"] * p["W"] * p["W"]).sum() * p["s"] + (p["b"] * p["b"]).sum() * 0.5 + (p["W"].sum() * p["b"]).sum()


def dense(block: Any) -> NDArray[Any]:
    """Return a block of directions `(K, *shape)` from factors or from what it is already."""
    return block[0] @ np.swapaxes(block[1], 1, 2) if isinstance(block, tuple) else block


def plain(estimator: EvolutionStrategy, objective: Objective, point: Point, seed: int) -> Point:
    """Return the estimate by the definition: all directions at once, each value by itself, weights one by one."""
    drawn = estimator.directions(root_key(seed), objective).block(0, estimator.num_samples)
    directions = [dict(zip(point, (dense(b)[k] for b in drawn), strict=True)) for k in range(estimator.num_samples)]

    def values(radius: float) -> NDArray[np.float64]:
        return np.array([float(bend({n: x + radius * v[n] for n, x in point.items()})) for v in directions])

    up, centre, count = values(estimator.sigma), float(bend(point)), estimator.num_samples
    down = values(-estimator.sigma) if estimator.antithetic else None
    if estimator.shaping is not None:
        weights = shaped_weights(np.array([up] if down is None else [up, down]), estimator.shaping, centre)
    elif down is not None:
        weights = (up - down) / (2 * estimator.sigma * count)
    else:
        others = (up.sum() - up) / (count - 1)
        baseline = {"none": 0.0, "value": centre, "leave-one-out": others, "mean": up.mean()}[estimator.baseline]
        weights = (up - baseline) / (estimator.sigma * count)
    return {name: sum(w * v[name] for w, v in zip(weights, directions, strict=True)) for name in point}


def flat(gradient: Any) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(gradient[name], dtype=np.float64).ravel() for name in gradient])


def distance(found: Any, expected: Any) -> float:
    one, other = flat(found), flat(expected)
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


# -- the estimate -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_estimate_of_a_plain_loop(kind: str, way: str) -> None:
    objective = gradest.bind(bend, POINT)
    estimator = EvolutionStrategy(num_samples=SAMPLES, sigma=SIGMA, **KINDS[kind], **WAYS[way])
    before = objective.counts
    found = estimator(objective, rng=5)
    assert found.path == "in place"
    assert objective.counts - before == found.cost == estimator.cost(objective.layout)
    assert distance(found.gradient, plain(estimator, objective, POINT, 5)) <= 1e-12


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "mxnet"])
def test_it_is_on_every_backend(backend: str, way: str) -> None:
    if (backend, way) == ("jax", "kept"):
        pytest.skip("JAX compiles blocks of directions that fit the cache")
    for dtype, rounding in (("float64", 1e-12), ("float32", 3e-4)):
        point = {name: x.astype(dtype) for name, x in POINT.items()}
        objective = gradest.bind(bend, point, backend=backend)
        for kind in ("normal", "low-rank", "value", "ranks"):
            estimator = EvolutionStrategy(num_samples=SAMPLES, sigma=SIGMA, **KINDS[kind], **WAYS[way])
            found = estimator(objective, rng=5)
            assert found.path == "in place"
            assert {leaf.dtype.name for leaf in found.gradient.values()} == {dtype}
            assert distance(found.gradient, plain(estimator, objective, point, 5)) <= rounding


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "mxnet"])
def test_a_problem_is_estimated_as_in_blocks(backend: str) -> None:
    objective = gradest.bind(MLP(widths=(8,), batch=12), backend=backend)
    for kind in ("rademacher", "leave-one-out", "ranks"):
        blocks = EvolutionStrategy(num_samples=SAMPLES, **KINDS[kind])(objective, rng=2)
        found = EvolutionStrategy(num_samples=SAMPLES, memory_budget_bytes=TINY, **KINDS[kind])(objective, rng=2)
        assert (blocks.path, found.path) == ("structured", "in place")
        one, other = ({n: objective.backend.numpy(g) for n, g in e.gradient.items()} for e in (found, blocks))
        assert distance(one, other) <= 1e-9


@pytest.mark.parametrize("kind", ["normal", "rademacher", "low-rank", "rank 2", "value", "ranks"])
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "mxnet"])
def test_it_is_where_numpy_cannot_write(backend: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a device: points are the framework's arrays, and directions cross as bits, as factors, or one at a time.
    monkeypatch.setattr(in_place, "computes_on_host", lambda objective: False)
    objective = gradest.bind(bend, POINT, backend=backend)
    estimator = EvolutionStrategy(num_samples=SAMPLES, sigma=SIGMA, memory_budget_bytes=TINY, **KINDS[kind])
    found = estimator(objective, rng=5)
    assert found.path == "in place"
    assert distance(found.gradient, plain(estimator, objective, POINT, 5)) <= 1e-12


GUIDES = [POINT, {"W": POINT["W"] ** 2, "b": POINT["b"][::-1], "s": POINT["s"]}]
RELATIVES: dict[str, dict[str, Any]] = {
    "guided-es": {"guides": GUIDES, "alpha": 0.3},
    "momentum-guided-es": {},
    "residual-feedback": {"distribution": "rademacher"},
}


def two_estimates(name: str, objective: Objective, **options: Any) -> tuple[gradest.Estimate, gradest.Estimate]:
    """Return two estimates in a row, of which the second knows what the first remembers."""
    estimator = gradest.get_estimator(name, **options)
    if not isinstance(estimator, gradest.StatefulEstimator):
        return estimator(objective, rng=1), estimator(objective, rng=2)
    run = estimator.prepare_run(objective)
    first, state = run(state=run.init_state(), rng=1)
    return first, run(state=state, rng=2)[0]


@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "mxnet"])
def test_relatives_that_remember_or_are_guided_are_those_of_blocks(backend: str, name: str) -> None:
    objective = gradest.bind(bend, POINT, backend=backend)
    options = {"num_samples": SAMPLES, "sigma": SIGMA, **RELATIVES[name]}
    blocks, found = (two_estimates(name, objective, **options, **more) for more in ({}, {"memory_budget_bytes": TINY}))
    for one, other in zip(found, blocks, strict=True):
        assert one.path == "in place" != other.path
        assert one.cost == other.cost
        assert distance(one.gradient, other.gradient) <= 1e-10


def test_half_precision_that_numpy_lacks_is_estimated_in_place() -> None:
    torch = pytest.importorskip("torch", reason="NumPy has no bfloat16, PyTorch has")
    point = torch.linspace(-1.0, 1.0, 33, dtype=torch.bfloat16)
    # The slopes of a linear loss survive rounding to eight bits.
    objective = gradest.bind(lambda x: x.float().sum(), point)
    options: dict[str, Any] = {"num_samples": 50, "sigma": 1.0, "distribution": "rademacher"}
    blocks, found = (EvolutionStrategy(**options, memory_budget_bytes=b)(objective, rng=0) for b in (1 << 28, TINY))
    assert (blocks.path, found.path) == ("vmap", "in place")
    assert found.gradient.dtype == torch.bfloat16
    assert distance({"x": found.gradient.float()}, {"x": blocks.gradient.float()}) <= 0.05


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_signs_are_unpacked_from_bits_as_they_are_drawn(backend: str) -> None:
    there = gradest.get_backend(backend)
    for size in (5, 64, 70, 1000):
        drawn = Directions(
            root_key(3), Layout(("x",), ((size,),)), "rademacher", num_samples=4, dtype="float32", memory_budget_bytes=1
        )
        (words,) = drawn.packed_block(1, 4)
        like = there.array(np.zeros(1), dtype="float32")
        unpacked = there.operations().unpack_signs(there.array(words, dtype="uint32"), size, like=like)
        assert np.array_equal(there.numpy(unpacked), drawn.block(1, 4)[0])


@pytest.mark.parametrize("way", WAYS)
def test_points_are_made_from_the_parameters_as_they_are(way: str) -> None:
    seen: list[NDArray[Any]] = []

    def f(x: NDArray[Any]) -> float:
        seen.append(x.copy())
        return float(x @ x)

    point = np.linspace(1.0, 2.0, 50, dtype=np.float32)
    before = point.copy()
    objective = gradest.bind(f, point)
    estimator = EvolutionStrategy(num_samples=300, sigma=SIGMA, **WAYS[way])
    prepared = estimator.prepare(objective)
    seen.clear()
    prepared(point, rng=0)
    (drawn,) = estimator.directions(root_key(0), objective).block(299, 300)
    ulp = np.spacing(np.float32(4.0))
    # After 300 directions as after one: what undoes each change by its opposite has drifted by many units by then.
    assert np.abs(seen[-2] - (point + np.float32(SIGMA) * drawn[0])).max() <= ulp
    assert np.abs(seen[-1] - (point - np.float32(SIGMA) * drawn[0])).max() <= ulp
    assert np.array_equal(point, before)


def test_mixed_and_strided_parameters() -> None:
    point = {"W": np.asfortranarray(POINT["W"]).astype(np.float32), "b": POINT["b"][::-1], "s": POINT["s"]}
    objective = gradest.bind(bend, point)
    prepared = EvolutionStrategy(num_samples=SAMPLES, sigma=SIGMA, memory_budget_bytes=TINY).prepare(objective)
    estimator = prepared.estimator
    assert isinstance(estimator, EvolutionStrategy)
    found = prepared(point, rng=5).gradient
    assert [g.dtype for g in found.values()] == [np.float32, np.float64, np.float64]
    assert distance(found, plain(estimator, objective, point, 5)) <= 1e-4


def test_random_layers_draw_the_same_in_all_evaluations() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch's generator is what is looked at")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Dropout(0.5), torch.nn.Linear(5, 1)).double().train()
    x = torch.ones(3, 4, dtype=torch.float64)
    found = []
    for options in ({"chunk_size": 3}, *WAYS.values()):
        objective = gradest.bind(lambda m, x: m(x).square().mean(), module, x, population="loop")
        torch.manual_seed(7)
        found.append(EvolutionStrategy(num_samples=SAMPLES, **options)(objective, rng=0).gradient)
        assert int(torch.initial_seed()) == 7
    assert all(distance(one, found[0]) <= 1e-9 for one in found[1:])


# -- how it is carried out ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["normal", "low-rank", "ranks"])
def test_workers_change_no_bit(kind: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_TASK_WORK", 1)
    objective = gradest.bind(bend, {name: x.astype(np.float32) for name, x in POINT.items()})
    estimator = EvolutionStrategy(num_samples=SAMPLES, **KINDS[kind], **WAYS[way])
    alone = flat(estimator(objective, rng=1).gradient)
    with ThreadPoolExecutor(3) as pool:
        assert np.array_equal(flat(estimator.prepare(objective, executor=pool)(rng=1).gradient), alone)


@pytest.mark.parametrize("way", WAYS)
def test_threads_that_share_a_prepared_estimator_do_not_disturb_each_other(way: str) -> None:
    prepared = EvolutionStrategy(num_samples=SAMPLES, **WAYS[way]).prepare(gradest.bind(bend, POINT))
    expected = [flat(prepared(rng=seed).gradient) for seed in range(4)]
    ready = threading.Barrier(4)

    def work(seed: int) -> bool:
        ready.wait()
        return all(np.array_equal(flat(prepared(rng=seed).gradient), expected[seed]) for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


@pytest.mark.parametrize("way", WAYS)
def test_a_loss_may_ask_for_another_estimate_of_itself(way: str) -> None:
    inside: list[Any] = []

    def f(p: Point) -> float:
        if len(inside) == 1:  # once, within the outer estimate
            inside.append(None)
            inside.append(prepared(rng=9).gradient)
        return float(bend(p))

    prepared = EvolutionStrategy(num_samples=SAMPLES, **WAYS[way]).prepare(gradest.bind(f, POINT))
    alone, other = flat(prepared(rng=1).gradient), flat(prepared(rng=9).gradient)
    inside.append(None)
    assert np.array_equal(flat(prepared(rng=1).gradient), alone)
    assert np.array_equal(flat(inside[2]), other)


def test_a_gradient_is_not_written_by_the_next_estimate() -> None:
    for way in WAYS.values():
        prepared = EvolutionStrategy(num_samples=2, **way).prepare(gradest.bind(bend, POINT))
        first = prepared(rng=0).gradient
        kept = flat(first)
        prepared(rng=1)
        assert np.array_equal(flat(first), kept)


def test_a_function_that_jax_cannot_compile_is_evaluated_as_it_is() -> None:
    gradest.get_backend("jax")
    objective = gradest.bind(lambda p: float(np.asarray(bend(p))), POINT, backend="jax")
    estimator = EvolutionStrategy(num_samples=SAMPLES, sigma=SIGMA, memory_budget_bytes=TINY)
    assert distance(estimator(objective, rng=5).gradient, plain(estimator, objective, POINT, 5)) <= 1e-12


# -- memory -------------------------------------------------------------------------------------------------------

WIDE = 600
LARGE = {f"W{k}": np.full((WIDE, WIDE), 0.1, dtype=np.float32) for k in range(5)}
COPY_BYTES = sum(x.nbytes for x in LARGE.values())
SLACK_BYTES = 1 << 20  # blocks that stay in cache, and what Python holds


def peak_bytes(objective: Objective, **options: Any) -> int:
    """Return the most that one estimate and its preparation hold."""
    return peak_bytes_of(lambda: EvolutionStrategy(**options).prepare(objective)(rng=0))


def peak_bytes_of(call: Callable[[], object]) -> int:
    """Return the most that a call holds."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("distribution", ["rademacher", "low-rank", "normal"])
@pytest.mark.parametrize("options", [{}, {"shaping": "centered-rank"}, {"antithetic": False, "baseline": "value"}])
def test_the_peak_is_one_copy_at_any_number_of_directions(distribution: str, options: dict[str, Any]) -> None:
    # The default budget, and a loss that takes no memory of its own.
    objective = gradest.bind(lambda p: sum(float(x.ravel() @ x.ravel()) for x in p.values()), LARGE)
    objective.look()  # a first look holds copies of its own, one after the other
    for samples in (2, 9):
        peak = peak_bytes(objective, num_samples=samples, distribution=distribution, **options)
        assert peak <= COPY_BYTES + COPY_BYTES / len(LARGE) + SLACK_BYTES


COPIES_HELD = {
    "residual-feedback": 1.0,  # as any evolution strategy
    "guided-es": 3.25,  # and the guide at length one in float64, of which it is told that it is finite
    "momentum-guided-es": 3.25,  # and the next state, in float64
}


@pytest.mark.parametrize("name", COPIES_HELD)
def test_relatives_hold_one_copy_and_what_they_remember(name: str) -> None:
    objective = gradest.bind(lambda p: sum(float(x.ravel() @ x.ravel()) for x in p.values()), LARGE)
    objective.look()
    options: dict[str, Any] = {"guides": [LARGE]} if name == "guided-es" else {}
    for samples in (2, 9):
        estimator = gradest.get_estimator(name, num_samples=samples, **options)
        if isinstance(estimator, gradest.StatefulEstimator):
            run = estimator.prepare_run(objective)
            last = run(state=run.init_state(), rng=0)[1]
            peak = peak_bytes_of(lambda run=run, last=last: run(state=last, rng=1))  # type: ignore[misc]  # bound now
        else:
            peak = peak_bytes_of(lambda prepare=estimator.prepare: prepare(objective)(rng=1))  # type: ignore[misc]  # likewise
        assert peak <= COPIES_HELD[name] * COPY_BYTES + 2 * COPY_BYTES / len(LARGE) + SLACK_BYTES


def test_directions_that_are_drawn_whole_are_held_one_at_a_time() -> None:
    objective = gradest.bind(lambda p: sum(float(x.ravel() @ x.ravel()) for x in p.values()), LARGE)
    objective.look()
    options = {"distribution": "coordinates-without-replacement", "shaping": "centered-rank"}
    few, many = (peak_bytes(objective, num_samples=samples, **options) for samples in (2, 9))
    assert many <= few + SLACK_BYTES


def test_low_rank_directions_of_a_problem_are_never_dense() -> None:
    widths = (900, 900)
    objective = gradest.bind(MLP(widths=widths, batch=4), dtype="float32")
    copy = 4 * objective.layout.num_parameters
    for samples in (2, 12):
        peak = peak_bytes(objective, num_samples=samples, distribution="low-rank", memory_budget_bytes=1 << 20)
        assert peak <= copy + 4 * max(objective.layout.sizes) + SLACK_BYTES


SAMPLERS = ["es", "spsa", "es-low-rank", "forward-gradient", "smoothed", "node-perturbation", "es-row-space"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_no_budget_refuses_one_direction_at_a_time(name: str) -> None:
    problem = MLP(widths=(8,), batch=12)
    small = gradest.get_estimator(name, num_samples=3, memory_budget_bytes=1)(problem, rng=0).gradient
    usual = gradest.get_estimator(name, num_samples=3)(problem, rng=0).gradient
    assert distance(small, usual) <= 1e-9


def test_what_was_asked_for_and_does_not_fit_is_refused() -> None:
    objective = gradest.bind(bend, POINT)
    with pytest.raises(MemoryBudgetError, match="chunk_size=1, or memory_budget_bytes="):
        EvolutionStrategy(memory_budget_bytes=TINY, chunk_size=9)(objective, rng=0)
    with pytest.raises(MemoryBudgetError, match="orthogonal"):
        EvolutionStrategy(memory_budget_bytes=TINY, distribution="orthogonal").prepare(objective)
