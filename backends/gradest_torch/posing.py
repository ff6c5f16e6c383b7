"""Tensors that pose as a module's parameters: a loss may ask which of them require a gradient, and finds them all.

`sum(p.norm() for p in model.parameters() if p.requires_grad)` would otherwise be 0 wherever nothing is recorded, and a
loss that takes a gradient by its parameters could not be evaluated.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

from gradest.errors import InvalidInputError
from gradest_torch import refusals

_REQUIRES_GRAD = Tensor.requires_grad.__get__  # type: ignore[attr-defined]  # a property, by its annotations a bool
_SETTING = (Tensor.requires_grad_, Tensor.requires_grad.__set__)  # type: ignore[attr-defined]  # likewise


def posing(tensors: Sequence[Tensor], *, quiet: bool = False) -> AbstractContextManager[Any] | None:
    """Return a context in which tensors pose as parameters, None where they do so without one.

    With `quiet` all is recorded but what is of them.
    """
    for tensor in tensors:
        # What isinstance(p, nn.Parameter) asks of a tensor of another class (2.4 to 2.13).
        tensor._is_param = True
    first = tensors[0]  # of one call all are alike: recorded, part of a transformation, or plain
    if _is_recorded(first):
        return None
    if quiet:
        return _quietly(tensors)
    if _is_transformed(first) or any(map(Tensor.is_inference, tensors)):  # those made in inference mode take no mark
        return _Asked(tensors)
    return _Marked(tensors)


def _is_recorded(tensor: Tensor) -> bool:
    """Return whether a tensor itself requires a gradient, which forward mode answers for all that has a tangent."""
    if forward_ad._current_level < 0:
        return tensor.requires_grad
    with torch._C.DisableTorchFunction():
        return tensor.requires_grad


@contextmanager
def _quietly(tensors: Sequence[Tensor]) -> Iterator[None]:
    with torch.enable_grad(), _Asked(tensors):
        yield


def _is_transformed(tensor: Tensor) -> bool:
    """Return whether a tensor belongs to a transformation, which would lose it, or refuse to mark it."""
    if torch._C._functorch.peek_interpreter_stack() is not None:  # of this thread
        return True
    return is_dual(tensor)


def is_dual(tensor: Tensor) -> bool:
    """Return whether a tensor has a tangent of forward mode."""
    inside = forward_ad._current_level >= 0
    return inside and forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]  # PyTorch's


class _Marked:
    """Has plain tensors require a gradient inside the context, of which nothing comes where nothing is recorded."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors

    def __enter__(self) -> None:
        for tensor in self._tensors:
            tensor.requires_grad_()

    def __exit__(self, *raised: object) -> None:
        for tensor in self._tensors:
            tensor.requires_grad_(False)


class _Asked(TorchFunctionMode):
    """Answers for tensors of a transformation that they require a gradient, which cannot be set there."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        self._tensors = {id(tensor): tensor for tensor in tensors}  # kept, so that no other has the id of one

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out the call, or answer the question."""
        named = kwargs or {}
        if func == _REQUIRES_GRAD and id(args[0]) in self._tensors:
            return True
        if func in _SETTING and id(args[0]) in self._tensors and False in (*args[1:], *named.values()):
            _refuse_frozen(args[0])
        return func(*args, **named)


def _refuse_frozen(tensor: Tensor) -> None:
    """Refuse that a tensor with a tangent requires no gradient: reverse mode would stop there, and tangents do not.

    Raises
    ------
    InvalidInputError
        It has one. A batched evaluation has none, and its values are the same.
    """
    if torch._C._functorch.is_gradtrackingtensor(tensor) or is_dual(tensor):
        raise InvalidInputError(refusals.FROZEN_INSIDE)
