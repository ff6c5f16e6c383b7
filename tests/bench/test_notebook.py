"""Results show themselves in a notebook, and a progress bar there is a bar: one is run and its outputs are read."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.training import Budget

CELLS = {
    "comparison": """
import gradest
iris = gradest.get_problem("softmax-regression", dataset="iris", batch=30)
found = gradest.compare(iris, estimators=["reverse"], backends=["numpy"], dtypes=["float64"], budget_seconds=0.01)
found""",
    "bar": """
with gradest.bench.progress_bar() as progress:
    progress("<first>", 0, 2)
    progress("second", 1, 2)
""",
    "training": """
from gradest.training import Budget
run = gradest.train(iris, "reverse", budget=Budget(steps=3), log_every=1)
run""",
    "check": """
import numpy as np
gradest.check(lambda p: (p**2).sum(), np.ones(2), lambda p: 2 * p)""",
    "plot": "found.plot()",
    "curves": "run.plot()",
}


@pytest.fixture(scope="module")
def outputs() -> dict[str, list[Any]]:
    """Return the outputs of each cell of a notebook that a kernel of this interpreter has executed."""
    why = "is not installed: pip install 'gradest[docs]'"
    nbformat = pytest.importorskip("nbformat", reason=f"nbformat {why}")
    nbclient = pytest.importorskip("nbclient", reason=f"nbclient {why}")
    manager: Any = pytest.importorskip("jupyter_client.manager", reason=f"jupyter_client {why}")
    pytest.importorskip("ipykernel", reason=f"ipykernel {why}")
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed: pip install 'gradest[report]'")

    class Here(manager.AsyncKernelManager):  # type: ignore[misc]  # of a package without annotations
        """Starts this very interpreter, whichever kernels are registered on the machine."""

        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            return [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file]

    new = nbformat.v4
    notebook = new.new_notebook(cells=[new.new_code_cell(code.strip()) for code in CELLS.values()])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_manager_class=Here)
    client.execute(env=environment)
    return {name: cell["outputs"] for name, cell in zip(CELLS, notebook.cells, strict=True)}


def only(outputs: list[Any]) -> dict[str, str]:
    (found,) = outputs
    data: dict[str, str] = found["data"]
    return data


@pytest.mark.parametrize(("name", "shown"), [("comparison", "rel. error"), ("training", "cost, in losses")])
def test_a_result_shows_its_table(outputs: dict[str, list[Any]], name: str, shown: str) -> None:
    html = only(outputs[name])["text/html"]
    assert "<table>" in html
    assert f"<th>{shown}</th>" in html


def test_a_check_shows_its_words(outputs: dict[str, list[Any]]) -> None:
    assert "right (Taylor remainder of rate" in only(outputs["check"])["text/html"]


@pytest.mark.parametrize("name", ["plot", "curves"])
def test_a_plot_is_a_picture(outputs: dict[str, list[Any]], name: str) -> None:
    assert only(outputs[name])["image/png"]


def test_a_bar_is_drawn_by_the_page_and_gone_at_the_end(outputs: dict[str, list[Any]]) -> None:
    assert not [each for each in outputs["bar"] if each["output_type"] == "stream"]  # no text with cursor movements
    assert only(outputs["bar"]) == {"text/plain": "", "text/html": ""}


def test_a_bar_is_html_with_nothing_of_the_work_in_it_unescaped() -> None:
    from gradest_bench.command.progress_bar import _Bar

    assert _Bar("<first>", 1, 2)._repr_html_() == (
        '<progress value="1" max="2"></progress> <small>1 of 2 steps; now: &lt;first&gt;</small>'
    )
    assert "value" not in _Bar("starting", 0, 0)._repr_html_()


def test_a_log_of_training_is_escaped() -> None:
    case = gradest.Case(lambda p: (p**2).sum(), np.ones(2))
    run = gradest.train(case, "reverse", budget=Budget(steps=1), metrics={"<b>": lambda params: 1.0})
    assert "&lt;b&gt;" in run._repr_html_()
    assert "<b>" not in run._repr_html_()


def test_curves_over_different_measures_have_axes_of_their_own() -> None:
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed: pip install 'gradest[report]'")
    run = gradest.train(gradest.get_problem("quadratic"), "es", budget=Budget(steps=10), log_every=5)
    assert run.records[-1].loss < 0 < run.records[0].loss  # a logarithm would show the start alone
    losses, steps, seconds = (axes.get_xlim()[1] for axes in run.plot().axes)
    assert losses > 2000
    assert 10 <= steps < 12
    assert seconds < 100


def test_a_plot_is_written_and_returned(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed: pip install 'gradest[report]'")
    run = gradest.train(gradest.get_problem("quadratic"), "reverse", budget=Budget(steps=2))
    figure = run.plot(tmp_path / "run.svg")
    assert len(figure.axes) == 3
    assert (tmp_path / "run.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")
