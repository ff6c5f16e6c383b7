"""The computation of a PyTorch function, by the calls that PyTorch is seen to make."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from gradest.backend import Leaves
from gradest.errors import UnsupportedError
from gradest.graphs import Computation, Node
from gradest.operations import Data

_LONGEST_NAME = 22


class _Recorder(TorchFunctionMode):
    """Notes every call that makes a tensor of one that depends on the parameters."""

    def __init__(self, leaves: Sequence[Tensor]) -> None:
        super().__init__()
        # Tensors are kept, so that no two of them have had one id.
        self.entries: list[tuple[Tensor, str, tuple[int, ...]]] = [(leaf, "", ()) for leaf in leaves]
        self.place = {id(leaf): k for k, leaf in enumerate(leaves)}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out the call, and note it."""
        if getattr(func, "__name__", "") == "_unpack_dual":  # gradest asks a module's parameters whether they are dual
            return func(*args, **(kwargs or {}))
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor) and id(x) in self.place]
        versions = [x._version for x in given]
        result = func(*args, **(kwargs or {}))
        name = _name(func, args)
        if versions != [x._version for x in given]:
            raise UnsupportedError(
                f"a graph of the computation was asked for, and the loss writes into a tensor by {name}; write it "
                "without, such as `x = x * 2` for `x *= 2`"
            )
        parents = tuple(self.place[id(x)] for x in given)
        for made in (x for x in tree_leaves(result) if isinstance(x, Tensor) and x.is_floating_point()):
            if parents and id(made) not in self.place:  # a call may give back what it was given
                self.place[id(made)] = len(self.entries)
                self.entries.append((made, name, parents))
        return result


def graph(
    function: Callable[[Leaves, Data], Any],
    leaves: Leaves,
    data: Data,
    *,
    names: Sequence[str],
    tangents: Sequence[NDArray[Any]] | None,
) -> Computation:
    """Return the steps of one evaluation with adjoints, or with tangents along a direction; see `gradest.graph`."""
    return (_reverse if tangents is None else _forward)(function, leaves, data, names, tangents)


def _reverse(function: Any, leaves: Any, data: Data, names: Sequence[str], tangents: object) -> Computation:
    points = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    with torch.enable_grad(), _Recorder(points) as seen:
        value = function(tuple(points), data)
    turns: dict[int, int] = {}
    adjoints: dict[int, Tensor] = {}
    for k, (tensor, _, _) in enumerate(seen.entries):
        if tensor.requires_grad:
            tensor.register_hook(_noting(k, turns, adjoints))
    value.backward()
    nodes = [
        Node(names[k] if k < len(names) else name, parents, _plain(tensor), _plain(adjoints.get(k)), turns.get(k))
        for k, (tensor, name, parents) in enumerate(seen.entries)
    ]
    return Computation(tuple(nodes), "reverse")


def _noting(k: int, turns: dict[int, int], adjoints: dict[int, Tensor]) -> Callable[[Tensor], None]:
    def note(adjoint: Tensor) -> None:
        turns[k], adjoints[k] = len(turns) + 1, adjoint

    return note


def _forward(function: Any, leaves: Any, data: Data, names: Sequence[str], tangents: Any) -> Computation:
    with forward_ad.dual_level():
        points = [
            forward_ad.make_dual(  # type: ignore[no-untyped-call]
                leaf.detach().clone(), torch.as_tensor(t, device=leaf.device, dtype=leaf.dtype)
            )
            for leaf, t in zip(leaves, tangents, strict=True)
        ]
        with _Recorder(points) as seen:
            function(tuple(points), data)
        nodes = []
        for k, (tensor, name, parents) in enumerate(seen.entries):
            primal, tangent = forward_ad.unpack_dual(tensor)  # type: ignore[no-untyped-call]
            turn = None if tangent is None else k + 1
            nodes.append(Node(names[k] if k < len(names) else name, parents, _plain(primal), _plain(tangent), turn))
    return Computation(tuple(nodes), "forward")


def _name(func: Any, args: Any) -> str:
    """Return what a call is named, with the numbers that it takes, where they are short."""
    name = getattr(func, "__name__", str(func))
    if name == "__get__":  # of an attribute, such as x.T
        name = getattr(getattr(func, "__self__", None), "__name__", name)
    name = name.strip("_") if name.startswith("__") else name
    numbers = [str(x) if type(x) in (int, float) else "·" for x in args]
    words = f"{name}({', '.join(numbers)})"
    return words if set(numbers) != {"·"} and len(words) <= _LONGEST_NAME else name


def _plain(tensor: Any) -> Any:
    return None if tensor is None else tensor.detach().to("cpu", torch.float64).numpy().copy()
