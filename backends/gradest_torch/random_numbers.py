"""Random numbers on PyTorch's devices, from a generator that nobody else has: the user's are left where they stand."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor


def draw(
    seed: int, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[str], device: str, *, signs: bool
) -> Iterator[Tensor]:
    """Yield an array of each shape and dtype on the device, normal or +1 and -1."""
    # PyTorch's generator on the processor keeps 32 bits of a seed: of 77,000 directions two would be the same, as
    # likely as not. NumPy's draws there.
    return (_on_host if device == "cpu" else _on_device)(seed, shapes, dtypes, device, signs)


def _on_device(
    seed: int, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[str], device: str, signs: bool
) -> Iterator[Tensor]:
    generator = torch.Generator(device=device).manual_seed(seed)
    for shape, dtype in zip(shapes, dtypes, strict=True):
        array = torch.empty(shape, dtype=getattr(torch, dtype), device=device)
        if signs:
            yield array.bernoulli_(0.5, generator=generator).mul_(2.0).sub_(1.0)
        else:
            yield array.normal_(generator=generator)


def _on_host(
    seed: int, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[str], device: str, signs: bool
) -> Iterator[Tensor]:
    generator = np.random.Generator(np.random.SFC64(seed))
    for shape, dtype in zip(shapes, dtypes, strict=True):
        if signs:
            numbers = 2.0 * generator.integers(0, 2, size=shape, dtype=np.int8) - 1.0
        else:  # half precisions are rounded from float32
            numbers = generator.standard_normal(shape, dtype=np.float64 if dtype == "float64" else np.float32)
        # Not `as_tensor`, which makes its tensor on the default device, whichever the caller has set.
        yield torch.from_numpy(np.asarray(numbers)).to(getattr(torch, dtype))
