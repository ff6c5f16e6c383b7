"""A stateful estimator's state goes in and comes out, is never written to, and starts afresh for each replicate."""

import pickle
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from support.plain_residual_feedback import PlainResidualFeedback

import gradest
from gradest import Cost, KernelResult, Objective, PreparedStatefulKernel, state_bytes

OBJECTIVE = gradest.bind(gradest.get_problem("quadratic", size=3))
GRADIENT = np.asarray(gradest.get_estimator("analytic")(OBJECTIVE).gradient["x"])
FALSE_ALARM_SIGMAS = 5.0  # 6e-7 by the normal law, of three entries; 4,000 estimates are near it


def test_the_cost_is_by_call() -> None:
    run = PlainResidualFeedback().prepare_run(OBJECTIVE)
    first, state = run(state=run.init_state(), rng=0)
    later, _ = run(state=state, rng=1)
    assert (first.cost, later.cost) == (Cost(values=2), Cost(values=1))
    assert run.estimator.cost(OBJECTIVE.layout) == first.cost


def test_equal_states_and_seeds_give_equal_estimates_and_states() -> None:
    run = PlainResidualFeedback().prepare_run(OBJECTIVE)
    state = run(state=run.init_state(), rng=0)[1]
    (one, after_one), (two, after_two) = (run(state=state, rng=7) for _ in range(2))
    assert np.array_equal(one.gradient["x"], two.gradient["x"])
    assert after_one == after_two != state
    other, _ = run(state=state + 1.0, rng=7)
    assert not np.array_equal(one.gradient["x"], other.gradient["x"])


def test_used_as_any_other_estimator_each_estimate_is_the_first_of_a_run() -> None:
    prepared = PlainResidualFeedback().prepare(OBJECTIVE)
    first, again = prepared(rng=3), prepared(rng=3)
    assert np.array_equal(first.gradient["x"], again.gradient["x"])
    run = PlainResidualFeedback().prepare_run(OBJECTIVE)
    assert np.array_equal(first.gradient["x"], run(state=run.init_state(), rng=3)[0].gradient["x"])
    assert OBJECTIVE.counts.values >= 4


def estimates(count: int, *, factor: float = 1.0) -> np.ndarray:
    run = PlainResidualFeedback().prepare_run(OBJECTIVE)
    state, found = run.init_state(), []
    for seed in range(count):
        estimate, state = run(state=state, rng=seed)
        found.append(factor * np.asarray(estimate.gradient["x"]))
    return np.stack(found)


def is_unbiased(sample: np.ndarray) -> bool:
    error = sample.std(axis=0, ddof=1) / np.sqrt(len(sample))
    return bool((np.abs(sample.mean(axis=0) - GRADIENT) <= FALSE_ALARM_SIGMAS * error).all())


def test_the_mean_over_a_run_is_the_gradient_and_a_lost_sigma_is_seen() -> None:
    assert is_unbiased(estimates(4000))
    assert not is_unbiased(estimates(4000, factor=0.1))


def test_the_size_of_a_state_is_told() -> None:
    assert state_bytes(None) == 0
    assert state_bytes({"last": 1.0, "guides": (np.zeros((2, 3), np.float32), [np.zeros(2)])}) == 8 + 24 + 16


def test_an_estimate_tells_the_size_of_the_state_that_comes_out() -> None:
    run = PlainResidualFeedback().prepare_run(OBJECTIVE)
    assert run(state=run.init_state(), rng=0)[0].state_bytes == 8
    assert gradest.get_estimator("fd-central")(OBJECTIVE).state_bytes == 0


def test_a_run_resumes_from_a_pickled_state() -> None:
    run = PlainResidualFeedback().prepare_run(OBJECTIVE)
    state = run(state=run.init_state(), rng=0)[1]
    again = pickle.loads(pickle.dumps(state))
    one, two = (run(state=kept, rng=1)[0].gradient["x"] for kept in (state, again))
    assert np.array_equal(one, two)


def test_a_run_takes_the_next_batch_and_keeps_it() -> None:
    run = PlainResidualFeedback().prepare_run(gradest.bind(lambda p, x: ((p - x) ** 2).sum(), np.zeros(2), np.ones(2)))
    state = run.init_state()
    here, _ = run(np.zeros(2), np.full(2, 3.0), state=state, rng=0)
    kept, _ = run(np.zeros(2), state=state, rng=0)
    assert np.array_equal(here.gradient, kept.gradient)
    bound, _ = run(np.zeros(2), np.ones(2), state=state, rng=0)
    assert not np.array_equal(here.gradient, bound.gradient)


def test_the_error_of_an_estimate_is_handed_on() -> None:
    @dataclass(frozen=True)
    class WithError(PlainResidualFeedback):
        def prepare_stateful_kernel(
            self, objective: Objective, *, executor: Executor | None = None
        ) -> PreparedStatefulKernel:
            kernel = super().prepare_stateful_kernel(objective, executor=executor)

            def call(leaves: Any, rng: Any, state: Any) -> tuple[KernelResult, Any]:
                result, after = kernel.call(leaves, rng, state)
                return result._replace(error=result.gradient), after

            return PreparedStatefulKernel(call, "loop")

    run = WithError().prepare_run(OBJECTIVE)
    estimate, _ = run(state=run.init_state(), rng=0)
    assert np.array_equal(estimate.error["x"], estimate.gradient["x"])
