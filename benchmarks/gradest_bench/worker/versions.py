"""What decides a result beside the cell: a hash of the code that runs it, and of its data.

The code of a class is the file it stands in, the files of its base classes, and every file of this project that those
import, found by reading them. A third party's files count where they stand in the class's own top-level package, or
beside the file that the class was loaded from. Names that a package exports on first use are followed to their modules,
as `from gradest.estimators import Reverse` and as `gradest.estimators.Reverse`. What is looked up by a string at run
time, as by `gradest.get_estimator("es")`, cannot be seen here: who composes estimators so, and edits one, runs the
cells again.
"""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from gradest.problem import Problem

_OWN = ("gradest",)


@cache
def code_version(found: type) -> str:
    """Return the SHA-256, in hexadecimal, of the source that a class runs."""
    return source_version(
        tuple(base.__module__ for base in found.__mro__ if base.__module__ not in ("builtins", "abc")),
        own=(found.__module__,),
    )


def source_version(modules: Sequence[str], *, own: Sequence[str]) -> str:
    """Return the SHA-256, in hexadecimal, of modules and of what they import in this project and in `own` packages."""
    waiting, packages = list(modules), {*_OWN, *(module.partition(".")[0] for module in own)}
    folders = {folder for module in own if (folder := _folder(module)) and str(folder) not in sys.path}
    folder_of = cache(_folder)  # a few packages, asked of each name; for this call alone, as more are loaded meanwhile
    seen: set[str] = set()
    digest = hashlib.sha256()
    while waiting:
        module = waiting.pop()
        top = module.partition(".")[0]
        if module in seen or (top not in packages and folder_of(top) not in folders):
            continue
        seen.add(module)
        waiting.extend(_imports(module))
    # sorted: the order in which imports are found depends on where one starts
    for module in sorted(seen):
        source = _source(module)
        if source is not None:
            digest.update(module.encode() + b"\0" + source + b"\0")
    return digest.hexdigest()


def _folder(module: str) -> Path | None:
    """Return the folder that a loaded module or package stands in: what a file imports lies beside it there."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return None
    place = Path(file).resolve()
    return place.parent.parent if place.name == "__init__.py" else place.parent


@cache
def _source(module: str) -> bytes | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    # what is compiled has no text to hash; it comes with a package, whose version is kept
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin).read_bytes()


@cache
def _imports(module: str) -> tuple[str, ...]:
    source = _source(module)
    return () if source is None else tuple(dict.fromkeys(_imported_names(source, module)))


def _imported_names(source: bytes, module: str) -> Iterator[str]:
    """Yield the modules that a text imports when it runs; what stands under TYPE_CHECKING never does."""
    nodes = list(_running(ast.parse(source), typing=b"TYPE_CHECKING" in source))
    bound: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                # `import a.b as c` binds c to a.b; `import a.b` binds a alone.
                root = alias.name.partition(".")[0]
                bound[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(module.split(".")[: -node.level]) if node.level else ""
            origin = ".".join(part for part in (parent, node.module or "") if part)
            yield origin
            for alias in node.names:
                place = _place(origin, alias.name)
                bound[alias.asname or alias.name] = place
                yield place
    for node in nodes:
        if isinstance(node, ast.Attribute):
            yield from _read_from(node, bound)


def _place(origin: str, name: str) -> str:
    """Return where a name of a module stands: in the module that a table of exports says, or below it.

    `from package import module` names a module; `from module import name` does not, and has no source.
    """
    return _exported(origin).get(name, f"{origin}.{name}")


def _read_from(node: ast.Attribute, bound: Mapping[str, str]) -> Iterator[str]:
    """Yield the modules on the way of `package.subpackage.Name`, where the first name is one that was imported."""
    chain: list[str] = []
    value: ast.expr = node
    while isinstance(value, ast.Attribute):
        chain.append(value.attr)
        value = value.value
    place = bound.get(value.id) if isinstance(value, ast.Name) else None
    while chain and place is not None and place.partition(".")[0] in _OWN:
        place = _place(place, chain.pop())
        yield place


_KINDS_WITHOUT_MODULES = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
_WITHOUT_MODULES = frozenset(
    {ast.Name, ast.Constant, *(each for kind in _KINDS_WITHOUT_MODULES for each in kind.__subclasses__())}
)
"""What no import or attribute stands in: most of a tree, and every worker reads a hundred trees as it starts."""


def _running(tree: ast.AST, *, typing: bool) -> Iterator[ast.AST]:
    """Walk a syntax tree, leaving out names and numbers, and where `typing`, what is under `if TYPE_CHECKING:`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if typing and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
            continue
        for value in vars(node).values():  # as ast.iter_child_nodes has it, in a third of its time
            for child in value if isinstance(value, list) else (value,):
                if isinstance(child, ast.AST) and type(child) not in _WITHOUT_MODULES:
                    waiting.append(child)


@cache
def _exported(module: str) -> dict[str, str]:
    """Return the table `EXPORTS` of a package of this project: name -> module; empty where there is none."""
    source = _source(module) if module.partition(".")[0] in _OWN else None
    if source is None or b"EXPORTS" not in source:  # nearly every module: its text is not parsed for it
        return {}
    for node in ast.parse(source).body:
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
