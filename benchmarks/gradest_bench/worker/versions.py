"""What decides a result beside the cell: a hash of the code that runs it, and of its data.

The code of a class is the file it stands in, the files of its base classes, and every file of this project that those
import, found by reading them. A third party's files count where they stand in the class's own top-level package.
"""

import ast
import hashlib
import importlib.util
import inspect
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
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(module.split(".")[: -node.level]) if node.level else ""
            origin = ".".join(part for part in (parent, node.module or "") if part)
            yield origin
            # `from package import module` names a module, `from module import name` does not; the latter has no source
            yield from (f"{origin}.{alias.name}" for alias in node.names if origin in _OWN)


def class_file(found: type) -> str:
    """Return the file that a class stands in, or "" for one made at run time."""
    return inspect.getsourcefile(found) or ""


def data_checksum(problem: Problem) -> str:
    """Return the SHA-256, in hexadecimal, of a problem's start point and data, names and shapes included."""
    digest = hashlib.sha256()
    for arrays in (problem.parameters(), problem.data()):
        for name, values in arrays.items():
            digest.update(f"{name}{values.shape}{values.dtype.str}".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()
