"""Imports the file or module that a user names, and finds the user's own lines in what went wrong there."""

import hashlib
import importlib.util
import site
import sys
import sysconfig
import traceback
from pathlib import Path
from types import ModuleType

OWN = frozenset(
    {
        "gradest",
        "gradest_array_api",
        "gradest_bench",
        "gradest_jax",
        "gradest_mxnet",
        "gradest_numpy",
        "gradest_pytest",
        "gradest_torch",
    }
)
"""The packages that are gradest's."""


def import_file(path: Path) -> ModuleType:
    """Import a Python file once, under its own name where that is free, and return its module.

    Pickle, in a worker too, looks the module of a class up by name. What lies beside the file can be imported by it, as
    by a script, where nothing else has that name.
    """
    name = path.stem
    known = sys.modules.get(name)
    if not _is_free(name, path):  # `torch.py` may not stand for the framework, or be it; nor take its place beforehand
        name = f"{name}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
        known = sys.modules.get(name)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None  # a file that ends in .py has one
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    sys.path.append(folder)  # the last place: a `random.py` there is not to be anybody's `random`
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]  # half a module must not be taken for the whole one at the next try
        raise
    finally:
        del sys.path[len(sys.path) - 1 - sys.path[::-1].index(folder)]  # this one, whatever the file has added
    return module


def _is_free(name: str, path: Path) -> bool:
    """Whether no other module than a file's own is, or can be, imported by a name."""
    known = sys.modules.get(name)
    if known is not None:
        return _is_file_of(getattr(known, "__file__", None), path)
    if "." in name:  # it would be looked for in a package, which is imported for that
        return False
    found = importlib.util.find_spec(name)
    # a folder of that name has no origin: it is a package only as long as nothing better is found
    return found is None or found.origin is None or _is_file_of(found.origin, path)


def _is_file_of(origin: str | None, path: Path) -> bool:
    return origin is not None and Path(origin).resolve() == path.resolve()


def users_line(error: BaseException) -> str:
    """Return the last line of the user's own that an error came through, as "file.py, line 3, in loss", or nothing.

    A user's is what is neither gradest's, nor the standard library's, nor of an installed package.
    """
    found = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] not in OWN and _is_users(frame.f_code.co_filename):
            found = f"{Path(frame.f_code.co_filename).name}, line {number}, in {frame.f_code.co_name}"
    return found


def _is_users(file: str) -> bool:
    if file.startswith("<"):  # what is compiled from a text: dataclasses, the import system
        return False
    paths = sysconfig.get_paths()
    installed = [paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")]
    path = Path(file).resolve()
    return not any(path.is_relative_to(Path(root).resolve()) for root in (*installed, *site.getsitepackages()))
