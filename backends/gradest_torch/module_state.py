"""Where a module's parameters and buffers are, found again where the module has changed; and one thread at a time.

Tensors are put into the module's own dicts while a loss computes, and taken out again, as `torch.func.functional_call`
does, which looks for each of them by its name at every call; here the places are found once.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from gradest.errors import InvalidInputError, UnsupportedError
from gradest_torch.attention import FUSED
from gradest_torch.leftovers import derived

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
    empty
        The places of parameters that there are not: None, which a first forward pass may fill.
    frozen
        Name -> a parameter that requires no gradient, and its first place, where it stays.
    places
        All of these, what is in them before a call being there after it.
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
        self.empty: list[Place] = []
        self.frozen: dict[str, tuple[nn.Parameter, Place]] = {}
        self.derived: list[tuple[int, str]] = []
        self.attends = False
        self._locks: list[Any] = []
        self._sizes: list[tuple[dict[str, Any], int, dict[str, Any], int]] = []
        self._members: list[tuple[dict[str, Any], str, nn.Parameter | None, bool]] = []

    @contextmanager
    def held(self, module: nn.Module) -> Iterator["ModuleState"]:
        """Keep other threads from this module; see `acquire`."""
        locks = self.acquire(modules_of(module))
        try:
            yield self
        finally:
            release(locks)

    def acquire(self, modules: Sequence[nn.Module]) -> list[Any]:
        """Take a module, the first, and all those inside for this thread, and return the locks to release.

        The places are found again if submodules, parameters or what requires a gradient have changed.
        """
        children = list(map(ref, modules))
        known = children == self._children
        locks = self._locks if known else locks_of(modules)
        for lock in locks:
            lock.acquire()
        try:
            if not (known and self._holds(modules)):
                self._find(modules)  # first: it refuses those whose parameters have no places
                self._locks, self._children = locks, children
        except BaseException:
            release(locks)
            raise
        return locks

    def _holds(self, children: Sequence[nn.Module]) -> bool:
        # Asked twice at each call, of which it is a part that shows: in plain loops, without a generator.
        for child, (parameters, count, buffers, buffer_count) in zip(children, self._sizes, strict=True):
            if child._parameters is not parameters or child._buffers is not buffers:
                return False
            if len(parameters) != count or len(buffers) != buffer_count:
                return False
        # Each place, not the first of each parameter alone: tied weights may have been untied.
        for within, key, member, trained in self._members:
            if within.get(key) is not member or (member is not None and member.requires_grad is not trained):
                return False
        return not self.buffers or all(key in within for _, (within, key) in self.buffers)

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
        self.frozen = {name: (p, places[id(p)][0]) for name, p in children[0].named_parameters() if not p.requires_grad}
        self.empty = places.get(id(None), [])
        every = [(child._parameters, key, p) for child in children for key, p in child._parameters.items()]
        self._members = [(within, key, p, p is not None and p.requires_grad) for within, key, p in every]
        self._sizes = [(c._parameters, len(c._parameters), c._buffers, len(c._buffers)) for c in children]
        self.named_places = [(place, name) for name, (_, held) in self.parameters.items() for place in held]
        self.buffers = [(ref(child), (child._buffers, key)) for child in children for key in child._buffers]
        self.derived = [(k, name) for k, child in enumerate(children) for name in derived(child)]
        self.attends = any(isinstance(child, FUSED) for child in children)
        self.places = [place for place, _ in self.named_places] + [place for _, place in self.buffers]
        self.places += [place for _, place in self.frozen.values()] + self.empty


def _require_values(child: nn.Module) -> None:
    """Refuse a lazy layer that has not seen an input yet."""
    held = {**child._parameters, **child._buffers}
    empty = [name for name, tensor in held.items() if isinstance(tensor, UninitializedParameter | UninitializedBuffer)]
    if empty:
        raise InvalidInputError(
            f"a module with values was asked for; in {type(child).__name__} these have none yet: {', '.join(empty)}; "
            "run the module once on an input, whose shape a lazy layer needs"
        )


def modules_of(module: nn.Module) -> list[nn.Module]:
    """Return a module and all those inside, each once; `module.modules()` makes a name for each, and takes longer."""
    found, seen = [module], {id(module)}
    for held in found:  # which grows as it goes
        for child in held._modules.values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                found.append(child)
    return found


_LOCKS: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
"""A lock for each module that was seen: it holds one set of tensors, and two threads would mix theirs."""
_choosing = RLock()


def locks_of(modules: Sequence[nn.Module]) -> list[Any]:
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
    return state_of(module).held(module)


def trainable_parameters(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that require a gradient, by name, outside any graph; tied ones once.

    Raises
    ------
    InvalidInputError
        None of them requires a gradient.
    """
    state = state_of(module)
    locks = state.acquire(modules_of(module))  # as `held` does, in half of its time: this is asked at each call
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


def state_of(module: nn.Module) -> ModuleState:
    """Return what is known of a module, empty where it is seen for the first time."""
    state = _STATES.get(module)
    if state is None:
        state = _STATES[module] = ModuleState()
    return state
