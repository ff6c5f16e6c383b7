"""Forward mode by `torch.func`, all directions at once; by dual tensors, one after another, where that does not do.

Under `torch.func.jvp` some layers compute in another memory layout than in a plain pass, and dropout fills its mask in
the order of memory: from one state of the generator it would draw another mask than reverse mode does (2.13). Dual
tensors run the very operations of a plain pass. They also take what has a rule of forward mode and none of batching: an
`autograd.Function` with a `jvp` and a `ctx` in its forward pass, recurrent layers.
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from gradest.backend import Backend, Function, Leaves
from gradest.errors import GradestError, InvalidInputError, UnsupportedError
from gradest.operations import Data
from gradest.refusals import writes
from gradest_torch import refusals, right_rules
from gradest_torch.attention import PlainAttention
from gradest_torch.module import KeptUntilBackward
from gradest_torch.other_ways import OtherWays
from gradest_torch.reverse_mode import FORWARD, lent, recordable, refuse_reentrant

_VALUE_AND_PRODUCTS: Any = (None, 0)  # the value is the same for all directions


def value_and_jvps(backend: Backend, function: Function) -> Callable[[Leaves, Leaves, Data], tuple[Tensor, Tensor]]:
    """Return `(leaves, tangents (K, *shape) each, data) -> (value, jvps (K,))`."""
    ways: list[_Way] = [
        _together,
        _one_by_one,
        _one_by_one_by_plain_kernels,
        _one_by_one_recorded,
    ]  # the first of them is the one that works, as known
    looked = False  # whether a first value was found to be of these leaves alone

    def push(leaves: Leaves, tangents: Leaves, data: Data) -> tuple[Tensor, Tensor]:
        nonlocal looked
        written = backend.marks((*leaves, *tangents))
        state = backend.random_state()
        with _in_forward_mode(backend), OtherWays() as other:
            inputs = (recordable(leaves), recordable(tangents), data)
            value, products = _first_that_works(ways, backend, function, inputs, state)
            if ways[0] is _together and _moved(state, backend.random_state()):
                # It draws: from now on all directions see the numbers that a plain pass would draw.
                del ways[0]
                value, products = _first_that_works(ways, backend, function, inputs, state)
            if not looked:
                other.refuse(value)
                refuse_reentrant(value)
                looked = True
        # What multiplies a parameter in place multiplies its tangent too, which the estimator still needs.
        if backend.marks((*leaves, *tangents)) != written:
            raise writes(backend)
        # Without a graph of what a loss closes over; times a Python float, vmap makes float64 of products (2.13).
        return value.detach(), products.detach().to(value.dtype)

    return push


_Inputs = tuple[Leaves, Leaves, Data]
"""Leaves, tangents (K, *shape) each, data."""
_Way = Callable[[Backend, Function, _Inputs, Any], tuple[Tensor, Tensor]]


def _first_that_works(
    ways: list[_Way], backend: Backend, function: Function, inputs: _Inputs, state: Any
) -> tuple[Tensor, Tensor]:
    """Return what the first way gives that PyTorch can go, and leave out those before it; raise the first's error."""
    refusal: RuntimeError | None = None
    for place, way in enumerate(ways):
        if refusal is not None:
            backend.set_random_state(state)
        try:
            found = way(backend, function, inputs, state)
        except (
            RuntimeError
        ) as error:  # NotImplementedError is one; whether it is the function's own, PyTorch won't tell
            if str(error) == refusals.HOOKED:  # no other way goes backward either
                raise
            # What the loss needs a record for is told last, by the way that has one.
            if refusal is None or any(words in str(refusal) for words in backend.unrecorded):
                refusal = error
        else:
            del ways[:place]
            return found
    assert refusal is not None
    raise refusal


def _together(backend: Backend, function: Function, inputs: _Inputs, state: Any) -> tuple[Tensor, Tensor]:
    leaves, tangents, data = inputs

    def product(*direction: Tensor) -> Any:
        return torch.func.jvp(lambda *at: _judged(function(at, data)), leaves, direction, strict=True)

    directions: tuple[Any, ...] = tangents
    value, products = torch.func.vmap(product, out_dims=_VALUE_AND_PRODUCTS, randomness="same")(*directions)
    return value, products


def _one_by_one(backend: Backend, function: Function, inputs: _Inputs, state: Any) -> tuple[Tensor, Tensor]:
    """Return the same by dual tensors, every direction from one state of the generators.

    What the function writes into is a copy: torch.func would have refused it, and the user's data are not to change.
    """
    leaves, tangents, data = inputs
    lent = {k: x.clone() for k, x in data.items()} if isinstance(data, dict) else tuple([x.clone() for x in data])
    copies = tuple(lent.values()) if isinstance(lent, dict) else lent
    written, products = backend.marks(copies), []
    for k in range(int(tangents[0].shape[0])):
        backend.set_random_state(state)
        with forward_ad.dual_level():
            at = tuple([forward_ad.make_dual(x, v[k]) for x, v in zip(leaves, tangents, strict=True)])  # type: ignore[no-untyped-call]
            value, product = forward_ad.unpack_dual(_judged(function(at, lent)))  # type: ignore[no-untyped-call]
            if backend.marks(copies) != written:
                raise writes(backend)
            if product is None:
                raise InvalidInputError(refusals.DETACHED)
            products.append(product.detach())
    return value, torch.stack(products)


def _one_by_one_by_plain_kernels(
    backend: Backend, function: Function, inputs: _Inputs, state: Any
) -> tuple[Tensor, Tensor]:
    """Return the same without oneDNN, whose recurrent layers have no rule, and of arrays in the order of their axes.

    The rule of group normalisation, among others, takes no images with the channels last (2.13).
    """
    leaves, tangents, data = inputs
    rows = {k: x.contiguous() for k, x in data.items()} if isinstance(data, dict) else tuple(map(_in_order, data))
    with torch.backends.mkldnn.flags(enabled=False):
        return _one_by_one(backend, function, (tuple(map(_in_order, leaves)), tangents, rows), state)


def _one_by_one_recorded(backend: Backend, function: Function, inputs: _Inputs, state: Any) -> tuple[Tensor, Tensor]:
    """Return the same of a loss that takes gradients by its parameters itself, as a step of an inner optimiser does."""
    leaves, tangents, data = inputs
    at: Any = [x.detach().requires_grad_() for x in _tensors(leaves)]
    with _Stopped(twice=True):
        return _one_by_one(backend, function, (tuple(at), tangents, data), state)


def _tensors(arrays: Leaves) -> list[Tensor]:
    return [x for x in arrays if isinstance(x, Tensor)]


def _in_order(array: Any) -> Any:
    return array.contiguous()


def _moved(before: Any, after: Any) -> bool:
    """Return whether a generator, of the processor or of a CUDA device, has drawn."""
    (cpu, cuda), (cpu_after, cuda_after) = before, after
    each = zip((cpu, *cuda), (cpu_after, *cuda_after), strict=False)  # CUDA may have been started in between
    return len(cuda) != len(cuda_after) or not all(torch.equal(one, other) for one, other in each)


def _judged(value: Any) -> Any:
    if not isinstance(value, Tensor):
        raise InvalidInputError(refusals.DETACHED)
    if not value.is_floating_point():
        raise InvalidInputError(refusals.WHOLE)
    return value


def hessian_product(backend: Backend, function: Function) -> Callable[[Leaves, Leaves, Data], Leaves]:
    """Return `(leaves, direction, data) -> Hessian times direction`, by forward over reverse mode.

    Where that does not do, reverse over reverse gives the same, as a Hessian is symmetric: the backward passes of the
    Huber and the soft-margin loss have no forward mode in PyTorch 2.13. A loss that differentiates by itself, or draws
    random numbers, or a recurrent layer, goes by dual tensors.
    """
    ways = (_forward_over_reverse, _reverse_over_reverse, _by_dual_tensors)

    def product(leaves: Leaves, direction: Leaves, data: Data) -> Leaves:
        inputs, along, state = recordable(leaves), recordable(direction), backend.random_state()
        refusal: RuntimeError | None = None
        with _in_forward_mode(backend, twice=True):
            for way in ways:
                try:
                    found = way(function, inputs, along, data)
                except RuntimeError as error:
                    refusal = refusal or error
                    backend.set_random_state(state)
                    if str(error) == refusals.HOOKED:
                        break
                else:
                    if way is _by_dual_tensors or not _moved(state, backend.random_state()):
                        return tuple([_dense(array) for array in _tensors(found)])
                    # It draws, inside torch.func in another order than a plain pass: the mask would be another one.
                    refusal = UnsupportedError(refusals.DRAWS)
                    backend.set_random_state(state)
            assert refusal is not None
            raise refusal

    return product


def _dense(array: Tensor) -> Tensor:
    """Return a product as its parameter is: that of an embedding with `sparse=True` has another layout."""
    return array if array.layout is torch.strided else array.to_dense()


def _gradient_of(function: Function, data: Data) -> Callable[..., Any]:
    return lambda *at: torch.func.grad(lambda values: function(values, data))(at)


def _forward_over_reverse(function: Function, leaves: Leaves, direction: Leaves, data: Data) -> Leaves:
    found: tuple[Tensor, ...] = torch.func.jvp(_gradient_of(function, data), tuple(leaves), tuple(direction))[1]
    return tuple([leaf.detach() for leaf in found])


def _reverse_over_reverse(function: Function, leaves: Leaves, direction: Leaves, data: Data) -> Leaves:
    found: tuple[Tensor, ...] = torch.func.vjp(_gradient_of(function, data), *leaves)[1](tuple(direction))
    return tuple([leaf.detach() for leaf in found])


def _by_dual_tensors(function: Function, leaves: Leaves, direction: Leaves, data: Data) -> Leaves:
    # Kept: a checkpointed layer computes again on the way back, with the parameters and buffers that it finds then.
    with torch.backends.mkldnn.flags(enabled=False), forward_ad.dual_level(), KeptUntilBackward():
        each = zip(_tensors(leaves), _tensors(direction), strict=True)
        at = tuple([forward_ad.make_dual(x.detach().requires_grad_(), v) for x, v in each])  # type: ignore[no-untyped-call]
        value = _judged(function(at, lent(data)))
        refuse_reentrant(value)
        found = torch.autograd.grad(value, at, create_graph=True, allow_unused=True)
        tangents = [None if g is None else forward_ad.unpack_dual(g).tangent for g in found]  # type: ignore[no-untyped-call]
    return tuple(
        [torch.zeros_like(x) if t is None else t.detach() for x, t in zip(_tensors(leaves), tangents, strict=True)]
    )


@contextmanager
def _in_forward_mode(backend: Backend, *, twice: bool = False) -> Iterator[None]:
    """Have PyTorch's errors told in gradest's words inside the context, and differentiable kernels."""
    # Recording: a loss that differentiates by itself needs it, and `_Stopped` looks at where it is switched off.
    with FORWARD, _differentiable_kernels(), torch.inference_mode(False), torch.enable_grad(), _Stopped(twice=twice):
        try:
            yield
        except GradestError:
            raise
        except (RuntimeError, ValueError) as error:  # NotImplementedError is a RuntimeError
            told = backend.translated(error)
            if told is not None:
                raise told from error
            if not refusals.is_of_transformations(error):
                raise
            raise UnsupportedError(refusals.NO_FORWARD_MODE.format(backend.explain(error))) from error


class _Stopped(TorchFunctionMode):
    """Has tangents stop where gradients do: within `torch.no_grad`, and at a gradient that is taken without its graph.

    Forward mode knows of neither (2.13): it gives the derivative of a target network too, with that of what chases it.
    Nor does it know that the row of an embedding at `padding_idx` has no gradient, or that rows share theirs.
    """

    def __init__(self, *, twice: bool) -> None:
        super().__init__()
        self._twice = twice  # whether a derivative is differentiated again

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out the call, without tangents where it takes a gradient as a constant."""
        named = kwargs or {}
        rule = right_rules.rule_of(func)
        if rule is not None:
            return rule(*args, **named)
        if self._twice and func is nn.functional.mse_loss:
            return _squared_errors(func, *args, **named)
        if func is nn.functional.embedding:
            return _as_backward(func(*args, **named), *args, **named)
        if func is nn.functional.gaussian_nll_loss:
            return _of_clamped(func, *args, **named)
        if func is Tensor.register_hook:
            raise UnsupportedError(refusals.HOOKED)
        if func is Tensor.__deepcopy__:
            return _deeply_copied(*args, **named)
        if func is torch.autograd.grad and torch._C._is_fwd_grad_enabled() and not _keeps_graph(*args, **named):
            torch._C._set_fwd_grad_enabled(False)
            try:
                return func(*args, **named)
            finally:
                torch._C._set_fwd_grad_enabled(True)
        result = func(*args, **named)
        if func is torch._C._set_grad_enabled:
            torch._C._set_fwd_grad_enabled(*args)
        return result


def _deeply_copied(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """Return a copy as reverse mode has it of a parameter: a leaf of autograd, outside of what is differentiated.

    PyTorch copies no tensor of `torch.func`, which has no memory to copy, nor one that was computed, as a dual one was.
    """
    if id(tensor) not in memo:
        with torch.no_grad():
            fresh = tensor.detach().clone()
        fresh.__dict__.update(tensor.__dict__)
        memo[id(tensor)] = fresh.requires_grad_() if tensor.requires_grad else fresh
    found: Tensor = memo[id(tensor)]
    return found


def _as_backward(
    found: Tensor, index: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: Any = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, *_: Any, **__: Any) -> Tensor:  # fmt: skip
    """Return the rows that an embedding found, with the tangents that its backward pass makes of a gradient.

    Those of the padding have none, and of rows that come several times those are shared, where that was asked for.
    """
    if scale_grad_by_freq:
        share = 1.0 / torch.bincount(index.reshape(-1), minlength=len(weight))[index].unsqueeze(-1).to(found.dtype)
        found = found.detach() + (found - found.detach()) * share
    if padding_idx is None:
        return found
    return torch.where((index == padding_idx % len(weight)).unsqueeze(-1), found.detach(), found)


def _squared_errors(
    func: Any, values: Tensor, target: Tensor, *args: Any, reduction: str = "mean", **kwargs: Any
) -> Any:
    """Return the mean squared error by operations that can be differentiated twice forwards, where it is one."""
    reduced: Any = {"mean": Tensor.mean, "sum": Tensor.sum, "none": Tensor.clone}.get(reduction)
    plain = not args and all(value is None for value in kwargs.values())  # no weights, and no reduction by older words
    if reduced is None or not plain or values.shape != target.shape:  # of other shapes PyTorch warns
        return func(values, target, *args, reduction=reduction, **kwargs)
    return reduced((values - target) ** 2)


def _of_clamped(func: Any, values: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6,
                reduction: str = "mean") -> Tensor:  # fmt: skip
    """Return the Gaussian loss, which clamps its variance under `no_grad`, where no mode looks: tangents pass that."""
    if isinstance(var, Tensor) and not bool((var < 0).any()):  # a negative variance is refused as it is
        var = var.clone()
        torch._C._set_fwd_grad_enabled(False)
        try:
            with torch.no_grad():
                var.clamp_(min=eps)
        finally:
            torch._C._set_fwd_grad_enabled(True)
    found: Tensor = func(values, target, var, full=full, eps=eps, reduction=reduction)
    return found


def _keeps_graph(
    outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: Any = None, create_graph: bool = False, **_: Any
) -> bool:
    """Return whether a call of `torch.autograd.grad` is itself differentiated."""
    return create_graph


def _uncompiled() -> AbstractContextManager[Any]:
    """Return a context in which what `torch.compile` has made runs uncompiled: its graphs drop tangents (2.13)."""
    # Nothing is compiled before this module is imported, which takes a second; PyTorch 2.4 cannot be told.
    stance = getattr(torch.compiler, "set_stance", None) if "torch._dynamo.eval_frame" in sys.modules else None
    return nullcontext() if stance is None else stance("force_eager")


@contextmanager
def _differentiable_kernels() -> Iterator[None]:
    """Have attention computed by operations that forward mode knows: the fused kernels have no rule for it (2.13).

    The first forward-mode derivative of a process also loads rules that PyTorch scripts with its own deprecated
    compiler; that warning is not the user's.
    """
    with PlainAttention(), sdpa_kernel(SDPBackend.MATH), _uncompiled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit.script`", category=DeprecationWarning)
        # Of what torch batches one by one: that it is slow is known, and no fault of the loss.
        warnings.filterwarnings("ignore", message="There is a performance drop", category=UserWarning)
        # Of switching oneDNN off, which sets all that it has, TF32 too.
        warnings.filterwarnings("ignore", message="TF32 acceleration", category=UserWarning)
        yield
