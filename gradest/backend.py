"""The contract of a backend: the arrays of one framework, its operations, and what it differentiates itself.

A backend needs arrays and operations alone (about a hundred lines); `gradest.autodiff` then gives it forward
mode, reverse mode and cancellation-free differences. The native transformations are optional, and stated in
`native`. A backend changes nothing global: what a framework keeps in a switch (64-bit mode, NumPy semantics)
is scoped by `scope` and restored. This module knows no framework, no problem and no estimator.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradest.class_name import class_name
from gradest.dtypes import count_non_finite, epsilon, same_values
from gradest.errors import GradestError, UnsupportedError
from gradest.graphs import Computation
from gradest.operations import Array, Data, NumpyArray, Operations
from gradest.places import ParameterPlace
from gradest.registry import find_class
from gradest.tree import Leaf, Structure, Tree, flatten_tree

Leaves = tuple[Array, ...]
Function = Callable[[Leaves, Data], Array]
"""A scalar loss of parameter leaves and data, on the arrays of one framework."""

NATIVE = frozenset({"compile", "vmap", "value_and_gradient", "value_and_jvps", "complex", "draw"})
"""Every native transformation that a backend may state."""


class Backend(ABC):
    """States what one framework offers.

    Laws, checked by `gradest.testing.check_backend`: `numpy(array(x)) == x` bit for bit in every dtype of
    `dtypes`; neither aliases its argument; `wait` returns only when the values are there; the native
    transformations agree with `gradest.autodiff` to rounding; no global setting differs after a call.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> backend = gradest.get_backend("numpy")
    >>> array = backend.array(np.ones(2), dtype="float32", device="cpu")
    >>> backend.dtype(array), backend.device(array), backend.owns(array)
    ('float32', 'cpu', True)
    """

    name: ClassVar[str] = class_name()
    dtypes: ClassVar[tuple[str, ...]]
    """Names of the floating-point dtypes that it computes in, such as "float32"."""
    kernels: ClassVar[tuple[str, ...]] = ("portable",)
    """"portable", and "native" where the framework has composed operations of its own."""
    native: ClassVar[frozenset[str]] = frozenset()
    """The members of `NATIVE` that this backend overrides."""
    interprets: ClassVar[bool] = False
    """Whether its native derivatives are for functions that are not in operations: of those that are, "auto" takes
    gradest's own engines, which follow few large operations in place of many small calls."""
    survives_fork: ClassVar[bool] = False
    """Whether it computes in a forked child of a process that has computed with it: one with threads of its own does
    not, as the child has their locks and not the threads, and waits for ever."""

    # -- required: arrays and operations ----------------------------------------------------------------
    @abstractmethod
    def operations(self, kernel: str = "portable") -> Operations:
        """Return the operations, with the composed ones portable or the framework's own."""

    @abstractmethod
    def array(self, values: NumpyArray, *, dtype: str, device: str | None = None, copy: bool = True) -> Array:
        """Return NumPy values as an array, on the first of `devices()` where none is named; a copy, or maybe theirs."""

    def argument(self, values: NumpyArray, *, dtype: str, device: str | None = None) -> Array:
        """Return a copy of NumPy values as compiled functions take it: here an array, elsewhere maybe NumPy's own."""
        return self.array(values, dtype=dtype, device=device)

    def argument_of(self, like: NumpyArray, *, dtype: str, device: str | None = None) -> Callable[[NumpyArray], Array]:
        """Return `argument` for values of one shape and dtype, those of `like`: the way of each batch, in no scope."""
        return partial(self.argument, dtype=dtype, device=device)

    @abstractmethod
    def numpy(self, array: Array) -> NumpyArray:
        """Return an array's values as a NumPy array that owns its memory, dtype kept; waits for them."""

    def host(self, array: Array) -> NumpyArray:
        """Return an array's values as NumPy ones to be read and not kept, without a copy where they are at hand."""
        return self.numpy(array)

    def copied(self, array: Array) -> Array:
        """Return a copy of an array, where it is, that nobody else holds."""
        return self.array(self.numpy(array), dtype=self.dtype(array), device=self.device(array))

    def count_non_finite(self, array: Array) -> int:
        """Return how many entries of an array of floating-point numbers are NaN or infinite."""
        return count_non_finite(self.host(array))

    def same(self, one: Array, other: Array) -> bool:
        """Return whether two arrays have the same values, NaN where the other has it."""
        return same_values(self.host(one), self.host(other))

    @abstractmethod
    def owns(self, leaf: Leaf) -> bool:
        """Return whether the object is an array (or parameter) of this framework."""

    @abstractmethod
    def dtype(self, array: Array) -> str:
        """Return the name of the array's dtype, such as "float32"."""

    def device(self, array: Array) -> str:
        """Return the name of the array's device, such as "cpu" or "cuda:0"."""
        return "cpu"

    def no_parameter(self, leaf: Leaf) -> str:
        """Return why one of its arrays cannot be a parameter, "found ...; what to do", or ""."""
        return ""

    def devices(self) -> tuple[str, ...]:
        """Return the names of the devices that can be used here, the default one first."""
        return ("cpu",)

    def wait(self, arrays: Sequence[Array]) -> None:
        """Return when the values of all arrays are there; nothing to do for a framework without a queue."""
        return None

    def scope(self, dtype: str) -> AbstractContextManager[object] | None:
        """Return a context in which arrays of the dtype can be used, or None where no switch is needed."""
        return None

    def versions(self) -> dict[str, str]:
        """Return the framework's version and those of the libraries below it that decide its numbers."""
        return {}

    def peak_memory_bytes(self, device: str) -> int | None:
        """Return the peak of the device's own allocator since `reset_peak_memory`, or None where it has none."""
        return None

    def reset_peak_memory(self, device: str) -> None:
        """Start the device allocator's peak afresh."""
        return None

    # -- optional: native transformations ----------------------------------------------------------------
    def compile(self, function: Callable[..., Any], *, seldom: bool = False) -> Callable[..., Any]:
        """Return the function of nested tuples and dicts, compiled, sooner where it runs `seldom`; here, unchanged."""
        return function

    def compile_loss(self, function: Function) -> Function:
        """Return a loss written in operations alone, traced where only such a loss can be; here, unchanged.

        A framework that traces with symbols, which have no shapes, does it here; `compile` is given what needs them.
        """
        return function

    def vmap(self, function: Function) -> Function:
        """Return `function` over leaves with a leading axis K (data shared): values `(K,)`."""
        raise self._lacks("vmap")

    def value_and_gradient(self, function: Function) -> Callable[[Leaves, Data], tuple[Array, Leaves]]:
        """Return `(leaves, data) -> (value, gradient leaves)` by the framework's reverse mode, compiled if it can."""
        raise self._lacks("value_and_gradient")

    def value_and_jvps(self, function: Function) -> Callable[[Leaves, Leaves, Data], tuple[Array, Array]]:
        """Return `(leaves, tangents (K, *shape) each, data) -> (value, jvps (K,))` by the framework's forward mode."""
        raise self._lacks("value_and_jvps")

    def differentiable(self) -> tuple[str, ...]:
        """Return the names of the functions that it has rules for, where it `interprets`; a framework knows its own."""
        return ()

    # -- optional: being traced by the framework's own transformations, from outside -----------------------
    composes: ClassVar[bool] = False
    """Whether reverse mode can be traced by the framework's own transformations, and differentiated again."""
    own_gradient: ClassVar[str] = ""
    """The framework's own function that does what reverse mode cannot do there, such as "torch.func.grad"."""

    def is_abstract(self, leaf: Leaf) -> bool:
        """Return whether an array stands for values that are not there yet, as an argument of JAX's `jit` does."""
        return False

    @property
    def traces(self) -> bool:
        """Whether the framework has such transformations: whether `is_abstract` can ever say yes."""
        return type(self).is_abstract is not Backend.is_abstract

    def stand_in(self, leaf: Array) -> Array:
        """Return an array with values, of the shape and dtype of one that `is_abstract`; for preparing, not results."""
        dtype = self.dtype(leaf)
        with self.scope(dtype) or nullcontext():
            return self.array(np.ones(leaf.shape), dtype=dtype, device=self.devices()[0])

    def keeping_imaginary(self) -> AbstractContextManager[Any] | None:
        """Return a context that refuses to convert complex numbers to real ones; None where nobody can tell of it."""
        return None

    def computing_now(self) -> AbstractContextManager[object] | None:
        """Return a context in which arrays are computed at once, whatever is being traced around it, or None."""
        return None

    def hessian_product(self, function: Function) -> Callable[[Leaves, Leaves, Data], Leaves] | None:
        """Return `(leaves, direction leaves, data) -> Hessian times direction`, or None where there is none native."""
        return None

    # -- optional: users' own code ----------------------------------------------------------------------
    def is_model(self, params: Tree) -> bool:
        """Return whether `params` is a model object of this framework that holds its own parameters."""
        return False

    def bind_model(self, f: Callable[..., Array], model: object) -> Callable[..., Array]:
        """Return `f(model, *args)` as a pure function `(parameters dict, *args)`; the model is left as it was."""
        raise UnsupportedError(f"backend {self.name!r} has no model objects; pass a function of a pytree of arrays")

    def bind_arrays(self, f: Callable[..., Any], leaves: Sequence[Leaf], paths: Sequence[str]) -> Callable[..., Any]:
        """Return a user's function of arrays, which may note what `looked_at` looks for; here, unchanged."""
        return f

    def model_parameters(self, model: object) -> dict[str, Array]:
        """Return the trainable parameters of a model by name, as arrays outside any graph."""
        raise UnsupportedError(f"backend {self.name!r} has no model objects; pass a pytree of arrays")

    def model_constants(self, model: object) -> dict[str, Array]:
        """Return the arrays of a model that are not trained, by name: running means, frozen weights."""
        return {}

    def model_in_dtype(self, model: object, dtype: str) -> object | None:
        """Return a copy of a model that computes in another dtype, buffers included; None where there is no such copy.

        Without one the model itself computes with parameters of that dtype, which not all of its layers may take.
        """
        return None

    def places(self, model: Tree) -> dict[str, ParameterPlace]:
        """Return where each trainable parameter of a model, and its gradient, can be written to, by name."""
        raise UnsupportedError(
            f"a model that holds its gradient was asked for, as an nn.Module or a Block; arrays of {self.name!r} have "
            f"none beside them; {self.steps_without_model}"
        )

    steps_without_model: ClassVar[str] = "compute the next parameters from the gradient: params - rate * gradient"
    """How parameters that cannot be written to are trained in this framework."""

    def result(self, value: Any) -> Any:
        """Return what a user's function returned as an array that `Operations` take; here, unchanged."""
        return value

    def results(self, value: Any) -> Any:
        """Return what a user's function of one loss for each example returned as an array `(B,)`; as `result` does."""
        return self.result(value)

    def flatten(self, tree: Tree) -> tuple[tuple[Leaf, ...], tuple[str, ...], Structure]:
        """Return leaves, paths and structure of a user's pytree; see `gradest.tree.flatten_tree`."""
        return flatten_tree(tree)

    # -- optional: one plain evaluation of a user's function ---------------------------------------------
    def lend(self, arrays: Leaves, *, private: bool) -> Leaves:
        """Return arrays as a user's function is given them: as copies where `private`, else as they are.

        A framework whose arrays can be marked read-only (`marks`) lends those; immutable ones are lent as they are.
        """
        if not private:
            return arrays
        return tuple(map(self.copied, arrays))

    def marks(self, arrays: Leaves) -> object:
        """Return what is another afterwards if one of the arrays has been written to; here, nothing is seen."""
        return None

    def refused_writing(self, error: Exception) -> bool:
        """Return whether an error says that a read-only array was to be written to."""
        return False

    in_place: ClassVar[str] = "work on a copy, such as `p = p.copy()`, and not in place"
    """What to do about a loss that writes into what it is given."""

    def kept(self, value: Any, *, like: Array) -> Array:
        """Return what a user's function returned as an array of its own, which no later evaluation changes.

        A number of Python's or NumPy's becomes an array beside `like`, in double precision where that can be.
        """
        values = self.numpy(value) if self.owns(value) else np.asarray(value)
        dtype = self.dtype(value) if self.owns(value) else "float64"
        return self.array(values, dtype=dtype, device=self.device(like))

    def thread_settings(self) -> Any:
        """Return settings of this thread alone by which a loss has another value, such as a mode; it can be pickled."""
        return None

    def under(self, settings: Any) -> AbstractContextManager[Any]:
        """Return a context with the `thread_settings` of another thread or process, in which a worker evaluates."""
        return nullcontext()

    def evaluating(self) -> AbstractContextManager[Any] | None:
        """Return a context in which no graph of derivatives is made, or None where none ever is."""
        return None

    def looked_at(self, evaluation: Callable[[], Array]) -> Array:
        """Return what a plain evaluation gives, refusing a loss of parameters from elsewhere; here, none is known."""
        return evaluation()

    unrecorded: ClassVar[tuple[str, ...]] = ()
    """Words of the framework's errors where a loss differentiates by itself and `evaluating` does not let it."""

    def recording(self) -> AbstractContextManager[Any] | None:
        """Return a context in which such a loss can be evaluated."""
        return None

    def recorded(self, leaves: Leaves, data: Leaves) -> tuple[Leaves, Leaves]:
        """Return parameters and data that were lent, as a loss that differentiates by itself has to be given them."""
        return leaves, data

    def epsilon(self, array: Array) -> float:
        """Return the distance from 1 to the next number of an array's dtype; 0 for whole numbers, which are exact."""
        dtype = self.dtype(array)
        return epsilon(dtype) if "float" in dtype or dtype == "longdouble" else 0.0

    def cast(self, array: Array, dtype: str) -> Array:
        """Return an array in another floating-point dtype, on its device."""
        converted: Array = array.astype(dtype)  # type: ignore[attr-defined]  # most frameworks' arrays have it
        return converted

    reads_random_state: ClassVar[bool] = True
    """Whether `random_state` leaves the generator as it was; a framework that cannot tell draws a seed and sets it."""

    def random_state(self) -> Any:
        """Return where the framework's own random generator stands, or None where it has none of its own."""
        return None

    def set_random_state(self, state: Any) -> None:
        """Put the framework's random generator back to where `random_state` found it."""
        return None

    def translated(self, error: Exception) -> GradestError | None:
        """Return gradest's error for one that the framework raised in a user's function, or None for any other.

        It says what the framework cannot do there and what can be done instead; the framework's own becomes its cause.
        """
        return None

    def told_of_arrays(self, error: Exception) -> GradestError | None:
        """Return gradest's error for one about arrays that the framework raised outside of a loss, or None."""
        return None

    def explain(self, error: Exception) -> str:
        """Return the first line of a framework's error, which is long and speaks of the framework's own options."""
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__

    def graph(
        self, function: Function, leaves: Leaves, data: Data, *, names: Sequence[str], tangents: Sequence[Any] | None
    ) -> Computation:
        """Return the steps of one evaluation with their adjoints, or with tangents along a direction given in NumPy."""
        raise UnsupportedError(
            f"the computation of a function of {self.name!r} was asked for, which cannot be followed; write the loss "
            "in gradest's operations (a Problem), or in NumPy, JAX or PyTorch"
        )

    def draw(
        self, seed: int, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[str], *, device: str, signs: bool
    ) -> Iterator[Array]:
        """Yield new arrays of independent numbers, normal or +1 and -1, drawn on the device from a seed of 64 bits.

        The framework's own generator, which a user may have seeded, is left where it stands."""
        raise self._lacks("draw")

    def _lacks(self, transformation: str) -> UnsupportedError:
        return UnsupportedError(
            f"backend {self.name!r} has no native {transformation}; it has: {', '.join(sorted(self.native))}; "
            "use engine='gradest' where the loss is written in gradest's operations, or another backend"
        )


def as_float64(backend: Backend, array: Array) -> NDArray[np.float64]:
    """Return an array's values as float64, for accuracy work outside the clock."""
    return np.asarray(backend.numpy(array), dtype=np.float64)


@cache
def _backend(name: str) -> Backend:
    backend: Backend = find_class("backends", name, Backend)[0]()
    return backend


def get_backend(backend: str | Backend) -> Backend:
    """Return the backend of a name or of "module:Class" (one object for each), or the backend itself.

    Raises
    ------
    UnknownNameError, MissingDependencyError, InvalidTypeError
        There is none of the name, its framework is not installed, or it is no name.

    Examples
    --------
    >>> import gradest
    >>> gradest.get_backend("numpy").devices()
    ('cpu',)
    """
    if isinstance(backend, str):
        return _backend(backend)
    return backend if isinstance(backend, Backend) else find_class("backends", backend, Backend)[0]()
