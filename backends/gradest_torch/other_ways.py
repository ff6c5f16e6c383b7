"""Refuses a loss that takes its parameters from elsewhere than from its first argument.

A list made before, the groups of an optimiser, a reference kept in an attribute hold the module's own parameters, which
stay as they are while the module computes with other tensors: what a loss takes from there is a constant.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import wraps
from threading import local
from typing import Any
from weakref import ref

import torch
from torch import Tensor

from gradest.errors import InvalidInputError

_thread = local()
"""The context under way in a thread (`ways`)."""


class OtherWays:
    """A context that notes the parameters of the modules that compute inside it, and tells whether a value is of them.

    With `quiet`, for a plain evaluation, modules record what they compute, but for what is of the tensors that were put
    into them: all that is recorded goes by other ways, so that it needs no more memory for being looked at.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.parameters: dict[str, Tensor] = {}

    def __enter__(self) -> "OtherWays":
        self._outer, _thread.ways = getattr(_thread, "ways", None), self
        return self

    def __exit__(self, *raised: object) -> None:
        _thread.ways = self._outer

    @staticmethod
    def under_way() -> "OtherWays | None":
        """Return the context that this thread is inside of, which is told the parameters of what computes."""
        return getattr(_thread, "ways", None)

    def refuse(self, value: Any) -> None:
        """Refuse a value that depends on the noted parameters themselves.

        Raises
        ------
        InvalidInputError
            It does; the message names them.
        """
        if not (isinstance(value, Tensor) and value.requires_grad and self.parameters):
            return
        own = list(self.parameters.values())
        try:
            with torch.enable_grad():
                found = torch.autograd.grad(value.sum(), own, retain_graph=True, allow_unused=True)
        except RuntimeError:  # what was recorded cannot be gone back through, which is told where a derivative is asked
            return
        reached = [name for name, gradient in zip(self.parameters, found, strict=True) if gradient is not None]
        if reached:
            raise InvalidInputError(
                "a loss that takes its parameters from its first argument was asked for; this one also takes "
                f"{', '.join(reached)} from elsewhere (a list made before, an optimiser's groups, an attribute, a "
                "closure), where they are constants; take them from the argument, a model's as model.parameters()"
            )


def noting(f: Callable[..., Any], tensors: Mapping[str, Tensor]) -> Callable[..., Any]:
    """Return a function of tensors that has the user's own ones noted, while they live."""
    own = {path: ref(tensor) for path, tensor in tensors.items()}

    @wraps(f)
    def noted(*args: Any, **kwargs: Any) -> Any:
        ways = OtherWays.under_way()
        if ways is None:
            return f(*args, **kwargs)
        alive = {path: held() for path, held in own.items()}
        ways.parameters.update({path: tensor for path, tensor in alive.items() if tensor is not None})
        with torch.enable_grad() if ways.quiet else nullcontext():
            return f(*args, **kwargs)

    return noted
