"""Pytrees with legacy `mx.nd` arrays in them: estimators see `mx.np` arrays, the user sees what was given."""

from collections.abc import Sequence
from dataclasses import dataclass

from gradest.tree import Leaf, Structure, Tree, flatten_tree
from gradest_mxnet.framework import mx


@dataclass(frozen=True)
class LegacyStructure(Structure):
    """The structure of a pytree some of whose leaves are legacy arrays; `rebuild` makes those legacy again."""

    legacy: tuple[bool, ...] = ()

    def rebuild(self, leaves: Sequence[Leaf]) -> Tree:
        return super().rebuild(
            [
                leaf.as_nd_ndarray() if legacy and isinstance(leaf, mx.np.ndarray) else leaf
                for leaf, legacy in zip(leaves, self.legacy, strict=True)
            ]
        )


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
    return views, paths, LegacyStructure(structure.kind, structure.keys, structure.children, structure.factory, legacy)
