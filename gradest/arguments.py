"""The arguments of a user's function beside its parameters: arrays become data, the rest stays as it is.

A prepared estimator can be called with other arrays in their places, a new batch at each step, without being
prepared again. This module knows no framework.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradest.backend import Backend
from gradest.errors import InvalidInputError, InvalidTypeError, PreparationMismatchError
from gradest.operations import Array, Data
from gradest.tree import Leaf, Structure

Given = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments by position, and by keyword."""


class Arguments:
    """The arguments that a function was bound with, by position and by keyword.

    Arrays are copied here, so that what is bound does not change behind its user's back. Those of a later batch
    (`renewed`) are read by the call that brings them, and are not copied.

    Parameters
    ----------
    backend
        Whose arrays are data.
    args, kwargs
        The arguments.
    like
        With an array here NumPy arrays cross to the backend too, floating-point ones in its dtype and all to its
        device: a compiled function then takes them as arguments, where it would hold them as constants.
    """

    def __init__(
        self, backend: Backend, args: tuple[object, ...], kwargs: Mapping[str, object], *, like: Array | None
    ) -> None:
        self._backend = backend
        self._like = like
        self._args: Given = (args, dict(kwargs))
        leaves, self._structure = self._take_apart(self._args)
        self._leaves = tuple([leaf.copy() if self._stays(leaf) else leaf for leaf in leaves])
        self._places = tuple(k for k, leaf in enumerate(self._leaves) if backend.owns(leaf))
        self.given = bool(args or kwargs)
        # The commonest arguments by far, arrays by position, need no walk of a tree when they change or are put back.
        self._flat = bool(args) and not kwargs and all(map(backend.owns, args)) and len(self._places) == len(args)
        self.data: Data = tuple(_copied(backend, self._leaves[k]) for k in self._places)

    def rebuild(self, data: Data) -> Given:
        """Return the arguments with the arrays of `data` in their places."""
        if self._flat:
            return tuple(data), {}
        if self._structure is None:
            return self._args
        values = list(self._leaves)
        for place, array in zip(self._places, data, strict=True):
            values[place] = array
        arguments: Given = self._structure.rebuild(values)
        return arguments

    def renewed(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Data:
        """Return other arguments of the same form as data.

        Raises
        ------
        PreparationMismatchError
            Their structure differs, or something that is not an array.
        """
        if self._flat and not kwargs and len(args) == len(self._places) and all(map(self._backend.owns, args)):
            return args
        asked = self._args[1]  # keyword arguments have no order, which a structure has
        named = {name: kwargs[name] for name in asked} if kwargs.keys() == asked.keys() else dict(kwargs)
        leaves, structure = self._take_apart((args, named))
        places = tuple(k for k, leaf in enumerate(leaves) if self._backend.owns(leaf))
        same = structure == self._structure and places == self._places
        if not same or any(k not in places and self._differs(leaf, old) for k, (leaf, old) in self._pairs(leaves)):
            raise PreparationMismatchError(self._differ(leaves))
        # NumPy's arrays beside another framework's parameters are no data of it, and are found here.
        self._leaves = tuple([leaf if self._stays(leaf) else old for _, (leaf, old) in self._pairs(leaves)])
        return tuple(leaves[k] for k in places)

    def _stays(self, leaf: Leaf) -> bool:
        """Return whether a leaf is an array of NumPy that has not crossed to the parameters' framework."""
        return self._like is None and isinstance(leaf, np.ndarray) and not self._backend.owns(leaf)

    def _differs(self, leaf: Leaf, old: Leaf) -> bool:
        """Return whether something that is no data is another thing than what was bound, and no array in its place.

        So is what does not say so by one truth value: arrays of objects, sparse matrices, tables and settings that hold
        arrays compare by entries, or not at all.
        """
        if leaf is old or (self._stays(leaf) and self._stays(old)):
            return False
        try:
            return bool(leaf != old)
        except Exception:  # noqa: BLE001  # whatever a class of the user's raises
            return True

    def _pairs(self, leaves: tuple[Leaf, ...]) -> list[tuple[int, tuple[Leaf, Leaf]]]:
        return list(enumerate(zip(leaves, self._leaves, strict=True)))

    def _differ(self, leaves: tuple[Leaf, ...]) -> str:
        bound, found = self._form(self._leaves), self._form(leaves)
        if found == bound:
            found += ", nested or named in another way, or with another value of what is no array of the framework"
        return (
            f"the function was bound with {bound}; found {found}; give arguments of the same number, kinds and nesting "
            "(a batch of several is a tuple of them), or bind it again"
        )

    def _form(self, leaves: tuple[Leaf, ...]) -> str:
        kinds = (
            f"{type(x).__name__}{tuple(np.shape(x))}" if hasattr(x, "shape") and np.shape(x) != () else repr(x)
            for x in leaves
        )
        return f"arguments ({', '.join(kinds)})"

    def _take_apart(self, args: Given) -> tuple[tuple[Leaf, ...], Structure | None]:
        try:
            leaves, _, structure = self._backend.flatten(args)
        except InvalidInputError:  # no leaves: nothing, or None and empty containers alone
            return (), None
        return tuple(map(self._crossed, leaves)), structure

    def _crossed(self, leaf: Leaf) -> Leaf:
        backend = self._backend
        if self._like is None or backend.owns(leaf) or not isinstance(leaf, np.ndarray):
            return leaf
        dtype, device = backend.dtype(self._like), backend.device(self._like)
        kept = _dtype_there(backend, leaf.dtype, dtype)
        if kept is None:
            return leaf
        if isinstance(leaf, np.ma.MaskedArray | np.matrix):
            raise InvalidTypeError(
                f"arguments that are arrays of backend {backend.name!r}, or plain ones of NumPy, were asked for; found "
                f"{type(leaf).__name__}; pass np.asarray of it, and a mask as an argument of its own"
            )
        scope = backend.scope(dtype)
        if scope is None:
            return backend.array(leaf, dtype=kept, device=device)
        with scope:
            return backend.array(leaf, dtype=kept, device=device)


def _dtype_there(backend: Backend, found: np.dtype[Any], own: str) -> str | None:
    """Return the dtype in which a NumPy array crosses to parameters of dtype `own`; None where it stays what it is."""
    if found.kind in "iub":
        return found.name
    if found.kind == "f" or found.name in backend.dtypes:  # bfloat16 is none of NumPy's own kinds
        return own
    if found.kind == "c" and "complex" in backend.native:
        return "complex128" if own == "float64" else "complex64"
    return None


def _copied(backend: Backend, leaf: Leaf) -> Leaf:
    """Return an array that nobody else writes to: a copy where the framework's arrays can be written to."""
    return leaf.copy() if isinstance(leaf, np.ndarray) else backend.lend((leaf,), private=True)[0]
