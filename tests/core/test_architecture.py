"""The arrows run one way: who may import whom, and what importing gradest loads."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = {"jax", "jaxlib", "torch", "mxnet", "sklearn", "mlxtend", "scipy", "matplotlib", "rich", "click"}
ORDER = [  # each may import only those before it (and its own package)
    {"version", "errors", "bench"},
    {"tree", "layout", "operations", "estimate", "registry"},
    {"datasets", "chunking"},
    {"backend", "problem"},
    {"tangents", "arguments"},
    {"problems", "autodiff", "form"},
    {"objective"},
    {"situation"},
    {"binding", "directions"},
    {"theory"},
    {"estimator"},
    {"finite_differences", "sampling"},
    {"estimators", "transforms", "measurement"},
    {"testing"},
]


def imports(path: Path) -> set[str]:
    """Return every module that a file imports at its top level or inside functions, by full name."""
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def core_files() -> list[Path]:
    return sorted((ROOT / "gradest").rglob("*.py"))


@pytest.mark.parametrize("path", core_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_core_imports_numpy_and_the_standard_library_alone(path: Path) -> None:
    allowed = set(sys.stdlib_module_names) | {"numpy", "gradest"}
    assert {name.split(".")[0] for name in imports(path)} <= allowed


@pytest.mark.parametrize("path", core_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_core_arrows_run_one_way(path: Path) -> None:
    parts = path.relative_to(ROOT / "gradest").with_suffix("").parts
    own = parts[0]
    if own == "__init__":
        return  # the front door imports every room
    level = next((k for k, rooms in enumerate(ORDER) if own in rooms), None)
    assert level is not None, f"gradest/{own} has no place in ORDER: decide which rooms it may import"
    reachable = set().union(*ORDER[: level + 1])
    used = {name.split(".")[1] for name in imports(path) if name.startswith("gradest.")}
    assert used <= reachable, f"{path.name} imports {sorted(used - reachable)}, which lie above it"


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
def test_a_backend_imports_gradest_and_its_own_framework(backend: str) -> None:
    package = f"gradest_{backend}"
    own = {"numpy", "gradest", package, backend, *({"jaxlib"} if backend == "jax" else ())}
    for path in sorted((ROOT / "backends" / package).rglob("*.py")):
        assert {n.split(".")[0] for n in imports(path)} <= own | set(sys.stdlib_module_names), path.name


def test_importing_gradest_loads_no_framework() -> None:
    code = "import sys, gradest; print(' '.join(sorted({m.split('.')[0] for m in sys.modules})))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not FRAMEWORKS & set(output.stdout.split())


def test_public_names_are_there_and_sorted() -> None:
    gradest = importlib.import_module("gradest")
    assert gradest.__all__ == sorted(gradest.__all__)
    assert all(hasattr(gradest, name) for name in gradest.__all__)


def test_only_the_clock_measures_time() -> None:
    clocks = {"perf_counter", "process_time", "monotonic", "perf_counter_ns", "time_ns"}
    for path in core_files():
        if path.name != "timing.py":
            attributes = {n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)}
            assert not clocks & attributes, path
