"""Forward mode by `torch.func`, all directions at once; by dual tensors, one after another, where that does not do.

Under `torch.func.jvp` some layers compute in another memory layout than in a plain pass, and dropout fills its mask in
the order of memory: from one state of the generator it would draw another mask than reverse mode does (2.13). Dual
tensors run the very operations of a plain pass. They also take what has a rule of forward mode and none of batching: an
`autograd.Function` with a `jvp` and a `ctx` in its forward pass, recurrent layers.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from gradest.backend import Backend, Function, Leaves
from gradest.errors import GradestError, InvalidInputError, UnsupportedError
from gradest.operations import Data
from gradest_torch import refusals

_LOCK = RLock()
"""torch.func.jvp keeps its levels of forward mode for the whole process (2.13): two threads in it raise an error."""
_VALUE_AND_PRODUCTS: Any = (None, 0)  # the value is the same for all directions


def value_and_jvps(backend: Backend, function: Function) -> Callable[[Leaves, Leaves, Data], tuple[Tensor, Tensor]]:
    """Return `(leaves, tangents (K, *shape) each, data) -> (value, jvps (K,))`."""
    ways: list[_Way] = [
        _together,
        _one_by_one,
        _one_by_one_by_plain_kernels,
    ]  # the first of them is the one that works, as known

    def push(leaves: Leaves, tangents: Leaves, data: Data) -> tuple[Tensor, Tensor]:
        written = backend.marks((*leaves, *tangents))
        state = backend.random_state()
        with _in_forward_mode(backend):
            value, products = _first_that_works(ways, backend, function, (leaves, tangents, data), state)
            if ways[0] is _together and _moved(state, backend.random_state()):
                # It draws: from now on all directions see the numbers that a plain pass would draw.
                del ways[0]
                value, products = _first_that_works(ways, backend, function, (leaves, tangents, data), state)
        # What multiplies a parameter in place multiplies its tangent too, which the estimator still needs.
        if backend.marks((*leaves, *tangents)) != written:
            raise InvalidInputError(refusals.WRITES)
        return value, products.to(value.dtype)  # times a Python float, vmap makes float64 of them (2.13)

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
            refusal = refusal or error
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
                raise InvalidInputError(refusals.WRITES)
            if product is None:
                raise InvalidInputError(refusals.DETACHED)
            products.append(product)
    return value.detach(), torch.stack(products)


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

    Where that does not do, reverse over reverse gives the same, as a Hessian is symmetric. The backward pass of a mean
    squared error has no forward mode in PyTorch 2.13 ("ZeroTensors are immutable"), nor have those of the Huber and the
    soft-margin loss.
    """

    def product(leaves: Leaves, direction: Leaves, data: Data) -> Leaves:
        def gradient(*at: Tensor) -> Any:
            return torch.func.grad(lambda values: function(values, data))(at)

        inputs, along, state = tuple(leaves), tuple(direction), backend.random_state()
        found: tuple[Tensor, ...]
        with _in_forward_mode(backend):
            try:
                found = torch.func.jvp(gradient, inputs, along)[1]
            except (RuntimeError, ValueError) as error:  # NotImplementedError is a RuntimeError
                if not refusals.is_of_transformations(error):
                    raise
                backend.set_random_state(state)
                found = torch.func.vjp(gradient, *inputs)[1](along)
        return tuple([leaf.detach() for leaf in found])

    return product


@contextmanager
def _in_forward_mode(backend: Backend) -> Iterator[None]:
    """Have PyTorch's errors told in gradest's words inside the context, and differentiable kernels."""
    with _LOCK, _differentiable_kernels():
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


@contextmanager
def _differentiable_kernels() -> Iterator[None]:
    """Have attention computed by operations that forward mode knows: the fused kernels have no rule for it (2.13).

    The first forward-mode derivative of a process also loads rules that PyTorch scripts with its own deprecated
    compiler; that warning is not the user's.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`torch.jit.script`", category=DeprecationWarning)
            # Of switching oneDNN off, which sets all that it has, TF32 too.
            warnings.filterwarnings("ignore", message="TF32 acceleration", category=UserWarning)
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
