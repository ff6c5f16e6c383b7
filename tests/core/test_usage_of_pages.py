"""What the page of an estimator shows of its use can be run, for every estimator that is registered."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradest

EXT = Path(__file__).parents[2] / "docs" / "_ext" / "usage.py"
X, Y = np.eye(3), np.array([0.5, -0.5, 1.0])


def usage(name: str) -> str:
    spec = importlib.util.spec_from_file_location("usage", EXT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: str = module.usage(name)
    return found


def loss(w: Any, x: Any, y: Any) -> Any:
    return np.mean((np.tanh(x @ w) - y) ** 2)


@pytest.mark.parametrize("name", gradest.names("estimators"))
def test_the_lines_of_an_estimators_page_run(name: str) -> None:
    start = np.array([0.1, 0.2, -0.3])
    known = gradest.grad(loss)(start, X, Y)
    space: dict[str, Any] = {"loss": loss, "params": start, "x": X, "y": Y, "known": known}
    exec(usage(name), space)
    assert space["estimate"].cost is not None
    assert ("gradient" in space) == ("gradest.grad(" in usage(name))


def test_what_needs_operations_is_shown_with_a_problem() -> None:
    with pytest.raises(gradest.UnsupportedError):
        gradest.get_estimator("es-row-space")(loss, np.zeros(3), X, Y, rng=0)
    assert "get_problem" in usage("es-row-space")
    assert "get_problem" not in usage("spsa")
