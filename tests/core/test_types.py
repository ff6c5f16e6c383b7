"""The core says what its values are: the script that counts `Any` counts right, and finds few."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from support.imports import ROOT

SCRIPT = ROOT / "benchmarks" / "scripts" / "any_count.py"


@pytest.fixture(scope="module")
def counter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("any_count", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_core_says_any_rarely(counter: ModuleType) -> None:
    found = counter.measured(ROOT / "gradest")
    assert len(found) > 100
    assert counter.rate(found) < counter.MOST


def test_uses_and_lines_are_counted_as_stated(counter: ModuleType, tmp_path: Path) -> None:
    text = (
        '"""A docstring that says Any."""\n\nfrom typing import Any\n\n\n# a comment on Any\n'
        'def f(x: Any, y: "dict[str, Any]") -> list[Any]:\n    """Say Any."""\n    return [x]\n'
    )
    assert counter.uses(text) == 3
    assert counter.code_lines(text) == 3
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "m.py").write_text(text)
    assert counter.rate(counter.measured(tmp_path / "core")) == pytest.approx(100.0)
