"""`numpy.bool`, which NumPy 1.24 took away, given back to MXNet 1.9.1 and to nobody else.

MXNet reads it while it is imported and again whenever an array is indexed by booleans. So the name is there while
the import runs and removed afterwards, and the references to NumPy inside MXNet's modules are replaced by a proxy
that has it. This module knows NumPy and `sys.modules`; it imports nothing of MXNet.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np

_ALIAS = "bool"
_lock = threading.RLock()


@contextmanager
def numpy_bool() -> Iterator[None]:
    """Give NumPy the name `bool` inside the context, and take it away again, also after an exception.

    Another thread that looks meanwhile sees it: MXNet's import cannot be given a NumPy of its own. Where the
    name is there already (someone else's alias, or NumPy 2) nothing changes.
    """
    with _lock:  # two threads that import at once would take the name away from each other
        if _ALIAS in vars(np):
            yield
            return
        setattr(np, _ALIAS, bool)
        try:
            yield
        finally:
            delattr(np, _ALIAS)


def alias_inside_mxnet() -> int:
    """Replace the references to NumPy in the loaded modules of MXNet by a proxy that has `bool`.

    Returns how many references were replaced; a second call replaces only those of modules loaded since.
    """
    proxy = _proxy()
    replaced = 0
    for name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType) or name.split(".")[0] != "mxnet":
            continue
        for attribute in [key for key, value in vars(module).items() if value is np]:
            setattr(module, attribute, proxy)
            replaced += 1
    return replaced


def _proxy() -> ModuleType:
    """Return a module with NumPy's names, its lazy ones (`__getattr__`) included, and `bool`."""
    proxy = ModuleType(np.__name__, np.__doc__)
    vars(proxy).update(vars(np))
    setattr(proxy, _ALIAS, bool)
    return proxy
