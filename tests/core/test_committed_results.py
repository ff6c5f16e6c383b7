"""What the documentation shows as measured stands in a record, and README.md says what the records say."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gradest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
README = ROOT / "README.md"
WITHOUT_RECORD = {"guided-es"}
"""It has to be given guides, and a record without them would say nothing of it."""


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / "choose.json").read_text(encoding="utf-8"))
    return found


def test_the_readme_shows_the_committed_record() -> None:
    text = README.read_text(encoding="utf-8")
    assert loaded(RESULTS / "write_readme.py").written(text) == text


def test_a_figure_of_the_readme_that_no_record_holds_is_noticed() -> None:
    text = README.read_text(encoding="utf-8")
    found = gradest.Comparison.from_json((RESULTS / "demo.json").read_text(encoding="utf-8"))
    scatter = next(cell.replicates for cell in found if cell.cell.dtype == "float32" and cell.replicates)
    changed = text.replace(f"{scatter.relative_mse:.4g} ±", "9.999 ±", 1)
    assert changed != text
    assert loaded(RESULTS / "write_readme.py").written(changed) == text


def test_a_readme_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="put them back"):
        loaded(RESULTS / "write_readme.py").written("# gradest")


def test_every_estimator_has_a_record(record: dict[str, Any]) -> None:
    measured = {each["cell"]["estimator"]["name"] for each in record["records"] if each["outcome"] == "ok"}
    lacking = set(gradest.names("estimators")) - measured - WITHOUT_RECORD
    assert not lacking, f"`make results` measures {sorted(lacking)}; docs/results/choose.toml must name them"


def agreeing(record: dict[str, Any], factor: float) -> list[bool]:
    """Return of each cell with a predicted error whether `factor` times it lies within nine standard errors."""
    pairs = [
        (each["accuracy"]["replicates"], each["accuracy"]["predicted"]["relative_mse"])
        for each in record["records"]
        if (each["accuracy"].get("predicted") or {}).get("relative_mse") and each["accuracy"].get("replicates")
    ]
    return [abs(found["relative_mse"] - factor * told) < 9 * found["relative_mse_error"] for found, told in pairs]


def test_random_estimators_of_the_record_agree_with_theory(record: dict[str, Any]) -> None:
    """A false alarm in one record of 300: |t| > 9 with 7 degrees of freedom has probability 4e-5, in under 60 cells."""
    right = agreeing(record, 1.0)
    assert 30 < len(right) < 60
    assert all(right)


def test_predictions_of_twice_the_error_would_not_agree(record: dict[str, Any]) -> None:
    assert sum(agreeing(record, 2.0)) < len(agreeing(record, 2.0)) / 4


def test_the_tables_to_choose_by_show_no_single_draw() -> None:
    """Ten per cent of a root mean square over eight seeds are three standard errors and more in the widest layers."""
    found = loaded(ROOT / "docs" / "_ext" / "committed_results.py").measured()
    wide = {key: cell for key, cell in found.items() if key[0] == "large" and cell.predicted_mse}
    assert {name for _, name in wide} >= {"spsa", "es", "es-low-rank", "forward-gradient"}
    assert all(abs(cell.typical_error / cell.predicted_mse**0.5 - 1) < 0.1 for cell in wide.values())
    assert found["large", "reverse"].typical_error == found["large", "reverse"].relative_error


def test_the_committed_results_are_small() -> None:
    assert sum(path.stat().st_size for path in RESULTS.rglob("*")) < 5e6
