"""Estimates do not depend on how they are computed: chunks, workers, backends; and memory stays within its budget."""

import multiprocessing
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.small_losses import Quadratic

import gradest
from gradest import Estimate, Objective
from gradest.chunking import choose_chunk_size, chunks
from gradest.errors import InvalidInputError, MemoryBudgetError
from gradest.estimators.evolution import EvolutionStrategy
from gradest.problems.mlp import MLP
from gradest.sampling import workers

KINDS: dict[str, Any] = {
    "pairs": {},
    "value": {"antithetic": False, "baseline": "value"},
    "leave-one-out": {"antithetic": False, "baseline": "leave-one-out"},
    "ranks": {"shaping": "centered-rank"},
    "low rank": {"distribution": "low-rank"},
    "orthogonal": {"distribution": "orthogonal"},
    "exact": {"differences": "exact"},
}
SAMPLES = 40


def network() -> MLP:
    return MLP(widths=(8,), batch=12)


def flat(objective: Objective, estimate: Estimate) -> np.ndarray:
    return np.concatenate([objective.backend.numpy(g).reshape(-1) for g in estimate.gradient.values()])


def sum_of_sines(x: dict[str, Any]) -> float:
    return np.sum(np.sin(x["a"])) * x["b"]


POINT = {"a": np.linspace(0.0, 1.0, 6), "b": np.array(0.5)}


# -- chunks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_change_an_estimate_by_rounding_alone(kind: str) -> None:
    objective = gradest.bind(network())
    estimator = EvolutionStrategy(num_samples=SAMPLES, **KINDS[kind])
    whole = flat(objective, estimator(objective, rng=3))
    for size in (1, 7, 16, SAMPLES, 10 * SAMPLES):
        found = flat(objective, replace(estimator, chunk_size=size)(objective, rng=3))
        assert np.linalg.norm(found - whole) <= 1e-11 * np.linalg.norm(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_the_cost_is_counted_as_stated_for_every_chunk_size(kind: str) -> None:
    objective = gradest.bind(network())
    for size in (None, 1, 7, SAMPLES):
        estimator = EvolutionStrategy(num_samples=SAMPLES, chunk_size=size, **KINDS[kind])
        before = objective.counts
        estimate = estimator(objective, rng=0)
        assert objective.counts - before == estimate.cost == estimator.cost(objective.layout)


def test_chunks_cover_everything_once_and_are_balanced() -> None:
    for items, per_item in ((1, 8), (1000, 1 << 20), (999, 1 << 21), (7, 1 << 30)):
        size = choose_chunk_size(items, bytes_per_item=per_item, memory_budget_bytes=1 << 31)
        pieces = chunks(items, size)
        assert [k for start, stop in pieces for k in range(start, stop)] == list(range(items))
        lengths = [stop - start for start, stop in pieces]
        assert max(lengths) * per_item <= max(1 << 24, per_item)
        assert max(lengths[:-1], default=size) == size


def test_sizes_beyond_32_bits_are_no_trouble() -> None:
    count = 50_000
    size = choose_chunk_size(count, bytes_per_item=8 * count)
    assert 0 < size * 8 * count <= 1 << 28
    with pytest.raises(MemoryBudgetError, match="chunk_size="):
        choose_chunk_size(count, bytes_per_item=8 * count, chunk_size=count)


def test_memory_does_not_grow_with_the_number_of_directions() -> None:
    def f(x: np.ndarray) -> float:
        return x @ x

    point = np.ones(100_000)
    objective = gradest.bind(f, point)
    peaks = []
    for samples in (20, 200):
        prepared = EvolutionStrategy(num_samples=samples, distribution="rademacher", chunk_size=4).prepare(objective)
        tracemalloc.start()
        prepared(rng=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= 1.1 * peaks[0]
    assert peaks[1] <= 6 * 4 * point.nbytes


# -- workers ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pools() -> Iterator[tuple[Any, Any]]:
    context = multiprocessing.get_context("spawn")
    with ThreadPoolExecutor(3) as threads, ProcessPoolExecutor(2, mp_context=context) as processes:
        yield threads, processes


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_TASK_WORK", 100_000)


@pytest.mark.parametrize("kind", KINDS)
def test_workers_change_no_bit(kind: str, pools: tuple[Any, Any], small_tasks: None) -> None:
    objective = gradest.bind(network(), dtype="float32")
    estimator = EvolutionStrategy(num_samples=SAMPLES, chunk_size=4, sigma=0.05, **KINDS[kind])
    assert len(workers.task_groups(estimator.blocks(objective.layout), objective)) > 3
    alone = flat(objective, estimator.prepare(objective)(rng=3))
    for pool in pools:
        before = objective.counts
        found = flat(objective, estimator.prepare(objective, executor=pool)(rng=3))
        assert np.array_equal(found, alone)
        assert objective.counts - before == estimator.cost(objective.layout)


@pytest.mark.parametrize("name", ["forward-gradient", "smoothed", "node-perturbation", "es-row-space"])
def test_workers_change_no_bit_of_other_estimators(name: str, pools: tuple[Any, Any], small_tasks: None) -> None:
    objective = gradest.bind(network())
    estimator = gradest.get_estimator(name, num_samples=12, chunk_size=2)
    alone = flat(objective, estimator.prepare(objective)(rng=3))
    for pool in pools:
        before = objective.counts
        found = flat(objective, estimator.prepare(objective, executor=pool)(rng=3))
        assert np.array_equal(found, alone)
        assert objective.counts - before == estimator.cost(objective.layout)


def test_a_users_function_is_sent_to_processes_where_it_can_be(pools: tuple[Any, Any], small_tasks: None) -> None:
    _, processes = pools
    objective = gradest.bind(sum_of_sines, POINT)
    estimator = EvolutionStrategy(num_samples=6)
    alone = estimator(objective, rng=0).gradient
    sent = estimator.prepare(objective, executor=processes)(rng=0).gradient
    assert all(np.array_equal(sent[name], alone[name]) for name in POINT)
    with pytest.raises(InvalidInputError, match="top of a module"):
        estimator.prepare(gradest.bind(lambda x: np.sum(x) * 2, np.ones(3)), executor=processes)


# -- backends and functions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["jax"])
@pytest.mark.parametrize("shaping", [None, "sign"])  # one pass over the directions, and two
def test_signs_that_cross_as_bits_are_those_drawn_as_numbers(shaping: str | None, backend: str) -> None:
    estimator = EvolutionStrategy(num_samples=12, distribution="rademacher", shaping=shaping, chunk_size=5)
    here, there = (gradest.bind(network(), backend=name) for name in ("numpy", backend))
    drawn, unpacked = (flat(o, estimator.prepare(o)(rng=3)) for o in (here, there))
    assert here.layout.num_parameters % 32
    assert np.allclose(drawn, unpacked, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backend", ["torch", "mxnet", "jax"])
def test_every_backend_perturbs_in_the_same_directions(backend: str) -> None:
    kinds = ("pairs", "low rank") if backend != "jax" else ("pairs",)  # each costs a compilation there
    for kind in kinds:
        estimator = EvolutionStrategy(num_samples=6, **KINDS[kind])
        here, there = (gradest.bind(network(), backend=name) for name in ("numpy", backend))
        one, other = flat(here, estimator(here, rng=9)), flat(there, estimator(there, rng=9))
        assert np.linalg.norm(one - other) <= 1e-10 * np.linalg.norm(one)


def test_structured_evaluation_is_the_plain_one() -> None:
    problem = Quadratic()
    matrix, slope = (term.copy() for term in problem.terms)

    def f(x: np.ndarray) -> float:
        v = x.reshape(-1)
        return problem.offset + slope @ v + 0.5 * v @ matrix @ v

    for kind in ("pairs", "low rank", "ranks"):
        estimator = EvolutionStrategy(num_samples=9, **KINDS[kind])
        structured, plain = estimator(problem, rng=1), estimator(f, problem.parameters()["x"], rng=1)
        assert (structured.path, plain.path) == ("structured", "loop")
        assert np.allclose(structured.gradient["x"], plain.gradient, rtol=1e-9, atol=1e-10)


def test_scalars_and_several_parameters_are_estimated_together() -> None:
    estimate = EvolutionStrategy(num_samples=7, distribution="orthogonal", sigma=1e-4)(sum_of_sines, POINT, rng=0)
    assert estimate.gradient["b"].shape == ()
    assert np.allclose(estimate.gradient["b"], np.sum(np.sin(POINT["a"])), rtol=1e-6)
    assert np.allclose(estimate.gradient["a"], 0.5 * np.cos(POINT["a"]), rtol=1e-6)


# -- what threads have each by themselves -------------------------------------------------------------------------

FACTOR: ContextVar[float] = ContextVar("FACTOR", default=1.0)
FEW = EvolutionStrategy(num_samples=12, chunk_size=3)


def with_threads(f: Any, params: Any, *args: Any) -> tuple[Any, Any]:
    """Return the same estimate as computed here, and by threads."""
    here = FEW.prepare(gradest.bind(f, params, *args))(params, rng=0).gradient
    with ThreadPoolExecutor(2) as threads:
        return here, FEW.prepare(gradest.bind(f, params, *args), executor=threads)(params, rng=0).gradient


def test_threads_see_the_context_variables_of_the_caller() -> None:
    """They saw the defaults: an estimate of a third of its length, without a word."""

    def loss(p: Any) -> Any:
        return FACTOR.get() * np.sum(p**2)

    token = FACTOR.set(3.0)
    try:
        here, found = with_threads(loss, np.array([0.4, -1.2, 0.7]))
    finally:
        FACTOR.reset(token)
    np.testing.assert_array_equal(found, here)
    np.testing.assert_allclose(found, 3.0 * with_threads(loss, np.array([0.4, -1.2, 0.7]))[0], rtol=1e-12)


def test_threads_are_under_the_callers_autocast() -> None:
    torch: Any = pytest.importorskip("torch", reason="pip install 'gradest[torch]'")
    params, rows = torch.tensor([0.4, -1.2, 0.7]), torch.linspace(-1.0, 1.0, 12).reshape(4, 3)
    plain, _ = with_threads(lambda p: ((rows @ p.reshape(3, 1)).float() ** 2).sum(), params)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        here, found = with_threads(lambda p: ((rows @ p.reshape(3, 1)).float() ** 2).sum(), params)
    assert torch.equal(found, here)
    assert not torch.equal(here, plain)
