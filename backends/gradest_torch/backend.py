"""PyTorch as a backend: eager tensors, `torch.autograd.grad`, `torch.func`; no global setting is touched."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradest.backend import Backend, Function, Leaves
from gradest.directions.directions import aligned
from gradest.errors import GradestError
from gradest.operations import Array, Data, Operations
from gradest.places import ParameterPlace
from gradest.tree import Leaf, Tree
from gradest_torch import forward_mode, module, module_state, random_numbers, refusals, reverse_mode
from gradest_torch.conversions import KeptImaginary
from gradest_torch.graph import graph
from gradest_torch.layouts import parts
from gradest_torch.operations import NativeTorchOperations, TorchOperations
from gradest_torch.other_ways import OtherWays, noting

_SMALL = 10_000
"""Numbers of an array whose copying takes longer than what is gained by where it begins."""


class TorchBackend(Backend):
    """Computes in PyTorch, eagerly, on the CPU or a CUDA device."""

    name = "torch"
    dtypes = ("float32", "float64", "float16", "bfloat16")
    kernels = ("portable", "native")
    native = frozenset({"vmap", "value_and_gradient", "value_and_jvps", "complex", "draw"})
    own_gradient = "torch.func.grad"

    def __init__(self) -> None:
        self._operations = {"portable": TorchOperations(), "native": NativeTorchOperations()}

    def operations(self, kernel: str = "portable") -> Operations:
        return self._operations[kernel]

    # -- arrays -------------------------------------------------------------------------------------------
    def array(self, values: NDArray[Any], *, dtype: str, device: str | None = None, copy: bool = True) -> Tensor:
        kept = "float32" if dtype == "bfloat16" else dtype  # NumPy has no bfloat16; float32 holds each of them
        if copy:
            if np.size(values) < _SMALL:
                host = np.array(values, dtype=kept, order="C")
            else:  # NumPy's memory begins at multiples of 16 bytes, and products across cache lines take 6 % longer
                host = aligned(np.shape(values), np.dtype(kept))
                host[...] = values
        else:
            host = np.asarray(values, dtype=kept, order="C")
            if not host.flags.writeable:  # from_numpy would warn: torch cannot keep a promise not to write
                host = host.copy()
        made = torch.from_numpy(host)
        if kept is dtype and device in (None, "cpu"):  # `to` takes as long as a copy to find that nothing is to be done
            return made
        return made.to(device=device, dtype=getattr(torch, dtype))

    def numpy(self, array: Tensor) -> NDArray[Any]:
        # Conjugation and negation are flags of a tensor until someone reads it; NumPy has no such flags.
        plain = array.detach().resolve_conj().resolve_neg().cpu()
        return np.array((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy(), copy=True)

    def host(self, array: Tensor) -> NDArray[Any]:
        shared = array.device.type == "cpu" and array.dtype != torch.bfloat16
        return array.detach().resolve_neg().numpy() if shared else self.numpy(array)

    def copied(self, array: Tensor) -> Any:
        if type(array) not in (Tensor, nn.Parameter):
            return super().copied(array)  # a class of tensors may keep itself in a clone; NumPy has plain ones alone
        return array.detach().resolve_neg().clone(memory_format=torch.contiguous_format)

    def count_non_finite(self, array: Tensor) -> int:
        if not array.is_cuda:
            return super().count_non_finite(array)  # on the CPU NumPy takes a third of the time
        return array.numel() - int(torch.isfinite(array.detach()).sum())

    def same(self, one: Tensor, other: Tensor) -> bool:
        ours, others = parts(one.detach()), parts(other.detach())
        return len(ours) == len(others) and all(map(self._same_parts, ours, others))

    def _same_parts(self, one: Tensor, other: Tensor) -> bool:
        if one.device == other.device and one.dtype == other.dtype and torch.equal(one, other):
            return True
        if not (one.is_cuda and other.is_cuda):
            return super().same(one, other)
        # A large model is not taken to the host to be looked at.
        return bool(((one == other) | (one.isnan() & other.isnan())).all())

    def cast(self, array: Tensor, dtype: str) -> Tensor:
        return array.to(getattr(torch, dtype))

    def owns(self, leaf: Leaf) -> bool:
        return isinstance(leaf, Tensor)

    def dtype(self, array: Tensor) -> str:
        return str(array.dtype).removeprefix("torch.")

    def device(self, array: Tensor) -> str:
        return str(array.device)

    def no_parameter(self, leaf: Leaf) -> str:
        if not isinstance(leaf, Tensor):
            return ""
        if leaf.is_meta:
            return (
                "found a tensor on device 'meta', which has no values; load them first, or module.to_empty(device=...)"
            )
        if leaf.is_nested or leaf.layout is not torch.strided:
            found = "a nested tensor" if leaf.is_nested else f"a tensor of layout {leaf.layout}"
            dense = "padded to one shape" if leaf.is_nested else "by .to_dense(); the loss can make it sparse again"
            return f"found {found}; give a dense one, {dense}"
        return ""

    def devices(self) -> tuple[str, ...]:
        return ("cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count())))

    def wait(self, arrays: Sequence[Tensor]) -> None:
        # Kernels of a CUDA device are queued; on the CPU a tensor has its values when the call returns.
        for device in {array.device for array in arrays if array.is_cuda}:
            torch.cuda.synchronize(device)

    def versions(self) -> dict[str, str]:
        found = {"torch": torch.__version__, "torch_cpu_capability": torch.backends.cpu.get_cpu_capability()}
        lines = (line.strip(" -") for line in torch.__config__.show().splitlines())
        libraries = [line for line in lines if "Math Kernel Library" in line or "MKL-DNN" in line]
        found |= {"mkldnn" if "MKL-DNN" in line else "mkl": line for line in libraries}
        if torch.version.cuda is not None:
            found["cuda"] = torch.version.cuda
        return found

    def peak_memory_bytes(self, device: str) -> int | None:
        return torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None

    def reset_peak_memory(self, device: str) -> None:
        if device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(device)

    # -- transformations ----------------------------------------------------------------------------------
    def vmap(self, function: Function) -> Function:
        # "same": random layers draw one set of numbers for the whole population, as common random numbers ask for.
        return torch.func.vmap(function, in_dims=(0, None), randomness="same")

    def value_and_gradient(self, function: Function) -> Callable[[Leaves, Data], tuple[Tensor, Leaves]]:
        return reverse_mode.value_and_gradient(self, function)

    def value_and_jvps(self, function: Function) -> Callable[[Leaves, Leaves, Data], tuple[Tensor, Tensor]]:
        return forward_mode.value_and_jvps(self, function)

    def hessian_product(self, function: Function) -> Callable[[Leaves, Leaves, Data], Leaves]:
        return forward_mode.hessian_product(self, function)

    # -- being inside a transformation ----------------------------------------------------------------------
    def is_abstract(self, leaf: Leaf) -> bool:
        """Return whether a tensor, or a module's parameter, is being differentiated or batched by a transformation."""
        if not reverse_mode.is_transforming():
            return False
        if isinstance(leaf, nn.Module):
            return any(map(reverse_mode.is_traced, leaf.parameters()))
        return isinstance(leaf, Tensor) and reverse_mode.is_traced(leaf)

    # -- one plain evaluation of a user's function ---------------------------------------------------------
    def lend(self, arrays: Leaves, *, private: bool) -> Leaves:
        """Return tensors outside any graph, of the same memory and version counter, or copies where `private`.

        What requires a gradient still does: the residual of a differential equation takes one by its argument.
        """
        return tuple([reverse_mode.lent_array(array, private=private) for array in arrays])

    def recording(self) -> AbstractContextManager[Any]:
        return reverse_mode.recording()

    def recorded(self, leaves: Leaves, data: Leaves) -> tuple[Leaves, Leaves]:
        inputs: Any = reverse_mode.recordable(leaves)
        return tuple([leaf.detach().requires_grad_() for leaf in inputs]), reverse_mode.recordable(data)

    def thread_settings(self) -> Any:
        kinds = [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
        return [(kind, torch.get_autocast_dtype(kind)) for kind in kinds], torch.is_autocast_cache_enabled()

    @contextmanager
    def under(self, settings: Any) -> Iterator[None]:
        kinds, cached = settings
        with ExitStack() as stack:
            for kind, dtype in kinds:
                stack.enter_context(torch.autocast(kind, dtype=dtype, cache_enabled=cached))
            yield

    def marks(self, arrays: Leaves) -> object:
        """Return the version counters, which count writing in place; a tensor made in inference mode has none."""
        return [a._version for a in arrays if isinstance(a, Tensor) and not a.is_inference()]

    def translated(self, error: Exception) -> GradestError | None:
        found = refusals.told(error)
        return None if found is None else found[0](f"{found[1]} (PyTorch: {self.explain(error)})")

    def kept(self, value: Any, *, like: Tensor) -> Tensor:
        if isinstance(value, Tensor):
            return value.detach().clone()
        dtype = torch.complex128 if isinstance(value, complex) else torch.float64
        return torch.tensor(value, dtype=dtype, device=like.device)

    in_place = refusals.IN_PLACE
    unrecorded = (
        "does not require grad and does not have a grad_fn",
        "register a hook on a tensor that doesn't require gradient",
        "retain_grad on Tensor that has requires_grad=False",
    )

    def evaluating(self) -> AbstractContextManager[Any]:
        return torch.no_grad()

    def keeping_imaginary(self) -> AbstractContextManager[Any]:
        return KeptImaginary()  # type: ignore[no-untyped-call]

    def looked_at(self, evaluation: Callable[[], Array]) -> Array:
        with OtherWays(quiet=True) as ways:
            value = evaluation()
            ways.refuse(value)
        return value

    def random_state(self) -> Any:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
        return torch.get_rng_state(), cuda

    def set_random_state(self, state: Any) -> None:
        cpu, cuda = state
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)

    graph = staticmethod(graph)

    def draw(
        self, seed: int, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[str], *, device: str, signs: bool
    ) -> Iterator[Tensor]:
        return random_numbers.draw(seed, shapes, dtypes, device, signs=signs)

    # -- users' own code ----------------------------------------------------------------------------------
    def is_model(self, params: Any) -> bool:
        return isinstance(params, nn.Module)

    def bind_model(self, f: Callable[..., Tensor], model: nn.Module) -> Callable[..., Tensor]:
        return module.bind(f, model)

    def bind_arrays(self, f: Callable[..., Any], leaves: Sequence[Leaf], paths: Sequence[str]) -> Callable[..., Any]:
        tensors = {path: x for path, x in zip(paths, leaves, strict=True) if isinstance(x, Tensor) and x.requires_grad}
        kept = module.keeping_arguments(f, self._first_tensor)
        return noting(kept, tensors) if tensors else kept

    def _first_tensor(self, args: tuple[Any, ...]) -> Tensor:
        found: Tensor = next(filter(self.owns, self.flatten(args[0])[0]))
        return found

    def model_parameters(self, model: nn.Module) -> dict[str, Tensor]:
        return module_state.trainable_parameters(model)

    def model_constants(self, model: nn.Module) -> dict[str, Tensor]:
        with module_state.held(model):
            frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
            return {**frozen, **dict(model.named_buffers())}

    def model_in_dtype(self, model: nn.Module, dtype: str) -> nn.Module:
        # Buffers too: batch normalisation refuses running means of another dtype than its input.
        with module_state.held(model):
            copied = copy.deepcopy(model)
        return copied.to(dtype=getattr(torch, dtype))

    def places(self, model: Tree) -> dict[str, ParameterPlace]:
        if self.is_model(model):
            return {**module.parameter_places(model)}
        leaves, paths, _ = self.flatten(model)
        held = {path: leaf for path, leaf in zip(paths, leaves, strict=True) if self.owns(leaf)}
        return {**module.tensor_places(tuple(held.values()), tuple(held))}
