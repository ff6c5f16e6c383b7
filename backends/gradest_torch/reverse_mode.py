"""Reverse mode by `torch.autograd.grad`: what is recorded, watched and refused.

Gradients of gradients are refused here: what comes back is outside any graph that is recorded around it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import RLock, local
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from gradest.backend import Backend, Function, Leaves
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.operations import Data
from gradest.refusals import writes
from gradest_torch import module, refusals
from gradest_torch.layouts import parts
from gradest_torch.other_ways import OtherWays
from gradest_torch.posing import is_dual

_ENGINE = getattr(torch.autograd.graph, "_engine_run_backward", None)
"""What `torch.autograd.grad` calls in the end; it has no public name (2.4 to 2.13), and may be gone another time."""


def value_and_gradient(backend: Backend, function: Function) -> Callable[[Leaves, Data], tuple[Tensor, Leaves]]:
    """Return `(leaves, data) -> (value, gradient leaves)`; a leaf without influence has zeros."""
    trusted = False  # until a first call has left what it was given as it was

    def record(leaves: Leaves, data: Data) -> tuple[Tensor, Leaves]:
        nonlocal trusted
        inputs = tuple([leaf.detach().requires_grad_() for leaf in recordable(leaves)])
        given = lent(recordable(data))
        watched = [*inputs, *_tensors(given.values() if isinstance(given, dict) else given)]
        before = [x._version for x in watched]
        sums = () if trusted else _sums(watched)
        with module.KeptUntilBackward():
            value = _recorded(function, inputs, given) if trusted else _first(function, inputs, given)
            # The next call would find what this one has made of them.
            if [x._version for x in watched] != before or not (trusted or _equal(_sums(watched), sums)):
                raise writes(backend)
            if not (isinstance(value, Tensor) and value.requires_grad):
                raise InvalidInputError(refusals.DETACHED)
            try:
                found = _gradients(value, inputs) if trusted else _first_gradients(value, inputs)
            except RuntimeError as error:  # what the loss did to a tensor in place shows here
                raise backend.translated(error) or error from error
        if all(gradient is None for gradient in found):  # a graph there is, of other tensors: a model closed over
            raise InvalidInputError(refusals.UNCONNECTED)
        trusted = True
        return value.detach(), tuple(map(_dense, found, inputs))

    def pull(leaves: Leaves, data: Data) -> tuple[Tensor, Leaves]:
        if is_transforming():
            every = (*leaves, *(data.values() if isinstance(data, dict) else data))
            if any(map(is_traced, _tensors(every))):
                raise UnsupportedError(refusals.NESTED)
        # Entering two contexts costs microseconds: only where the caller has switched recording off.
        if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
            return record(leaves, data)
        with recording():
            return record(leaves, data)

    return pull


@contextmanager
def recording() -> Iterator[None]:
    """Record operations inside the context, also where the caller records none."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def _gradients(value: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    """Return what `torch.autograd.grad(value, inputs, allow_unused=True)` does, of one real number as of all else.

    What that function asks first of each tensor is known here, and takes a quarter of the time of a small network.
    """
    if _ENGINE is None or type(value) is not Tensor or value.numel() != 1 or value.is_complex():
        return torch.autograd.grad(value, inputs, allow_unused=True)  # which refuses what it does not take
    keeps_graph = makes_graph = False
    found: tuple[Tensor | None, ...] = _ENGINE(
        (value,), (torch.ones_like(value),), keeps_graph, makes_graph, inputs, True, accumulate_grad=False
    )
    return found


def _first_gradients(value: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    """Return the same, of a loss that is seen to go backward in no other way."""
    held = [None if x.grad is None else (id(x.grad), x.grad._version) for x in inputs]
    found = _gradients(value, inputs)
    if held != [None if x.grad is None else (id(x.grad), x.grad._version) for x in inputs]:
        raise UnsupportedError(refusals.OWN_BACKWARD)
    return found


def _dense(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    """Return a gradient as its parameter is: an embedding with `sparse=True` has one of another layout."""
    if gradient is None:
        return torch.zeros_like(parameter)
    return gradient if gradient.layout is torch.strided else gradient.to_dense()


def _recorded(function: Function, inputs: Leaves, given: Data) -> Any:
    outer, _recording.on = getattr(_recording, "on", False), True
    try:
        return function(inputs, given)
    finally:
        _recording.on = outer


def _first(function: Function, inputs: Leaves, given: Data) -> Any:
    """Return the same, of a function that is seen to take no parameters by another way."""
    with OtherWays() as ways:
        value = _recorded(function, inputs, given)
        ways.refuse(value)
    refuse_reentrant(value)
    return value


_recording = local()
"""Whether this thread is inside a function whose operations reverse mode records (`on`)."""


def is_transforming() -> bool:
    """Return whether reverse mode is recording in this thread, or a transformation of `torch.func` is under way.

    Dual tensors count: they are of another thread, maybe, but then no tensor of this one is traced.
    """
    return getattr(_recording, "on", False) or _is_inside_functional() or forward_ad._current_level >= 0


FORWARD = RLock()
"""torch.func.jvp keeps its levels of forward mode for the whole process (2.13): two threads in it raise an error."""


def _is_inside_functional() -> bool:
    # No public function says so (2.13). Inside, constants too become tensors without values as soon as they are used.
    with FORWARD:  # what another thread of gradest's is inside of is not around this call
        return torch._C._functorch.peek_interpreter_stack() is not None


def is_traced(tensor: Tensor) -> bool:
    """Return whether a tensor is being differentiated or batched around this call."""
    return tensor.requires_grad or _is_inside_functional() or is_dual(tensor)


def _tensors(arrays: Iterable[Any]) -> list[Tensor]:
    return [x for x in arrays if isinstance(x, Tensor)]


def _sums(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return what tells whether tensors were written to where no version counter sees it: through `.data`, or NumPy."""
    return tuple([part.sum() for x in tensors for part in parts(x.detach())])


def _equal(sums: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return all(torch.equal(one, other) or bool(one != one) for one, other in zip(sums, others, strict=True))


def refuse_reentrant(value: Any) -> None:
    """Refuse a value with a checkpoint of the reentrant kind behind it.

    What is computed inside is no part of the graph, so that its parameters would have zeros, or half of a gradient.

    Raises
    ------
    UnsupportedError
        There is one.
    """
    nodes = [value.grad_fn] if isinstance(value, Tensor) and value.grad_fn is not None else []
    seen = set(nodes)
    for node in nodes:  # which grows as it goes
        if node.name() == "CheckpointFunctionBackward":
            raise UnsupportedError(refusals.REENTRANT)
        fresh = [source for source, _ in node.next_functions if source is not None and source not in seen]
        seen.update(fresh)
        nodes.extend(dict.fromkeys(fresh))


def lent(arrays: Data) -> Data:
    """Return the tuple or dict with tensors of the same memory, which a loss may have require a gradient."""
    if isinstance(arrays, dict):
        return {name: lent_array(array) for name, array in arrays.items()}
    return tuple([lent_array(array) for array in arrays])


def lent_array(array: Any, *, private: bool = False) -> Any:
    """Return a tensor outside any graph that requires a gradient where this one does, or a copy where `private`."""
    if not isinstance(array, Tensor):
        return array
    own = array.detach().clone() if private else array.detach()
    return own.requires_grad_() if array.requires_grad and not own.is_inference() else own


def recordable(arrays: Data) -> Data:
    """Return the tuple or dict of tensors with those made in inference mode, which autograd refuses, copied."""
    if not any(map(Tensor.is_inference, arrays.values() if isinstance(arrays, dict) else arrays)):
        return arrays
    if isinstance(arrays, dict):
        return {name: tensor.clone() for name, tensor in arrays.items()}
    return tuple(tensor.clone() for tensor in arrays)
