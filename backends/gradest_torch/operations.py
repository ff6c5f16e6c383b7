"""gradest's operations in PyTorch; the native ones are those of `torch.nn.functional`."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from gradest.operations import Axis, Operations, require_one_array

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
    sin = _function(torch.sin)
    cos = _function(torch.cos)
    sqrt = _function(torch.sqrt)
    matmul = _function(torch.matmul)
    reshape = _function(torch.reshape)
    zeros_like = _function(torch.zeros_like)

    def abs(self, x: Tensor) -> Tensor:
        # The analytic continuation: |z| itself is not analytic. Its slope at 0 is 0, as that of torch.abs is.
        return torch.where(x.real < 0, -x, torch.where(x.real == 0, 0, x)) if x.is_complex() else torch.abs(x)

    def maximum(self, x: Tensor, y: Tensor | float) -> Tensor:
        # torch.maximum takes no numbers, and has no order for complex tensors.
        other = y if isinstance(y, Tensor) else torch.as_tensor(y, dtype=x.dtype, device=x.device)
        if not (x.is_complex() or other.is_complex()):
            return torch.maximum(x, other)
        real = x.real if x.is_complex() else x
        mine = real > (other.real if other.is_complex() else other)
        return torch.where(mine | real.isnan(), x, other)  # a tie is y's, as for the interpreters

    def greater(self, x: Tensor, y: Tensor | float) -> Tensor:
        other = y.real if isinstance(y, Tensor) and y.is_complex() else y
        return torch.gt(x.real if x.is_complex() else x, other)

    def where(self, condition: Tensor, x: Tensor | float, y: Tensor | float) -> Tensor:
        require_one_array(x, y)
        return torch.where(condition, x, y)

    def sum(self, x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        # Of no axes at all PyTorch sums over all (2.13). A number has none, with K directions in front of it too.
        return x if axis == () else torch.sum(x, dim=axis, keepdim=keepdims)

    def mean(self, x: Tensor, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return x if axis == () else torch.mean(x, dim=axis, keepdim=keepdims)

    def max(self, x: Tensor, *, axis: int, keepdims: bool = False) -> Tensor:
        if x.is_complex():
            largest = torch.amax(x.real, dim=axis, keepdim=True)
            attained = x.real == largest  # tied entries share the derivative equally, as by amax
            # Not a product: PyTorch adds a real -inf to complex numbers with an imaginary part of NaN (2.13).
            steps = torch.where(attained, x.imag, 0.0)
            step = torch.sum(steps, dim=axis, keepdim=True) / torch.sum(attained, dim=axis, keepdim=True)
            result = torch.complex(largest, step)
            return result if keepdims else result.squeeze(axis)
        # Not torch.max: it gives the whole derivative to one of several equal entries, amax an equal share to each.
        return torch.amax(x, dim=axis, keepdim=keepdims)

    def matrix_transpose(self, x: Tensor) -> Tensor:
        return x.mT

    def expand_dims(self, x: Tensor, *, axis: int) -> Tensor:
        return x.unsqueeze(axis)

    def slice_axis(self, x: Tensor, start: int, stop: int, *, axis: int) -> Tensor:
        return x.narrow(axis, start, stop - start)

    def concat(self, *arrays: Tensor, axis: int) -> Tensor:
        return torch.cat(arrays, dim=axis)

    def stop_gradient(self, x: Tensor) -> Tensor:
        return x.detach()

    def broadcast_to(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        return torch.broadcast_to(x, shape)

    def constant(self, values: NDArray[Any], *, like: Tensor) -> Tensor:
        return torch.from_numpy(np.array(values, order="C")).to(dtype=like.dtype, device=like.device)

    unpacks_signs = True

    def unpack_signs(self, words: Tensor, size: int, *, like: Tensor) -> Tensor:
        # By bytes, of which the lowest comes first (every platform of PyTorch's): PyTorch shifts no unsigned words.
        places = torch.arange(8, dtype=torch.uint8, device=words.device)
        bits = (words.view(torch.uint8).unsqueeze(-1) >> places).bitwise_and_(1)
        return bits.flatten(-2)[..., :size].to(like.dtype).mul_(-2.0).add_(1.0)

    def _open_classes(self, z: Tensor, targets: Tensor) -> Tensor:
        # The least logit tells whether any class is closed. Asked on the CPU alone: a GPU would have to be waited for.
        real = z.real if z.is_complex() else z
        if z.device.type == "cpu" and _number(real.detach().min()) > -math.inf:
            return z
        return super()._open_classes(z, targets)  # type: ignore[return-value]  # tensors of PyTorch's


def _number(x: Tensor) -> float:
    """Return the value of a tensor of one number, NaN where a transformation (vmap) has it: there it has many."""
    try:
        return x.item()
    except RuntimeError:
        return math.nan


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
        # The fused one takes classes on axis 1 alone, and a population has another axis in front.
        if logits.dim() == targets.dim() == 2:
            loss = functional.cross_entropy(logits, targets)
            if logits.is_cpu and not math.isnan(_number(loss)):  # NaN: perhaps a closed class
                return loss
        shares = torch.log_softmax(logits, dim=-1)
        return -torch.sum(self._open_classes(shares, targets) * targets, dim=-1).mean(dim=-1)
