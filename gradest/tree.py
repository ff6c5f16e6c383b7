"""Parameters as a user has them: a pytree of dicts, lists and tuples with arrays as leaves.

`flatten_tree` takes one apart into leaves with readable paths and a `Structure` that puts new leaves back
together. Dicts keep their own order, and containers their class. This module knows no framework: anything that is not
a dict, list, tuple or None is a leaf, and the backend says whether it can be used.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, partial
from typing import Any

import numpy as np

from gradest.errors import InvalidInputError, InvalidTypeError

Tree = Any
Leaf = Any


@dataclass(frozen=True)
class Structure:
    """The shape of a pytree without its leaves: what `flatten_tree` took off.

    `kind` is the container's class (or None for a leaf); `keys` are a dict's keys in their order; `factory` is what a
    `defaultdict` makes of a missing key.
    """

    kind: type | None
    keys: tuple[object, ...] = ()
    children: tuple["Structure", ...] = ()
    factory: object = None

    def rebuild(self, leaves: Sequence[Leaf]) -> Tree:
        """Return a tree of this structure with the given leaves, in the order of `flatten_tree`.

        Raises
        ------
        InvalidInputError
            There are more or fewer leaves than places, or a container's class does not take its items back.
        """
        if self.is_flat_dict and len(leaves) == len(self.keys):  # the commonest, by far, needs no recursion
            return dict(zip(self.keys, leaves, strict=True))
        remaining = iter(leaves)
        try:
            tree = self._build(remaining)
        except StopIteration:
            raise InvalidInputError(f"{len(leaves)} leaves are too few for the structure {self}") from None
        if next(remaining, self) is not self:
            raise InvalidInputError(f"{len(leaves)} leaves are too many for the structure {self}")
        return tree

    def takes(self, other: "Structure") -> bool:
        """Return whether leaves of another structure can be taken as of this one: by containers that hold the same.

        The order of a dict's keys, its class, and a list for a tuple say nothing to a loss. Another class with the same
        leaves, or a static field of another value, may be another computation.
        """
        mine, others = _ordinary(self.kind), _ordinary(other.kind)
        if type(self) is not type(other) or mine is not others or len(self.children) != len(other.children):
            return False
        if mine is dict:
            named = dict(zip(other.keys, other.children, strict=True))
            pairs = [(child, named.get(key)) for key, child in zip(self.keys, self.children, strict=True)]
        else:
            pairs = list(zip(self.children, other.children, strict=True))
        return all(found is not None and child.takes(found) for child, found in pairs)

    def __str__(self) -> str:
        if self.kind is None:
            return "*"
        items = [str(child) for child in self.children]
        if self.keys:
            items = [f"{key!r}: {item}" for key, item in zip(self.keys, items, strict=True)]
        return "None" if self.kind is type(None) else f"{self.kind.__name__}({', '.join(items)})"

    @cached_property
    def is_flat_dict(self) -> bool:
        """Whether it is a dict whose items are leaves."""
        return self.kind is dict and all(child.kind is None for child in self.children)

    def _build(self, leaves: Iterator[Leaf]) -> Tree:
        kind: Any = self.kind
        if kind is None:
            return next(leaves)
        if kind is type(None):
            return None
        items = [child._build(leaves) for child in self.children]
        if kind is dict:
            return dict(zip(self.keys, items, strict=True))
        try:
            if issubclass(kind, defaultdict):
                return kind(self.factory, zip(self.keys, items, strict=True))
            if issubclass(kind, dict):
                return kind(zip(self.keys, items, strict=True))
            if hasattr(kind, "_fields"):  # a named tuple takes its fields one by one
                return kind(*items)
            return kind(items)
        except TypeError as error:
            raise InvalidInputError(
                f"a container of parameters is made anew from its items; {kind.__name__} does not take them ({error}); "
                "pass a dict, a list or a tuple"
            ) from error


_LEAF = Structure(None)


def _ordinary(kind: type | None) -> type | None:
    """Return the class that stands for a container's: dict for each kind of dict, and list for a tuple too."""
    if kind is not None and issubclass(kind, dict):
        return dict
    return list if kind is tuple else kind


def flatten_tree(tree: Tree) -> tuple[tuple[Leaf, ...], tuple[str, ...], Structure]:
    """Return the leaves of a pytree, their paths ("encoder.0.W"; "params" for a bare array), its structure.

    Raises
    ------
    InvalidInputError
        There are no leaves.
    """
    leaves: list[Leaf] = []
    paths: list[tuple[object, ...]] = []
    structure = _walk(tree, (), leaves, paths)
    if not leaves:
        raise InvalidInputError(f"params has no arrays in it: found {tree!r}; pass at least one array of parameters")
    names = tuple([".".join(map(str, path)) or "params" for path in paths])
    if len(set(names)) < len(names):
        # {"a": {"b": x}, "a.b": y} and {1: x, "1": y}: by one name for both, another order of the keys would swap them.
        told = zip(names, paths, strict=True)
        names = tuple([n if names.count(n) == 1 else "".join(f"[{key!r}]" for key in path) for n, path in told])
    return tuple(leaves), names, structure


def _walk(node: Tree, path: tuple[object, ...], leaves: list[Leaf], paths: list[tuple[object, ...]]) -> Structure:
    if node is None:
        return Structure(type(None))
    if isinstance(node, dict):
        keys: tuple[object, ...] = tuple(node)
        items: Sequence[Tree] = tuple(node.values())
    elif isinstance(node, list | tuple):
        keys, items = tuple(range(len(node))), node
    else:
        leaves.append(node)
        paths.append(path)
        return _LEAF
    children = tuple(_walk(item, (*path, key), leaves, paths) for key, item in zip(keys, items, strict=True))
    return Structure(
        type(node), keys if isinstance(node, dict) else (), children, getattr(node, "default_factory", None)
    )


@dataclass(frozen=True)
class PartlyStatic:
    """The shape of a pytree of which some leaves are no parameters, such as the name of an activation.

    `statics` are those leaves by their places among all leaves.
    """

    whole: Structure
    statics: Mapping[int, Leaf]

    def rebuild(self, leaves: Sequence[Leaf]) -> Tree:
        """Return the whole tree with the given parameters, the other leaves as they were."""
        return self._filled(leaves, self.statics)

    def rebuild_gradient(self, leaves: Sequence[Leaf]) -> Tree:
        """Return the tree of a gradient: None in the places that hold no parameters."""
        return self._filled(leaves, dict.fromkeys(self.statics))

    def parameters_of(self, leaves: Sequence[Leaf]) -> tuple[Leaf, ...]:
        """Return those leaves of another tree of this shape that are parameters."""
        return tuple(leaf for place, leaf in enumerate(leaves) if place not in self.statics)

    def keeps(self, leaves: Sequence[Leaf]) -> bool:
        """Return whether another tree of this shape has the same leaves where there are no parameters."""
        return all(
            place < len(leaves) and (leaves[place] is old or leaves[place] == old)
            for place, old in self.statics.items()
        )

    def _filled(self, leaves: Sequence[Leaf], others: Mapping[int, Leaf]) -> Tree:
        remaining = iter(leaves)
        count = len(leaves) + len(others)
        return self.whole.rebuild([others[k] if k in others else next(remaining) for k in range(count)])


def is_number(leaf: Leaf) -> bool:
    """Return whether a leaf is one floating-point number of Python's or NumPy's, which goes with any array."""
    return issubclass(type(leaf), float | np.floating)  # of what is being differentiated, `isinstance` would say so too


def is_static(leaf: Leaf) -> bool:
    """Return whether a leaf can only be a setting beside the parameters: text, a truth value, a function, a class.

    Numbers and arrays are parameters or a mistake; whoever binds them tells which.
    """
    if isinstance(leaf, str | bytes | bool | Enum | partial):
        return True
    # A function or a class, which has a name; an object that can be called may be a model with parameters of its own.
    return callable(leaf) and hasattr(leaf, "__name__") and not hasattr(leaf, "shape")


def is_plain(leaf: Leaf) -> bool:
    """Return whether a leaf is no NumPy array with arithmetic of its own (masked, a matrix, with units).

    The loss is given plain arrays, of which it would compute something else. `np.memmap` has none, for one.
    """
    kind = type(leaf)
    if kind is np.ndarray or not issubclass(kind, np.ndarray):
        return True
    return all(getattr(kind, name) is getattr(np.ndarray, name) for name in _ARITHMETIC)


_ARITHMETIC = ("__array_ufunc__", "__array_function__", "__add__", "__radd__", "__sub__", "__mul__", "__truediv__")


def require_plain(leaf: Leaf, path: str) -> None:
    """Refuse a leaf that is no plain array.

    Raises
    ------
    InvalidTypeError
        Its arithmetic is another; the message names the parameter and the class.
    """
    if not is_plain(leaf):
        raise InvalidTypeError(
            f"parameter {path!r} must be a plain array; found {type(leaf).__name__}, whose arithmetic is another; pass "
            "np.asarray of it, and a mask as an argument"
        )
