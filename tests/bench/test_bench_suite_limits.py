"""A suite that asks for more than any machine has, or for a place that is not its own, is refused before it is read."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gradest.errors import InvalidInputError
from gradest_bench.command.main import main
from gradest_bench.results.loading import load
from gradest_bench.suite.cells import expand
from gradest_bench.suite.limits import MOST_CELLS, MOST_LEVELS, MOST_SEEDS
from gradest_bench.suite.scaling import parse_as_run, scaled
from gradest_bench.suite.schema import num_cells, parse_suite, shipped_suites, suite_text

GOOD = """
name = "small"
{more}
[[grid]]
backends = ["numpy"]
problems = [{{ name = "quadratic", {problem} }}]
estimators = [{{ name = "es", {estimator} }}]
"""


def suite(*, more: str = "", problem: str = "fields = { size = 3 }", estimator: str = "fields = {}") -> str:
    return GOOD.format(more=more, problem=problem, estimator=estimator)


def many(count: int) -> str:
    return str(list(range(1, count + 1)))


BOMBS = {
    "x = " + "[" * 100_000: "not valid TOML",
    "x = " + "{ a = " * 50_000: "not valid TOML|nest",
    "a." * 60_000 + "b = 1": "keys of at most",
    "[" + "a . " * 60_000 + "b]": "keys of at most",
    '"a"."b".' * 1000 + "c = 1": "keys of at most",
    "x = 1 #" + " " * 1_000_000: "characters",
    suite(problem="fields = { size = " + "[" * 40 + "]" * 40 + " }"): "levels of nesting",
    suite(problem="fields = { size = inf }"): r"grid\[0\]\.problems\[0\]\.fields\.size: a finite number",
    suite(estimator="fields = { sigma = nan }"): r"fields\.sigma: a finite number .* found nan",
    suite(problem="fields = { size = 1" + "0" * 400 + " }"): r"fields\.size: a finite number .* one of 1329 bits",
    suite(problem="fields = { size = 1" + "0" * 5000 + " }"): r"not valid TOML: .*4300 digits",
    suite(problem="fields = { size = 2026-01-01 }"): r"fields\.size: a number, .* found 2026-01-01, a date; put it in",
    suite(more="[budget]\ntimeout_seconds = inf"): r"budget\.timeout_seconds: a finite number",
    suite(
        problem=f"vary = {{ size = {many(999)}, seed = {many(999)}, condition = {many(999)} }}"
    ): "1,994,005,998 cells",
    suite(more=f"seeds = {many(20_000)}"): "seeds of a cell",
    suite().replace("backends", f"seeds = {many(20_000)}\nbackends"): "seeds of a cell",
}


@pytest.mark.parametrize("text", BOMBS, ids=range(len(BOMBS)))
def test_a_text_that_asks_for_too_much_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=BOMBS[text]):
        parse_suite(text)
    path = tmp_path / "bomb.toml"
    path.write_text(text, encoding="utf-8")
    found = CliRunner().invoke(main, ["bench", "check-suite", str(path)])
    assert found.exit_code == 2
    assert len(found.output.splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["../../out", "/tmp/out", "x/y", "", ".", "..", ".hidden", "a" * 65, "a b", "ä", "a\\n"]
)
def test_a_name_that_is_no_name_of_a_folder_is_refused(name: str, tmp_path: Path) -> None:
    text = suite().replace('"small"', f'"{name}"')
    with pytest.raises(InvalidInputError, match="characters A-Z a-z 0-9"):
        parse_suite(text)
    assert parse_as_run(text, origin="kept").grid, "a run that an earlier version kept can still be read"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (suite(more="seeds = [1, 2, 1]"), "seeds"),
        (suite().replace("backends", "seeds = [7, 7]\nbackends"), r"grid\[0\]\.seeds"),
    ],
)
def test_a_seed_that_is_given_twice_is_refused(text: str, path: str, tmp_path: Path) -> None:
    """Sixteen times one estimate were sixteen that agree: a calibrated one was judged wrong."""
    with pytest.raises(InvalidInputError, match=rf"suite: {path}: seeds that all differ .* found [17] more than once"):
        parse_suite(text)
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    for command in (["check-suite"], ["compare-now"], ["run"]):
        found = CliRunner().invoke(main, ["bench", *command, str(tmp_path / "s.toml")])
        assert found.exit_code == 2
        assert "more than once" in found.output
    assert parse_as_run(text, origin="kept").grid, "a run that an earlier version kept can still be read"


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "_", "a" * 64])
def test_a_plain_name_is_taken(name: str) -> None:
    assert parse_suite(suite().replace('"small"', f'"{name}"')).name == name


def test_what_is_within_the_limits_is_taken() -> None:
    assert len(parse_suite(suite(more=f"seeds = {many(MOST_SEEDS)}")).seeds) == MOST_SEEDS
    nested = "[" * (MOST_LEVELS - 6) + "]" * (MOST_LEVELS - 6)
    assert parse_suite(suite(problem=f"fields = {{ size = {nested} }}"))
    most = parse_suite(suite(problem=f"vary = {{ size = {many(500)}, seed = {many(100)} }}"))
    assert num_cells(most) == MOST_CELLS


@pytest.mark.parametrize("name", shipped_suites())
def test_cells_are_counted_as_they_are_made(name: str) -> None:
    parsed = parse_suite(suite_text(name))
    assert num_cells(parsed) >= len(expand(parsed)) > num_cells(parsed) // 2


@pytest.mark.parametrize("factor", [1e9, 1e300, float("inf"), float("nan"), -1.0])
def test_a_budget_cannot_ask_for_what_a_suite_cannot(factor: float) -> None:
    with pytest.raises(InvalidInputError, match="budget"):
        scaled(parse_suite(suite()), factor)


def test_a_suite_in_a_folder_of_results_is_held_to_the_limits(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_bytes(b"")
    vary = f"vary = {{ size = {many(999)}, seed = {many(999)}, condition = {many(999)} }}"
    (tmp_path / "suite.toml").write_text(suite(problem=vary), encoding="utf-8")
    with pytest.raises(InvalidInputError, match="cells"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b""], ids=["no text", "empty"])
def test_a_file_that_is_no_suite_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_bytes(content)
    for command in ("check-suite", "run"):
        found = CliRunner().invoke(main, ["bench", command, str(path)])
        assert found.exit_code == 2
        assert "Traceback" not in found.output


def test_a_name_of_a_suite_that_no_file_can_have_is_one_line() -> None:
    found = CliRunner().invoke(main, ["bench", "run", "x" * 300])
    assert found.exit_code == 2
    assert len(found.output.splitlines()) == 1
