"""Parameters as a user has them: a pytree of dicts, lists and tuples with arrays as leaves.

`flatten_tree` takes one apart into leaves with readable paths and a `Structure` that puts new leaves back
together. Dicts keep their own order. This module knows no framework: anything that is not a dict, list,
tuple or None is a leaf, and the backend says whether it can be used.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gradest.errors import InvalidInputError

Tree = Any
Leaf = Any


@dataclass(frozen=True)
class Structure:
    """The shape of a pytree without its leaves: what `flatten_tree` took off.

    `kind` is the container's class (or None for a leaf); `keys` are a dict's keys in their order.
    """

    kind: type | None
    keys: tuple[object, ...] = ()
    children: tuple["Structure", ...] = ()

    def rebuild(self, leaves: Sequence[Leaf]) -> Tree:
        """Return a tree of this structure with the given leaves, in the order of `flatten_tree`.

        Raises
        ------
        InvalidInputError
            There are more or fewer leaves than places.
        """
        remaining = iter(leaves)
        try:
            tree = self._build(remaining)
        except StopIteration:
            raise InvalidInputError(f"{len(leaves)} leaves are too few for the structure {self}") from None
        if next(remaining, self) is not self:
            raise InvalidInputError(f"{len(leaves)} leaves are too many for the structure {self}")
        return tree

    def _build(self, leaves: Iterator[Leaf]) -> Tree:
        kind: Any = self.kind
        if kind is None:
            return next(leaves)
        if kind is type(None):
            return None
        items = [child._build(leaves) for child in self.children]
        if issubclass(kind, dict):
            return dict(zip(self.keys, items, strict=True))
        if hasattr(kind, "_fields"):  # a named tuple takes its fields one by one
            return kind(*items)
        return kind(items)


_LEAF = Structure(None)


def flatten_tree(tree: Tree) -> tuple[tuple[Leaf, ...], tuple[str, ...], Structure]:
    """Return the leaves of a pytree, their paths ("encoder.0.W"; "params" for a bare array), its structure.

    Raises
    ------
    InvalidInputError
        There are no leaves.
    """
    leaves: list[Leaf] = []
    paths: list[str] = []
    structure = _walk(tree, (), leaves, paths)
    if not leaves:
        raise InvalidInputError(f"params has no arrays in it: found {tree!r}; pass at least one array of parameters")
    return tuple(leaves), tuple(paths), structure


def _walk(node: Tree, path: tuple[str, ...], leaves: list[Leaf], paths: list[str]) -> Structure:
    if node is None:
        return Structure(type(None))
    if isinstance(node, dict):
        keys: tuple[object, ...] = tuple(node)
        items: Sequence[Tree] = tuple(node.values())
    elif isinstance(node, list | tuple):
        keys, items = tuple(range(len(node))), node
    else:
        leaves.append(node)
        paths.append(".".join(path) or "params")
        return _LEAF
    children = tuple(_walk(item, (*path, str(key)), leaves, paths) for key, item in zip(keys, items, strict=True))
    kind = dict if isinstance(node, dict) else type(node)
    return Structure(kind, keys if kind is dict else (), children)
