"""JAX as a backend: `jit`, `vmap`, `grad` and `linearize`, with 64-bit mode scoped and never switched on globally."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from gradest.backend import Backend, Function, Leaves
from gradest.errors import GradestError, InvalidInputError, InvalidTypeError, UnsupportedError
from gradest.operations import Data, Operations
from gradest.tree import Leaf, Structure, Tree
from gradest_jax.compiling import quickly_compiled
from gradest_jax.connection import require_connected
from gradest_jax.devices import device_name, device_names, device_of, on_host, transfer_of
from gradest_jax.graph import graph
from gradest_jax.operations import JaxOperations, NativeJaxOperations
from gradest_jax.pytree import flatten_pytree
from gradest_jax.random_numbers import draw
from gradest_jax.settings import own_settings, under_users_settings, users_differ

_ALIGNMENT_BYTES = 64
_SMALL_BYTES = 1 << 20
_WIDE = frozenset({"float64", "complex128"})


_READS_VALUES = (
    jax.errors.ConcretizationTypeError,  # of which reading a truth value is a kind
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


_EVALUATING = "use an estimator that evaluates the loss as it is: 'fd-central', 'es', 'spsa'"
_WHOLE = (
    "the loss returns whole numbers, which have no derivative; return the number before it is rounded, or use an "
    "estimator that smooths: 'es' or 'spsa' with a sigma that crosses several jumps"
)
_NO_DERIVATIVE = {
    "Reverse-mode differentiation does not work for lax.while_loop": (
        "JAX has no reverse mode for a loop whose length depends on values; use 'forward', lax.scan, or lax.fori_loop "
        f"with constant bounds; or {_EVALUATING}"
    ),
    "to a custom_vjp function": (
        "a function with a rule for reverse mode alone (jax.custom_vjp) has no forward mode; use 'reverse', or give it "
        f"a jax.custom_jvp rule; or {_EVALUATING}"
    ),
    "allbacks do not support JVP": (
        "JAX cannot differentiate what a callback computes outside of it; give it a rule by jax.custom_jvp, or "
        f"{_EVALUATING}"
    ),
    "but got int": _WHOLE,  # "grad requires real-valued outputs ..."
}
"""What to say for errors of JAX's, by words that they contain (0.4 to 0.10)."""
_TRANSFER = re.compile(r"Disallowed [a-z-]+ transfer")
_DELETED = ("Array has been deleted", "uffer has been deleted or donated")  # "Buffer" or "buffer", by version


_TRACED = (
    "values of the loss were asked for; the loss takes an array from a transformation of jax around it (jit, vmap or "
    "grad), so that it has none yet; pass that array to the gradient function as an argument, with method='reverse', "
    "or call it outside"
)


class JaxBackend(Backend):
    """Computes in XLA on the CPU or an accelerator; every prepared function is jitted, with the data as arguments."""

    name = "jax"
    dtypes = ("float32", "float64", "float16", "bfloat16")
    kernels = ("portable", "native")
    native = frozenset({"compile", "vmap", "value_and_gradient", "value_and_jvps", "complex", "draw"})

    def __init__(self) -> None:
        self._operations = {"portable": JaxOperations(), "native": NativeJaxOperations()}

    def operations(self, kernel: str = "portable") -> Operations:
        return self._operations[kernel]

    # -- arrays -------------------------------------------------------------------------------------------
    def array(self, values: NDArray[Any], *, dtype: str, device: str | None = None, copy: bool = True) -> Array:
        # device_put shares NumPy memory where it happens to be 64-byte aligned: a private copy is what it may share.
        host = np.array(values, dtype=dtype, order="C") if copy else _contiguous(values, dtype)
        with self.scope(dtype) or nullcontext():
            made = transfer_of(host.shape, host.dtype, device).send(host)
        if made.dtype != host.dtype and not (host.dtype.kind in "iu" and np.array_equal(made, host)):
            raise UnsupportedError(
                f"an array of dtype {dtype} was asked of JAX; it made {made.dtype}, which does not hold the values; "
                "integers of 64 bits need float64 parameters"
            )
        return made

    def argument(self, values: NDArray[Any], *, dtype: str, device: str | None = None) -> Any:
        return self.argument_of(values, dtype=dtype, device=device)(values)

    def argument_of(self, like: NDArray[Any], *, dtype: str, device: str | None = None) -> Callable[[Any], Any]:
        # A compiled function takes a NumPy array in 4 us; a transfer beforehand takes ten times that. A large array, or
        # one for an accelerator, is better sent once than at each call.
        if like.nbytes > _SMALL_BYTES or not on_host(device):
            return partial(self.array, dtype=dtype, device=device)
        # A copy, in C's order, because XLA reads on after the call has returned.
        plain = type(like) is np.ndarray and like.dtype == dtype
        return np.ndarray.copy if plain else partial(np.array, dtype=dtype, order="C")

    def numpy(self, array: Array) -> NDArray[Any]:
        try:
            return np.array(array, copy=True)
        except jax.errors.TracerArrayConversionError as error:
            raise UnsupportedError(_TRACED) from error

    def host(self, array: Array) -> NDArray[Any]:
        return np.asarray(array)  # on the CPU a read-only view

    def copied(self, array: Array) -> Any:
        if on_host(self.device(array)):  # through NumPy it takes a fifth of the time
            return super().copied(array)
        with self.scope(self.dtype(array)) or nullcontext():
            return jnp.array(array, copy=True)

    def count_non_finite(self, array: Array) -> int:
        if on_host(self.device(array)):
            return super().count_non_finite(array)
        return int(array.size) - int(jnp.isfinite(array).sum())

    def owns(self, leaf: Leaf) -> bool:
        return isinstance(leaf, jax.Array)

    def dtype(self, array: Array) -> str:
        return str(array.dtype)

    def device(self, array: Array) -> str:
        refused = self.no_parameter(array)
        if refused:
            raise InvalidTypeError(f"an array on one device was asked for; {refused}")
        return device_name(next(iter(array.devices())))

    def no_parameter(self, leaf: Leaf) -> str:
        count = len(leaf.devices()) if isinstance(leaf, Array) else 1
        give = "give a copy on one: jax.device_put(array, jax.devices()[0])"
        return "" if count == 1 else f"found an array on {count} devices; {give}"

    def devices(self) -> tuple[str, ...]:
        return device_names()

    def wait(self, arrays: Sequence[Array]) -> None:
        for array in arrays:
            array.block_until_ready()

    def scope(self, dtype: str) -> AbstractContextManager[object] | None:
        """Return a context with 64-bit mode on for float64, or None: JAX would make float32 of it without a word.

        It has gradest's own settings too where the user's are others.
        """
        wide = dtype in _WIDE
        if users_differ():
            return own_settings(_wide_mode()) if wide else own_settings()
        return _wide_mode() if wide else None

    def versions(self) -> dict[str, str]:
        return {"jax": jax.__version__, "jaxlib": version("jaxlib")}

    def bind_arrays(self, f: Callable[..., Any], leaves: Sequence[Leaf], paths: Sequence[str]) -> Callable[..., Any]:
        return under_users_settings(f)

    # -- transformations ----------------------------------------------------------------------------------
    def compile(self, function: Callable[..., Any], *, seldom: bool = False) -> Callable[..., Any]:
        # Data come as arguments: closed over, they would be constants for XLA to fold.
        return jax.jit(function, **quickly_compiled()) if seldom else jax.jit(function)

    def vmap(self, function: Function) -> Function:
        return jax.vmap(function, in_axes=(0, None))

    def value_and_gradient(self, function: Function) -> Callable[[Leaves, Data], tuple[Array, Leaves]]:
        differentiated = jax.jit(jax.value_and_grad(function))
        connected = False

        def pull(leaves: Leaves, data: Data) -> tuple[Array, Leaves]:
            nonlocal connected
            if not connected:  # once: JAX answers zeros, without a word, where the loss does not depend on them
                with self._telling():
                    require_connected(differentiated.trace(leaves, data).jaxpr.jaxpr, len(leaves))
                connected = True
            value, gradient = differentiated(leaves, data)  # jit keeps the trace: the function runs no second time
            return value, gradient

        return pull

    def hessian_product(self, function: Function) -> Callable[[Leaves, Leaves, Data], Leaves]:
        @jax.jit
        def product(leaves: Leaves, direction: Leaves, data: Data) -> Leaves:
            found: Leaves = jax.jvp(lambda at: jax.grad(function)(at, data), (leaves,), (direction,))[1]
            return found

        def run(leaves: Leaves, direction: Leaves, data: Data) -> Leaves:
            with self._telling():
                found: Leaves = product(leaves, direction, data)
            return found

        return run

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell in gradest's words what JAX cannot differentiate, which shows when it transforms what it has traced."""
        try:
            yield
        except (TypeError, ValueError, NotImplementedError) as error:
            told = None if isinstance(error, GradestError) else self.translated(error)
            if told is None:
                raise
            raise told from error

    def value_and_jvps(self, function: Function) -> Callable[[Leaves, Leaves, Data], tuple[Array, Array]]:
        def products(leaves: Leaves, tangents: Leaves, data: Data) -> tuple[Array, Array]:
            # The primal is evaluated once and its linear map vmapped over tangents; the residuals are kept for all K.
            value, push = jax.linearize(lambda at: function(at, data), leaves)
            if jnp.issubdtype(value.dtype, jnp.integer):
                raise UnsupportedError(_WHOLE)
            return value, jax.vmap(push)(tangents)

        compiled, seen = jax.jit(products), False

        def push_forward(leaves: Leaves, tangents: Leaves, data: Data) -> tuple[Array, Array]:
            nonlocal seen
            if not seen:  # once, as in reverse mode
                with self._telling():
                    require_connected(jax.jit(function).trace(leaves, data).jaxpr.jaxpr, len(leaves))
                    compiled(leaves, tangents, data)
                seen = True
            found: tuple[Array, Array] = compiled(leaves, tangents, data)
            return found

        return push_forward

    graph = staticmethod(graph)

    def draw(
        self, seed: int, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[str], *, device: str, signs: bool
    ) -> Iterator[Array]:
        return draw(seed, shapes, dtypes, device_of(device), signs=signs, scope=self.scope)

    # -- one plain evaluation of a user's function ---------------------------------------------------------
    def lend(self, arrays: Leaves, *, private: bool) -> Leaves:
        return arrays  # nothing can be written into an array of JAX

    def kept(self, value: Any, *, like: Array) -> Array:
        return jnp.asarray(value)  # immutable: it is its own; a Python float is float32 but in 64-bit mode

    def told_of_arrays(self, error: Exception) -> GradestError | None:
        if _TRANSFER.search(str(error)):
            return UnsupportedError(
                "an estimate was asked for where jax.transfer_guard disallows what it, or the loss, sends between host "
                "and device: copies of parameters, directions, steps, values; estimate under "
                "jax.transfer_guard('allow'), or call a gradient by 'reverse' that has been called before (JAX: "
                f"{self.explain(error)})"
            )
        if any(words in str(error) for words in _DELETED):
            return InvalidInputError(
                "arrays that are there were asked for; one of the parameters, or of what the loss computes with, was "
                "deleted by a jitted function that donates its arguments; jit it without donate_argnums, or pass the "
                f"arrays that it returned (JAX: {self.explain(error)})"
            )
        return None

    def translated(self, error: Exception) -> GradestError | None:
        told = self.told_of_arrays(error)
        if told is not None:
            return told
        words = next((told for words, told in _NO_DERIVATIVE.items() if words in str(error)), None)
        if words is not None:
            return UnsupportedError(f"{words} (JAX: {self.explain(error)})")
        if isinstance(error, jax.errors.UnexpectedTracerError):
            return InvalidInputError(
                "a loss that begins anew in each call was asked for; this one keeps an array of an earlier call (in a "
                "list, an attribute or a global variable), which JAX was tracing then; pass it as an argument, and "
                f"return it beside the loss with has_aux=True (JAX: {self.explain(error)})"
            )
        if not isinstance(error, _READS_VALUES):
            return None
        return UnsupportedError(
            "JAX traces the loss for this, and arrays have no values then; the loss asks for one "
            f"({self.explain(error)}); write branches and masks with jnp.where or jax.lax.cond and keep to jax.numpy, "
            "or use an estimator that evaluates the loss as it is: 'fd-central', 'es', 'spsa'"
        )

    # -- being traced ---------------------------------------------------------------------------------------
    composes = True
    steps_without_model = (
        "JAX's are never written to: compute the next parameters, e.g. by optax: updates, state = "
        "optimizer.update(gradient, state, params); params = optax.apply_updates(params, updates)"
    )

    def is_abstract(self, leaf: Leaf) -> bool:
        return isinstance(leaf, jax.core.Tracer)

    def stand_in(self, leaf: Array) -> Array:
        if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):  # NumPy has no such dtype to make ones of
            return jax.random.split(jax.random.key(0, impl=jax.random.key_impl(leaf)), leaf.shape)
        ones: Array = super().stand_in(leaf)  # type: ignore[assignment]  # of this backend
        return ones

    def computing_now(self) -> AbstractContextManager[object] | None:
        # Inside jit JAX stages everything, even on arrays that have values; what is prepared must be computed. Only
        # there: a user's `lax.scan` cannot run under the context (JAX has no rule for it to make an empty array).
        if not isinstance(jnp.zeros(()), jax.core.Tracer):
            return None
        scope: AbstractContextManager[object] = jax.ensure_compile_time_eval()
        return scope

    # -- users' own code ----------------------------------------------------------------------------------
    def flatten(self, tree: Tree) -> tuple[tuple[Leaf, ...], tuple[str, ...], Structure]:
        """Return leaves, paths and structure of a tree of dicts, lists and tuples, or of any class JAX knows."""
        return flatten_pytree(tree)


def _contiguous(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return values in C order: themselves, or a copy that is aligned, so that XLA makes no other."""
    host = np.asarray(values, dtype=dtype)
    if host.flags.c_contiguous:
        return host
    memory = np.empty(host.nbytes + _ALIGNMENT_BYTES, dtype=np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT_BYTES
    aligned: NDArray[Any] = memory[first : first + host.nbytes].view(host.dtype).reshape(host.shape)
    aligned[...] = host
    return aligned


def _wide_mode() -> Any:
    if hasattr(jax, "enable_x64"):  # from JAX 0.8 on; before, it is experimental
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64()
