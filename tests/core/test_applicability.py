"""`gradest list estimators` says the truth: what it says that an estimator needs is what it refuses to go without."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import gradest
from gradest.refusals import FORWARD_MODE, IN_OPERATIONS, REVERSE_MODE
from gradest_bench.command.main import main

VALUES = "values of the loss"


class _Bowl(gradest.Problem):
    """A loss in operations without a closed form, and without layers."""

    name = "bowl"

    def parameters(self) -> dict[str, Any]:
        return {"x": np.array([1.0, 2.0])}

    def loss(self, ops: Any, params: Any, data: Any) -> Any:
        return ops.sum(params["x"] * params["x"], axis=-1)


def runs_on(f: Any, *args: Any, **options: Any) -> dict[str, bool]:
    return {found.estimator: bool(found) for found in gradest.applicable(f, *args, **options)}


def test_what_an_estimator_needs_is_what_it_refuses_to_go_without() -> None:
    black_box = runs_on(lambda p: float(np.sum(p * p)), np.ones(2))
    operations = runs_on(_Bowl())
    network = runs_on(gradest.get_problem("mlp", widths=(3,), batch=4))
    for name in gradest.names("estimators"):
        needs = gradest.get_estimator(name).needs
        words = VALUES in needs and "guides" not in needs
        assert black_box[name] == (words or needs == "nothing"), name
        if needs in (VALUES, IN_OPERATIONS, FORWARD_MODE, REVERSE_MODE):
            assert operations[name], name
        assert network[name] == ("guides" not in needs), name
        assert needs.startswith(IN_OPERATIONS) <= (not black_box[name])


def test_a_loss_of_numpy_functions_is_differentiated_where_each_has_a_rule() -> None:
    whole = runs_on(lambda p: np.sum(np.tanh(p) ** 2), np.ones(2))
    for name in gradest.names("estimators"):
        if gradest.get_estimator(name).needs in (FORWARD_MODE, REVERSE_MODE):
            assert whole[name], name
            gradest.get_estimator(name)(lambda p: np.sum(np.tanh(p) ** 2), np.ones(2), rng=0)  # and so it is


def test_a_loss_of_torch_has_the_modes_that_the_framework_gives_it() -> None:
    torch = pytest.importorskip("torch")
    found = runs_on(lambda p: (p * p).sum(), torch.ones(2))
    for name in gradest.names("estimators"):
        if gradest.get_estimator(name).needs in (FORWARD_MODE, REVERSE_MODE):
            assert found[name], name


def test_a_dear_simulator_is_run_three_times_at_most() -> None:
    calls = []

    def simulator(p: Any) -> float:
        calls.append(p)
        return float(np.sum(p))  # float() ends what NumPy's interpreter follows

    found = gradest.applicable(simulator, np.ones(3))
    assert len(found) == len(gradest.names("estimators"))
    # as it is, whether its steps have rules, and whether they bear complex numbers: nothing else tells
    assert len(calls) == 3
    assert not next(each for each in found if each.estimator == "complex-step")
    runs_on(simulator, np.ones(3), estimators=["fd-central", "es", "spsa", "analytic"])
    assert len(calls) == 4


def _raising(p: Any) -> Any:
    raise ZeroDivisionError("no data")


@pytest.mark.parametrize(
    ("loss", "words"),
    [(lambda p: p * p, "an array of shape (2,)"), (lambda p: None, "None"), (_raising, "no data")],
    ids=["a vector", "nothing", "an error"],
)
@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
def test_what_has_no_value_can_be_run_by_no_estimator(backend: str, loss: Any, words: str) -> None:
    params = gradest.get_backend(backend).array(np.ones(2), dtype="float32")
    found = gradest.applicable(loss, params)
    assert [each.estimator for each in found if each] == ["null"]
    assert all(words in each.reason for each in found if each.estimator in ("es", "fd-central", "reverse"))


def test_what_is_refused_says_why_and_what_runs_says_what_it_costs() -> None:
    for found in gradest.applicable(_Bowl()):
        assert bool(found) == (found.reason == "")
        assert bool(found) == (found.cost is not None)
        assert found or "; " in found.reason or "use" in found.reason


def test_labels_and_hyperparameters_can_be_asked_about() -> None:
    given = {"with guides": gradest.get_estimator("guided-es", guides=[np.ones(2)])}
    assert [bool(each) for each in gradest.applicable(lambda p: float(p.sum()), np.ones(2), estimators=given)] == [True]
    with pytest.raises(gradest.InvalidTypeError, match="sequence of names"):
        gradest.applicable(_Bowl(), estimators="es")
    with pytest.raises(gradest.UnknownNameError, match="did you mean"):
        gradest.applicable(_Bowl(), estimators=["revers"])


def test_every_hyperparameter_has_a_default_and_a_meaning() -> None:
    for name in gradest.names("estimators"):
        for found in gradest.hyperparameters(name):
            assert found.meaning.endswith("."), (name, found.name)
            assert gradest.get_estimator(name, **{found.name: found.default}) == gradest.get_estimator(name)


def test_a_radius_says_its_unit() -> None:
    said = {f.name: f.meaning for f in gradest.hyperparameters("smoothed")}
    assert "in units of the parameters" in said["sigma"]


def command(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(main, list(arguments))
    return found.exit_code, found.output


def test_the_list_says_needs_takes_and_gives() -> None:
    code, output = command("list", "estimators", "--long")
    assert code == 0
    flat = " ".join(output.split())
    assert f"needs {IN_OPERATIONS}" in flat
    assert "takes num_samples=100" in flat
    assert "gives gradient of the smoothed loss; a random estimate" in flat


def test_which_can_run_on_a_case_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "case_of_list.py"
    file.write_text(
        "import numpy as np, gradest\ncase = (lambda p: float((p * p).sum()), np.ones(2))\n"
        "quadratic = gradest.get_problem('quadratic', size=3)\n",
        encoding="utf-8",
    )
    code, output = command("list", "estimators", "--for", f"{file}:case")
    assert code == 0
    runs, cannot = output.split("the others cannot:")
    assert "fd-central" in runs
    assert "reverse" not in runs
    assert "float() was asked of a value that is being differentiated" in cannot
    code, output = command("list", "estimators", "--for", f"{file}:quadratic")
    assert "reverse" in output.split("the others cannot:")[0]
    assert command("list", "backends", "--for", f"{file}:case")[0] == 2
    assert command("list", "--for", f"{file}:no_case")[0] == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise SystemExit(0)", "SystemExit"),
        ("import no_such_module_of_a_plugin", "no_such_module_of_a_plugin"),
        ("def broken(:", "SyntaxError"),
        ("", "it defines no backend, estimator or problem"),
    ],
)
def test_a_broken_plugin_is_told_and_disturbs_nothing(text: str, reason: str, tmp_path: Path) -> None:
    broken, whole = tmp_path / "broken_of_list.py", tmp_path / "whole_of_list.py"
    broken.write_text(text, encoding="utf-8")
    whole.write_text("from gradest.estimators import Null\nclass Mine(Null):\n    family = 'mine'\n", encoding="utf-8")
    files = ("--plugin", str(broken), "--plugin", str(whole))
    for arguments in (("list", "estimators", *files), ("doctor", *files)):
        code, output = command(*arguments)
        flat = "".join(output.split())
        assert code == 0
        assert f"broken plug-in {broken}".replace(" ", "") in flat
        assert reason.replace(" ", "") in flat
        assert f"{whole}:Mine" in flat
