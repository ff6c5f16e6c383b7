"""What the gauntlet does with each framework itself, by that framework's own calls and none of gradest's."""

import copy
import importlib
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np

Place = tuple[Any, ...]


class Framework:
    """NumPy, and what others do differently."""

    name = "numpy"

    def __init__(self) -> None:
        self.xp: Any = np

    # -- arrays ----------------------------------------------------------------------------------------------------
    def array(self, values: Any, dtype: str = "float64") -> Any:
        return np.array(values, dtype=dtype)

    def numpy(self, array: Any) -> np.ndarray:
        return np.asarray(array, dtype=np.float64)

    def number(self, value: Any) -> float:
        """Return a loss as Python's number."""
        return float(np.real(self.numpy(value)))

    def described(self, leaf: Any) -> tuple[Any, ...]:
        """Return kind, dtype, shape and device of a leaf."""
        if isinstance(leaf, float | np.floating):  # numbers come back as numbers or as arrays ()
            return ("number",)
        if isinstance(leaf, np.ndarray) and leaf.shape == () and leaf.dtype == np.float64:
            return ("number",)
        return (type(leaf), np.dtype(getattr(leaf, "dtype", "O")).name, getattr(leaf, "shape", None))

    def bits(self, array: Any) -> bytes:
        """Return the bytes of an array, to tell whether it was written into."""
        return np.asarray(array).tobytes()

    def scope(self, *, wide: bool = True) -> AbstractContextManager[Any]:
        """Return a context in which arrays, of 64 bits where `wide`, are what they say."""
        return nullcontext()

    def is_array(self, leaf: Any) -> bool:
        return isinstance(leaf, np.ndarray | np.generic | float) and not isinstance(leaf, np.integer | np.bool_)

    def random_state(self) -> Any:
        """Return the global random state of NumPy and of the framework, to be compared."""
        name, keys, place, *_ = np.random.get_state(legacy=True)  # noqa: NPY002  # which no call may move
        return name, np.asarray(keys).tobytes(), place

    # -- pytrees -----------------------------------------------------------------------------------------------------
    def is_model(self, params: Any) -> bool:
        return False

    def trainable(self, model: Any) -> dict[str, Any]:
        """Return the parameters of a model that a gradient is for, by name."""
        raise NotImplementedError

    def leaves(self, params: Any) -> list[Any]:
        """Return the arrays of a pytree, in the order of its containers; of a model those with a gradient."""
        tree = self.trainable(params) if self.is_model(params) else params
        return [leaf for _, leaf in walk(tree) if self.is_array(leaf)]

    def replaced(self, tree: Any, leaves: Sequence[np.ndarray]) -> Any:
        """Return the tree with other values in its arrays, each in its own dtype."""
        values = iter(leaves)
        return rebuilt(tree, lambda leaf: self.like(next(values), leaf) if self.is_array(leaf) else leaf)

    def like(self, values: np.ndarray, leaf: Any) -> Any:
        """Return values as an array of the kind of a leaf."""
        return float(values) if isinstance(leaf, float) else np.array(values, dtype=np.asarray(leaf).dtype)

    # -- evaluation ----------------------------------------------------------------------------------------------------
    def evaluate(self, call: Callable[[Any], Any], params: Any, leaves: Sequence[np.ndarray]) -> Any:
        return call(self.replaced(params, leaves))

    def gradient(self, call: Callable[[Any], Any], params: Any, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the gradient by the framework's own reverse mode."""
        raise NotImplementedError("NumPy has none: the record of the loss has to state its gradient")


class Jax(Framework):
    name = "jax"

    def __init__(self) -> None:
        self.jax = importlib.import_module("jax")
        self.xp = importlib.import_module("jax.numpy")

    def array(self, values: Any, dtype: str = "float64") -> Any:
        with self.scope():
            return self.xp.array(np.asarray(values), dtype=dtype)

    def numpy(self, array: Any) -> np.ndarray:
        return np.array(array).astype(np.float64)

    def described(self, leaf: Any) -> tuple[Any, ...]:
        if not isinstance(leaf, self.jax.Array):
            return super().described(leaf)
        return ("jax", str(leaf.dtype), leaf.shape, sorted(map(str, leaf.devices())))

    def bits(self, array: Any) -> bytes:
        if isinstance(array, self.jax.Array) and self.jax.dtypes.issubdtype(array.dtype, self.jax.dtypes.prng_key):
            array = self.jax.random.key_data(array)
        return np.array(array).tobytes()

    def scope(self, *, wide: bool = True) -> AbstractContextManager[Any]:
        if not wide:  # in 64-bit mode JAX draws other random numbers
            return nullcontext()
        if hasattr(self.jax, "enable_x64"):  # from JAX 0.8 on
            return self.jax.enable_x64(True)
        return importlib.import_module("jax.experimental").enable_x64()

    def is_array(self, leaf: Any) -> bool:
        if isinstance(leaf, self.jax.Array):
            return self.xp.issubdtype(leaf.dtype, self.xp.floating)
        return super().is_array(leaf)

    def leaves(self, params: Any) -> list[Any]:
        if self._registered(params):
            return [leaf for leaf in self.jax.tree_util.tree_leaves(params) if self.is_array(leaf)]
        return super().leaves(params)

    def _registered(self, tree: Any) -> bool:
        """Return whether there is a class in the tree that JAX alone knows."""
        return not self.jax.tree_util.all_leaves([leaf for _, leaf in walk(tree)])

    def replaced(self, tree: Any, leaves: Sequence[np.ndarray]) -> Any:
        if not self._registered(tree):
            return super().replaced(tree, leaves)
        values = iter(leaves)
        return self.jax.tree_util.tree_map(
            lambda leaf: self.like(next(values), leaf) if self.is_array(leaf) else leaf, tree
        )

    def like(self, values: np.ndarray, leaf: Any) -> Any:
        return self.xp.asarray(values, dtype=leaf.dtype) if hasattr(leaf, "dtype") else float(values)

    def gradient(self, call: Callable[[Any], Any], params: Any, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        at = [self.like(v, leaf) for v, leaf in zip(leaves, self.leaves(params), strict=True)]

        def of_leaves(arrays: list[Any]) -> Any:
            values = iter(arrays)
            put = lambda leaf: next(values) if self.is_array(leaf) else leaf  # noqa: E731  # told apart below
            if self._registered(params):
                return call(self.jax.tree_util.tree_map(put, params))
            return call(rebuilt(params, put))

        return [self.numpy(g) for g in self.jax.grad(of_leaves)(at)]


class Torch(Framework):
    name = "torch"

    def __init__(self) -> None:
        self.torch = self.xp = importlib.import_module("torch")

    def array(self, values: Any, dtype: str = "float64") -> Any:
        return self.torch.tensor(np.asarray(values), dtype=getattr(self.torch, dtype))

    def numpy(self, array: Any) -> np.ndarray:
        if not isinstance(array, self.torch.Tensor):
            return super().numpy(array)
        return np.array(array.detach().cpu().double().numpy())

    def described(self, leaf: Any) -> tuple[Any, ...]:
        if not isinstance(leaf, self.torch.Tensor):
            return super().described(leaf)
        assert not leaf.requires_grad, "what comes back is in a graph"
        return ("torch", str(leaf.dtype), tuple(leaf.shape), str(leaf.device))

    def bits(self, array: Any) -> bytes:
        if not isinstance(array, self.torch.Tensor):
            return super().bits(array)
        plain = array.detach().cpu()
        # NumPy has no bfloat16, and float64 holds each of its numbers.
        return bytes((plain.double() if plain.is_floating_point() else plain).numpy().tobytes())

    def is_array(self, leaf: Any) -> bool:
        return leaf.is_floating_point() if isinstance(leaf, self.torch.Tensor) else super().is_array(leaf)

    def random_state(self) -> Any:
        return (*super().random_state(), self.torch.get_rng_state().numpy().tobytes())

    def is_model(self, params: Any) -> bool:
        return isinstance(params, self.torch.nn.Module)

    def trainable(self, model: Any) -> dict[str, Any]:
        return {name: p for name, p in model.named_parameters() if p.requires_grad}

    def like(self, values: np.ndarray, leaf: Any) -> Any:
        if not isinstance(leaf, self.torch.Tensor):
            return super().like(values, leaf)
        return self.torch.tensor(np.asarray(values), dtype=leaf.dtype, device=leaf.device)

    def evaluate(self, call: Callable[[Any], Any], params: Any, leaves: Sequence[np.ndarray]) -> Any:
        at = self._at(params, leaves)
        with self.torch.set_grad_enabled(self.is_model(params)):  # a loss may differentiate by a module's parameters
            return call(at)

    def _at(self, params: Any, leaves: Sequence[np.ndarray]) -> Any:
        if not self.is_model(params):
            return self.replaced(params, leaves)
        twin = copy.deepcopy(params)
        with self.torch.no_grad():
            for parameter, values in zip(self.trainable(twin).values(), leaves, strict=True):
                parameter.copy_(self.torch.tensor(np.asarray(values)).to(parameter.dtype))
        return twin

    def gradient(self, call: Callable[[Any], Any], params: Any, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        at = self._at(params, leaves)
        inputs = [leaf.requires_grad_() for leaf in self.leaves(at)]
        found = self.torch.autograd.grad(call(at), inputs, allow_unused=True)
        return [np.zeros(x.shape) if g is None else self.numpy(g) for x, g in zip(inputs, found, strict=True)]


class Mxnet(Framework):
    name = "mxnet"

    def __init__(self) -> None:
        with warnings.catch_warnings():  # MXNet 1.9.1 warns of its age while it is imported
            warnings.simplefilter("ignore", DeprecationWarning)
            self.mx = importlib.import_module("gradest").get_backend("mxnet") and importlib.import_module("mxnet")
        self.xp = self.mx.np

    def array(self, values: Any, dtype: str = "float64") -> Any:
        with self.scope():
            return self.mx.np.array(np.asarray(values), dtype=dtype)

    def numpy(self, array: Any) -> np.ndarray:
        if not isinstance(array, self.mx.nd.NDArray):
            return super().numpy(array)
        with self.scope():
            return array.asnumpy().astype(np.float64)

    def number(self, value: Any) -> float:
        return float(self.numpy(value).reshape(()))  # a legacy sum has shape (1,)

    def described(self, leaf: Any) -> tuple[Any, ...]:
        if not isinstance(leaf, self.mx.nd.NDArray):
            return super().described(leaf)
        return (type(leaf), np.dtype(leaf.dtype).name, tuple(leaf.shape), str(leaf.ctx))

    def bits(self, array: Any) -> bytes:
        with self.scope():
            return array.asnumpy().tobytes() if isinstance(array, self.mx.nd.NDArray) else super().bits(array)

    def scope(self, *, wide: bool = True) -> AbstractContextManager[Any]:
        return self.mx.util.np_shape(True)

    def is_array(self, leaf: Any) -> bool:
        if isinstance(leaf, self.mx.nd.NDArray):
            return np.dtype(leaf.dtype).kind == "f"
        return super().is_array(leaf)

    def is_model(self, params: Any) -> bool:
        return isinstance(params, self.mx.gluon.Block)

    def trainable(self, model: Any) -> dict[str, Any]:
        return {name: p.data() for name, p in self._parameters(model).items()}

    def _parameters(self, model: Any) -> dict[str, Any]:
        found = model._collect_params_with_prefix()
        names: dict[int, str] = {}
        for name, parameter in found.items():
            names.setdefault(id(parameter), name)
        return {name: found[name] for name in names.values() if found[name].grad_req != "null"}

    def like(self, values: np.ndarray, leaf: Any) -> Any:
        if not isinstance(leaf, self.mx.nd.NDArray):
            return super().like(values, leaf)
        made = self.array(values, np.dtype(leaf.dtype).name)
        return made if isinstance(leaf, self.mx.np.ndarray) else made.as_nd_ndarray()

    def evaluate(self, call: Callable[[Any], Any], params: Any, leaves: Sequence[np.ndarray]) -> Any:
        if not self.is_model(params):
            return super().evaluate(call, params, leaves)
        with self._holding(params, leaves):
            return self.numpy(call(params))

    def _holding(self, model: Any, leaves: Sequence[np.ndarray]) -> "_Held":
        return _Held(self, model, leaves)

    def gradient(self, call: Callable[[Any], Any], params: Any, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        if self.is_model(params):
            with self._holding(params, leaves):
                parameters = list(self._parameters(params).values())
                with self.mx.autograd.record(train_mode=self.mx.autograd.is_training()):
                    value = call(params)
                value.backward(train_mode=self.mx.autograd.is_training())
                return [self.numpy(p.grad()) for p in parameters]
        at = self.replaced(params, leaves)
        arrays = self.leaves(at)
        for array in arrays:
            array.attach_grad()
        with self.mx.autograd.record(train_mode=False):
            value = call(at)
        value.backward(train_mode=False)
        return [self.numpy(array.grad) for array in arrays]


class _Held:
    """Inside the context a Gluon block has other values; then its own again. Blocks cannot be copied."""

    def __init__(self, on: Mxnet, model: Any, leaves: Sequence[np.ndarray]) -> None:
        self._parameters = list(on._parameters(model).values())
        self._own = [p.data().copy() for p in self._parameters]
        self._given = [on.like(v, p.data()) for v, p in zip(leaves, self._parameters, strict=True)]

    def __enter__(self) -> None:
        for parameter, values in zip(self._parameters, self._given, strict=True):
            parameter.set_data(values)

    def __exit__(self, *exception: object) -> None:
        for parameter, values in zip(self._parameters, self._own, strict=True):
            parameter.set_data(values)


_KINDS: dict[str, type[Framework]] = {"numpy": Framework, "jax": Jax, "torch": Torch, "mxnet": Mxnet}


@cache
def framework(name: str) -> Framework:
    """Return the adapter of a framework, which is imported now."""
    return _KINDS[name]()


# -- pytrees, taken apart in the order of their containers -------------------------------------------------------------
def walk(tree: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield each leaf of dicts, lists and tuples with its place."""
    if isinstance(tree, dict):
        for key, child in tree.items():
            yield from walk(child, (*place, key))
    elif isinstance(tree, list | tuple):
        for k, child in enumerate(tree):
            yield from walk(child, (*place, k))
    elif tree is not None:
        yield place, tree


def rebuilt(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return the same containers with changed leaves."""
    if isinstance(tree, dict):
        items = [(key, rebuilt(child, change)) for key, child in tree.items()]
        return OrderedDict(items) if isinstance(tree, OrderedDict) else dict(items)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(rebuilt(child, change) for child in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(rebuilt(child, change) for child in tree)
    return None if tree is None else change(tree)
