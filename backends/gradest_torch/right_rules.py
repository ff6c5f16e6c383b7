"""Operations whose derivatives PyTorch has wrong, or not at all, in forward mode or the second time, by other ones.

All of 2.13: without a word, `cholesky_inverse` and `triangular_solve` have wrong tangents; `scatter_reduce` of products
and operations that were registered from outside (`torch.library`, extensions) have none, so that what comes by another
way is all of a derivative; and weight normalisation has no forward mode, and second derivatives that are wrong, also
those of autograd twice. The mode of `forward_mode` looks at what a loss calls, and asks here.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from gradest_torch import refusals
from gradest_torch.posing import is_dual

_OWN = ("aten", "prim", "prims", "profiler")
"""The namespaces of PyTorch's own operations."""
_CONTROLS = ("cond", "scan", "map_impl", "while_loop", "while_loop_stack_output")
"""Control flow that PyTorch keeps as one operation, whose tangents it drops: `torch.cond` and its relatives."""


def rule_of(func: Any) -> Callable[..., Any] | None:
    """Return what to call in place of a function of PyTorch's, with its arguments; None where it is right."""
    found = _RULES.get(func)
    if found is None and isinstance(func, torch._ops.OpOverload | torch._ops.OpOverloadPacket) and _is_foreign(func):
        return _told(func)
    if isinstance(func, torch._ops.HigherOrderOperator) and func.name() in _CONTROLS:  # type: ignore[no-untyped-call]  # PyTorch's
        return _refuse_control
    return found


def _refuse_control(*_: Any, **__: Any) -> Any:
    raise NotImplementedError(refusals.NO_TANGENTS.format("torch.cond, scan, map or while_loop"))


def _is_foreign(func: Any) -> bool:
    return str(func).partition(".")[0] not in _OWN


def _with_tangents(func: Any, *args: Any, **named: Any) -> Any:
    """Return what an operation gives, refusing one that gives no tangents where it was given some.

    Raises
    ------
    NotImplementedError
        It does; the words are those of PyTorch, which refuses its own operations so.
    """
    result = func(*args, **named)
    given, made = (torch.utils._pytree.tree_leaves(tree) for tree in ((args, named), result))
    floating = [x for x in made if isinstance(x, Tensor) and x.is_floating_point()]
    stopped = forward_ad._current_level < 0 or not torch._C._is_fwd_grad_enabled()
    if floating and not stopped and any(map(_carries, given)) and not any(map(is_dual, floating)):
        raise NotImplementedError(refusals.NO_TANGENTS.format(getattr(func, "__name__", func)))
    return result


def _carries(value: Any) -> bool:
    """Return whether a value may have a tangent; in a gradient that is differentiated again it is not to be seen."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return False
    return (torch._C._functorch.is_gradtrackingtensor(value) and not _is_innermost_forward()) or is_dual(value)


def _is_innermost_forward() -> bool:
    within = torch._C._functorch.peek_interpreter_stack()
    return within is None or within.key() == torch._C._functorch.TransformType.Jvp


def _requires_gradient(tensor: Tensor) -> bool:
    """Return whether a tensor requires a gradient as reverse mode would have it: what has a tangent does.

    Else a loss that hooks into those that do (`if x.requires_grad: x.register_hook(...)`) has another derivative here,
    without a word. Backward hooks of a module ask too, in `torch.utils.hooks`: they are passed by.
    """
    return tensor.requires_grad or (_carries(tensor) and _asker() != torch.utils.hooks.__name__)


def _asker() -> str | None:
    """Return the name of the module whose code has called into this package."""
    frame: Any = sys._getframe()
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == __name__.partition(".")[0]:
        frame = frame.f_back
    return None if frame is None else frame.f_globals.get("__name__")


def _inverse_of_factored(factor: Tensor, upper: bool = False) -> Tensor:
    lower = (
        factor.triu().mH if upper else factor.tril()
    )  # the other triangle is not read, and its tangents must not pass
    one = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device).expand(factor.shape)
    half = torch.linalg.solve_triangular(lower, one, upper=False)
    found: Tensor = half.mH @ half
    return found


def _triangular_solution(
    right: Tensor, matrix: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    triangle = matrix.triu() if upper else matrix.tril()
    used, above = (triangle.mT, not upper) if transpose else (triangle, upper)
    solution = torch.linalg.solve_triangular(used, right, upper=above, unitriangular=unitriangular)
    return torch.return_types.triangular_solve((solution, matrix.clone()))


def _normalised(direction: Tensor, length: Tensor, dim: int = 0) -> Tensor:
    """Return the weight of weight normalisation, whose kernel has no forward mode and a wrong second derivative."""
    axes = [axis for axis in range(direction.dim()) if axis != dim]
    norm = direction.norm() if dim == -1 else direction.norm(dim=axes, keepdim=True)
    found: Tensor = direction * (length / norm)
    return found


def _reduced(func: Callable[..., Any]) -> Callable[..., Any]:
    def reduced(*args: Any, **named: Any) -> Any:
        return (_with_tangents if "prod" in (*args, *named.values()) else _plain)(func, *args, **named)

    return reduced


def _plain(func: Callable[..., Any], *args: Any, **named: Any) -> Any:
    return func(*args, **named)


def _told(func: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **named: _with_tangents(func, *args, **named)


_CHUNKED = getattr(nn.functional, "linear_cross_entropy", None)  # in chunks it is one of `torch.library` (2.13)
_RULES: dict[Any, Callable[..., Any]] = {
    Tensor.requires_grad.__get__: _requires_gradient,  # type: ignore[attr-defined]  # a property, by its annotations a bool
    **({} if _CHUNKED is None else {_CHUNKED: _told(_CHUNKED)}),
    torch.cholesky_inverse: _inverse_of_factored,
    Tensor.cholesky_inverse: _inverse_of_factored,
    torch.triangular_solve: _triangular_solution,
    Tensor.triangular_solve: _triangular_solution,
    torch._weight_norm: _normalised,
    **{func: _reduced(func) for func in (torch.scatter_reduce, Tensor.scatter_reduce, Tensor.scatter_reduce_)},
}
