"""The lessons on training run, and find what they say within the bands that are known for it."""

import os
import runpy
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="pip install 'gradest[report]'")
LESSONS = Path(__file__).resolve().parents[2] / "examples" / "lessons"


@pytest.fixture(autouse=True)
def no_windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Draw into memory, and leave the style of the process as it was."""
    from matplotlib import pyplot, rc_context  # not where it is not installed

    pyplot.switch_backend("agg")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    with rc_context():
        yield
    pyplot.close("all")


def run(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the names that a lesson has defined at its end."""
    monkeypatch.syspath_prepend(LESSONS)
    return runpy.run_path(os.fspath(LESSONS / name))


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # MXNet's own, of SciPy's old names
@pytest.mark.skipif(find_spec("mxnet") is None, reason="MXNet is not installed (it needs NumPy 1)")
@pytest.mark.skipif(find_spec("mlxtend") is None, reason="pip install mlxtend")
def test_from_random_search_to_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands: luck 8.5 to 14 and 7 to 21 % right of ten draws, of which refinement takes 0.2 to 3; SGD 88.5 to 90 %."""
    found = run("softmax_gluon.py", monkeypatch)
    # log(e + e^2 + e^3 + e^4) - 4 in 40 digits, rounded once
    assert found["by_hand"] == pytest.approx(0.44018969856119530, rel=1e-15)
    assert 1e-6 < abs(found["by_gluon"] - found["by_hand"]) < 5e-6
    for drawn, refined in found["searches"]:
        assert 8.5 < drawn.records[-1].loss < 14.0
        assert 0.2 < drawn.records[-1].loss - refined.records[-1].loss < 3.0
        assert 0.07 < drawn.records[-1].held_out_metrics["accuracy"] < 0.21
    assert found["was_kept"] == [1.0, 1.0, 1.0]
    assert max(found["errors"]) < 2e-6
    formula, gluon = found["formula"].records[-1], found["gluon"].records[-1]
    assert 0.885 < formula.held_out_metrics["accuracy"] < 0.90
    for record in (formula, gluon):
        assert 0.30 < record.loss < 0.32
    assert abs(formula.held_out_loss - gluon.held_out_loss) < 0.02
