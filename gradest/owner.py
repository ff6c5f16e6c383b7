"""Which backend parameters belong to: that of their arrays or model. This module knows no framework by name."""

import sys
from collections.abc import Sequence

from gradest.backend import Backend, get_backend
from gradest.errors import InvalidTypeError
from gradest.registry import locate, names
from gradest.tree import Leaf, Tree, flatten_tree, is_number, is_static


def known_backends() -> list[Backend]:
    """Return the backends whose frameworks are imported already."""
    return [get_backend(n) for n in names("backends") if (locate("backends", n).package or "numpy") in sys.modules]


def infer_backend(params: Tree) -> Backend:
    """Return the backend that owns the arrays of `params`; only frameworks already imported are asked.

    Raises
    ------
    InvalidTypeError
        There are no arrays, or no known backend owns them all.
    """
    # Arrays of a framework that is not imported cannot be among them; to import it takes seconds.
    candidates = known_backends()
    if all(map(is_static, flatten_tree(params)[0])):
        raise InvalidTypeError(f"params has no arrays in it: found {params!r}; pass at least one array of parameters")
    for backend in candidates:
        if backend.is_model(params):
            return backend
        # Each backend takes the tree apart itself, as its framework may have nodes of its own in it.
        leaves = [leaf for leaf in backend.flatten(params)[0] if not is_static(leaf)]
        # A number of Python's goes with any framework's arrays; with none of them it is NumPy's, which owns it.
        if any(map(backend.owns, leaves)) and all(backend.owns(leaf) or is_number(leaf) for leaf in leaves):
            return backend
    leaves = [leaf for leaf in flatten_tree(params)[0] if not is_static(leaf)]
    found = sorted({f"{type(leaf).__module__}.{type(leaf).__name__}" for leaf in leaves})
    hint = next(filter(None, (_way_out(leaf, candidates) for leaf in leaves)), _among_frameworks(leaves, candidates))
    raise InvalidTypeError(
        f"parameters as floating-point arrays of one of {', '.join(backend.name for backend in candidates)} were asked "
        f"for; found {', '.join(found)}; {hint}"
    )


def _among_frameworks(leaves: Sequence[Leaf], candidates: Sequence[Backend]) -> str:
    """Return what to do about arrays of several frameworks: one that is asked for takes NumPy's beside its own."""
    owners = {b.name for leaf in leaves for b in candidates if b.owns(leaf)}
    other = owners - {"numpy"}
    if "numpy" in owners and len(other) == 1:
        return f"pass arrays of one framework, or backend={other.pop()!r}, which takes NumPy's arrays too"
    return "pass arrays of one framework, or name by backend= one that takes them all"


def _way_out(leaf: Leaf, candidates: Sequence[Backend]) -> str | None:
    """Return what to do about a leaf that is no array of any framework, where that can be told."""
    if any(backend.is_model(leaf) for backend in candidates):
        return "pass the model itself as params, not in a container"
    if hasattr(leaf, "__next__"):
        return "pass the model itself as params, or a list of arrays: what a generator gives can be read only once"
    if isinstance(leaf, int):
        return (
            "write a whole number that is a parameter with a point, as 3.0, and pass one that is not (a size, a count) "
            "as an argument of the loss"
        )
    if hasattr(leaf, "to_numpy"):
        return "pass its values: .to_numpy()"
    return None
