"""An estimator carries the registered name that says most about it, so that a log can tell its rows apart."""

from dataclasses import dataclass
from typing import Any

import pytest

from gradest import get_estimator
from gradest.estimators.evolution import EvolutionStrategy
from gradest.estimators.finite_difference import FiniteDifference
from gradest.estimators.forward import Forward
from gradest.estimators.null import Null
from gradest.registry import names


@pytest.mark.parametrize("name", names("estimators"))
def test_an_estimator_has_the_name_it_was_asked_for_by(name: str) -> None:
    assert get_estimator(name).name == name


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (FiniteDifference(scheme="central"), "fd-central"),
        (FiniteDifference(), "fd-central"),
        (FiniteDifference(scheme="central", order=4), "fd-five-point"),
        (FiniteDifference(scheme="central", order=6, step=0.1), "fd-central"),
        (FiniteDifference(differences="exact"), "fd-exact"),
        (EvolutionStrategy(num_samples=7), "es"),
        (EvolutionStrategy(distribution="rademacher", sigma=0.5), "spsa"),
        (EvolutionStrategy(antithetic=False), "es-vanilla"),
        (EvolutionStrategy(antithetic=False, baseline="mean"), "es"),
        (EvolutionStrategy(antithetic=False, distribution="rademacher", baseline="value"), "es-forward"),
        (EvolutionStrategy(distribution="orthogonal", shaping="sign"), "es-orthogonal"),  # the first of two equals
        (get_estimator("es-rank", num_samples=3), "es-rank"),
        (Forward(path="structured"), "forward-structured"),
        (Null(), "null"),
    ],
    ids=repr,
)
def test_the_name_is_that_of_the_row_with_most_fields(estimator: Any, name: str) -> None:
    assert estimator.name == name


@dataclass(frozen=True, kw_only=True)
class Doubled(EvolutionStrategy):
    """A subclass without a name of its own."""

    shaping: str | None = "sign"


@dataclass(frozen=True, kw_only=True)
class Named(EvolutionStrategy):
    """A subclass with one, stated as a class attribute."""

    name = "my-es"


def test_a_subclass_has_its_own_name_or_its_familys() -> None:
    assert Doubled().name == "es"
    assert (Named().name, Named.name) == ("my-es", "my-es")
