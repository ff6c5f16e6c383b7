"""Hyper-parameters, plug-ins, dry runs and completion at the command line."""

import json
import os
import re
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from gradest import InvalidInputError, get_estimator
from gradest_bench.command.check_plugin import KINDS
from gradest_bench.command.main import main
from gradest_bench.command.warning_lines import PlainLines
from gradest_bench.results.loading import load
from gradest_bench.suite.spec_text import parse_spec, split_names

SUITE = """
name = "two"
[budget]
repetitions = 2
minimum_samples = 2
minimum_seconds = 0.5
timeout_seconds = 30.0
[[grid]]
backends = ["numpy"]
measure = ["accuracy"]
problems = [{ name = "quadratic", fields = { size = 3 } }]
estimators = [{ name = "analytic" }, { name = "es", fields = { num_samples = 2 } }]
[[grid]]
backends = ["numpy"]
measure = ["accuracy"]
problems = [{ name = "quadratic", fields = { size = 4 } }]
estimators = [{ name = "reverse" }]
"""
PLUGIN = """
from dataclasses import dataclass
from gradest.estimators import Analytic
@dataclass(frozen=True)
class Mine(Analytic):
    family = "mine"
    factor: float = 1.0
"""


def gradest(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.toml").write_text(SUITE, encoding="utf-8")
    (tmp_path / "mine_of_test.py").write_text(PLUGIN, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "name", "fields"),
    [
        ("es", "es", {}),
        ("es()", "es", {}),
        (" es ( sigma = 0.1 , num_samples=50 ) ", "es", {"sigma": 0.1, "num_samples": 50}),
        ("es(distribution=rademacher, antithetic=True)", "es", {"distribution": "rademacher", "antithetic": True}),
        ("es(shaping=centered-rank, chunk_size=None)", "es", {"shaping": "centered-rank", "chunk_size": None}),
        ("fd-central(coordinates=[0, 2], step=1e-4)", "fd-central", {"coordinates": (0, 2), "step": 1e-4}),
        ("a/b.py:C(x=-1, y='a, (b')", "a/b.py:C", {"x": -1, "y": "a, (b"}),
    ],
)
def test_a_name_with_fields_is_read(text: str, name: str, fields: dict[str, object]) -> None:
    found = parse_spec(text)
    assert (found.name, found.fields) == (name, fields)


@pytest.mark.parametrize(
    "text",
    [
        "es(",
        "es)",
        "(sigma=1)",
        "es(0.1)",
        "es(sigma)",
        "es(sigma=)",
        "es(sigma=1)x",
        "es(sigma=1, sigma=2)",
        "es(**{})",
        "es(sigma=open('x'))",
        "es(sigma=__import__('os').getpid())",
        "es(sigma=1j)",
        "es(sigma={1})",
        "es(sigma=b'x')",
        "es(sigma=" + "[" * 1500 + "]" * 300 + ")",
        "es(sigma=" + "1" * 3000 + ")",
    ],
)
def test_what_is_no_name_with_fields_is_refused_and_nothing_is_evaluated(text: str) -> None:
    with pytest.raises(InvalidInputError):
        get_estimator(parse_spec(text).name, **parse_spec(text).fields)


def test_commas_between_brackets_and_quotes_part_nothing() -> None:
    assert split_names("a, b(c=1, d=[2, 3]),e(f='x,y'),,") == ("a", "b(c=1, d=[2, 3])", "e(f='x,y')")


def test_an_unknown_field_is_told_with_those_that_there_are() -> None:
    compare, run = ("compare", "--problem", "quadratic", "--estimators"), ("bench", "run", "two.toml", "--estimators")
    for command in (compare, run, ("check",)):
        found = gradest(*command, "es(sigmma=0.1)")
        assert found.exit_code == 2, found.output
        assert "did you mean 'sigma'" in found.output
        assert "num_samples" in found.output


def test_check_takes_fields_in_brackets_as_it_takes_them_by_set() -> None:
    by_brackets = gradest("check", "es(num_samples=3)", "--checks", "cost")
    assert by_brackets.exit_code == 0
    assert by_brackets.output == gradest("check", "es", "--set", "num_samples=3", "--checks", "cost").output
    assert "6 values" in by_brackets.output
    assert "keep one" in gradest("check", "es(num_samples=3)", "--set", "num_samples=4").output


def test_what_stops_most_checks_is_told_once(tmp_path: Path) -> None:
    text = "import gradest\n\n\nclass Stopped(type(gradest.get_estimator('null'))):\n"
    text += "    def prepare_kernel(self, objective, *, executor=None):\n        raise KeyError('no such law')\n"
    (tmp_path / "stopped.py").write_text(text, encoding="utf-8")
    output = gradest("check", f"{tmp_path / 'stopped.py'}:Stopped").output
    assert output.count("no such law") == 1
    assert output.count('the same as "result"') > 3


def estimators_run(run: Path) -> list[str]:
    return [record.cell.estimator.label for record in load(run).records]


def test_an_added_estimator_runs_in_every_grid_and_is_kept_for_the_report_and_the_resume() -> None:
    run = ("bench", "run", "two.toml", "--out", "run", "--estimators", "es(sigma=0.1, chunk_size=None),analytic")
    begun = gradest(*run, "--resume")  # of a folder that is mistyped, say
    assert begun.exit_code == 0
    assert "--resume found nothing to go on from in run; a new run begins there" in begun.output
    added = "es(sigma=0.1, chunk_size=None)"
    assert estimators_run(Path("run")) == ["analytic", added, added]
    assert load("run").num_cells == 5  # the whole suite, with what was added to it
    resumed = gradest(*run, "--resume").output
    assert "3 cells have a result already; 0 to run" in resumed
    assert "found nothing to go on from" not in resumed
    other = gradest("bench", "run", "two.toml", "--out", "run", "--resume")
    assert other.exit_code == 2
    assert "holds another suite" in other.output


def test_what_is_added_goes_together_with_a_budget() -> None:
    run = ("bench", "run", "two.toml", "--out", "run", "--estimators", "*,spsa(num_samples=2)", "--budget", 2)
    assert gradest(*run).exit_code == 0
    found = load("run")
    assert found.num_cells == len(found.records) == 5
    added = "spsa(num_samples=2)"
    assert estimators_run(Path("run")) == ["analytic", "es num_samples=2", added, "reverse", added]


def test_the_estimators_of_a_plugin_stand_beside_a_suite() -> None:
    found = gradest("bench", "run", "two.toml", "--out", "run", "--plugin", "mine_of_test.py")
    assert found.exit_code == 0, found.output
    mine = "mine_of_test.py:Mine"
    assert estimators_run(Path("run")) == ["analytic", "es num_samples=2", mine, "reverse", mine]
    assert str(Path.cwd()) not in Path("run/suite.toml").read_text(encoding="utf-8")  # no folder of the user's
    empty = Path("nothing_of_test.py")
    empty.write_text("", encoding="utf-8")
    refused = gradest("bench", "run", "two.toml", "--plugin", empty)
    assert refused.exit_code == 2
    assert "defines no class" in refused.output
    bracketed = Path("mine (1).py")
    bracketed.write_text(Path("mine_of_test.py").read_text(encoding="utf-8"), encoding="utf-8")
    refused = gradest("bench", "run", "two.toml", "--plugin", bracketed)
    assert refused.exit_code == 2
    assert "a path without brackets" in refused.output


@pytest.mark.parametrize("value", ["1e999", "-1e999", "[1.0, 1e999]"])
def test_a_number_that_no_record_could_keep_is_refused_in_an_added_estimator(value: str) -> None:
    """A plug-in of another hand may take it; es() refuses it by itself."""
    refused = gradest("bench", "run", "two.toml", "--estimators", f"mine_of_test.py:Mine(shift={value})")
    assert refused.exit_code == 2
    assert re.search(r"shift(\[1\])?: a finite number was asked for; found -?inf", refused.output)


def test_a_dry_run_says_cells_and_time_and_leaves_nothing_behind() -> None:
    found = gradest("bench", "run", "two.toml", "--dry-run")
    assert found.exit_code == 0
    assert "two: 3 cells; nothing is run" in found.output
    assert "at most 90 s" not in found.output  # 3 x 30 s is 1.5 min: above, it is told in minutes
    assert "at least 0 s of timing, at most 2 min by its limits; no earlier run" in " ".join(found.output.split())
    assert not Path("results").exists()
    timed = Path("two.toml").read_text(encoding="utf-8").replace('"accuracy"', '"time"')
    Path("timed.toml").write_text(timed, encoding="utf-8")
    assert "5 cells" in (shown := gradest("bench", "run", "timed.toml", "--dry-run").output)  # with null estimators
    assert "at least 2 s of timing" in shown
    short = gradest("bench", "run", "timed.toml", "--budget", "0.1", "--dry-run").output
    assert re.search(r"at least 0\.\d s of timing", short)  # and not none


def test_a_dry_run_takes_the_pace_of_an_earlier_run() -> None:
    assert gradest("bench", "run", "two.toml", "--estimators", "*,es(sigma=0.1)").exit_code == 0
    (earlier,) = Path("results").iterdir()
    lines = [json.loads(line) for line in (earlier / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    for number, line in enumerate(lines):  # as if a cell had ended each ten minutes
        line["finished"] = f"2026-01-01T0{number // 6}:{number % 6}0:00+00:00"
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (earlier / "results.jsonl").write_text(text, encoding="utf-8")
    found = gradest("bench", "run", "two.toml", "--dry-run", "--estimators", "*,es(sigma=0.1)").output
    assert f"expected time: 50 min, at the pace of {earlier}" in " ".join(found.split())


def test_a_dry_run_counts_no_pause_and_a_cell_of_several_starts_once() -> None:
    assert gradest("bench", "run", "two.toml", "--estimators", "*,es(sigma=0.1)").exit_code == 0
    (earlier,) = Path("results").iterdir()
    lines = [json.loads(line) for line in (earlier / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    kept = []
    for number, line in enumerate(lines):  # each cell took ten minutes, the last two the next day
        day = 1 + (number >= 3)
        for minute in (1, 9):  # as after each of three starts of the workers
            begun = {"outcome": "interrupted", "timing": {**TIMES, "starts": [1]}}
            kept.append({**line, **begun, "finished": f"2026-01-0{day}T00:{number}{minute}:00+00:00"})
        kept.append({**line, "finished": f"2026-01-0{day}T00:{number + 1}0:00+00:00"})
    (earlier / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    began = [
        {"began": f"2026-01-0{day}T00:{minutes}:00+00:00", "command": ""} for day, minutes in ((1, "00"), (2, "30"))
    ]
    (earlier / "invocations.jsonl").write_text("".join(json.dumps(b) + "\n" for b in began), encoding="utf-8")
    found = gradest("bench", "run", "two.toml", "--dry-run", "--estimators", "*,es(sigma=0.1)").output
    assert f"expected time: 50 min, at the pace of {earlier}" in " ".join(found.split())


TIMES = {
    "preparation_seconds": 1.0,
    "first_call_seconds": 1.0,
    "wall_seconds": [1.0],
    "cpu_seconds": [1.0],
    "loops": [1],
    "rounds": [1],
    "median_seconds": 1.0,
    "value_seconds": 1.0,
}


def completions(*typed: str) -> list[str]:
    complete = ShellComplete(main, {}, "gradest", "_GRADEST_COMPLETE")
    return [item.value for item in complete.get_completions(list(typed[:-1]), typed[-1])]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (("bench", "run", "forward-v"), "forward-vs-reverse"),
        (("bench", "check-suite", "qui"), "quick"),
        (("check", "node-p"), "node-perturbation"),
        (("check", "es", "--set", "sig"), "sigma="),
        (("check", "reverse", "--checks", "cost,accu"), "cost,accuracy"),
        (("compare", "--estimators", "reverse,fd-fi"), "reverse,fd-five-point"),
        (("compare", "--backends", "numpy,tor"), "numpy,torch"),
        (("compare", "--problem", "rosen"), "rosenbrock"),
        (("compare", "--problem", "quadratic", "--set", "cond"), "condition="),
        (("compare", "--dtypes", "bfl"), "bfloat16"),
        (("list", "prob"), "problems"),
        (("list", "estimators", "es", "forward-g"), "forward-gradient"),
        (("bench", "show", "results/a"), f"results{os.sep}a-run"),
        (("bench", "compare", "x", "res"), f"results{os.sep}a-run"),
        (("bench", "export", "csv", "f", "--run", "res"), f"results{os.sep}a-run"),
    ],
)
def test_names_are_completed(typed: tuple[str, ...], expected: str) -> None:
    Path("results/a-run").mkdir(parents=True)
    Path("results/a-run/results.jsonl").touch()
    assert expected in completions(*typed)


def test_a_field_of_an_unknown_name_completes_to_nothing() -> None:
    assert completions("check", "no-such", "--set", "s") == []


def test_every_name_that_is_completed_is_taken() -> None:
    assert isinstance(main.commands["compare"], click.Command)
    for name in completions("check", ""):
        if name and name not in KINDS:  # the last item is the shell's own: files
            assert get_estimator(name)


def test_a_warning_that_differs_in_measured_numbers_alone_is_said_once() -> None:
    """`gradest compare` in bfloat16 said one thing some thirty times; a warning of other settings is another."""
    text = "at sigma={} function values differ by {}, and rounding in bfloat16 is {} of it"
    told = PlainLines()
    given = [(0.01, 0.00734, 1.1), (0.01, "7e-05", "1"), (0.02, 0.00734, 1.1)]
    lines = [told(text.format(*each), UserWarning, click.__file__, 1) for each in given]
    assert lines == [
        f"gradest: UserWarning: {text.format(*given[0])}\n",
        "",
        f"gradest: UserWarning: {text.format(*given[2])}\n",
    ]
    own = [told("1 of 2", UserWarning, "mine.py", 3) for _ in range(2)]
    assert own == ["mine.py:3: UserWarning: 1 of 2\n"] * 2
