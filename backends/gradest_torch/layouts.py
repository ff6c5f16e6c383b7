"""Tensors whose entries PyTorch neither adds up nor hands to NumPy: sparse, nested, quantised ones, float8, `meta`.

They are no parameters, and may be arguments of a loss: what has to be asked of an argument is asked of its parts.
"""

from typing import Any

import torch
from torch import Tensor

_ROWS = (torch.sparse_csr, torch.sparse_bsr)
_COLUMNS = (torch.sparse_csc, torch.sparse_bsc)


def adds(tensor: Tensor) -> bool:
    """Return whether a number can be added to a tensor of floating-point numbers."""
    return tensor.layout is torch.strided and tensor.dtype.itemsize > 1 and not tensor.is_nested


def parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """Return the plain tensors, of this one's own memory where it has one, that say what its values are."""
    if tensor.is_meta:
        return ()
    if tensor.is_nested:
        jagged: Any = tensor  # whose methods PyTorch tells no type checker of
        return (jagged.values(), jagged.offsets()) if tensor.layout is torch.jagged else tuple(tensor.unbind())
    if tensor.layout is torch.sparse_coo:
        return tensor._indices(), tensor._values()  # as they are: `indices` asks for a coalesced one
    if tensor.layout in _ROWS:
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in _COLUMNS:
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    if tensor.layout is not torch.strided:  # of oneDNN
        return (tensor.to_dense(),)
    if tensor.is_quantized:
        return (tensor.int_repr(),)
    if tensor.dtype.is_floating_point and tensor.dtype.itemsize == 1:
        return (tensor.view(torch.uint8),)
    return (tensor,)
