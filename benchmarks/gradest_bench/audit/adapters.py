"""Finds the adapters: every other file of this room that has `ADAPTERS`."""

from importlib import import_module
from pkgutil import iter_modules

from gradest.errors import unknown_name
from gradest_bench.audit.adapter import Adapter

_OTHERS = frozenset({"adapter", "adapters", "measure"})


def adapters(chosen: tuple[str, ...] = ()) -> list[Adapter]:
    """Return the adapters, by their names; of those chosen each that begins with the word, in any case.

    Raises
    ------
    UnknownNameError
        No adapter begins with a word that was given.
    """
    package = "gradest_bench.audit"
    # by looking, and no list: an adapter is one file, and nothing else is edited for it
    files = sorted(each.name for each in iter_modules(import_module(package).__path__) if each.name not in _OTHERS)
    found: list[Adapter] = [each for name in files for each in import_module(f"{package}.{name}").ADAPTERS]
    for word in chosen:
        if not any(each.name.lower().startswith(word.lower()) for each in found):
            raise unknown_name("adapter", word, [each.name for each in found])
    return [e for e in found if not chosen or any(e.name.lower().startswith(word.lower()) for word in chosen)]
