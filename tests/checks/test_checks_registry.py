"""Every registered estimator passes `check_estimator`; its variants pass the checks that depend on the variant."""

from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import pytest
from support.turns import shared_by_two, with_numpy

from gradest import Cost, Estimator, Layout, Objective, Target, get_estimator, names
from gradest.estimator import PreparedKernel
from gradest.testing import STATISTICAL, check_estimator, raise_on_failure

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("es", {"distribution": "orthogonal-chi"}),
    ("es", {"distribution": "uniform", "differences": "exact"}),
    ("es", {"distribution": "coordinates-without-replacement"}),
    ("es-low-rank", {"rank": 3}),
    ("es-forward", {"distribution": "rademacher"}),
    ("forward-gradient", {"distribution": "rademacher"}),
    ("forward-gradient", {"distribution": "orthogonal"}),
    ("fd-central", {"coordinates": 3}),
]
"""Registered name and hyper-parameters: other laws, baselines and engines than the defaults."""

DETERMINISTIC_VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("fd-central", {"order": 4}),
    ("fd-central", {"step": 1e-4}),
    ("fd-central", {"path": "black-box", "chunk_size": 3}),
    ("fd-forward", {"differences": "exact"}),
    ("reverse", {"engine": "gradest"}),
]


ELSEWHERE = [
    *((name, "mxnet") for name in ("reverse", "fd-central", "es")),
    *shared_by_two((name, "jax") for name in ("reverse", "es", "forward-gradient")),
    *shared_by_two(
        (name, "torch") for name in ("reverse", "fd-central", "es", "es-low-rank", "es-rank", "forward-gradient")
    ),
]
"""A quick selection of estimators on the other backends: compiling takes most of the time."""


def small(estimator: Any) -> Estimator:
    """Return the estimator with few directions, in blocks of which the last is smaller."""
    found: Estimator = replace(estimator, num_samples=11) if hasattr(estimator, "num_samples") else estimator
    return found


def in_turn_where_random(cases: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Return the cases that are tried here: every other random one, for the rest is tried with NumPy's other version.

    A random one takes thousands of estimates, of random numbers that are the same with each version.
    """
    random = [case for case in cases if get_estimator(case[0]).stochastic]
    here = shared_by_two(random)
    return [case for case in cases if case not in random or case in here]


REGISTERED: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in names("estimators") if name != "guided-es"]


@pytest.mark.parametrize("name", [name for name, _ in in_turn_where_random(REGISTERED)])
def test_every_registered_estimator_passes_every_check(name: str) -> None:
    raise_on_failure(check_estimator(small(get_estimator(name))))


@pytest.mark.parametrize(("name", "fields"), in_turn_where_random(VARIANTS), ids=str)
def test_variants_have_the_expectation_and_variance_they_state(name: str, fields: dict[str, Any]) -> None:
    checks = [*STATISTICAL, "enumeration", "cost", "chunks", "rng", "streams", "pairs", "offset"]
    raise_on_failure(check_estimator(small(get_estimator(name, **fields)), checks=checks))


def test_every_random_estimator_is_checked_in_one_of_two_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    for major in (1, 2):
        monkeypatch.setattr("support.turns.NUMPY_MAJOR", major)
        tried += [*in_turn_where_random(REGISTERED), *in_turn_where_random(VARIANTS)]
    assert [case for case in [*REGISTERED, *VARIANTS] if case not in tried] == []


@pytest.mark.parametrize(("name", "fields"), DETERMINISTIC_VARIANTS, ids=str)
def test_deterministic_variants_pass_every_check(name: str, fields: dict[str, Any]) -> None:
    raise_on_failure(check_estimator(get_estimator(name, **fields)))


@dataclass(frozen=True)
class Guided(Estimator):
    """Guided ES with its guides made for each objective, whose structure they must have."""

    name = "guided-es"
    source = formula = cost_formula = "see GuidedES"
    stochastic = True

    alpha: float = 1.0
    num_samples: int = 11
    sigma: float = 0.1
    chunk_size: int | None = None

    @property
    def target(self) -> Target:
        return self._inner().target

    def cost(self, layout: Layout) -> Cost:
        return self._inner().cost(layout)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        guide = objective.form.tree_of([leaf * 0.0 + 1.0 for leaf in objective.start])
        return self._inner(guide).prepare_kernel(objective, executor=executor)

    def _inner(self, *guides: Any) -> Estimator:
        fields = {"num_samples": self.num_samples, "sigma": self.sigma, "chunk_size": self.chunk_size}
        return get_estimator("guided-es", guides=guides, alpha=self.alpha, **fields)


@with_numpy(2)
def test_guided_es_passes_every_check_with_a_guide() -> None:
    raise_on_failure(check_estimator(Guided()))


@pytest.mark.parametrize(("name", "backend"), ELSEWHERE)
def test_estimators_keep_the_contract_on_other_backends(name: str, backend: str) -> None:
    checks = ["result", "value", "cost", "inputs", "backends"]
    estimator = small(get_estimator(name))
    results = check_estimator(estimator, backends=("numpy", backend), checks=checks)
    raise_on_failure(results)
    assert any(backend in result.detail for result in results), "the backend was not used"
