"""Turns leave nothing out: what one environment does not try, another does."""

from pathlib import Path

import pytest
from support.turns import is_in_turn, shared_out
from support.version_free import WITH_NUMPY_2, left_to_others, version_free_files


@pytest.mark.parametrize("turns", [2, 3])
@pytest.mark.parametrize("variants", [("a", "b"), ("b", "a")])
def test_each_variant_of_each_case_is_tried_in_one_environment(
    turns: int, variants: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.turns.TURNS", turns)
    tried = []
    for environment in range(1, turns + 1):
        monkeypatch.setattr("support.turns.ENVIRONMENT", environment)
        here = [(number, each) for number in range(6) for each in variants if is_in_turn(number, each, variants)]
        assert len(here) == 12 // turns  # a share of the work for each
        assert {each for _, each in here} == set(variants)
        assert is_in_turn(environment, "alone", ("alone",))
        tried += here
    assert sorted(tried) == [(number, each) for number in range(6) for each in "ab"]


@pytest.mark.parametrize("turns", [2, 3])
def test_each_of_many_cases_is_tried_in_one_environment(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.turns.TURNS", turns)
    tried = []
    for environment in range(1, turns + 1):
        monkeypatch.setattr("support.turns.ENVIRONMENT", environment)
        tried += shared_out(range(7))
    assert sorted(tried) == list(range(7))


def test_more_variants_than_environments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.turns.TURNS", 2)
    with pytest.raises(ValueError, match="found 3 variants"):
        is_in_turn(0, "a", ("a", "b", "c"))


@pytest.mark.parametrize("turns", [2, 3])
def test_each_file_that_no_version_has_a_part_in_is_tried_in_one_environment(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []
    for environment in range(1, turns + 1):
        monkeypatch.setattr("support.turns.ENVIRONMENT", environment)
        tried += version_free_files() - left_to_others()
    assert sorted(tried) == sorted(version_free_files())
    assert {file.stem for file in tried} >= WITH_NUMPY_2
