"""An `nn.Module` as parameters: the user's `f(module, *args)` as a pure function of a dict of tensors."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from gradest.errors import InvalidInputError

_PREFIX = "module."


class _Call(nn.Module):
    """Holds the user's module as a child, so that `functional_call` swaps its tensors while `f` runs."""

    def __init__(self, f: Callable[..., Tensor], module: nn.Module) -> None:
        super().__init__()
        self.f = f
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.f(self.module, *args, **kwargs)


def trainable_parameters(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that require a gradient, by name, outside any graph; tied ones once.

    Raises
    ------
    InvalidInputError
        None of them requires a gradient.
    """
    found = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    if not found:
        raise InvalidInputError(
            f"a module with trainable parameters was asked for; {type(module).__name__} has none with "
            "requires_grad=True"
        )
    return found


def bind(f: Callable[..., Tensor], module: nn.Module) -> Callable[..., Tensor]:
    """Return `f(module, *args)` as a pure function `(parameters, *args)`; the module is left as it was.

    Buffers are copied at each call, so that a layer which updates its own (batch normalisation in training mode)
    updates the copies.
    """
    call = _Call(f, module)

    def pure(parameters: dict[str, Tensor], *args: Any, **kwargs: Any) -> Tensor:
        swapped = {_PREFIX + name: tensor for name, tensor in parameters.items()}
        swapped |= _copied_buffers(module, next(iter(parameters.values())))
        value: Tensor = functional_call(call, swapped, args, kwargs, tie_weights=True)
        return value

    return pure


def _copied_buffers(module: nn.Module, parameter: Tensor) -> dict[str, Tensor]:
    """Return copies of the buffers, under vmap one for each member of the population.

    A buffer that all members share cannot be updated in place with values that differ between them; adding a zero
    made from a parameter copies it and gives each member its own.
    """
    zero = parameter.detach().reshape(-1)[:1].sum() * 0
    return {
        _PREFIX + name: buffer + zero.to(buffer.dtype)
        if child.training and buffer.is_floating_point()
        else buffer.clone()
        for prefix, child in module.named_modules()
        for name, buffer in child.named_buffers(prefix, recurse=False)
    }
