"""The arrows run one way, in no circle: who may import whom, and what importing gradest loads."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from support.imports import ROOT, SOURCES, circles, graph, imported, imported_by_name, modules
from support.many import of_each
from support.version_free import version_free_files

from gradest.importing import OWN

FRAMEWORKS = {"jax", "jaxlib", "torch", "mxnet", "sklearn", "mlxtend", "scipy", "matplotlib", "rich", "click"}
ORDER = [  # the rooms of the core: each may import only those before it (and its own package)
    {
        "version",
        "errors",
        "dtypes",
        "lengths",
        "vocabulary",
        "importing",
        "class_name",
        "closed_over",
        "whole_numbers",
        "real_numbers",
    },
    {
        "tree",
        "layout",
        "operations",
        "estimate",
        "target",
        "registry",
        "primitives",
        "signature",
        "fields",
        "places",
        "pickled",
    },
    {"datasets", "chunking", "user_warnings", "example_order", "graphs"},
    {"backend", "problem"},
    {"owner", "tangents", "arguments", "problem_data", "counting", "case", "weighted_losses"},
    {"problems", "autodiff", "form", "directions", "assignment"},
    {"theory", "evaluation", "refusals"},
    {"engines", "evaluations", "parameters"},
    {"objective"},
    {"binding", "situation", "coordinates"},
    {"calls", "data_kernels", "graph_of", "vectors"},
    {"estimator"},
    {"stateful", "hyperparameter"},
    {"finite_differences", "sampling"},
    {"estimators", "transforms", "directional", "measurement", "checking", "curvature"},
    {"testing"},
    {"bench"},  # looks the harness up by name, and is looked up itself
    {"training"},
    {"__main__"},  # `python -m gradest`, which is the harness's command line
]
BACK = {
    ("gradest.__main__", "gradest_bench.command.start"),
    ("gradest.bench", "gradest_bench"),
    ("gradest.measurement.comparison", "gradest_bench.report.comparison"),
}
"""The arrows that run back up, each by name alone: the harness stands on the core, which finds it when it is asked."""
LOOK_UP = {
    "gradest",
    "gradest.estimators",
    "gradest.registry",
    "gradest.datasets.named",
}
"""The modules of the core that import what a table of strings, or a user, names: these arrows are data, not code."""
LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 40
LONG_FUNCTIONS = {"gradest.training.train.train": "its signature alone is half of it"}
"""Functions that may be longer, with the reason."""


def texts(package: str) -> dict[str, str]:
    return {module: path.read_text(encoding="utf-8") for module, path in modules(package).items()}


EVERYTHING = {module: text for package in SOURCES for module, text in texts(package).items()}
CORE = sorted(module for module in EVERYTHING if module.split(".")[0] == "gradest")


@of_each(CORE)
def test_core_imports_numpy_and_the_standard_library_alone(module: str) -> None:
    allowed = set(sys.stdlib_module_names) | {"numpy", "gradest"}
    assert {name.split(".")[0] for name in imported(EVERYTHING[module])} <= allowed


@of_each([module for module in CORE if module != "gradest"])
def test_core_arrows_run_one_way(module: str) -> None:
    own = module.split(".")[1]
    level = next((k for k, rooms in enumerate(ORDER) if own in rooms), None)
    assert level is not None, f"gradest/{own} has no place in ORDER: decide which rooms it may import"
    reachable = set().union(*ORDER[:level]) | {own}
    used = {name.split(".")[1] for name in imported(EVERYTHING[module]) if name.startswith("gradest.")}
    beside = used & ORDER[level] - {own}
    assert used - beside <= reachable, f"{module} imports {sorted(used - reachable)}, which lie above it"


def test_every_room_of_the_order_is_there() -> None:
    rooms = {module.split(".")[1] for module in CORE if "." in module}
    assert set().union(*ORDER) == rooms


def test_no_module_of_the_core_imports_the_front_door() -> None:
    """Who imports `gradest` itself depends on all that it exports, and makes a circle with it."""
    assert not [m for m in CORE if m != "gradest" and "gradest" in set(imported(EVERYTHING[m]))]


def test_there_is_no_circle() -> None:
    arrows = graph(EVERYTHING)
    for module, target in BACK:
        assert target in set(imported_by_name(EVERYTHING[module])), "an arrow in BACK is no longer there"
        arrows[module].discard(target)
    assert circles(arrows) == []


def test_only_tables_are_imported_by_a_computed_name() -> None:
    assert {module for module in CORE if "" in set(imported_by_name(EVERYTHING[module]))} == LOOK_UP


@pytest.mark.parametrize(
    "back",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import x",
        "def f():\n    import a",
        "import importlib\nimportlib.import_module('a')",
        "from a import x\nfrom a.inner import y",
    ],
    ids=["for types alone", "inside a function", "by name", "beside a module of it"],
)
def test_a_planted_circle_is_seen(back: str) -> None:
    assert circles(graph({"a": "import b", "a.inner": "", "b": back, "c": "import a"})) == [["a", "b"]]
    assert circles(graph({"a": "import b", "b": "import c", "c": ""})) == []


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
def test_a_backend_imports_gradest_and_its_own_framework(backend: str) -> None:
    package = f"gradest_{backend}"
    own = {"numpy", "gradest", package, backend, *({"jaxlib"} if backend == "jax" else ())}
    for module, text in texts(package).items():
        assert {n.split(".")[0] for n in imported(text)} <= own | set(sys.stdlib_module_names), module


def test_every_package_is_known_as_gradests_own() -> None:
    # One that is not would have its own faults told as the user's, without a traceback.
    found = {
        file.parent.name for place in (".", "backends", "benchmarks") for file in ROOT.glob(f"{place}/*/__init__.py")
    }
    assert found >= {"gradest", "gradest_numpy", "gradest_bench"}
    assert found == OWN


def test_importing_gradest_loads_no_framework() -> None:
    code = "import sys, gradest; print(' '.join(sorted({m.split('.')[0] for m in sys.modules})))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not FRAMEWORKS & set(output.stdout.split())


def test_only_the_clock_measures_time() -> None:
    clocks = {"perf_counter", "process_time", "monotonic", "perf_counter_ns", "time_ns"}
    for module in CORE:
        if module != "gradest.measurement.timing":
            attributes = {n.attr for n in ast.walk(ast.parse(EVERYTHING[module])) if isinstance(n, ast.Attribute)}
            assert not clocks & attributes, module


def test_warnings_of_the_core_are_given_at_the_users_line() -> None:
    """A `stacklevel` counts the frames of one door alone; `warn_user` walks out of all of them."""
    for module in CORE:
        attributes = [n for n in ast.walk(ast.parse(EVERYTHING[module])) if isinstance(n, ast.Attribute)]
        warned = any(
            n.attr == "warn" and isinstance(n.value, ast.Name) and n.value.id == "warnings" for n in attributes
        )
        assert not warned or module == "gradest.user_warnings", module


def test_files_of_tests_have_names_of_their_own() -> None:
    """Folders of tests are no packages: pytest refuses a second file of one name, once both are collected."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)


def test_files_are_short() -> None:
    files = [path for package in SOURCES for path in modules(package).values()]
    files += sorted((ROOT / "tests").rglob("*.py"))
    assert not [str(path) for path in files if len(path.read_text(encoding="utf-8").splitlines()) > LINES_OF_A_FILE]


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    whole = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return whole - ((first.end_lineno or 0) - first.lineno + 1 if documented else 0)


def long_functions(texts_of: dict[str, str]) -> dict[str, int]:
    found = {}
    for module, text in texts_of.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and code_lines(node) > LINES_OF_A_FUNCTION:
                found[f"{module}.{node.name}"] = code_lines(node)
    return found


def test_functions_are_short_or_have_a_reason() -> None:
    assert set(long_functions(EVERYTHING)) == set(LONG_FUNCTIONS), long_functions(EVERYTHING)


def test_a_long_function_is_seen() -> None:
    body = "\n".join(f"    x = {k}" for k in range(LINES_OF_A_FUNCTION))
    assert long_functions({"m": f"def f():\n    '''Say.\n\n\n    '''\n{body}"}) == {"m.f": LINES_OF_A_FUNCTION + 1}


def test_public_names_are_there_and_sorted() -> None:
    for package in ("gradest", "gradest.estimators"):
        module = importlib.import_module(package)
        assert module.__all__ == sorted(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
        assert [name for name in dir(module) if not name.startswith("__")] == module.__all__, "what a shell completes"


@pytest.mark.parametrize("package", ["gradest", "gradest.estimators"])
def test_names_exported_on_first_use_are_those_that_checkers_see(package: str) -> None:
    """The table of strings and the imports under TYPE_CHECKING name the same things."""
    module = importlib.import_module(package)
    blocks = [node for node in ast.parse(EVERYTHING[package]).body if isinstance(node, ast.If)]
    seen = {alias.name for block in blocks for node in ast.walk(block) if isinstance(node, ast.ImportFrom)
            for alias in node.names}  # fmt: skip
    assert seen == set(module.EXPORTS)
    assert set(module.EXPORTS) <= set(module.__all__)


def test_compare_is_a_function_whatever_was_imported_before() -> None:
    code = "import gradest, gradest.measurement.compare; print(callable(gradest.compare))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert output.stdout.strip() == "True"


def test_every_estimator_of_the_registry_is_exported() -> None:
    registry = importlib.import_module("gradest.registry")
    classes = {entry.location.partition(":")[2] for entry in registry.ESTIMATORS.values()}
    assert classes == set(importlib.import_module("gradest.estimators").EXPORTS)


def test_the_example_plugin_uses_public_names_alone() -> None:
    public = {"gradest", *(f"gradest.{name}" for name in importlib.import_module("gradest").__all__)}
    for path in sorted((ROOT / "examples").rglob("*.py")):
        names = {name for name in imported(path.read_text(encoding="utf-8")) if name.split(".")[0] == "gradest"}
        allowed = {name for name in names if name in public or name.rpartition(".")[0] in public}
        assert names == allowed, f"{Path(path).name}: {sorted(names - allowed)}"


def test_files_that_no_version_has_a_part_in_are_there_and_import_no_framework() -> None:
    files = version_free_files()
    assert len(files) >= 20
    for file in files:
        roots = {name.split(".")[0] for name in imported(file.read_text(encoding="utf-8"))}
        assert not roots & {"jax", "torch", "mxnet", "flax"}, file.name
