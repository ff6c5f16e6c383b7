"""The worked examples run to their end and say what they should."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


def test_training_with_estimators(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run("train_digits.py", monkeypatch, capsys, "--steps", "12").splitlines()
    right = {line[:28].strip(): float(line[28:].split("%")[0]) for line in lines}
    assert len(right) == 4
    assert right["reverse mode"] == right["central differences, exact"]  # the same gradient to rounding
    assert right["reverse mode"] > 50


def test_your_own_loss(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    output = run("your_own_loss.py", monkeypatch, capsys)
    errors = {
        line.split(":")[0].strip(): float(line.split("error ")[1].split(",")[0]) for line in output.splitlines()[1:]
    }
    assert errors["fd-central"] < 1e-8
    assert errors["es"] < 0.5  # relative MSE 17/2000, so 0.09 is expected
