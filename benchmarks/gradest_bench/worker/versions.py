"""What decides a result beside the cell: a hash of the code that runs it, and of its data.

The code of a class is the file it stands in, the files of its base classes, and every file of this project that those
import, found by reading them. A third party's files count where they stand in the class's own top-level package.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from gradest.problem import Problem

_OWN = ("gradest",)


@cache
def code_version(found: type) -> str:
    """Return the SHA-256, in hexadecimal, of the source that a class runs."""
    waiting = [base.__module__ for base in found.__mro__ if base.__module__ not in ("builtins", "abc")]
    packages = {*_OWN, found.__module__.partition(".")[0]}
    seen: set[str] = set()
    digest = hashlib.sha256()
    while waiting:
        module = waiting.pop()
        if module in seen or module.partition(".")[0] not in packages:
            continue
        seen.add(module)
        waiting.extend(_imports(module))
    for module in sorted(seen):
        source = _source(module)
        if source is not None:
            digest.update(module.encode() + b"\0" + source + b"\0")
    return digest.hexdigest()


@cache
def _source(module: str) -> bytes | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin).read_bytes()


@cache
def _imports(module: str) -> tuple[str, ...]:
    source = _source(module)
    return () if source is None else tuple(_imported_names(ast.parse(source), module))


def _imported_names(tree: ast.AST, module: str) -> Iterator[str]:
    """Yield the modules that a text imports when it runs; what stands under TYPE_CHECKING never does."""
    for node in _running(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(module.split(".")[: -node.level]) if node.level else ""
            origin = ".".join(part for part in (parent, node.module or "") if part)
            yield origin
            for alias in node.names:
                # `from package import module` names a module; `from module import name` does not, and has no source.
                # A name that a package exports by its table stands in the module that the table says.
                yield _exported(origin).get(alias.name, f"{origin}.{alias.name}")


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a syntax tree, leaving out what is under `if TYPE_CHECKING:`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        waiting.extend(node.orelse if isinstance(node, ast.If) and typing_only else ast.iter_child_nodes(node))


@cache
def _exported(module: str) -> dict[str, str]:
    """Return the table `EXPORTS` of a package of this project: name -> module; empty where there is none."""
    source = _source(module) if module.partition(".")[0] in _OWN else None
    for node in ast.parse(source or b"").body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "EXPORTS" for t in node.targets):
            return {name: place.partition(":")[0] for name, place in ast.literal_eval(node.value).items()}
    return {}


def data_checksum(problem: Problem) -> str:
    """Return the SHA-256, in hexadecimal, of a problem's start point and data, names and shapes included."""
    digest = hashlib.sha256()
    for arrays in (problem.parameters(), problem.data()):
        for name, values in arrays.items():
            digest.update(f"{name}{values.shape}{values.dtype.str}".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()
