"""What decides a result on a user's own loss: a hash of its code, and of everything that it is given.

The code is the file that has the case and the one that defines its function, with what these import of their own
packages. A model's class from elsewhere is not followed: its parameters and constants are part of the data.
"""

import hashlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from gradest.backend import Backend
from gradest.binding import bind
from gradest.case import Case
from gradest.errors import InvalidInputError
from gradest.registry import import_plugin, locate, names
from gradest_bench.worker.versions import source_version

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""In the text of an object: another number in each process, and no part of what it is."""


def case_code_version(case: Case, location: str) -> str:
    """Return the SHA-256, in hexadecimal, of the source behind the case at a place."""
    frameworks = {locate("backends", name).package for name in names("backends")}
    # behind decorators, which stand in modules of their own
    function: Any = inspect.unwrap(case.f)
    modules = [import_plugin(location.rpartition(":")[0]).__name__, getattr(function, "__module__", None) or "builtins"]
    # a framework's own function has its version among the versions
    own = [module for module in modules if module.partition(".")[0] not in {*frameworks, "builtins"}]
    return source_version(own, own=own)


def case_checksum(case: Case) -> tuple[str, int]:
    """Return the SHA-256, in hexadecimal, of the parameters and arguments of a case, and the entries of its arguments.

    Names, shapes and dtypes are included, and of a model what is not trained; what is no array counts by its text.
    """
    objective = bind(case, verify=False)
    backend, digest = objective.backend, hashlib.sha256()
    for name, leaf in zip(objective.layout.names, objective.start, strict=True):
        _take(digest, name, backend.numpy(leaf))
    if backend.is_model(case.params):
        for name, array in backend.model_constants(case.params).items():
            _take(digest, name, backend.numpy(array))
    entries = 0
    for name, values in _arguments(case, backend):
        if isinstance(values, np.ndarray):
            entries += int(values.size)
            _take(digest, name, values)
        else:
            digest.update(f"{name}{_ADDRESS.sub('', repr(values))}".encode())
    return digest.hexdigest(), entries


def _arguments(case: Case, backend: Backend) -> Iterator[tuple[str, Any]]:
    """Yield each leaf of the arguments, and each setting among the parameters, by its path: arrays as NumPy ones."""
    given = _leaves(backend, (case.args, dict(case.kwargs)))
    yield from ((path, backend.numpy(leaf) if backend.owns(leaf) else leaf) for path, leaf in given)
    if not backend.is_model(case.params):
        yield from ((path, leaf) for path, leaf in _leaves(backend, case.params) if not backend.owns(leaf))


def _leaves(backend: Backend, tree: Any) -> Iterator[tuple[str, Any]]:
    try:
        leaves, paths, _ = backend.flatten(tree)
    except InvalidInputError:  # no leaves: nothing, or None and empty containers alone
        return
    yield from zip(paths, leaves, strict=True)


def _take(digest: Any, name: str, values: np.ndarray[Any, Any]) -> None:
    # without these, two arrays of the same bytes would be one
    digest.update(f"{name}{values.shape}{values.dtype.str}".encode())
    digest.update(values.tobytes())
