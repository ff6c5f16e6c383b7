"""`gradest list`: a row each by default, all of one where its name is given."""

import json

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
