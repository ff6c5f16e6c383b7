"""Turns parameters as a user has them (a pytree, a model, NumPy arrays) into a tuple of arrays, and back.

An estimator works on leaves, arrays of one framework in a fixed order. A `Form` is what leaves do not say: structure,
names, and what is asked of the next parameters. This module knows no framework by name.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradest.backend import Backend, Leaves
from gradest.errors import NonFiniteError, PreparationMismatchError
from gradest.layout import Layout
from gradest.operations import Array
from gradest.tree import Leaf, PartlyStatic, Structure, Tree, is_number, is_plain, require_plain


class Form:
    """The form of the parameters that an objective was bound at.

    Attributes
    ----------
    layout
        Names and shapes.
    dtypes
        One name for each leaf.
    device
        Where the leaves are.
    """

    def __init__(
        self,
        backend: Backend,
        leaves: Leaves,
        paths: tuple[str, ...],
        structure: Structure | PartlyStatic,
        *,
        returns_numpy: bool,
        model: object = None,
    ) -> None:
        self.layout = Layout(paths, tuple(tuple(int(n) for n in leaf.shape) for leaf in leaves))
        self.dtypes = tuple(backend.dtype(leaf) for leaf in leaves)
        self.device = backend.device(leaves[0])
        self._backend = backend
        self._structure = structure
        self._returns_numpy = returns_numpy
        self._model = model
        # What each call is checked against, in the framework's own types: a comparison takes tens of nanoseconds.
        self._asked = tuple((type(leaf), leaf.dtype, leaf.shape) for leaf in leaves)
        self._makes_scalars = backend.name == "numpy"
        # NumPy makes scalars of arrays () alone; where there are none, a gradient is given back as it is.
        self._converts = returns_numpy or (self._makes_scalars and () in self.layout.shapes)
        self._has_places = len(backend.devices()) > 1  # where there is one device, none is asked for
        # The commonest structure, by far. (A backend's own kind of structure may convert leaves as it rebuilds.)
        self._keys = structure.keys if type(structure) is Structure and structure.is_flat_dict else None

    def tree_of(self, leaves: Sequence[Array]) -> Tree:
        """Return a gradient's leaves in the structure (and array type) of the parameters.

        Where the tree holds what is no parameter (an activation, a name), the gradient holds None.
        """
        if self._converts:
            leaves = self._given_back(leaves)
        if self._keys is not None:  # a flat dict needs no recursion
            return dict(zip(self._keys, leaves, strict=True))
        if isinstance(self._structure, PartlyStatic):
            return self._structure.rebuild_gradient(leaves)
        return self._structure.rebuild(leaves)

    def gradient_leaves(self, gradient: Tree) -> Leaves:
        """Return the leaves of what `tree_of` made."""
        leaves = self._backend.flatten(gradient)[0]
        return tuple(
            leaf if self._backend.owns(leaf) else self._backend.array(np.asarray(leaf), dtype=dtype, device=self.device)
            for leaf, dtype in zip(leaves, self.dtypes, strict=True)
        )

    def params_of(self, leaves: Sequence[Array]) -> Tree:
        """Return parameter leaves as the user would give them: in their structure and array type."""
        return self.user_tree_of(self._given_back(leaves))

    def _given_back(self, leaves: Sequence[Array]) -> Sequence[Array]:
        if self._makes_scalars:
            return [self._as_array(leaf, k) for k, leaf in enumerate(leaves)]
        return [self._backend.numpy(leaf) for leaf in leaves] if self._returns_numpy else leaves

    def _as_array(self, leaf: Array, k: int) -> Array:
        """Return a leaf of NumPy, which makes scalars of arrays `()`, and float64 of such a scalar times a number."""
        dtype: Any = self._asked[k][1]
        return np.asarray(leaf, dtype=dtype) if issubclass(type(leaf), np.generic) else leaf

    def user_tree_of(self, leaves: Sequence[Array]) -> Tree:
        """Return leaves in the structure in which a user's function takes them, as they are."""
        if self._keys is not None:  # a flat dict needs no recursion
            return dict(zip(self._keys, leaves, strict=True))
        return self._structure.rebuild(leaves)

    def leaves_of(self, params: Tree, *, direction: bool = False) -> Leaves:
        """Return the leaves of `params`, refusing names, shapes, dtypes or a device other than those bound.

        With `direction` they are said to be those of a direction in the space of the parameters, not of parameters.

        Raises
        ------
        PreparationMismatchError
            Something differs; the message has one line per parameter. Or it is a model, and not the one that was bound,
            whose buffers and modes the loss computes with.
        InvalidTypeError
            One is masked, or of another class of arrays with arithmetic of its own.
        """
        if self._backend.is_model(params):
            if not (direction or self._model is None or params is self._model):
                raise PreparationMismatchError(
                    f"the {type(params).__name__} that was prepared for was asked for; this is another object, whose "
                    "buffers and modes the prepared loss would not compute with; prepare again for it, or give its "
                    "parameters alone, as a dict of arrays by name"
                )
            params = self._backend.model_parameters(params)
        if type(params) is dict and tuple(params) == self._keys:  # the common case needs no walk of the tree
            leaves: Leaves = tuple(params.values())
            if self._fits(leaves):
                return leaves
        leaves, paths, other = self._flatten(params)
        for leaf, path in zip(leaves, paths, strict=True):
            require_plain(leaf, path)
        if paths != self.layout.names and sorted(paths) == sorted(self.layout.names):
            # A dict in another order is the same parameters: `jax.tree.map`, by which loops step, sorts the keys.
            by_path = dict(zip(paths, leaves, strict=True))
            leaves, paths = tuple(by_path[name] for name in self.layout.names), self.layout.names
        if paths == self.layout.names and (direction or other is None):
            leaves = tuple(self._crossed(leaf, dtype) for leaf, dtype in zip(leaves, self.dtypes, strict=True))
            if self._fits(leaves):
                return leaves
        message = self._mismatch(leaves, paths, direction=direction)
        shown = other if paths == self.layout.names and not direction else None
        raise PreparationMismatchError(message if shown is None else f"{message}\n{shown}")

    def _crossed(self, leaf: Leaf, dtype: str) -> Leaf:
        if not (is_number(leaf) or (self._returns_numpy and isinstance(leaf, np.ndarray | np.generic))):
            return leaf  # the framework's own, or no array, which is refused
        return self._backend.array(np.asarray(leaf), dtype=dtype, device=self.device)

    def _fits(self, leaves: Leaves) -> bool:
        owns = self._backend.owns
        for leaf, (kind, dtype, shape) in zip(leaves, self._asked, strict=True):
            if not (type(leaf) is kind or (owns(leaf) and hasattr(leaf, "dtype") and is_plain(leaf))):
                return False  # a number of Python's, say
            if leaf.dtype != dtype or leaf.shape != shape:
                return False
        return not self._has_places or all(self._place(leaf) == self.device for leaf in leaves)

    def _place(self, leaf: Array) -> str:
        """Return the device of a leaf; one that a transformation is tracing is nowhere yet, and right anywhere."""
        return self.device if self._backend.is_abstract(leaf) else self._backend.device(leaf)

    def _mismatch(self, leaves: Leaves, paths: tuple[str, ...], *, direction: bool) -> str:
        found = {path: self._described(leaf) for path, leaf in zip(paths, leaves, strict=True)}
        places = (self.device,) * len(self.dtypes)
        asked = dict(zip(self.layout.names, zip(self.dtypes, self.layout.shapes, places, strict=True), strict=True))
        prepared, heading = "prepared for", "parameters differ from those prepared for; prepare again for these:"
        if direction:  # nothing was prepared by whoever passed it
            prepared = "the parameters have"
            heading = "a direction of the parameters' names, shapes and dtypes was asked for; this one differs:"
        lines = [
            f"  {'ok' if found.get(name) == asked.get(name) else 'NO'} {name}: {prepared} {asked.get(name)}, "
            f"found {found.get(name)}"
            for name in dict.fromkeys((*asked, *found))
        ]
        return "\n".join((heading, *lines))

    def _described(self, leaf: Leaf) -> tuple[object, ...]:
        if self._backend.owns(leaf) and hasattr(leaf, "dtype"):  # not a number of Python's, which NumPy owns
            return self._backend.dtype(leaf), tuple(leaf.shape), self._place(leaf)
        if isinstance(leaf, np.ndarray) and self._returns_numpy:
            return leaf.dtype.name, leaf.shape, self.device
        return (type(leaf).__name__,)

    def require_finite(self, leaves: Leaves, *, what: str = "parameters") -> None:
        """Refuse leaves that hold NaN or infinity; this waits for the device.

        A leaf that a transformation of the framework is tracing has no values to look at, and passes.

        Raises
        ------
        NonFiniteError
            The message names the parameter and how many entries are not finite.
        """
        for path, leaf in zip(self.layout.names, leaves, strict=True):
            if self._backend.is_abstract(leaf):
                continue
            bad = self._backend.count_non_finite(leaf)
            if bad:
                size = math.prod(leaf.shape)
                raise NonFiniteError(f"{what} must be finite; {path!r} has {bad} of {size} entries NaN or infinite")

    def _flatten(self, params: Tree) -> tuple[Leaves, tuple[str, ...], str | None]:
        """Return leaves and paths, and what differs where the structure around them is another, of any leaves."""
        leaves, paths, found = self._backend.flatten(params)
        mixed, bound = self._structure, self._structure
        if isinstance(mixed, PartlyStatic):
            if not mixed.keeps(leaves):  # refused by its paths, or a tree with None in the places of the settings
                return leaves, paths, None
            leaves, paths, bound = mixed.parameters_of(leaves), mixed.parameters_of(paths), mixed.whole
        assert isinstance(bound, Structure)
        other = f"  NO structure: prepared for {bound}, found {found} (a class, a static field or a container differs)"
        return leaves, paths, None if bound.takes(found) else other
