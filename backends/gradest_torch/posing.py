"""Tensors that pose as a module's parameters: a loss may ask which of them require a gradient, and finds them all.

`sum(p.norm() for p in model.parameters() if p.requires_grad)` would otherwise be 0 wherever nothing is recorded, and a
loss that takes a gradient by its parameters could not be evaluated.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

_REQUIRES_GRAD = Tensor.requires_grad.__get__


def as_parameters(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], AbstractContextManager[Any]]:
    """Return tensors of the same memory and place in a graph, and the context in which they pose as parameters."""
    posing = {name: _as_parameter(tensor) for name, tensor in tensors.items()}
    quiet = [tensor for tensor in posing.values() if not tensor.requires_grad]
    return posing, _Asked(quiet) if quiet else nullcontext()


def _as_parameter(tensor: Tensor) -> Tensor:
    if not (tensor.requires_grad or _is_transformed(tensor)):
        tensor = tensor.detach().requires_grad_()
    # What isinstance(p, nn.Parameter) asks of a tensor of another class (2.4 to 2.13).
    tensor._is_param = True  # type: ignore[attr-defined]
    return tensor


def _is_transformed(tensor: Tensor) -> bool:
    """Return whether a tensor belongs to a transformation, which would lose it, or refuse to mark it."""
    if torch._C._functorch.peek_interpreter_stack() is not None:  # of this thread
        return True
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]


class _Asked(TorchFunctionMode):
    """Answers for tensors of a transformation that they require a gradient, which cannot be set there."""

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__()
        self._tensors = {id(tensor): tensor for tensor in tensors}  # kept, so that no other has the id of one

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out the call, or answer the question."""
        if func == _REQUIRES_GRAD and id(args[0]) in self._tensors:
            return True
        return func(*args, **(kwargs or {}))
