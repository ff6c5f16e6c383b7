"""An `nn.Module` as parameters: the user's `f(module, *args)` as a pure function of a dict of tensors."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import wraps
from threading import local
from typing import Any

import torch
from torch import Tensor, nn

from gradest.errors import InvalidInputError
from gradest.places import ParameterPlace
from gradest_torch.attention import PlainAttention
from gradest_torch.layouts import adds
from gradest_torch.leftovers import Attributes
from gradest_torch.module_state import (
    ModuleState,
    Place,
    held,
    locks_of,
    modules_of,
    release,
    state_of,
    trainable_parameters,
)
from gradest_torch.other_ways import OtherWays
from gradest_torch.posing import posing


def bind(f: Callable[..., Tensor], module: nn.Module) -> Callable[..., Tensor]:
    """Return `f(module, *args)` as a pure function `(parameters, *args)`; the module is left as it was.

    Buffers are copied at each call, so that a layer which updates its own (batch normalisation in training mode)
    updates the copies. Modes are as they were too where `f` says `model.eval()`.
    """

    def pure(parameters: dict[str, Tensor], *args: Any, **kwargs: Any) -> Tensor:
        state, before = _taken(module)
        later: list[_Before] | None = getattr(_recording, "before", None)
        if later is not None:
            later.append(before)
        try:
            ways = OtherWays.under_way()
            if ways is not None:
                ways.parameters.update({name: parameter for name, (parameter, _) in state.parameters.items()})
            for (within, key), name in state.named_places:
                within[key] = parameters[name]
            if state.buffers:
                put(_copied_buffers(state, next(iter(parameters.values()))))
            posed = posing(tuple(parameters.values()), quiet=ways is not None and ways.quiet)
            if posed is None and not state.attends:  # the commonest, without two contexts that do nothing
                value = f(module, *args, **kwargs)
            else:
                with PlainAttention() if state.attends else nullcontext(), posed or nullcontext():
                    value = f(module, *args, **kwargs)
            before.refuse_changed()
            return value
        finally:
            if later is None:
                before.restore()

    return keeping_arguments(pure, lambda given: next(iter(given[0].values())), own=(module,))


def keeping_arguments(
    f: Callable[..., Any], tensor_of: Callable[[tuple[Any, ...]], Tensor], *, own: tuple[nn.Module, ...] = ()
) -> Callable[..., Any]:
    """Return `f` with the modules among its arguments left as they were: a teacher, a discriminator, in training mode.

    `tensor_of` finds a tensor of the parameters among the arguments of a call; `own` is the module that `f` is of.
    """

    @wraps(f)
    def keeping(*args: Any, **kwargs: Any) -> Any:
        others = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, nn.Module)]
        if not others:
            return f(*args, **kwargs)
        with _lent(others, tensor_of(args), own):
            return f(*args, **kwargs)

    return keeping


@contextmanager
def _lent(others: Sequence[nn.Module], like: Tensor, own: tuple[nn.Module, ...]) -> Iterator[None]:
    """Lend modules to a call, with copies of their buffers, and have them as they were after it."""
    # A compiled one keeps its own.
    others = [each for each in others if not any(isinstance(m, torch.jit.ScriptModule) for m in modules_of(each))]
    # All at once and in one order, with that of the module that the call is of: a thread that asks for a gradient by
    # the generator, and one that asks for one by the discriminator, would wait for each other for ever.
    locks = locks_of([child for each in (*others, *own) for child in modules_of(each)])
    later: list[_Before] | None = getattr(_recording, "before", None)
    taken: list[_Before] = []
    for lock in locks:
        lock.acquire()
    try:
        for each in others:
            state, before = _taken(each)
            (taken if later is None else later).append(before)
            put(_copied_buffers(state, like))
        yield
    finally:
        for before in reversed(taken):
            before.restore()
        release(locks)


def _taken(module: nn.Module) -> tuple[ModuleState, "_Before"]:
    """Take a module for this thread, and return where its tensors are, and what it was, which gives it back."""
    state, modules = state_of(module), modules_of(module)
    locks = state.acquire(modules)
    try:
        return state, _Before(modules, state, locks)
    except BaseException:
        release(locks)
        raise


Swapped = Sequence[tuple[Place, Tensor | None]]
"""Places, and what is, or was, in each."""


class _Before:
    """What a module was before a call, and the locks that keep other threads from it until it is that again."""

    def __init__(self, modules: Sequence[nn.Module], state: ModuleState, locks: Sequence[Any]) -> None:
        self._tensors: Swapped = [(place, place[0][place[1]]) for place in state.places]
        self._children = [(c, c.training, len(c._parameters), len(c._modules)) for c in modules]
        # Only there, for it takes time: what a batched evaluation leaves in an attribute cannot be used by anyone.
        transformed = torch._C._functorch.peek_interpreter_stack() is not None  # of this thread; it has no public name
        self._attributes = Attributes(modules) if transformed else None
        # Mostly there are none, and a comprehension over none is a call too.
        derived, frozen = state.derived, state.frozen
        self._derived = [(vars(modules[k]), name, vars(modules[k]).get(name)) for k, name in derived] if derived else []
        self._frozen = [(name, p, place, _writes(p)) for name, (p, place) in frozen.items()] if frozen else []
        self._empty = state.empty
        self._locks = locks

    def refuse_changed(self) -> None:
        """Refuse a call that wrote into what was not put there for it: too large to be copied at each call.

        One that has added parameters is refused too: a gradient by those alone that there were before would be no
        gradient of the module, and an optimiser that was made before would never find the others.

        Raises
        ------
        InvalidInputError
            It did; the message names what.
        """
        added = [key for within, key in self._empty if within[key] is not None] if self._empty else []
        for child, _, parameters, layers in self._children:  # a dict keeps the order in which it was filled
            if len(child._parameters) > parameters or len(child._modules) > layers:
                added += [*list(child._parameters)[parameters:], *list(child._modules)[layers:]]
        if added:
            raise InvalidInputError(
                "a loss that leaves the module as it is was asked for; this one has given it parameters or layers that "
                f"it had not: {', '.join(added)} (made by a first forward pass?); run the module once before, so that "
                "an optimiser finds them too"
            )
        if not self._frozen:
            return
        written = [
            name
            for name, parameter, (within, key), writes in self._frozen
            if within.get(key) is not parameter or _writes(parameter) != writes
        ]
        if written:
            raise InvalidInputError(
                "a loss that leaves the module as it is was asked for; this one has written into parameters without a "
                f"gradient: {', '.join(written)} (a moving average?); update them after the estimate, or register them "
                "as buffers, which are copied"
            )

    def restore(self) -> None:
        put(self._tensors)
        for child, training, _, _ in self._children:
            if child.training is not training:
                child.training = training
        for attributes, name, value in self._derived:
            attributes[name] = value
        if self._attributes is not None:
            self._attributes.restore()
        release(self._locks)


def _writes(parameter: Tensor) -> int:
    """Return how often a tensor was written to, as far as that is counted: not for those made in inference mode."""
    return 0 if parameter.is_inference() else parameter._version


_recording = local()
"""What modules were before the functions that this thread is recording (`before`); nothing outside."""


def put(tensors: Swapped) -> None:
    """Put each tensor in its place."""
    for (within, key), tensor in tensors:
        within[key] = tensor


class KeptUntilBackward:
    """A context in which modules keep the tensors that were put into them, to be taken out at its end.

    A checkpointed layer runs its forward pass again during the backward pass, and must find the same parameters there.
    """

    def __enter__(self) -> None:
        self._outer = getattr(_recording, "before", None)
        self._before: list[_Before] = []
        _recording.before = self._before

    def __exit__(self, *raised: object) -> None:
        _recording.before = self._outer
        for before in reversed(self._before):
            before.restore()


def _copied_buffers(state: ModuleState, parameter: Tensor) -> list[tuple[Place, Tensor]]:
    """Return copies of the buffers, under vmap one for each member of the population.

    A buffer that all members share cannot be updated in place with values that differ between them; adding a zero
    made from a parameter copies it and gives each member its own.
    """
    zero = parameter.detach().reshape(-1)[:1].sum() * 0
    if zero.is_complex():  # of a complex step; a buffer stays real, and a cast would warn of what is dropped
        zero = zero.real
    copies = []
    for child, place in state.buffers:
        held: Tensor | None = place[0][place[1]]
        if held is None:
            continue
        alive = child()
        own = alive is not None and alive.training and held.is_floating_point() and adds(held)
        copies.append((place, held + zero.to(held.dtype) if own else held.clone()))
    return copies


class TensorPlace(ParameterPlace):
    """A tensor that is a leaf of autograd, and its `.grad`, where every optimiser of PyTorch looks."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    @property
    def owner(self) -> Tensor:
        return self._tensor

    @property
    def like(self) -> Tensor:
        return self._tensor.detach()

    def put_gradient(self, gradient: Tensor, *, accumulate: bool) -> None:
        held = self._tensor.grad
        with torch.no_grad():
            # What is there is written to, as backward does: others may hold views of it, such as DDP's buckets. A
            # sparse gradient, or one with a graph of its own, is no place to write to.
            if held is not None and held.layout == torch.strided and not held.requires_grad:
                dense = gradient if gradient.layout == torch.strided else gradient.to_dense()  # no copy of a sparse one
                held.add_(dense.to(held)) if accumulate else held.copy_(dense)
                return
            fresh = gradient.detach().to(device=self._tensor.device, dtype=self._tensor.dtype, copy=True)
            self._tensor.grad = fresh if held is None or not accumulate else fresh + held.detach()

    def put_values(self, values: Tensor) -> None:
        with torch.no_grad():
            self._tensor.copy_(values)


def parameter_places(module: nn.Module) -> dict[str, TensorPlace]:
    """Return the places of the parameters that require a gradient, by name; tied ones once."""
    trainable_parameters(module)  # refuses a module without any
    with held(module) as state:
        return {name: TensorPlace(p) for name, (p, _) in state.parameters.items()}


def tensor_places(tensors: Sequence[Tensor], names: Sequence[str]) -> dict[str, TensorPlace]:
    """Return the places of tensors by name, refusing those that autograd computed, whose gradient nobody keeps.

    Raises
    ------
    InvalidInputError
        A tensor is not a leaf of autograd.
    """
    computed = [name for name, tensor in zip(names, tensors, strict=True) if not tensor.is_leaf]
    if computed:
        raise InvalidInputError(
            f"tensors that optimisers take were asked for, leaves of autograd; {', '.join(computed)} were computed "
            "from others; pass those, or .detach().requires_grad_()"
        )
    return {name: TensorPlace(tensor) for name, tensor in zip(names, tensors, strict=True)}
