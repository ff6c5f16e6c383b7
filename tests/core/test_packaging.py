"""The sources, setup.cfg, setup.py and the constraints agree: nothing is left out of a wheel, nothing is unpinned.

These tests need a checkout.
"""

import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gradest

ROOT = Path(__file__).resolve().parents[2]
ROOTS = {"gradest": ROOT, "gradest_bench": ROOT / "benchmarks", "gradest_pytest": ROOT / "benchmarks"} | {
    folder.name: ROOT / "backends" for folder in (ROOT / "backends").glob("gradest_*")
}
CONSTRAINTS = sorted((ROOT / "constraints").glob("*.txt"))


def configuration() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def requirements(*, without: Collection[str] = ()) -> Iterator[Requirement]:
    """Yield what gradest and its extras require, less some extras."""
    options = configuration()
    listed = [options["options"]["install_requires"]]
    listed += [text for extra, text in options["options.extras_require"].items() if extra not in (*without, "all")]
    for text in listed:
        for line in text.strip().splitlines():
            yield Requirement(line)


def pins(constraints: Path) -> dict[str, str]:
    lines = [line for line in constraints.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def sources() -> set[str]:
    """Return the path in a wheel of every file that has to be in it."""
    shipped = {
        path.relative_to(root).as_posix()
        for package, root in ROOTS.items()
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return shipped | {f"gradest_bench/suites/{path.name}" for path in (ROOT / "benchmarks/suites").glob("*.toml")}


@pytest.fixture(scope="module")
def wheel_content(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names in a wheel built from a copy, so that no earlier build can leak into it."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("gradest", "backends", "benchmarks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    built = copy / "dist"
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(built), "."]
    done = subprocess.run(command, cwd=copy, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_wheel_holds_every_source_and_nothing_else(wheel_content: set[str]) -> None:
    assert wheel_content == sources()


def test_source_roots_are_not_packages() -> None:
    assert not [root for root in ("backends", "benchmarks", "constraints") if (ROOT / root / "__init__.py").exists()]


@pytest.mark.parametrize("package", sorted(ROOTS))
def test_every_folder_of_modules_is_a_package(package: str) -> None:
    folders = {path.parent for path in (ROOTS[package] / package).rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


@pytest.mark.parametrize("constraints", CONSTRAINTS, ids=lambda path: path.stem)
def test_constraints_are_names_and_public_versions(constraints: Path) -> None:
    for name, version in pins(constraints).items():
        assert name
        assert version.replace(".", "").isalnum(), f"{name}=={version}: no hash, no local version, no marker"


@pytest.mark.parametrize(
    ("constraints", "without"),
    [("py311-all", ()), ("py311-numpy2", ("mxnet",)), ("py313", ("mxnet", "torch", "docs", "release"))],
    ids=["all", "numpy2", "python 3.13"],
)
def test_constraints_pin_every_requirement_within_its_range(constraints: str, without: tuple[str, ...]) -> None:
    pinned = pins(ROOT / "constraints" / f"{constraints}.txt")
    for requirement in requirements(without=without):
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{constraints} does not pin {name}"
        assert requirement.specifier.contains(pinned[name]), f"{requirement} but {name}=={pinned[name]}"


def test_numpy2_constraints_are_about_another_world() -> None:
    first, second = pins(ROOT / "constraints/py311-all.txt"), pins(ROOT / "constraints/py311-numpy2.txt")
    assert first["numpy"].startswith("1.")
    assert second["numpy"].startswith("2.")
    assert "mxnet" not in second


def test_classifiers_name_the_versions_of_python_that_have_an_environment() -> None:
    lines = configuration()["metadata"]["classifiers"].split("\n")
    stated = {line.rpartition(" ")[2] for line in lines if line.startswith("Programming Language :: Python :: 3.")}
    assert stated == {
        f"3.{path.stem[len('py3') :].partition('-')[0]}" for path in CONSTRAINTS if path.stem.startswith("py")
    }


def test_what_cites_and_what_is_checked_before_a_commit_name_the_versions_that_are_tested() -> None:
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None
    assert cited[1] == gradest.__version__
    hooks = set(re.findall(r"ruff==([\d.]+)", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")))
    assert hooks == {pins(ROOT / "constraints/py311-all.txt")["ruff"]}


def test_mxnet_is_required_only_where_its_wheel_exists() -> None:
    lines = configuration()["options.extras_require"]["mxnet"].strip().splitlines()
    elsewhere = {"sys_platform": "darwin", "platform_machine": "arm64", "python_version": "3.12", "extra": "mxnet"}
    assert lines
    for line in lines:
        marker = Requirement(line).marker
        assert marker is not None
        assert not marker.evaluate(elsewhere)
