"""An `nn.Module` as parameters: the user's `f(module, *args)` as a pure function of a dict of tensors.

Tensors are put into the module's own dicts while `f` runs and taken out again, as `torch.func.functional_call` does,
which looks for each of them by its name at every call; here the places are found once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import RLock, local
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from gradest.errors import InvalidInputError, UnsupportedError
from gradest.places import ParameterPlace
from gradest_torch.attention import FUSED, PlainAttention
from gradest_torch.layouts import adds
from gradest_torch.leftovers import Attributes, derived
from gradest_torch.other_ways import OtherWays
from gradest_torch.posing import posing

Place = tuple[dict[str, Any], str]
"""The dict of a submodule, and the key in it."""


class ModuleState:
    """The places of a module's parameters and buffers; found again where the module has changed.

    Attributes
    ----------
    parameters
        Name -> a parameter that requires a gradient, and all its places: several where it is tied.
    named_places
        Each of those places with the name of what is in it.
    buffers
        The submodule that updates a buffer, and its place, where None may be that a forward pass fills.
    places
        All of both, into which other tensors are put for a call.
    frozen
        Name -> a parameter that requires no gradient, which stays in its place.
    derived
        The place of a submodule among all, and an attribute that it makes of its parameters at each call.
    attends
        Whether a layer of it has a fused path of attention.
    """

    def __init__(self) -> None:  # it holds the module's parts, not the module itself, whose life it must not prolong
        self._children: list[ReferenceType[nn.Module]] = []
        self.parameters: dict[str, tuple[nn.Parameter, list[Place]]] = {}
        self.named_places: list[tuple[Place, str]] = []
        self.buffers: list[tuple[ReferenceType[nn.Module], Place]] = []
        self.places: list[Place] = []
        self.frozen: dict[str, nn.Parameter] = {}
        self.derived: list[tuple[int, str]] = []
        self.attends = False
        self._locks: list[Any] = []
        self._names: list[tuple[str, ...]] = []

    @contextmanager
    def held(self, module: nn.Module) -> Iterator["ModuleState"]:
        """Keep other threads from this module; see `acquire`."""
        locks = self.acquire(_modules(module))
        try:
            yield self
        finally:
            release(locks)

    def acquire(self, modules: Sequence[nn.Module]) -> list[Any]:
        """Take a module, the first, and all those inside for this thread, and return the locks to release.

        The places are found again if submodules, parameters or what requires a gradient have changed.
        """
        children = [ref(child) for child in modules]
        locks = self._locks if children == self._children else _locks_of(modules)
        for lock in locks:
            lock.acquire()
        try:
            if children != self._children or _names(modules) != self._names or not self._holds():
                self._find(modules)  # first: it refuses those whose parameters have no places
                self._locks, self._children, self._names = locks, children, _names(modules)
        except BaseException:
            release(locks)
            raise
        return locks

    def _holds(self) -> bool:
        for parameter, places in self.parameters.values():
            held, key = places[0]
            if held.get(key) is not parameter or not parameter.requires_grad:
                return False
        return not any(parameter.requires_grad for parameter in self.frozen.values())

    def _find(self, children: Sequence[nn.Module]) -> None:
        places: dict[int, list[Place]] = {}
        for child in children:
            if isinstance(child, torch.jit.ScriptModule):  # also where only a part of the model is one
                raise UnsupportedError(
                    "a module that can compute with other parameters was asked for; "
                    f"{type(child).__name__} is compiled by torch.jit, which keeps its own; pass the module before that"
                )
            _require_values(child)
            for key, parameter in child._parameters.items():
                places.setdefault(id(parameter), []).append((child._parameters, key))
        named = children[0].named_parameters()  # tied ones once, by the first of their names
        self.parameters = {name: (p, places[id(p)]) for name, p in named if p.requires_grad}
        self.frozen = {name: p for name, p in children[0].named_parameters() if not p.requires_grad}
        self.named_places = [(place, name) for name, (_, held) in self.parameters.items() for place in held]
        self.buffers = [(ref(child), (child._buffers, key)) for child in children for key in child._buffers]
        self.derived = [(k, name) for k, child in enumerate(children) for name in derived(child)]
        self.attends = any(isinstance(child, FUSED) for child in children)
        self.places = [place for place, _ in self.named_places] + [place for _, place in self.buffers]


def _require_values(child: nn.Module) -> None:
    """Refuse a lazy layer that has not seen an input yet."""
    held = {**child._parameters, **child._buffers}
    empty = [name for name, tensor in held.items() if isinstance(tensor, UninitializedParameter | UninitializedBuffer)]
    if empty:
        raise InvalidInputError(
            f"a module with values was asked for; in {type(child).__name__} these have none yet: {', '.join(empty)}; "
            "run the module once on an input, whose shape a lazy layer needs"
        )


def _modules(module: nn.Module) -> list[nn.Module]:
    """Return a module and all those inside, each once; `module.modules()` makes a name for each, and takes longer."""
    found, seen = [module], {id(module)}
    for held in found:  # which grows as it goes
        for child in held._modules.values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                found.append(child)
    return found


def _names(modules: Sequence[nn.Module]) -> list[tuple[str, ...]]:
    return [(*child._parameters, *child._buffers) for child in modules]


_LOCKS: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
"""A lock for each module that was seen: it holds one set of tensors, and two threads would mix theirs."""
_choosing = RLock()


def _locks_of(modules: Sequence[nn.Module]) -> list[Any]:
    """Return the locks of a module with all those inside: mostly one, several where it joins what was seen apart."""
    with _choosing:
        held = {id(lock): lock for lock in map(_LOCKS.get, modules) if lock is not None} or {0: RLock()}
        for each in modules:
            _LOCKS.setdefault(each, next(iter(held.values())))
    return [held[key] for key in sorted(held)]  # in one order, or two threads might wait for each other


def release(locks: Sequence[Any]) -> None:
    """Let other threads have a module again."""
    for lock in locks:
        lock.release()


def held(module: nn.Module) -> AbstractContextManager[ModuleState]:
    """Return a context in which no other thread computes with this module."""
    return _state_of(module).held(module)


def trainable_parameters(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that require a gradient, by name, outside any graph; tied ones once.

    Raises
    ------
    InvalidInputError
        None of them requires a gradient.
    """
    state = _state_of(module)
    locks = state.acquire(_modules(module))  # as `held` does, in half of its time: this is asked at each call
    try:
        found = {name: p.detach() for name, (p, _) in state.parameters.items()}
    finally:
        release(locks)
    if not found:
        raise InvalidInputError(
            f"a module with trainable parameters was asked for; {type(module).__name__} has none with "
            "requires_grad=True"
        )
    return found


_STATES: WeakKeyDictionary[nn.Module, ModuleState] = WeakKeyDictionary()
"""What is known of each module that was seen, for as long as it lives."""


def _state_of(module: nn.Module) -> ModuleState:
    state = _STATES.get(module)
    if state is None:
        state = _STATES[module] = ModuleState()
    return state


def bind(f: Callable[..., Tensor], module: nn.Module) -> Callable[..., Tensor]:
    """Return `f(module, *args)` as a pure function `(parameters, *args)`; the module is left as it was.

    Buffers are copied at each call, so that a layer which updates its own (batch normalisation in training mode)
    updates the copies. Modes are as they were too where `f` says `model.eval()`.
    """

    def pure(parameters: dict[str, Tensor], *args: Any, **kwargs: Any) -> Tensor:
        state = _state_of(module)
        modules = _modules(module)
        locks = state.acquire(modules)
        try:
            before = _Before(modules, state, locks)
        except BaseException:
            release(locks)
            raise
        later: list[_Before] | None = getattr(_recording, "before", None)
        if later is not None:
            later.append(before)
        try:
            ways = OtherWays.under_way()
            if ways is not None:
                ways.parameters.update({name: parameter for name, (parameter, _) in state.parameters.items()})
            put([(place, parameters[name]) for place, name in state.named_places])
            if state.buffers:
                put(_copied_buffers(state, next(iter(parameters.values()))))
            attention = PlainAttention() if state.attends else nullcontext()
            with attention, posing(tuple(parameters.values()), quiet=ways is not None and ways.quiet):
                value = f(module, *args, **kwargs)
            before.refuse_written()
            return value
        finally:
            if later is None:
                before.restore()

    return pure


Swapped = Sequence[tuple[Place, Tensor | None]]
"""Places, and what is, or was, in each."""


class _Before:
    """What a module was before a call, and the locks that keep other threads from it until it is that again."""

    def __init__(self, modules: Sequence[nn.Module], state: ModuleState, locks: Sequence[Any]) -> None:
        self._tensors: Swapped = [(place, place[0][place[1]]) for place in state.places]
        self._modes = [(child, child.training) for child in modules]
        # Only there, for it takes time: what a batched evaluation leaves in an attribute cannot be used by anyone.
        transformed = torch._C._functorch.peek_interpreter_stack() is not None  # of this thread; it has no public name
        self._attributes = Attributes(modules) if transformed else None
        self._derived = [(vars(modules[k]), name, vars(modules[k]).get(name)) for k, name in state.derived]
        self._frozen = [(name, p, _writes(p)) for name, p in state.frozen.items()]
        self._locks = locks

    def refuse_written(self) -> None:
        """Refuse a call that wrote into what was not put there for it: too large to be copied at each call.

        Raises
        ------
        InvalidInputError
            It did; the message names what.
        """
        written = [name for name, parameter, writes in self._frozen if _writes(parameter) != writes]
        if written:
            raise InvalidInputError(
                "a loss that leaves the module as it is was asked for; this one has written into parameters without a "
                f"gradient: {', '.join(written)} (a moving average?); update them after the estimate, or register them "
                "as buffers, which are copied"
            )

    def restore(self) -> None:
        put(self._tensors)
        for child, training in self._modes:
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
    for (held, key), tensor in tensors:
        held[key] = tensor


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
