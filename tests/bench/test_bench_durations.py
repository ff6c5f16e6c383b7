"""Suites state how long they take, and what they state can be; together the shipped ones are an evening's coffee."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gradest.errors import InvalidInputError
from gradest_bench.command.main import main
from gradest_bench.suite.duration import require_possible
from gradest_bench.suite.schema import parse_suite, shipped_suites, suite_text

MOST_MINUTES = 100
TEXT = """
name = "timed"
{stated}
[budget]
starts = 2
minimum_seconds = 30
timeout_seconds = 90
[[grid]]
backends = ["numpy"]
problems = [{{ name = "quadratic" }}]
estimators = [{{ name = "reverse" }}]
"""


def test_every_shipped_suite_states_minutes_that_are_possible_and_few_in_all() -> None:
    suites = [parse_suite(suite_text(name)) for name in shipped_suites()]
    minutes = [suite.expected_minutes or float("inf") for suite in suites]
    assert sum(minutes) <= MOST_MINUTES
    for suite in suites:
        require_possible(suite)


@pytest.mark.parametrize(("minutes", "possible"), [(1.9, False), (2.0, True), (6.0, True), (6.1, False)])
def test_minutes_that_the_budget_excludes_are_refused(minutes: float, possible: bool, tmp_path: Path) -> None:
    """Two cells, `reverse` and `null`, of two starts: 2 minutes of timing, and 6 by their limits."""
    file = tmp_path / "timed.toml"
    file.write_text(TEXT.format(stated=f"expected_minutes = {minutes}"), encoding="utf-8")
    found = CliRunner().invoke(main, ["bench", "check-suite", str(file)])
    assert found.exit_code == (0 if possible else 2)
    assert ("valid" if possible else "asks for at least 2 of timing and ends each cell after 6 in all") in found.output


def test_a_dry_run_says_what_the_suite_states_and_nothing_where_it_states_nothing(tmp_path: Path) -> None:
    file = tmp_path / "timed.toml"
    for stated, said in (("expected_minutes = 5", True), ("", False)):
        file.write_text(TEXT.format(stated=stated), encoding="utf-8")
        found = CliRunner().invoke(main, ["bench", "run", str(file), "--dry-run"])
        assert found.exit_code == 0
        assert ("the suite states 5 min" in found.output) is said
        require_possible(parse_suite(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("minutes", ["0", "-1", '"ten"'])
def test_what_is_no_number_of_minutes_is_refused(minutes: str) -> None:
    with pytest.raises(InvalidInputError, match="expected_minutes"):
        parse_suite(TEXT.format(stated=f"expected_minutes = {minutes}"))
