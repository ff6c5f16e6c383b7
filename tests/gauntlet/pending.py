"""Cells that are not yet as the table says, each with what is found. They must fail: what is mended leaves the list.

Read from here, and from nowhere else: the tests expect these failures, strictly, and the full table marks them.
"""

from collections.abc import Iterable

Cell = tuple[str, str, str]
_ALL = ("numpy", "jax", "torch", "mxnet")
_EVALUATING = ("differences", "full", "low-rank", "shaped")
_EVERY = ("reverse", "forward", "differences", "complex-step", "full", "low-rank", "shaped", "structured")

PENDING: dict[Cell | tuple[str, str, str, str], str] = {}
"""By (loss, path, backend), or with the dtype as well where another one is right."""


_RANDOM = ("dropout, training", "a transformer layer with dropout", "a wider transformer layer with dropout")
PENDING_NAMES = {
    **{(loss, "smoothed", "torch"): "each gradient of one estimate draws another mask" for loss in _RANDOM},
    ("quadratic", "forward-gradient", "torch"): "raw error: 0.5 times a sum is float64 under PyTorch's vmap",
}
"""By (loss, registered name, backend): what is wrong with one estimator of a path, and not with the others."""


def _fails(loss: str, paths: Iterable[str], backends: Iterable[str], found: str) -> None:
    PENDING.update({(loss, path, backend): found for path in paths for backend in backends})


# -- numerics of softmax cross-entropy ---------------------------------------------------------------------------------
_fails("classes closed by -inf", (*_EVALUATING, "complex-step"), ("numpy", "jax", "torch"), "0 * inf makes NaN")
_fails("classes closed by -inf", _EVALUATING, ("mxnet",), "0 * inf makes NaN")
_fails("classes closed by -inf", ("reverse", "forward", "structured"), ("numpy",), "NumPy warns of 0 * inf")

# -- parameters --------------------------------------------------------------------------------------------------------
_fails("an OrderedDict", _EVALUATING, _ALL, "a dict comes back")
_fails("an OrderedDict", ("complex-step",), ("numpy", "jax", "torch"), "a dict comes back")
_fails("an OrderedDict", ("reverse", "forward"), ("jax", "torch"), "a dict comes back")
_fails("an OrderedDict", ("reverse",), ("mxnet",), "a dict comes back")
_fails("a number beside an array", _EVERY, ("jax", "torch", "mxnet"), "no backend is inferred")
_fails("leaves that are no arrays", _EVERY, _ALL, "no backend is inferred")
_fails("keyword arguments", _EVERY, _ALL, "TypeError of an inner function")
_fails("the second argument", _EVERY, _ALL, "argnums is taken for a hyper-parameter")
_fails("a value and more", _EVERY, _ALL, "has_aux is taken for a hyper-parameter")
_fails("float32 beside float64", ("full", "low-rank", "shaped"), ("jax",), "the float64 leaf comes back in float32")
_fails("float32 beside float64", ("full", "low-rank", "shaped"), ("torch", "mxnet"), "raw error: dtypes differ")
_fails("float32 beside float64", ("forward",), ("jax",), "raw error: the tangent is float32")
_fails("float32 beside float64", ("differences", "complex-step"), ("jax",), "computed in float32, with JAX's warning")
_fails("float16", ("full", "low-rank"), ("jax",), "comes back in float32")
_fails("float16", ("full", "low-rank"), ("torch",), "raw error: dtypes differ")
for _loss in ("bfloat16", "a bfloat16 body, a float32 head"):
    _fails(_loss, ("differences", "complex-step"), ("jax", "torch"), "raw error: NumPy has no finfo of bfloat16")
    _fails(_loss, ("full", "low-rank"), ("jax",), "comes back in float32")
    _fails(_loss, ("full", "low-rank"), ("torch",), "raw error: dtypes differ")
_fails("a bfloat16 body, a float32 head", ("shaped",), ("torch",), "raw error: dtypes differ")
_fails("an empty leaf", ("low-rank",), ("numpy", "jax", "torch"), "raw error: a product of empty factors")

# -- frameworks' own errors --------------------------------------------------------------------------------------------
for _loss in ("a number of Python's", ".item()", "a branch on a value", "NumPy inside", "SciPy inside"):
    _fails(_loss, ("reverse", "forward"), ("jax",), "raw error of a tracer's")
for _loss in ("NumPy inside", "Newton until converged"):
    _fails(_loss, ("reverse", "forward"), ("torch",), "raw error of Tensor.numpy")
for _loss in ("a number of Python's", "NumPy inside", "a queue with a seed of its own"):
    _fails(_loss, ("reverse",), ("mxnet",), "advises mean(), which a number has not")
_fails("lax.while_loop", ("reverse",), ("jax",), "raw error")
_fails("a custom_vjp", ("forward",), ("jax",), "raw error")
_fails("pure_callback to NumPy", ("reverse", "forward"), ("jax",), "raw error")
_fails("weight norm", ("forward",), ("torch",), "raw error that asks for an issue at PyTorch")
_fails("an autograd.Function with ctx", ("forward",), ("torch",), "raw error of functorch's")
PENDING["LSTM", "forward", "torch", "float32"] = "raw error that asks for an issue at PyTorch"
_fails("a wider transformer layer with dropout", ("forward",), ("torch",), "vmap draws another mask than one pass")
_fails("a scan over rows", (*_EVALUATING, "complex-step"), ("jax",), "raw error: no evaluation rule for 'empty'")

# -- what is written into ----------------------------------------------------------------------------------------------
_fails("writes into its parameters", ("reverse",), ("torch",), "raw error of autograd's")
_fails("writes into its arguments", ("reverse",), ("torch",), "the user's array is changed, and nothing said")
_fails("writes into its arguments", ("forward",), ("torch",), "raw error of functorch's")
_fails("fills and returns one buffer", ("forward",), ("torch",), "raw error of functorch's")
_fails("writes into a parameter, on MXNet", ("differences", "full", "low-rank"), ("mxnet",), "twice what is right")
_fails("writes into a parameter, on MXNet", ("reverse",), ("mxnet",), "raw error of autograd's")
_fails("a shared layer", _EVERY[:-1], ("torch",), "the user's module is left with other tensors")

# -- values ------------------------------------------------------------------------------------------------------------
_fails("computes in float32", ("full", "low-rank"), ("torch",), "raw error: dtypes differ")
_fails("a loss of other arrays", _EVALUATING, _ALL, "zeros, and nothing said")
_fails("a loss of other arrays", ("forward",), ("jax", "torch"), "zeros, and nothing said")
_fails("a logarithm near zero", ("differences", "full", "low-rank"), _ALL, "NaN, and no count")
_fails("counts, an integer", ("differences",), ("numpy",), "zeros, and nothing said")
_fails("counts, an integer", (*_EVALUATING, "complex-step"), ("jax", "torch"), "raw error: no finfo of an integer")
_fails("counts, an integer", ("forward",), ("torch",), "zeros, and nothing said")
_fails("counts, an integer", ("reverse", "forward"), ("jax",), "raw error")
_fails(
    "a Gluon loss read by asscalar",
    ("reverse", *_EVALUATING),
    ("mxnet",),
    "a block's loss may be no number of Python's",
)

# -- the complex step of what is not analytic --------------------------------------------------------------------------
for _loss in ("Huber loss", "squared norm with a conjugate"):
    _fails(_loss, ("complex-step",), ("numpy", "jax", "torch"), "wrong, and nothing said")
_fails("goes through a buffer of floats", ("complex-step",), ("numpy",), "wrong, with a warning of NumPy's alone")
for _loss in ("convolution by lax", "layer normalisation by jax.nn"):
    _fails(_loss, ("complex-step",), ("jax",), "wrong, and nothing said")
_fails("a seed set inside", ("complex-step",), ("torch",), "wrong, and nothing said: complex noise is drawn")
