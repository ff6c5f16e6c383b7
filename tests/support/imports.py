"""Who imports whom, read off the sources: every import counts, under TYPE_CHECKING, inside functions, or by name."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {"gradest": ROOT, "gradest_bench": ROOT / "benchmarks", "gradest_pytest": ROOT / "benchmarks"} | {
    folder.name: ROOT / "backends" for folder in sorted((ROOT / "backends").glob("gradest_*"))
}
"""The packages, and the folder that each stands in."""


def modules(package: str) -> dict[str, Path]:
    """Return the modules of a package: dotted name -> file."""
    root = SOURCES[package]
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imports(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield `(module, None)` for each `import module`, and `(module, name)` for each `from module import name`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise AssertionError(f"line {node.lineno}: imports are absolute here, so that they can be followed")
            yield from ((node.module, alias.name) for alias in node.names)


def imported(text: str) -> Iterator[str]:
    """Yield every name that a text imports: modules, and `module.name` of what is taken from them."""
    for module, name in _imports(text):
        yield module
        if name is not None:
            yield f"{module}.{name}"


def imported_by_name(text: str) -> Iterator[str]:
    """Yield the modules that a text names in `import_module("...")`; "" where the name is computed."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield str(node.args[0].value) if isinstance(node.args[0], ast.Constant) else ""


def graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return for each module the modules of the same set that it imports, itself left out.

    `from package import name` is an import of the module that `name` is, where it is one, and of the package else.
    """
    arrows = {}
    for module, text in sources.items():
        names = set(imported_by_name(text))
        for origin, name in _imports(text):
            names.add(f"{origin}.{name}" if f"{origin}.{name}" in sources else origin)
        arrows[module] = {name for name in names if name in sources} - {module}
    return arrows


def circles(arrows: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other in a loop (Tarjan 1972, doi:10.1137/0201010)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in arrows[node]:
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in arrows:
        if node not in index:
            visit(node)
    return found
