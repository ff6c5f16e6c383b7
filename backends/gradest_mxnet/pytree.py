"""Pytrees with legacy `mx.nd` arrays in them: estimators see `mx.np` arrays, the user sees what was given."""

from collections.abc import Sequence
from dataclasses import dataclass

from gradest.tree import Leaf, Structure, Tree, flatten_tree, is_number
from gradest_mxnet.framework import mx


@dataclass(frozen=True)
class LegacyStructure(Structure):
    """The structure of a pytree some of whose leaves are legacy arrays; `rebuild` makes those legacy again.

    `numbers` says which of them were Python's floats, arrays of shape `()` that legacy operations do not have.
    """

    legacy: tuple[bool, ...] = ()
    numbers: tuple[bool, ...] = ()

    def rebuild(self, leaves: Sequence[Leaf]) -> Tree:
        return super().rebuild(
            [
                _as_legacy(leaf, number) if legacy and isinstance(leaf, mx.np.ndarray) else leaf
                for leaf, legacy, number in zip(leaves, self.legacy, self.numbers, strict=True)
            ]
        )


def _as_legacy(array: Leaf, number: bool) -> Leaf:
    if number:
        with mx.util.np_shape(True):
            return array.reshape((1,)).as_nd_ndarray()
    return array.as_nd_ndarray()


def is_legacy(leaf: Leaf) -> bool:
    """Return whether the object is a dense array of the `mx.nd` kind."""
    return isinstance(leaf, mx.nd.NDArray) and not isinstance(leaf, mx.np.ndarray) and leaf.stype == "default"


def flatten(tree: Tree) -> tuple[tuple[Leaf, ...], tuple[str, ...], Structure]:
    """Return leaves (legacy arrays as `mx.np` views of the same memory), paths and structure."""
    leaves, paths, structure = flatten_tree(tree)
    legacy = tuple(is_legacy(leaf) for leaf in leaves)
    if not any(legacy):
        return leaves, paths, structure
    views = tuple(leaf.as_np_ndarray() if old else leaf for leaf, old in zip(leaves, legacy, strict=True))
    # A Python float beside legacy arrays alone becomes one of them: the two kinds cannot be multiplied.
    if not any(isinstance(leaf, mx.np.ndarray) for leaf in leaves):
        legacy = tuple(old or is_number(leaf) for leaf, old in zip(leaves, legacy, strict=True))
    numbers = tuple(map(is_number, leaves))
    form = structure.kind, structure.keys, structure.children, structure.factory
    return views, paths, LegacyStructure(*form, legacy, numbers)
