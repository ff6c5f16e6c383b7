"""MXNet as a backend: Gluon blocks, autograd, and np-shape semantics that are scoped and never switched on globally."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Backend, Function, Leaves
from gradest.errors import GradestError, InvalidInputError, UnsupportedError
from gradest.operations import Data, Operations
from gradest.places import ParameterPlace
from gradest.tree import Leaf, Structure, Tree
from gradest_mxnet import block, hybrid, pytree
from gradest_mxnet.framework import Array, mx
from gradest_mxnet.new_arrays import context_of, maker, new_array
from gradest_mxnet.operations import MxnetOperations, NativeMxnetOperations

_NO_HALF = ("float16 fully connected layer", "FP16 gemm")
"""Words of MXNet's errors for what it has no kernel for on a processor."""

_NO_FALLBACK = "'ValueError' object has no attribute 'format'"
"""What MXNet's own message for such a function comes to, which it formats wrongly."""


class MxnetBackend(Backend):
    """Computes in MXNet 1.9.1: a loss written in operations as a hybridized Gluon block, a user's own eagerly.

    It has no forward mode and no vmap of its own (and a second derivative by autograd would be silently zero):
    `gradest.autodiff` has them.
    """

    name = "mxnet"
    dtypes = ("float32", "float64")
    kernels = ("portable", "native")
    native = frozenset({"value_and_gradient"})
    reads_random_state = False
    steps_without_model = "pass the Block that gluon.Trainer trains, or compute params - rate * gradient"

    def __init__(self) -> None:
        self._operations = {"portable": MxnetOperations(), "native": NativeMxnetOperations()}

    def operations(self, kernel: str = "portable") -> Operations:
        return self._operations[kernel]

    # -- arrays -------------------------------------------------------------------------------------------
    def array(self, values: NDArray[Any], *, dtype: str, device: str | None = None, copy: bool = True) -> Array:
        host = np.asarray(values, dtype=dtype, order="C")
        if not copy and (device or "cpu") == "cpu" and host.dtype == values.dtype:
            with mx.util.np_shape(True):
                # It makes what it is given read-only, for good: that is a view of our own; the caller's array stays.
                return mx.nd.from_numpy(host.view(), zero_copy=True).as_np_ndarray()
        return new_array(host, context_of(device or "cpu"))

    def argument_of(self, like: NDArray[Any], *, dtype: str, device: str | None = None) -> Callable[[Any], Array]:
        # MXNet's call that takes sizes of 32 bits, as those of a batch are.
        if (device or "cpu") == "cpu" and like.dtype == dtype and like.ndim and 0 < like.size < 2**31:
            return maker(like.shape, like.dtype)
        return super().argument_of(like, dtype=dtype, device=device)

    def numpy(self, array: Array) -> NDArray[Any]:
        try:
            with mx.util.np_shape(True):
                values: NDArray[Any] = array.asnumpy()
        except mx.MXNetError as error:
            _tell_late(error)
            raise
        return values

    def host(self, array: Array) -> NDArray[Any]:
        if array.ctx.device_type != "cpu":
            return self.numpy(array)
        with mx.util.np_shape(True):  # `asnumpy` copies; the capsule waits for the values and lends its memory
            return np.from_dlpack(_Lent(array.as_nd_ndarray().to_dlpack_for_read()))

    def owns(self, leaf: Leaf) -> bool:
        return isinstance(leaf, mx.np.ndarray)  # which `flatten` makes of a legacy array

    def dtype(self, array: Array) -> str:
        return np.dtype(array.dtype).name

    def device(self, array: Array) -> str:
        return _device_name(array.ctx)

    def devices(self) -> tuple[str, ...]:
        return ("cpu", *(f"gpu:{k}" for k in range(mx.context.num_gpus())))

    def wait(self, arrays: Sequence[Array]) -> None:
        try:
            for array in arrays:
                array.wait_to_read()
        except mx.MXNetError as error:
            _tell_late(error)
            raise

    def scope(self, dtype: str) -> AbstractContextManager[object] | None:
        """Return a context with np-shape semantics, in which `()` is a shape; np-array stays as the caller has it."""
        scope: AbstractContextManager[object] = mx.util.np_shape(True)
        return scope

    def versions(self) -> dict[str, str]:
        enabled = [feature.name for feature in mx.runtime.feature_list() if feature.enabled]
        return {"mxnet": mx.__version__, "mxnet features": " ".join(enabled)}

    # -- transformations ----------------------------------------------------------------------------------
    def compile_loss(self, function: Function) -> Function:
        return hybrid.HybridLoss(function)

    def value_and_gradient(self, function: Function) -> Callable[[Leaves, Data], tuple[Array, Leaves]]:
        pull, waited = hybrid.value_and_gradient(function), False

        def waiting(leaves: Leaves, data: Data) -> tuple[Array, Leaves]:
            nonlocal waited
            value, gradient = pull(leaves, data)
            if not waited:
                # MXNet tells what it has no kernel for when it comes to it, which would be where the user reads it.
                try:
                    self.wait((value, *gradient))
                except mx.MXNetError as error:
                    raise hybrid.no_way_back(error) from error
                waited = True
            return value, gradient

        return waiting

    # -- one plain evaluation of a user's function ---------------------------------------------------------
    def lend(self, arrays: Leaves, *, private: bool) -> Leaves:
        """Return arrays as they are, or copies where `private`: MXNet does not tell whether an array was written to."""
        return tuple([a.copy() if private and isinstance(a, mx.nd.NDArray) else a for a in arrays])

    def thread_settings(self) -> Any:
        return mx.autograd.is_training(), mx.util.is_np_shape(), mx.util.is_np_array()

    @contextmanager
    def under(self, settings: Any) -> Iterator[None]:
        training, shapes, numpy = settings
        mode = mx.autograd.train_mode if training else mx.autograd.predict_mode
        with mode(), mx.util.np_shape(shapes), mx.util.np_array(numpy):
            yield

    def kept(self, value: Any, *, like: Array) -> Array:
        if isinstance(value, mx.nd.NDArray):
            return value.detach().copy()
        with mx.util.np_shape(True):
            return mx.np.array(np.asarray(value), dtype="float64", ctx=like.ctx)

    def translated(self, error: Exception) -> GradestError | None:
        if isinstance(error, AttributeError) and str(error) == _NO_FALLBACK:
            return UnsupportedError(
                "reverse mode was asked for through a function that MXNet 1.9.1 has from NumPy alone (mx.np.interp, "
                "polyfit, cov, nanmax, trapz and the like); write it in functions of MXNet's own, or use an estimator "
                "of values ('fd-central', 'es', 'spsa')"
            )
        if not isinstance(error, mx.MXNetError):
            return None
        if "not in a computational graph" in str(error):
            return InvalidInputError(
                "a loss that leaves its derivative to gradest was asked for; this one goes backward by its parameters "
                "itself; return the loss alone"
            )
        if "operator _backward_" in str(error):  # made while the loss is recorded
            return hybrid.no_way_back(error)
        if "inplace operations" not in str(error):
            return None
        return InvalidInputError(
            "a loss that leaves its inputs as they are was asked for; this one writes in place into what autograd "
            "records; work on a copy, such as `p = p.copy()`, and not in place"
        )

    def evaluating(self) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = mx.autograd.pause(train_mode=mx.autograd.is_training())
        return scope

    def random_state(self) -> Any:
        """Return a seed drawn from MXNet's generator, and begin from it: where it stands, MXNet does not tell."""
        mx.nd.waitall()  # what is queued draws when it runs, and would draw after the seed is set
        seed = int(mx.nd.random.randint(0, 2**31 - 1, shape=(1,)).asscalar())
        mx.random.seed(seed)
        return seed

    def set_random_state(self, state: Any) -> None:
        mx.nd.waitall()
        mx.random.seed(state)

    # -- users' own code ----------------------------------------------------------------------------------
    def is_model(self, params: Any) -> bool:
        return isinstance(params, mx.gluon.Block)

    def bind_model(self, f: Callable[..., Array], model: Any) -> Callable[..., Array]:
        return block.bind(f, model)

    def model_parameters(self, model: Any) -> dict[str, Array]:
        return block.trainable_parameters(model)

    def model_constants(self, model: Any) -> dict[str, Array]:
        return block.constants(model)

    def places(self, model: Tree) -> dict[str, ParameterPlace]:
        return {**block.parameter_places(model)} if self.is_model(model) else super().places(model)

    def result(self, value: Any) -> Any:
        """Return a legacy array as `mx.np`, one number as shape `()`: a legacy sum has shape `(1,)`."""
        if not pytree.is_legacy(value):
            return value
        array = value.as_np_ndarray()
        return array.reshape(()) if array.shape == (1,) else array

    def results(self, value: Any) -> Any:
        """Return losses of examples as `mx.np`; that of one example alone was taken for a sum of length one."""
        losses = getattr(value, "head", value)
        return losses.as_np_ndarray() if pytree.is_legacy(losses) else losses

    def flatten(self, tree: Tree) -> tuple[tuple[Leaf, ...], tuple[str, ...], Structure]:
        """Return leaves, paths and structure; legacy arrays become `mx.np` views, and legacy again for the user."""
        return pytree.flatten(tree)


def _device_name(context: Any) -> str:
    return "cpu" if context.device_type == "cpu" else f"{context.device_type}:{context.device_id}"


class _Lent:
    """An array's memory on the CPU as NumPy asks for it: MXNet 1.9 makes capsules, and no object that has one."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # the CPU


def _tell_late(error: Exception) -> None:
    """Raise gradest's error for what MXNet says where a value is read, long after what it is about."""
    if any(words in str(error) for words in _NO_HALF):
        raise UnsupportedError(
            "a loss in float16 was asked for; MXNet has products of float16 matrices (Dense, convolutions, recurrent "
            "layers) on a GPU alone; compute in float32: block.cast('float32')"
        ) from error
