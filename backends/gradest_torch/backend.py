"""PyTorch as a backend: eager tensors, `torch.autograd.grad`, `torch.func`; no global setting is touched."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from threading import local
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradest.backend import Backend, Function, Leaves
from gradest.errors import GradestError, InvalidInputError, UnsupportedError
from gradest.operations import Data, Operations
from gradest.places import ParameterPlace
from gradest.tree import Leaf, Tree
from gradest_torch import forward_mode, module, random_numbers, refusals
from gradest_torch.graph import graph
from gradest_torch.operations import NativeTorchOperations, TorchOperations


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
        host = (np.array if copy else np.asarray)(values, dtype=kept, order="C")
        if not host.flags.writeable:  # from_numpy would warn: torch cannot keep a promise not to write
            host = host.copy()
        return torch.from_numpy(host).to(device=device, dtype=getattr(torch, dtype))

    def numpy(self, array: Tensor) -> NDArray[Any]:
        # Conjugation and negation are flags of a tensor until someone reads it; NumPy has no such flags.
        plain = array.detach().resolve_conj().resolve_neg().cpu()
        return np.array((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy(), copy=True)

    def host(self, array: Tensor) -> NDArray[Any]:
        shared = array.device.type == "cpu" and array.dtype != torch.bfloat16
        return array.detach().resolve_neg().numpy() if shared else self.numpy(array)

    def cast(self, array: Tensor, dtype: str) -> Tensor:
        return array.to(getattr(torch, dtype))

    def owns(self, leaf: Leaf) -> bool:
        return isinstance(leaf, Tensor)

    def dtype(self, array: Tensor) -> str:
        return str(array.dtype).removeprefix("torch.")

    def device(self, array: Tensor) -> str:
        return str(array.device)

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
        trusted = False  # until a first call has left what it was given as it was

        def record(leaves: Leaves, data: Data) -> tuple[Tensor, Leaves]:
            nonlocal trusted
            inputs = tuple([leaf.detach().requires_grad_() for leaf in _recordable(leaves)])
            given = _recordable(data)
            watched = _tensors((*inputs, *(given.values() if isinstance(given, dict) else given)))
            before = [x._version for x in watched]
            sums = () if trusted else _sums(watched)
            outer, _recording.on = getattr(_recording, "on", False), True
            with module.KeptUntilBackward():
                try:
                    value = function(inputs, given)
                finally:
                    _recording.on = outer
                # The next call would find what this one has made of them.
                if [x._version for x in watched] != before or not (trusted or _equal(_sums(watched), sums)):
                    raise InvalidInputError(refusals.WRITES)
                if not (isinstance(value, Tensor) and value.requires_grad):
                    raise InvalidInputError(refusals.DETACHED)
                try:
                    found = torch.autograd.grad(value, inputs, allow_unused=True)
                except RuntimeError as error:  # what the loss did to a tensor in place shows here
                    raise self.translated(error) or error from error
            if all(gradient is None for gradient in found):  # a graph there is, of other tensors: a model closed over
                raise InvalidInputError(refusals.UNCONNECTED)
            trusted = True
            each = zip(found, inputs, strict=True)
            return value.detach(), tuple([torch.zeros_like(x) if g is None else g for g, x in each])

        def pull(leaves: Leaves, data: Data) -> tuple[Tensor, Leaves]:
            if _is_transforming() and any(
                map(_is_traced, _tensors((*leaves, *(data.values() if isinstance(data, dict) else data))))
            ):
                raise UnsupportedError(refusals.NESTED)
            # Entering two contexts costs microseconds: only where the caller has switched recording off.
            if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
                return record(leaves, data)
            with torch.inference_mode(False), torch.enable_grad():
                return record(leaves, data)

        return pull

    def value_and_jvps(self, function: Function) -> Callable[[Leaves, Leaves, Data], tuple[Tensor, Tensor]]:
        return forward_mode.value_and_jvps(self, function)

    def hessian_product(self, function: Function) -> Callable[[Leaves, Leaves, Data], Leaves]:
        return forward_mode.hessian_product(self, function)

    # -- being inside a transformation ----------------------------------------------------------------------
    def is_abstract(self, leaf: Leaf) -> bool:
        """Return whether a tensor, or a module's parameter, is being differentiated or batched by a transformation."""
        if not _is_transforming():
            return False
        if isinstance(leaf, nn.Module):
            return any(map(_is_traced, leaf.parameters()))
        return isinstance(leaf, Tensor) and _is_traced(leaf)

    # -- one plain evaluation of a user's function ---------------------------------------------------------
    def lend(self, arrays: Leaves, *, private: bool) -> Leaves:
        """Return tensors outside any graph, of the same memory and version counter, or copies where `private`."""
        if private:
            return tuple([a.detach().clone() if isinstance(a, Tensor) else a for a in arrays])
        return tuple([a.detach() if isinstance(a, Tensor) else a for a in arrays])

    def marks(self, arrays: Leaves) -> object:
        """Return the version counters, which count writing in place; a tensor made in inference mode has none."""
        return [a._version for a in arrays if isinstance(a, Tensor) and not a.is_inference()]

    def translated(self, error: Exception) -> GradestError | None:
        found = refusals.told(error)
        return None if found is None else found[0](f"{found[1]} (PyTorch: {self.explain(error)})")

    def kept(self, value: Any, *, like: Tensor) -> Tensor:
        if isinstance(value, Tensor):
            return value.detach().clone()
        return torch.tensor(value, dtype=torch.complex128 if isinstance(value, complex) else torch.float64).to(
            like.device
        )

    def evaluating(self) -> AbstractContextManager[Any]:
        return torch.no_grad()

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

    def model_parameters(self, model: nn.Module) -> dict[str, Tensor]:
        return module.trainable_parameters(model)

    def model_constants(self, model: nn.Module) -> dict[str, Tensor]:
        frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
        return {**frozen, **dict(model.named_buffers())}

    def model_in_dtype(self, model: nn.Module, dtype: str) -> nn.Module:
        # Buffers too: batch normalisation refuses running means of another dtype than its input.
        return copy.deepcopy(model).to(dtype=getattr(torch, dtype))

    def places(self, model: Tree) -> dict[str, ParameterPlace]:
        if self.is_model(model):
            return {**module.parameter_places(model)}
        leaves, paths, _ = self.flatten(model)
        held = {path: leaf for path, leaf in zip(paths, leaves, strict=True) if self.owns(leaf)}
        return {**module.tensor_places(tuple(held.values()), tuple(held))}


_recording = local()
"""Whether this thread is inside a function whose operations reverse mode records (`on`)."""
_VALUE_AND_PRODUCTS: Any = (None, 0)  # the value is the same for all directions


def _is_transforming() -> bool:
    """Return whether reverse mode is recording in this thread, or a transformation of `torch.func` is under way."""
    return getattr(_recording, "on", False) or _is_inside_functional()


def _is_inside_functional() -> bool:
    # No public function says so (2.13). Inside, constants too become tensors without values as soon as they are used.
    return torch._C._functorch.peek_interpreter_stack() is not None


def _is_traced(tensor: Tensor) -> bool:
    return tensor.requires_grad or _is_inside_functional()


def _tensors(arrays: Iterable[Any]) -> list[Tensor]:
    return [x for x in arrays if isinstance(x, Tensor)]


def _sums(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return what tells whether tensors were written to where no version counter sees it: through `.data`, or NumPy."""
    return tuple([x.detach().sum() for x in tensors])


def _equal(sums: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return all(torch.equal(one, other) or bool(one != one) for one, other in zip(sums, others, strict=True))


def _recordable(arrays: Data) -> Data:
    """Return the tuple or dict of tensors with those made in inference mode, which autograd refuses, copied."""
    if not any(map(Tensor.is_inference, arrays.values() if isinstance(arrays, dict) else arrays)):
        return arrays
    if isinstance(arrays, dict):
        return {name: tensor.clone() for name, tensor in arrays.items()}
    return tuple(tensor.clone() for tensor in arrays)
