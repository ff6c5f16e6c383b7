"""Parameters in classes registered with JAX's tree library (Equinox modules, Flax states, own dataclasses)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from gradest.errors import InvalidInputError
from gradest.tree import Leaf, Structure, Tree, flatten_tree, is_static

_ARRAYS = (jax.Array, np.ndarray, np.generic, int, float, complex, str)


@dataclass(frozen=True, eq=False)
class PytreeStructure(Structure):
    """The shape of a registered pytree without its leaves, as JAX's tree definition."""

    definition: Any = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PytreeStructure):
            return NotImplemented
        try:
            return bool(self.definition == other.definition)
        except Exception:  # noqa: BLE001  # static fields are compared, of which arrays do not say whether they are equal
            return False

    def __hash__(self) -> int:
        return hash(self.definition)

    def __str__(self) -> str:
        return str(self.definition)

    def takes(self, other: Structure) -> bool:
        """Return whether another structure has the same classes and static fields."""
        return self == other

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
    try:
        found, definition = jax.tree_util.tree_flatten_with_path(tree)
    except ValueError as error:
        if "sorting pytree dictionary keys" not in str(error):
            raise
        raise InvalidInputError(
            "a registered class was found among dicts whose keys cannot be sorted, such as a number beside a string; "
            f"JAX sorts them: give all keys of a dict one type (JAX: {error})"
        ) from error
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
