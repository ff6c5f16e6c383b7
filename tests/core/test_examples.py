"""The worked examples run to their end and say what they should."""

import ast
import runpy
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from support.turns import WITH_NUMPY_2

import gradest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


@WITH_NUMPY_2
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


def test_a_transformer_with_dropout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
    torch = sys.modules["torch"]
    with torch.random.fork_rng():
        lines = run("torch_transformer.py", monkeypatch, capsys).splitlines()[2:]
    errors = {line.split()[0]: float(line.split()[-1]) for line in lines}
    assert len(errors) == 4
    assert errors["fd-central"] < 1e-7  # one mask for all 404 evaluations, the mask that reverse mode drew
    assert errors["es"] < 1.2  # sqrt(203 / 300) is 0.82
    assert errors["spsa"] < 1.2


@WITH_NUMPY_2
def test_a_network_of_flax(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("flax", reason="Flax is not installed: pip install flax")
    lines = run("flax_network.py", monkeypatch, capsys, "--steps", "20").splitlines()[1:]
    found = {line.split()[0]: [float(word) for word in line.split()[1:]] for line in lines}
    assert len(found) == 4
    assert all(after < before for before, after in found.values())


def test_a_simulator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    output = run("numpy_simulator.py", monkeypatch, capsys)
    assert output.startswith("reverse: ")
    rows = [
        line.split() for line in output.splitlines() if line.startswith(("fd-central ", "es ", "spsa ", "es-rank "))
    ]
    slopes, steps = ({row[0]: np.array(row[-2:], dtype=float) for row in table} for table in (rows[:4], rows[4:]))
    assert np.linalg.norm(slopes["es"] - slopes["fd-central"]) < 0.3 * np.linalg.norm(slopes["fd-central"])
    assert steps["fd-central"].tolist() == [0.0, 0.0]  # a step function has no slope, and a smoothed one has
    assert steps["es"][0] < -0.5
    assert steps["es"][1] > 0.5


COMPARED = {
    "torch": ("compare_torch.py", "torch's reverse mode in float64", {"reverse": 1e-4, "fd-central": 0.3}),
    "jax": ("compare_flax.py", "jax's reverse mode in float64", {"reverse": 1e-5, "fd-central": 1e-2}),
    "mxnet": ("compare_gluon.py", "mxnet's reverse mode in float64", {"reverse": 1e-4, "fd-central": 0.1}),
    "numpy": ("compare_numpy.py", "numpy's reverse mode in longdouble", {"reverse": 1e-14, "fd-central": 1e-8}),
}


ON_EACH = [pytest.param(backend, marks=[WITH_NUMPY_2] if backend == "jax" else []) for backend in COMPARED]


@pytest.mark.parametrize("backend", ON_EACH)
def test_a_comparison_on_a_loss_of_ones_own(
    backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, reference, bounds = COMPARED[backend]
    if backend == "jax":
        pytest.importorskip("flax", reason="Flax is not installed: pip install flax")
    with warnings.catch_warnings():
        if backend == "numpy":  # the complex step is tried on a simulator that returns a Python float, and refuses it
            warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
        output = run(name, monkeypatch, capsys)
    assert f"Reference: {reference}" in output
    rows = {line.split("  ")[1]: line.split() for line in output.splitlines() if line.startswith("  ")}
    for estimator, bound in bounds.items():
        assert float(rows[estimator][2].lstrip("<") or rows[estimator][3]) <= bound


FIGURES = sorted(path.name for path in (EXAMPLES / "figures").glob("*.py"))


def test_figures_compare_what_they_draw_with_theory() -> None:
    """Each figure is a script of the gallery that opens with its title; `make docs` runs all of them."""
    assert len(FIGURES) >= 12
    for name in FIGURES:
        opening = ast.get_docstring(ast.parse((EXAMPLES / "figures" / name).read_text(encoding="utf-8"))) or ""
        title, rule, *_ = opening.splitlines()
        assert rule == "=" * len(title), name


@pytest.mark.parametrize("name", ["error_against_step.py", "noise_scale.py"])
def test_figures_run_as_they_stand(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed: pip install 'gradest[report]'")
    monkeypatch.setenv("MPLBACKEND", "agg")
    with warnings.catch_warnings():
        # Steps far too short are part of the picture; and a canvas without a window cannot be shown.
        warnings.simplefilter("ignore", gradest.NoiseWarning)
        warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
        assert run(f"figures/{name}", monkeypatch, capsys)
