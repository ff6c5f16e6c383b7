"""Conversions that lose what a complex step goes by: of complex numbers to real ones, which PyTorch makes in silence.

They are looked for below the functions that a user calls, where those of `torch.autocast` are seen too. PyTorch itself
warns of the first one in a process, and of no other.
"""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gradest.errors import InvalidInputError

_INTO = torch.ops.aten.copy_.default
_TO = torch.ops.aten._to_copy.default
"""What `x.float()`, mixed precision and an assignment to entries of a real tensor come down to (2.4 to 2.13)."""


class KeptImaginary(TorchDispatchMode):  # type: ignore[no-untyped-call]  # what a subclass of it runs
    """A context that refuses a conversion which drops an imaginary part that is not 0."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out the operation.

        Raises
        ------
        InvalidInputError
            It would drop imaginary parts.
        """
        named = kwargs or {}
        if func is _INTO:
            _require_whole(args[1], args[0].dtype)
        elif func is _TO:
            _require_whole(args[0], named.get("dtype") or args[0].dtype)
        return func(*args, **named)


def _require_whole(source: torch.Tensor, dtype: torch.dtype) -> None:
    if source.is_complex() and not dtype.is_complex and bool(source.imag.any()):
        raise InvalidInputError(
            "the complex step asks for an analytic loss; this one converts complex numbers to "
            f"{dtype} on its way (mixed precision, .float(), entries of a real tensor?), which drops the derivative; "
            "use forward mode or finite differences"
        )
