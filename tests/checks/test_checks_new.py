"""What `gradest new` writes is a working plug-in of its kind, and a mistake in it is found with its cause."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.imports import ROOT
from support.turns import with_numpy

from gradest_bench.command.main import main
from gradest_bench.command.new import KINDS, identifiers, package

MUTANTS = {
    ("estimator", "scale"): ("slope = (ahead - behind) / (2 * self.sigma", "slope = (ahead - behind) / (2"),
    ("estimator", "cost"): ("Cost(values=2 * self.num_samples)", "Cost(values=self.num_samples)"),
    ("estimator", "seeds"): ("root_key(rng)", "root_key(int(rng) & 0xFFFF if isinstance(rng, int) else rng)"),
    ("problem", "closed form"): ("weights = -ops.sigmoid", "weights = ops.sigmoid"),
    ("problem", "population"): ("ops.mean(ops.softplus(-margins), axis=(-1, -2))", "ops.mean(ops.softplus(-margins))"),
    ("problem", "arrays"): ("default_rng([self.seed, 1])", "default_rng()"),
    ("backend", "operations"): (
        "staticmethod(framework.expm1)",
        "staticmethod(framework.exp)",
    ),
    ("backend", "aliasing"): (
        "framework.array(values, dtype=dtype, copy=True)",
        "framework.asarray(values, dtype=dtype)",
    ),
    ("backend", "round trip"): (
        "return np.array(array, copy=True)",
        "return np.array(array, copy=True).astype(np.float32)",
    ),
    ("backend", "declaration"): (
        "native: ClassVar[frozenset[str]] = frozenset()",
        'native: ClassVar[frozenset[str]] = frozenset({"vmap"})',
    ),
}
"""The check that finds it, by kind: what is replaced, and by what."""


def gradest(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def written(folder: Path, kind: str, *, change: tuple[str, str] | None = None) -> str:
    """Write the module of a plug-in, changed or not, and return where its class is."""
    name = f"my-{kind}"
    module, cls = identifiers(name)
    text = package(kind, name)[f"{module}.py"]
    if change is not None:
        assert change[0] in text
        text = text.replace(*change)
    file = folder / f"{module}.py"
    file.write_text(text, encoding="utf-8")
    return f"{file}:{cls}"


def findings(kind: str, location: str, *more: str) -> dict[str, dict[str, Any]]:
    said = json.loads(gradest("check", kind, location, "--json", *more).stdout)
    return {check["name"]: check for check in said["checks"]}


WHOLE = [pytest.param(kind, marks=with_numpy(1)) if kind == "estimator" else kind for kind in KINDS]
"""Of an estimator all checks take seconds; with the other version they are made of one that a check fails."""


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_written_passes_every_check_of_its_kind(kind: str, tmp_path: Path) -> None:
    found = findings(kind, written(tmp_path, kind))
    assert [check for check in found.values() if not check["passed"]] == []
    assert sum(check["applies"] for check in found.values()) >= 5
    assert all(check["detail"] for check in found.values())


@pytest.mark.parametrize(("kind", "check"), MUTANTS)
def test_a_mistake_is_found_by_the_check_that_is_for_it(kind: str, check: str, tmp_path: Path) -> None:
    found = findings(kind, written(tmp_path, kind, change=MUTANTS[kind, check]), "--checks", check)
    assert not found[check]["passed"], found[check]


@with_numpy(2)
def test_a_forgotten_division_by_sigma_is_told_by_its_name(tmp_path: Path) -> None:
    location = written(tmp_path, "estimator", change=MUTANTS["estimator", "scale"])
    result = gradest("check", "estimator", location)
    assert result.exit_code == 1
    assert "sigma is missing" in result.stdout
    # At 33 directions the error is what it is at 5, since all estimates have it: that is nothing of their chunks.
    assert 'is the mean of the estimates, which is off: see "unbiasedness"' in " ".join(result.stdout.split())
    assert "chunks share their noise" not in result.stdout


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (("weights = -ops.sigmoid", "weights = ops.sigmoid"), "w: a wrong sign"),
        ((' * data["y"] / self.num_samples', ' * data["y"] / (2 * self.num_samples)'), "w: a factor of 1/2"),
    ],
)
def test_a_wrong_closed_form_is_told_with_its_cause(change: tuple[str, str], cause: str, tmp_path: Path) -> None:
    found = findings("problem", written(tmp_path, "problem", change=change), "--checks", "closed form")["closed form"]
    assert not found["passed"]
    assert found["detail"].endswith(f"of its length; {cause}")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return None", "a PreparedKernel was asked for of MyEstimator.prepare_kernel; found NoneType"),
        ("raise NotImplementedError", "raised NotImplementedError (gradest_my_estimator.py, line "),
    ],
)
def test_a_method_without_a_body_is_told_with_its_place(body: str, told: str, tmp_path: Path) -> None:
    line = "value = objective.prepare_single()"
    location = written(tmp_path, "estimator", change=(line, f"{body}\n        {line}"))
    said = json.loads(gradest("check", "estimator", location, "--checks", "result", "--json").stdout)
    assert told in said["checks"][0]["detail"]


HALF_WRITTEN = {
    "no KernelResult": ("return KernelResult(None, tuple(total))", "return tuple(total)", "found tuple; end it by"),
    "no return": ("return KernelResult(None, tuple(total))", "tuple(total)", "found NoneType; end it by"),
    "an array too few": ("tuple(total))", "tuple(total[:-1]))", "one for each parameter (W1, b1, W2, b2); found 3"),
    "no sequence": ("tuple(total))", "total[0])", "one for each parameter (W1, b1, W2, b2); found ndarray"),
    "a cost in numbers": ("Cost(values=2 * self.num_samples)", "2 * self.num_samples", "a Cost was asked for"),
    "a target in words": ("return Target.SMOOTHED", 'return "smoothed"', "Target.DIRECTION"),
    "an unknown law": ('Smoothing("rademacher"', 'Smoothing("rademaher"', "did you mean 'rademacher'"),
    "a smoothing in words": ('Smoothing("rademacher", self.sigma)', '"rademacher"', "gradest.Smoothing(law, sigma)"),
    "no dataclass": ("@dataclass(frozen=True, kw_only=True)\n", "", "num_samples, sigma: no field; write @dataclass"),
}
"""What is replaced, by what, and what is told of it; each once passed, or ended in an error without the cause."""


@pytest.mark.parametrize("what", HALF_WRITTEN)
def test_what_is_half_written_is_told_in_words(what: str, tmp_path: Path) -> None:
    before, after, told = HALF_WRITTEN[what]
    location = written(tmp_path, "estimator", change=(before, after))
    result = gradest("check", "estimator", location, "--checks", "configuration,result", "--json")
    details = [check["detail"] for check in json.loads(result.stdout)["checks"] if not check["passed"]]
    assert any(told in detail for detail in details), details


@pytest.mark.parametrize(
    ("kind", "method"),
    [("backend", "    def owns("), ("estimator", "    def cost("), ("problem", "    def parameters(")],
)
def test_a_half_written_class_is_a_finding(kind: str, method: str, tmp_path: Path) -> None:
    location = written(tmp_path, kind, change=(method, "    def not_yet("))
    found = gradest("check", kind, location)
    assert found.exit_code == 1
    assert "construction" in found.stdout
    assert method.removeprefix("    def ").rstrip("(") in " ".join(found.stdout.split())


def test_the_package_tests_itself_as_it_stands(tmp_path: Path) -> None:
    result = gradest("new", "problem", "small-sum", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "-c", os.devnull]
    done = subprocess.run(
        command, cwd=tmp_path / "small-sum", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_module_can_be_typed_and_run(kind: str, tmp_path: Path) -> None:
    file, _, cls = written(tmp_path, kind).rpartition(":")
    spec = importlib.util.spec_from_file_location("written", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert getattr(module, cls).__doc__


@pytest.mark.parametrize("name", ["es", "Two", "two_sided", "../two", "2-two", ""])
def test_a_name_that_cannot_be_or_is_taken_is_refused(name: str, tmp_path: Path) -> None:
    result = gradest("new", "estimator", name, "--out", tmp_path)
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path) -> None:
    for exit_code in (0, 74):
        result = gradest("new", "estimator", "mine", "--out", tmp_path)
        assert result.exit_code == exit_code, result.output
    assert "is there already" in result.output


@pytest.mark.parametrize("words", [("backend",), ("es", "spsa"), ("problem", "es"), ("backend", "no-such")])
def test_words_that_name_nothing_are_refused(words: tuple[str, ...]) -> None:
    assert gradest("check", *words).exit_code == 2


def test_registered_ones_are_checked_by_name() -> None:
    assert set(findings("backend", "numpy")) >= {"round trip", "operations", "estimators"}
    assert set(findings("problem", "quadratic")) >= {"population", "losses"}


@with_numpy(2)  # a process of seconds
def test_what_is_written_passes_mypy_as_strict_as_can_be(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    for kind in KINDS:
        for name, text in package(kind, f"my-{kind}").items():
            if name.endswith(".py"):
                (tmp_path / name).write_text(text, encoding="utf-8")
    found = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--follow-imports=silent",
            *sorted(file.name for file in tmp_path.glob("*.py")),
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},  # not every path: mypy refuses site-packages
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
