"""What an estimator takes is told in full: a reader of a table has no docstring to look another one up in."""

from dataclasses import dataclass

import pytest

import gradest
from gradest.estimators import EvolutionStrategy
from gradest.hyperparameter import Hyperparameter


def told(name: str) -> dict[str, Hyperparameter]:
    return {found.name: found for found in gradest.hyperparameters(name)}


@pytest.mark.parametrize("name", gradest.names("estimators"))
def test_every_meaning_stands_by_itself(name: str) -> None:
    for found in gradest.hyperparameters(name):
        assert found.meaning, found.name
        assert not found.meaning.startswith("As in"), found.name


@dataclass(frozen=True, kw_only=True)
class Referring(EvolutionStrategy):
    """Is an evolution strategy.

    Attributes
    ----------
    chunk_size, sigma
        As in `EvolutionStrategy`; sigma is in metres.
    rank
        As in `Nothing`.
    """


def test_a_reference_is_followed_and_what_is_added_for_one_field_is_said_of_it_alone() -> None:
    theirs, mine = told("es"), told(f"{__name__}:Referring")
    assert mine["chunk_size"].meaning == theirs["chunk_size"].meaning
    assert mine["sigma"].meaning == theirs["sigma"].meaning + " Sigma is in metres."
    assert mine["rank"].meaning == "As in `Nothing`."
