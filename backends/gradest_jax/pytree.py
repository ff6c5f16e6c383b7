"""Parameters in classes registered with JAX's tree library (Equinox modules, Flax states, own dataclasses)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from gradest.errors import InvalidInputError
from gradest.tree import Leaf, Structure, Tree, flatten_tree, is_static

_ARRAYS = (jax.Array, np.ndarray, np.generic, int, float, complex, str)


@dataclass(frozen=True)
class PytreeStructure(Structure):
    """The shape of a registered pytree without its leaves, as JAX's tree definition."""

    definition: Any = None

    def rebuild(self, leaves: Sequence[Leaf]) -> Tree:
        """Return a tree of this structure with the given leaves, in the order of `flatten_pytree`."""
        return jax.tree_util.tree_unflatten(self.definition, leaves)


def flatten_pytree(tree: Tree) -> tuple[tuple[Leaf, ...], tuple[str, ...], Structure]:
    """Return leaves, paths and structure; dicts keep their own order unless a registered class is in the tree.

    Raises
    ------
    InvalidInputError
        There are no leaves.
    """
    leaves, paths, structure = flatten_tree(tree)
    # A generator, which is refused later, is one leaf to JAX too, but with a warning.
    if all(isinstance(leaf, _ARRAYS) or is_static(leaf) or hasattr(leaf, "__next__") for leaf in leaves):
        return leaves, paths, structure
    found, definition = jax.tree_util.tree_flatten_with_path(tree)
    if not found:
        raise InvalidInputError(f"params has no arrays in it: found {tree!r}; pass at least one array of parameters")
    names = tuple(".".join(_key(entry) for entry in path) or "params" for path, _ in found)
    return tuple(leaf for _, leaf in found), names, PytreeStructure(object, definition=definition)


def _key(entry: Any) -> str:
    """Return the part of a path that a person would write: a dict's key, an index or an attribute's name."""
    for attribute in ("key", "idx", "name"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)
