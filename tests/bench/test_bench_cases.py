"""A case is a problem of a suite: named by its place, run where its arrays are, known by its code and its data."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

import gradest
from gradest import Case, UnsupportedError
from gradest_bench.command.main import main
from gradest_bench.suite.cells import Cell, Spec, expand
from gradest_bench.suite.resolving import loss_at, make_loss
from gradest_bench.suite.schema import parse_suite
from gradest_bench.worker.__main__ import Worker
from gradest_bench.worker.case_identity import case_checksum

FILE = """
import numpy as np, gradest

def loss(p, x):
    return np.sum((np.tanh(p) - x) ** 2)

case = gradest.Case(loss, np.linspace(0.1, 0.6, 4), (np.ones(4),))

def sized(size=3, scale=1.0):
    return (loss, scale * np.ones(size), np.zeros(size))

number = 3.0
"""
SUITE = """
name = "own"
seeds = [0, 1, 2, 3]
[budget]
repetitions = 1
minimum_samples = 1
minimum_seconds = 0.001
[[grid]]
backends = ["numpy"]
dtypes = ["float64"]
problems = [{ name = "my_case.py:case" }, { name = "my_case.py:sized", vary = { size = [2, 5] } }]
estimators = [{ name = "reverse" }, { name = "es", fields = { num_samples = 5 } }, { name = "analytic" }]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    # A name of its own: a file is imported once in a process.
    name = f"case_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(FILE, encoding="utf-8")
    (tmp_path / "own.toml").write_text(SUITE.replace("my_case", name), encoding="utf-8")
    return tmp_path


def cells_of(folder: Path) -> dict[str, Cell]:
    cells = expand(parse_suite((folder / "own.toml").read_text(encoding="utf-8")))
    return {f"{cell.problem.label.partition(':')[2]} {cell.estimator.name}": cell for cell in cells}


def plain(cell: Cell) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(cell)
    return found


def worker_of(folder: Path) -> Worker:
    worker = Worker()
    worker.hello("numpy", [], str(folder))
    return worker


def test_the_worker_measures_a_case_as_compare_does(folder: Path) -> None:
    cells, worker = cells_of(folder), worker_of(folder)
    case = Case.load(f"{next(folder.glob('case_*.py'))}:case")
    estimators = {"reverse": gradest.get_estimator("reverse"), "es": gradest.get_estimator("es", num_samples=5)}
    for result in gradest.compare(case, estimators=estimators, replicates=4, budget_seconds=1e-3):
        cell = cells[f"case {result.cell.estimator}"]
        facts, judged = worker.prepare(plain(cell)), worker.accuracy(cell.key)
        assert facts["counts"]["counted"]["vjps"] == result.cost.vjps
        assert (facts["path"], facts["num_parameters"], facts["notes"]) == (result.path, 4, [])
        assert judged["single"]["relative_error"] == result.accuracy.relative_error
        assert judged["reference"]["method"] == result.reference_method
        assert judged["reference"]["uncertainty"] == result.reference_uncertainty
        if result.stochastic:
            assert judged["replicates"]["relative_mse"] == result.replicates.relative_mse
            assert judged["smoothed"]["uncertainty"] < 1e-3  # of the smoothed function, by its exact gradients


def test_a_smoothed_function_has_the_gradient_of_its_closed_form() -> None:
    from gradest.measurement.smoothed import smoothed_reference

    x, sigma = np.array([0.5, -1.0, 2.0]), 0.1
    # E (x + s v)^4 = x^4 + 6 x^2 s^2 + 3 s^4 for normal v, so the gradient is 4 x^3 + 12 x s^2.
    found = smoothed_reference(gradest.bind(lambda p: np.sum(p**4), x), sigma=sigma)
    exact = 4 * x**3 + 12 * x * sigma**2
    assert found is not None
    assert np.linalg.norm(found.gradient - exact) <= 5 * found.uncertainty * np.linalg.norm(exact)
    assert np.linalg.norm(4 * x**3 - exact) > 5 * found.uncertainty * np.linalg.norm(exact)  # it could fail
    assert smoothed_reference(gradest.bind(lambda p: float(np.sum(p**4)), x), sigma=sigma) is None


def test_a_run_has_a_row_for_each_cell_of_a_case(folder: Path) -> None:
    result = CliRunner().invoke(main, ["bench", "run", str(folder / "own.toml"), "--out", str(folder / "results")])
    assert result.exit_code == 0, result.output
    run = gradest.bench.load(folder / "results")
    ended = {(r.cell.problem.label.partition(":")[2], r.cell.estimator.name): r.outcome for r in run.records}
    for problem in ("case", "sized size=2", "sized size=5"):
        assert ended[problem, "reverse"] == ended[problem, "es"] == ended[problem, "null"] == "ok"
        assert ended[problem, "analytic"] == "unsupported"


# -- who is who -------------------------------------------------------------------------------------------
def test_the_identity_knows_code_and_data(folder: Path) -> None:
    cells = cells_of(folder)
    first = worker_of(folder).identify(plain(cells["case reverse"]))
    assert (
        first["decided"]["data"] != worker_of(folder).identify(plain(cells["sized size=2 reverse"]))["decided"]["data"]
    )
    assert first == worker_of(folder).identify(plain(cells["case reverse"]))
    assert (first["num_parameters"], first["data_entries"], first["evaluations"]) == (4, 4, 1)
    other = folder / "other"
    other.mkdir()
    name = next(folder.glob("case_*.py")).name
    (other / name).write_text(FILE.replace("np.tanh(p)", "np.tan(p)"), encoding="utf-8")
    second = worker_of(other).identify(plain(cells["case reverse"]))
    changed = {key for key, value in second["decided"].items() if value != first["decided"][key]}
    assert changed == {"problem_code"}
    assert second["identity"] != first["identity"]


def test_everything_that_a_case_is_given_is_in_its_checksum() -> None:
    def loss(p: Any, x: Any, *, power: int = 2) -> Any:
        return np.sum((p["w"] - x) ** power)

    base: dict[str, Any] = {
        "f": loss,
        "params": {"w": np.ones(3), "name": "a"},
        "args": (np.zeros(3),),
        "kwargs": {"power": 2},
    }
    others: list[dict[str, Any]] = [
        {},
        {"params": {"w": np.full(3, 1.5), "name": "a"}},
        {"params": {"w": np.ones(3, np.float32), "name": "a"}},
        {"params": {"w": np.ones(3), "name": "b"}},
        {"args": (np.full(3, 0.5),)},
        {"args": (np.zeros((1, 3)),)},
        {"kwargs": {"power": 4}},
    ]
    found = [case_checksum(Case(**{**base, **other}))[0] for other in others]
    assert len(set(found)) == len(others)
    assert case_checksum(Case(**base)) == (found[0], 3)
    assert case_checksum(Case(lambda p, g: p.sum(), np.ones(2), (object(),))) == case_checksum(
        Case(lambda p, g: p.sum(), np.ones(2), (object(),))
    )  # an address is no part of what an object is


@pytest.mark.parametrize("backend", ["torch", "mxnet"])
def test_what_a_model_holds_beside_its_parameters_is_in_the_checksum(backend: str) -> None:
    example = {"torch": "compare_torch.py", "mxnet": "compare_gluon.py"}[backend]
    place = f"{Path(__file__).resolve().parents[2] / 'examples' / example}:case"
    one, other = Case.load(place), Case.load(place)
    assert case_checksum(one) == case_checksum(other)
    means = gradest.get_backend(backend).model_constants(other.params)
    running: Any = next(value for name, value in means.items() if name.endswith("running_mean"))
    running[:] = running + 1.0
    assert case_checksum(one) != case_checksum(other)


# -- what cannot be ---------------------------------------------------------------------------------------
def test_a_case_is_not_run_elsewhere_than_its_arrays_are(folder: Path) -> None:
    cell, worker = cells_of(folder)["case reverse"], worker_of(folder)
    for other in ({"dtype": "float32"}, {"backend": "jax", "worker": "jax"}):
        with pytest.raises(UnsupportedError, match=r"found arrays of numpy in float64: write backends = \['numpy'\]"):
            worker.prepare(plain(msgspec.structs.replace(cell, **other)))
    with pytest.raises(UnsupportedError, match="with kernels and a device of its own; leave both out"):
        worker.prepare(plain(msgspec.structs.replace(cell, kernel="native")))


def test_a_suite_that_no_cell_of_a_case_fits_is_refused_before_it_runs(folder: Path) -> None:
    suite = folder / "own.toml"
    suite.write_text(suite.read_text(encoding="utf-8").replace('"float64"', '"float32"'), encoding="utf-8")
    result = CliRunner().invoke(main, ["bench", "check-suite", str(suite)])
    assert result.exit_code != 0
    assert "runs where its own arrays are" in result.output
    assert "dtypes = ['float64']" in result.output


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("number", {}, "was asked for as a case"),
        ("nothing", {}, "has no 'nothing'"),
        ("case", {"size": 3}, "name a function that takes them"),
        ("sized", {"sise": 3}, "was to make a case of the fields"),
        ("loss", {}, "takes arguments as a loss does"),
    ],
)
def test_what_is_no_case_is_told(folder: Path, name: str, fields: dict[str, Any], words: str) -> None:
    file = next(folder.glob("case_*.py")).name
    with pytest.raises(gradest.InvalidInputError, match=words):
        make_loss(Spec(name=f"{file}:{name}", fields=fields), folder)


def test_a_framework_that_a_file_lacks_is_missing_and_the_file_is_not_broken(folder: Path) -> None:
    file = folder / f"lacking_{folder.name.replace('-', '_')}.py"
    file.write_text("import a_framework_of_nobody\ncase = 1\n", encoding="utf-8")
    with pytest.raises(gradest.MissingDependencyError, match="imports 'a_framework_of_nobody', which is not installed"):
        loss_at(f"{file}:case")
    with pytest.raises(gradest.InvalidInputError, match="fails to load"):
        loss_at("no_such_module_at_all:case")
