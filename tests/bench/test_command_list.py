"""`gradest list`: a row each by default, all of one where its name is given."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import gradest
from gradest_bench.command.main import main


def command(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, ["list", *words])


def test_every_estimator_has_a_row_and_a_screen_holds_them() -> None:
    lines = command("estimators").output.splitlines()
    for name in gradest.names("estimators"):
        assert any(line.split()[:1] == [name] for line in lines), name
    assert len(lines) < 60


def test_a_name_gives_all_of_one_and_of_no_other() -> None:
    found = command("estimators", "es").output
    assert "sigma=0.01  Smoothing radius, in units of the parameters." in found
    assert "spsa" not in found.split()
    assert all(word in command("estimators", "--long").output for word in ("Smoothing radius", "Wengert 1964"))


def test_names_choose_what_is_printed_as_json_too() -> None:
    rows = json.loads(command("estimators", "es", "spsa", "--json").output)["estimators"]
    assert [row["name"] for row in rows] == ["es", "spsa"]
    assert all(row["takes"] for row in rows)
    assert json.loads(command("problems", "mlp", "--json").output)["problems"][0]["name"] == "mlp"


@pytest.mark.parametrize(
    "words", [("estimators", "ess"), ("backends", "numpi"), ("estimators", "es", "--for", "x.py:c")]
)
def test_what_names_nothing_is_one_line(words: tuple[str, ...]) -> None:
    found = command(*words)
    assert found.exit_code == 2
    assert len(found.stderr.splitlines()) == 1
    assert "Traceback" not in found.output


def test_how_often_a_loss_is_evaluated_to_see_what_runs_on_it_is_told_as_it_is(tmp_path: Path) -> None:
    """A function of NumPy's is looked at, followed, and tried with complex numbers where it cannot be followed."""
    file = tmp_path / "counted_case.py"
    file.write_text(
        "import numpy as np\nimport gradest\n\n\n"
        "def loss(p):\n    print('evaluated')\n    return np.sum(np.unwrap(p))\n\n\n"
        "case = gradest.Case(loss, np.ones(3))\n",
        encoding="utf-8",
    )
    lines = command("--for", f"{file}:case").output.splitlines()
    assert 1 < lines.count("evaluated") <= 3
    assert any(line.startswith("the loss was evaluated three times at most:") for line in lines)


def test_a_default_that_is_no_text_is_shown_without_quotes() -> None:
    """The tuple was printed as the text '(32,)', which nobody can give as a field."""
    shown = " ".join(command("problems", "mlp").output.split())
    assert "widths=(32,)" in shown
    assert "activation='tanh'" in shown
    row = json.loads(command("problems", "mlp", "--json").output)["problems"][0]
    assert row["fields"]["widths"] == "(32,)"
