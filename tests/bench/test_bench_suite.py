"""Suites: what is wrong is said with the path of the field and the nearest name; grids expand to every cell once."""

from pathlib import Path

import pytest

import gradest
from gradest.dtypes import HALF
from gradest.errors import InvalidInputError, UnknownNameError
from gradest_bench.suite.cells import expand
from gradest_bench.suite.scaling import AsRun, parse_as_run, read_as_run, scaled
from gradest_bench.suite.schema import parse_suite, shipped_suites, suite_text
from gradest_bench.suite.selection import chosen_cells, name_errors
from gradest_bench.suite.spec_text import parse_spec
from gradest_bench.worker.trial import check_names

GOOD = """
name = "small"
seeds = [0, 1, 2, 3]
[budget]
repetitions = 4
[[grid]]
backends = ["numpy", "jax"]
dtypes = ["float32", "float64"]
problems = [{ name = "quadratic", label = "P = {size}", vary = { size = [3, 5] } }]
estimators = [{ name = "reverse" }, { name = "es", fields = { num_samples = 10 }, vary = { sigma = [0.1, 0.01] } }]
"""


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("seeds =", "seedz =", r"seedz: no field is named 'seedz'; did you mean 'seed' or 'seeds'"),
        ("repetitions = 4", "repetition = 4", r"budget\.repetition: .* did you mean 'repetitions'"),
        ("backends =", "backend =", r"grid\[0\]\.backend: .* did you mean 'backends'"),
        ("fields = { num", "field = { num", r"grid\[0\]\.estimators\[1\]\.field: .* did you mean 'fields'"),
        ("repetitions = 4", 'repetitions = "4"', r"budget\.repetitions: Expected `int`, got `str`"),
        ("repetitions = 4", "repetitions = 0", r"budget\.repetitions: Expected `int` >= 1"),
        ("seeds = [0, 1, 2, 3]", "seeds = []", r"seeds: Expected `array` of length >= 1"),
        ('name = "small"', "", r"missing required field `name`"),
        ("[budget]", "[budget", r"not valid TOML"),
        ("size = [3, 5]", "size = []", r"grid\[0\]\.problems\[0\]\.vary"),
    ],
)
def test_malformed_suite_is_refused_with_the_path_of_the_field(good: str, bad: str, message: str) -> None:
    assert good in GOOD
    with pytest.raises(InvalidInputError, match=message):
        parse_suite(GOOD.replace(good, bad, 1), origin="small.toml")


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ('"jax"', '"jaxx"', r"grid\[0\]\.backends\[1\]: no backend is named 'jaxx'; did you mean 'jax'"),
        ('"float64"', '"flaot64"', r"grid\[0\]\.dtypes\[1\]: .* did you mean 'float64'"),
        ('"reverse"', '"revers"', r"grid\[0\]\.estimators\[0\]: .* did you mean 'reverse'"),
        ('"quadratic"', '"quadratik"', r"grid\[0\]\.problems\[0\]: .* did you mean 'quadratic'"),
        ("num_samples = 10", "num_sample = 10", r"grid\[0\]\.estimators\[1\]: .* did you mean 'num_samples'"),
        ("0.01]", "-0.01]", r"grid\[0\]\.estimators\[1\]: .*sigma must be a number in"),
        ("fields = { num_samples = 10 }", "fields = { sigma = 1.0 }", r"stands both in fields and in vary"),
        ('name = "small"', 'name = "small"\nplugins = ["no_such_module"]', r"plugins\[0\]: .*fails to load"),
    ],
)
def test_name_that_does_not_exist_is_refused_with_the_nearest(good: str, bad: str, message: str) -> None:
    assert good in GOOD
    with pytest.raises(InvalidInputError, match=message):
        check_names(parse_suite(GOOD.replace(good, bad, 1)))


def test_all_errors_are_listed_at_once() -> None:
    text = GOOD.replace('"jax"', '"jaxx"').replace('"reverse"', '"revers"')
    assert len(name_errors(parse_suite(text))) == 2


def test_grid_expands_to_every_combination_once_and_a_null_row() -> None:
    cells = expand(parse_suite(GOOD))
    assert len(cells) == 2 * 2 * 2 * (3 + 1)
    assert len({cell.key for cell in cells}) == len(cells)
    assert {cell.problem.label for cell in cells} == {"P = 3", "P = 5"}
    assert {cell.estimator.label for cell in cells} == {
        "reverse", "es num_samples=10 sigma=0.1", "es num_samples=10 sigma=0.01", "null"
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_no_two_cells_of_a_suite_have_one_title(name: str) -> None:
    titles = [cell.title for cell in expand(parse_suite(suite_text(name)))]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_the_suite_of_low_precision_has_low_precision(backend: str) -> None:
    """Each of its dtypes was refused by every backend, as its suite expected."""
    half = [c for c in expand(parse_suite(suite_text("low-precision"))) if c.dtype in HALF and c.backend == backend]
    assert {cell.dtype for cell in half} == HALF
    runs = {cell.dtype for cell in half if cell.dtype in gradest.get_backend(backend).dtypes}
    assert runs == (HALF if backend != "numpy" else {"float16"})  # NumPy has no bfloat16


def test_cell_that_two_grids_state_is_there_once() -> None:
    text = GOOD + GOOD[GOOD.index("[[grid]]") :]
    assert len(expand(parse_suite(text))) == len(expand(parse_suite(GOOD)))


def test_cell_that_two_grids_state_may_end_as_either_expects() -> None:
    """What the second grid expected was forgotten."""
    grid = GOOD[GOOD.index("[[grid]]") :]
    text = f'{GOOD}expect = ["timeout"]\n{grid}expect = ["error", "timeout"]\n'
    assert {cell.expect for cell in expand(parse_suite(text))} == {("timeout", "error")}


def test_the_null_estimator_is_not_trained() -> None:
    """Its steps cost nothing, so that a budget of losses never ended them."""
    training = "[training]\nstep_sizes = [0.1]\nlosses = 10\n"
    text = GOOD.replace("[budget]", f'measure = ["time", "training"]\n{training}[budget]')
    measured = {cell.estimator.name: (cell.measure, cell.training is None) for cell in expand(parse_suite(text))}
    assert measured["null"] == (("time",), True)
    assert measured["reverse"] == (("time", "training"), False)


def test_suite_of_accuracy_alone_has_no_null_row() -> None:
    cells = expand(parse_suite(GOOD.replace("seeds", 'measure = ["accuracy"]\nseeds')))
    assert "null" not in {cell.estimator.name for cell in cells}


@pytest.mark.parametrize(
    ("good", "bad", "same"),
    [
        ('label = "P = {size}"', 'label = "size {size}"', True),
        ("repetitions = 4", "repetitions = 4\ntimeout_seconds = 5", True),
        ("repetitions = 4", "repetitions = 5", False),
        ("num_samples = 10", "num_samples = 11", False),
        ("seeds = [0, 1, 2, 3]", "seeds = [0, 1, 2]", False),
        ("size = [3, 5]", "size = [4, 6]", False),
    ],
)
def test_key_is_what_is_asked_and_not_what_it_is_called(good: str, bad: str, same: bool) -> None:
    keys = {cell.key for cell in expand(parse_suite(GOOD)) if cell.estimator.name == "es"}
    others = {cell.key for cell in expand(parse_suite(GOOD.replace(good, bad))) if cell.estimator.name == "es"}
    assert (keys == others) is same
    if not same:
        assert not keys & others


def test_cells_are_chosen_by_pattern_and_null_rows_stay() -> None:
    cells = chosen_cells(parse_suite(GOOD), backends=("num*",), estimators=("es",), pythons={})
    assert {(cell.backend, cell.estimator.name) for cell in cells} == {("numpy", "es"), ("numpy", "null")}
    with pytest.raises(UnknownNameError, match="torch"):
        chosen_cells(parse_suite(GOOD), backends=("torch",), pythons={})


def test_patterns_that_match_no_cell_together_are_refused() -> None:
    """The run measured null estimators alone, and ended with 0."""
    other = GOOD[GOOD.index("[[grid]]") :].replace('"numpy", "jax"', '"torch"').replace("reverse", "forward")
    suite = parse_suite(GOOD + other)
    with pytest.raises(
        InvalidInputError, match=r"cells of forward on numpy were asked for; .* there: reverse, es, null"
    ):
        chosen_cells(suite, backends=("numpy",), estimators=("forward",), pythons={})
    assert {cell.estimator.name for cell in chosen_cells(suite, estimators=("null",), pythons={})} == {"null"}


def test_second_interpreter_runs_its_backend_once_more() -> None:
    cells = chosen_cells(parse_suite(GOOD), pythons={"jax:new": "python", "numpy": "python"})
    by_worker = {worker: sum(cell.worker == worker for cell in cells) for worker in ("numpy", "jax", "jax:new")}
    assert by_worker["jax:new"] == by_worker["jax"] == by_worker["numpy"]
    assert len({cell.key for cell in cells}) == len(cells)


def test_budget_scales_effort_and_leaves_limits() -> None:
    suite = parse_suite(GOOD)
    half, double = scaled(suite, 0.5), scaled(suite, 2)
    assert (half.budget.repetitions, double.budget.repetitions) == (2, 8)
    assert (half.seeds, double.seeds) == ([0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6, 7])
    assert half.budget.timeout_seconds == suite.budget.timeout_seconds
    with pytest.raises(InvalidInputError, match="positive"):
        scaled(suite, 0)


def test_unknown_suite_lists_the_shipped_ones() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'quick'"):
        suite_text("quik")


@pytest.mark.parametrize("name", shipped_suites())
def test_shipped_suite_is_valid_and_says_what_it_answers(name: str) -> None:
    suite = parse_suite(suite_text(name), origin=name)
    assert suite.name == name
    assert suite.question.endswith("?")
    assert name_errors(suite) == []


def test_suite_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert parse_suite(suite_text(str(path))).name == "small"


def test_suite_of_the_documentation_is_well_formed() -> None:
    readme = Path(__file__).resolve().parents[2] / "benchmarks" / "suites" / "README.md"
    text = readme.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    assert len(expand(parse_suite(text))) == 2 * 2 * 2 * 2 * (2 + 1 + 1)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0, 0.123456789012345])
def test_text_of_a_run_says_by_how_much_its_suite_was_scaled(factor: float) -> None:
    text = suite_text("quick")
    assert parse_as_run(str(AsRun(text, factor)), origin="quick") == scaled(parse_suite(text), factor)


def test_comment_that_opens_a_suite_scales_nothing() -> None:
    for comment in ("0.5 at first", "1.2.3", "1e+-2", "-1", "."):
        text = f"# run with --budget {comment}\n" + suite_text("quick")
        assert parse_as_run(text, origin="mine") == parse_suite(text)


@pytest.mark.parametrize("listed", ["[17]", "[broken]", "[[]]", '["reverse()", null]'])
def test_comment_that_ends_a_suite_adds_nothing(listed: str) -> None:
    text = suite_text("quick") + f"# run with --estimators {listed}\n"
    assert parse_as_run(text, origin="mine") == parse_suite(text)


@pytest.mark.parametrize("factor", [1e-05, 1e22, 0.1, 3.0])
def test_options_of_a_run_are_read_as_they_are_written(factor: float) -> None:
    kept = AsRun("name = 'a'\n", factor, repeat=True, added=(parse_spec("reverse()"),))
    assert read_as_run(str(kept)) == kept
    assert kept.options == f"--budget {factor!r} --repeat"
