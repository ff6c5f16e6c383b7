"""What gradest says for what PyTorch cannot do: its own words by words of PyTorch's errors, 2.4 to 2.13."""

from gradest.errors import GradestError, InvalidInputError, UnsupportedError
from gradest.refusals import WRITES

IN_PLACE = (
    "work on a copy, such as `p = p.clone()`, and not in place; give an optimiser inside the loss copies, "
    "p.detach().clone().requires_grad_(); make an embedding without max_norm, and shorten its rows after each step, "
    "weight.data.renorm_(2, 0, max_norm)"
)
WHOLE = (
    "the loss returns whole numbers, which have no derivative; return the number before it is rounded, or use an "
    "estimator that smooths: 'es' or 'spsa' with a sigma that crosses several jumps"
)
_INSTEAD = "or use an estimator that evaluates the loss as it is: 'fd-central', 'es', 'spsa'"
REENTRANT = (
    "a checkpoint of the reentrant kind cannot be differentiated by some tensors alone; pass use_reentrant=False to "
    f"torch.utils.checkpoint, {_INSTEAD}"
)
_NO_BACKWARD = f"PyTorch has no derivative of an operation of the loss; compute it by others, {_INSTEAD}"
_TOLD: dict[str, tuple[type[GradestError], str]] = {
    "Can't call numpy() on Tensor that requires grad": (
        UnsupportedError,
        f"PyTorch cannot differentiate what NumPy computes; keep to PyTorch operations, {_INSTEAD}",
    ),
    "a leaf Variable that requires grad": (InvalidInputError, WRITES + IN_PLACE),
    "the derivative for": (UnsupportedError, _NO_BACKWARD),
    "does not support backward": (UnsupportedError, _NO_BACKWARD),
    "no autograd formula was registered": (UnsupportedError, _NO_BACKWARD),
    "arguments don't support automatic differentiation": (
        UnsupportedError,
        f"an operation of the loss writes its result into a given tensor; call it without out=, {_INSTEAD}",
    ),
    "is independent of": (
        InvalidInputError,
        "a loss computed from the parameters was asked for; the result is not connected to them (a model closed over, "
        f"instead of the one that f is given?); compute the loss from f's first argument, {_INSTEAD}",
    ),
    "modified by an inplace operation": (
        UnsupportedError,
        "the loss overwrites in place a tensor that its derivative needs; write `y = y + 1` in place of `y += 1`, "
        f"{_INSTEAD}",
    ),
    "torch.utils.checkpoint is incompatible with .grad()": (UnsupportedError, REENTRANT),
    "Checkpointing is not compatible with .grad()": (UnsupportedError, REENTRANT),
    "Trying to backward through the graph a second time": (
        InvalidInputError,
        "the loss goes backward by itself, which frees what its derivative needs; return the loss alone, or go "
        f"backward with retain_graph=True, {_INSTEAD}",
    ),
    "One of the differentiated Tensors does not require grad": (
        InvalidInputError,
        "the loss takes a gradient by tensors of which one requires none, or has parameters require none; say "
        "x.requires_grad_() of an argument; and of parameters, freeze them before, by p.requires_grad_(False)",
    ),
    "can't optimize a non-leaf Tensor": (
        InvalidInputError,
        "an optimiser inside the loss steps tensors that are being differentiated; give it copies of them, "
        "p.detach().clone().requires_grad_(), or step by hand: torch.autograd.grad(..., create_graph=True) and "
        "q = p - rate * gradient",
    ),
    "Expected all tensors to be on the same device": (
        InvalidInputError,
        "parameters and what the loss computes with must be on one device; move the data to the parameters' with "
        "`.to(device)`, or pass it as an argument of the loss",
    ),
}
"""What to say for errors of PyTorch's, by words that they contain (2.4 to 2.13)."""


UNCONNECTED = (
    "a loss computed from the parameters was asked for; the result is connected to other tensors that require a "
    "gradient, and to none of these (a model closed over, instead of the one that f is given? a checkpoint with "
    "use_reentrant=True?); compute the loss from f's first argument, e.g. torch.func.functional_call(model, params, "
    "(x,)), or pass the model itself as params; and pass use_reentrant=False"
)
OWN_BACKWARD = (
    "a function of the loss (a torch.autograd.Function? a checkpoint?) calls backward in its own backward pass, which "
    "leaves gradients of parameters in .grad, and not in what is asked for; have it take the parameters as arguments "
    f"and return their gradients, {_INSTEAD}"
)
NESTED = (
    "a gradient was asked for inside a function that PyTorch is differentiating or batching; its result would not be "
    "connected to what is differentiated around it; take the inner gradient by torch.func.grad, or the outer one by "
    "'fd-central' or 'es', which evaluate it"
)
HOOKED = (
    "the loss hooks into the backward pass of a tensor, where its gradient may be made another one (as implicit layers "
    "do), and forward mode has no backward pass; use 'reverse', or an estimator of values ('fd-central', 'es', 'spsa')"
)
NO_TANGENTS = "Trying to use forward AD with {} that does not support it"
DRAWS = (
    "a product with the Hessian was asked for, of a loss that draws random numbers; PyTorch cannot carry dual tensors "
    "through it, and its torch.func would draw others than a plain pass does; gradest.hvp gives one by a difference of "
    "gradients"
)
FROZEN_INSIDE = (
    "the loss has parameters require no gradient, where reverse mode would stop and forward mode does not; freeze them "
    "before, by p.requires_grad_(False)"
)
NO_FORWARD_MODE = (
    "forward mode was asked for; PyTorch cannot carry it through this function ({}); use 'reverse', or an estimator of "
    "values ('fd-central', 'es', 'spsa')"
)
_TRANSFORMATIONS = (
    "forward AD",
    "forward-mode AD",
    "forward mode AD",
    "functorch",
    "vmap",
    "atching rule",
    "jvp",
    "torch.func",
    "data pointer",
    "ZeroTensors",
    "do not have strides",
    "doesn't support strides",
    "set a forward gradient",
    "higher order operator",
    "NestedTensor does not support directly calling",
)
"""What PyTorch's errors about its function transformations speak of; other errors are the function's own."""
DETACHED = (
    "a loss computed by PyTorch from the parameters was asked for; the result is not connected to them "
    "(a detach, .item(), a NumPy call or a checkpoint with use_reentrant=True on the way?); keep to PyTorch "
    "operations, or use a black-box estimator"
)


def told(error: Exception) -> tuple[type[GradestError], str] | None:
    """Return the kind of error and what to say for an error of PyTorch's; None for the function's own."""
    if not isinstance(error, RuntimeError | ValueError):
        return None
    text = str(error)
    return next((said for words, said in _TOLD.items() if words in text), None)


def is_of_transformations(error: Exception) -> bool:
    """Return whether an error speaks of PyTorch's function transformations."""
    return any(word in str(error) for word in _TRANSFORMATIONS)
