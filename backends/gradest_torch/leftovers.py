"""What a call of a module leaves in its attributes, and what of that is put back or made usable again.

Parameters and buffers have their places, which `module` keeps; this is about everything else that a module holds.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

_DEEPEST = 3
"""How many containers inside each other are looked through; one that holds itself has no end."""
_LONGEST = 1_000
"""Entries of a container that is looked through: longer ones are vocabularies, of text."""
_GONE: Any = object()
"""In place of a tensor that ends with its transformation."""


def derived(child: nn.Module) -> list[str]:
    """Return the attributes that a module makes of its parameters in each forward pass.

    Recurrent layers keep a list of their weights; `weight_norm`, `spectral_norm` and `prune` of the older kind compute
    `weight` from `weight_g`, `weight_v` or `weight_orig`. Somebody who reads it would find displaced ones.
    """
    names = [key.removesuffix(end) for key in child._parameters for end in ("_orig", "_g") if key.endswith(end)]
    found = [name for name in names if isinstance(vars(child).get(name), Tensor)]
    return found + [name for name in ("_flat_weights", "_flat_weight_refs") if name in vars(child)]


class Attributes:
    """What the attributes of modules were before a call that a transformation of `torch.func` goes around."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._before = [(vars(child), dict(vars(child))) for child in modules]

    def restore(self) -> None:
        """Put back what held something, and take what is new out of the transformation, which would end with it."""
        for found, before in self._before:
            for name, value in list(found.items()):
                usable = _usable(value, _DEEPEST)
                if usable is value:
                    continue
                if name in before:
                    found[name] = before[name]
                elif usable is _GONE:
                    del found[name]
                else:
                    found[name] = usable
            for name in before.keys() - found.keys():  # registered since as a parameter or a layer, in place of None
                for registered in (found["_parameters"], found["_modules"]):
                    registered.pop(name, None)
                found[name] = before[name]


def _usable(value: Any, depth: int) -> Any:
    """Return a value without tensors of a transformation: `value` itself, cleared in place where it can be.

    A cache that the first call fills (positions, masks) would else break the module: it could be neither saved nor
    copied. A tensor that differs between the members of a population has no one value, and goes.
    """
    if isinstance(value, Tensor):
        return _unwrapped(value) if torch._C._functorch.is_functorch_wrapped_tensor(value) else value
    if not (isinstance(value, dict | list | tuple) and depth and len(value) <= _LONGEST):
        return value
    if isinstance(value, dict):
        return _usable_dict(value, depth)
    items = [_usable(item, depth - 1) for item in value]
    if all(one is other for one, other in zip(items, value, strict=True)):
        return value
    if isinstance(value, list):
        value[:] = [item for item in items if item is not _GONE]
        return value
    if any(item is _GONE for item in items):
        return _GONE
    return type(value)(*items) if hasattr(value, "_fields") else tuple(items)


def _usable_dict(held: dict[Any, Any], depth: int) -> dict[Any, Any]:
    for key, item in list(held.items()):
        usable = _usable(item, depth - 1)
        if usable is _GONE:
            del held[key]
        elif usable is not item:
            held[key] = usable
    return held


def _unwrapped(tensor: Tensor) -> Any:
    """Return the plain tensor inside those of transformations; `_GONE` for a batch, and what is no plain tensor."""
    transformations = torch._C._functorch
    while transformations.is_functorch_wrapped_tensor(tensor):
        if transformations.is_batchedtensor(tensor) or type(tensor) is not Tensor:
            return _GONE
        tensor = transformations.get_unwrapped(tensor)
    return tensor
