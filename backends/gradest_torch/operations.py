"""gradest's operations in PyTorch; the native ones are those of `torch.nn.functional`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from gradest.operations import Axis, Operations

# Above it softplus(x) equals x in float64; PyTorch's own 20 leaves an error of 2e-9.
_SOFTPLUS_THRESHOLD = 40.0


def _function(function: Callable[..., Any]) -> Any:
    """Return a PyTorch function as a method that takes the same arguments (its own annotations name others)."""
    return staticmethod(function)


class TorchOperations(Operations):
    """Carries out each operation by the PyTorch function of the same meaning.

    Complex tensors (the complex step) are compared by their real parts.
    """

    exp = _function(torch.exp)
    log = _function(torch.log)
    expm1 = _function(torch.expm1)
    log1p = _function(torch.log1p)
    tanh = _function(torch.tanh)
    sqrt = _function(torch.sqrt)
    where = _function(torch.where)
    matmul = _function(torch.matmul)
    reshape = _function(torch.reshape)
    zeros_like = _function(torch.zeros_like)

    def abs(self, x: Tensor) -> Tensor:
        return torch.where(x.real < 0, -x, x) if x.is_complex() else torch.abs(x)

    def maximum(self, x: Tensor, y: Tensor | float) -> Tensor:
        # torch.maximum takes no numbers, and has no order for complex tensors.
        other = y if isinstance(y, Tensor) else torch.as_tensor(y, dtype=x.dtype, device=x.device)
        return torch.where(other.real > x.real, other, x) if x.is_complex() else torch.maximum(x, other)

    def greater(self, x: Tensor, y: Tensor | float) -> Tensor:
        other = y.real if isinstance(y, Tensor) and y.is_complex() else y
        return torch.gt(x.real if x.is_complex() else x, other)

    def sum(self, x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return torch.sum(x, dim=axis, keepdim=keepdims)

    def mean(self, x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return torch.mean(x, dim=axis, keepdim=keepdims)

    def max(self, x: Tensor, *, axis: int, keepdims: bool = False) -> Tensor:
        if x.is_complex():
            largest = torch.take_along_dim(x, torch.argmax(x.real, dim=axis, keepdim=True), dim=axis)
            return largest if keepdims else largest.squeeze(axis)
        # Not torch.max: it gives the whole derivative to one of several equal entries, amax an equal share to each.
        return torch.amax(x, dim=axis, keepdim=keepdims)

    def matrix_transpose(self, x: Tensor) -> Tensor:
        return x.mT

    def expand_dims(self, x: Tensor, *, axis: int) -> Tensor:
        return x.unsqueeze(axis)

    def stop_gradient(self, x: Tensor) -> Tensor:
        return x.detach()

    def broadcast_to(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        return torch.broadcast_to(x, shape)

    def constant(self, values: NDArray[Any], *, like: Tensor) -> Tensor:
        return torch.from_numpy(np.array(values, order="C")).to(dtype=like.dtype, device=like.device)


class NativeTorchOperations(TorchOperations):
    """Composed operations by `torch.nn.functional`, and one fused product with its bias.

    PyTorch has them for real tensors alone: complex ones take the portable form.
    """

    def relu(self, x: Tensor) -> Any:
        return super().relu(x) if x.is_complex() else torch.relu(x)

    def sigmoid(self, x: Tensor) -> Any:
        return super().sigmoid(x) if x.is_complex() else torch.sigmoid(x)

    def softplus(self, x: Tensor) -> Any:
        return super().softplus(x) if x.is_complex() else functional.softplus(x, threshold=_SOFTPLUS_THRESHOLD)

    def affine(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
        if bias is not None and bias.dim() == 1 and weight.dim() == 2 and x.dim() == 2:
            return torch.addmm(bias, x, weight)
        return super().affine(x, weight, bias)

    def logsumexp(self, x: Tensor) -> Any:
        return super().logsumexp(x) if x.is_complex() else torch.logsumexp(x, dim=-1)

    def softmax(self, x: Tensor) -> Any:
        return super().softmax(x) if x.is_complex() else torch.softmax(x, dim=-1)

    def softmax_cross_entropy(self, logits: Tensor, targets: Tensor) -> Any:
        if logits.is_complex():
            return super().softmax_cross_entropy(logits, targets)
        if logits.dim() == 2:  # the fused one takes classes on axis 1 alone, and a population has another axis in front
            return functional.cross_entropy(logits, targets)
        return -torch.sum(torch.log_softmax(logits, dim=-1) * targets, dim=-1).mean(dim=-1)
