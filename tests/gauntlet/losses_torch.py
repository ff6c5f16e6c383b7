"""Networks of PyTorch: the layers that people have, in both modes, tied, frozen, shared, random, and of their own."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from gauntlet.building import stated
from gauntlet.frameworks import framework
from gauntlet.records import ACROSS_KINKS, COARSE, NOT_ANALYTIC, RIGHT, Asked, Either, Loss, Outcome, Refused

KIND = "networks of PyTorch"
OTHERWISE = Refused("use|instead|pass", "UnsupportedError")
ANY_COMPLEX = Either(RIGHT, NOT_ANALYTIC)
"""Whether a layer's kernels take complex numbers is PyTorch's to say; a wrong number it may not be."""


def torch_of(dtype: str) -> Any:
    torch = framework("torch").xp
    return torch, torch.nn, getattr(torch, dtype)


def network(
    build: Callable[[Any, Any], Any],
    *shape: int,
    dtype: str,
    loss: Callable[..., Any] | None = None,
    training: bool = True,
    random: bool = False,
    inputs: Any = None,
    differentiable: Callable[..., Any] | None = None,
) -> Asked:
    """Return a module made from a seed, its batch, and the loss; `build(torch, nn)` makes the module.

    `differentiable` is the same loss without what keeps PyTorch from differentiating it.
    """
    torch, nn, kind = torch_of(dtype)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(torch, nn).to(kind).train(training)
        x = torch.randn(*shape, dtype=kind) if inputs is None else torch.tensor(inputs)
        y = torch.arange(shape[0] if inputs is None else len(inputs)) % 2
    on, used = framework("torch"), loss or cross_entropy
    seed = partial(torch.manual_seed, 3) if random else None
    exact = None
    if differentiable is not None:
        exact = partial(on.gradient, lambda m: differentiable(m, x, y), model)
    return Asked(on, used, model, (x, y), seed=seed, gradient=exact)


def cross_entropy(m: Any, x: Any, y: Any) -> Any:
    return framework("torch").xp.nn.functional.cross_entropy(m(x), y)


def make(name: str, build: Any, *shape: int, expected: dict[Any, Outcome] | None = None,
         dtypes: tuple[str, ...] = ("float64", "float32"), loose: float = 1.0, **options: Any) -> Loss:  # fmt: skip
    def asked(dtype: str) -> Asked:
        return network(build, *shape, dtype=dtype, **options)

    answers: dict[Any, Outcome] = {"complex-step": ANY_COMPLEX}
    return stated(name, KIND, {"torch": asked}, answers | (expected or {}), dtypes=dtypes, loose=loose)


def last_state(m: Any, x: Any, y: Any) -> Any:
    torch = framework("torch").xp
    return torch.nn.functional.cross_entropy(m(x)[0][:, -1], y)


def last_place(m: Any, x: Any, y: Any) -> Any:
    torch = framework("torch").xp
    return torch.nn.functional.cross_entropy(m(x)[:, -1, :2], y)


def attended(m: Any, x: Any, y: Any) -> Any:
    return (m(x, x, x)[0] ** 2).mean()


def multilayer(torch: Any, nn: Any) -> Any:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def convolutional(torch: Any, nn: Any) -> Any:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 2))


def normalised(torch: Any, nn: Any) -> Any:
    return nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 2))


def with_dropout(torch: Any, nn: Any) -> Any:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2))


def tied(torch: Any, nn: Any) -> Any:
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    return model


def frozen(torch: Any, nn: Any) -> Any:
    model = multilayer(torch, nn)
    model[0].requires_grad_(False)
    return model


def shared(torch: Any, nn: Any) -> Any:
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(3, 2))


def spectral(torch: Any, nn: Any) -> Any:
    return nn.Sequential(torch.nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)), nn.Tanh(), nn.Linear(3, 2))


def weight_normalised(torch: Any, nn: Any) -> Any:
    return nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), nn.Tanh(), nn.Linear(3, 2))


def embedded(torch: Any, nn: Any) -> Any:
    return nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(6, 2))


def own_function(torch: Any, nn: Any) -> Any:
    """A layer of an `autograd.Function` in the old style, with `ctx` in forward."""

    class Cube(torch.autograd.Function):  # type: ignore[misc]  # a base known at run time
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, upstream: Any) -> Any:
            (x,) = ctx.saved_tensors
            return upstream * 3 * x**2

    class Layer(nn.Module):  # type: ignore[misc]  # likewise
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            return Cube.apply(self.linear(x))

    return Layer()


def checkpointed(m: Any, x: Any, y: Any) -> Any:
    torch = framework("torch").xp
    from torch.utils.checkpoint import checkpoint

    hidden = checkpoint(m[:2], x, use_reentrant=False)
    return torch.nn.functional.cross_entropy(m[2](hidden), y)


def reads_its_loss(m: Any, x: Any, y: Any) -> Any:
    return cross_entropy(m, x, y).item()


def writes_into_fresh(m: Any, x: Any, y: Any) -> Any:
    torch = framework("torch").xp
    out = torch.zeros(len(x), 2, dtype=x.dtype)
    out[:, 0] = m(x)[:, 0]
    out[:, 1] += 2 * m(x)[:, 1]
    return (out**2).mean()


def mixed_precision(m: Any, x: Any, y: Any) -> Any:
    """A body in bfloat16, by autocast, with the loss in float32."""
    torch = framework("torch").xp
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = m(x)
    return torch.nn.functional.cross_entropy(logits.float(), y)


def random_inside(m: Any, x: Any, y: Any) -> Any:
    torch = framework("torch").xp
    torch.manual_seed(11)
    return ((m(x) + 0.1 * torch.randn(len(x), 2, dtype=x.dtype)) ** 2).mean()


def clipped(m: Any, x: Any, y: Any) -> Any:
    loss = cross_entropy(m, x, y)
    return loss if loss < 100 else loss * 0 + 100


def penalised(m: Any, x: Any, y: Any) -> Any:
    return cross_entropy(m, x, y) + 1e-2 * sum((p**2).sum() for p in m.parameters())


def penalised_where_trained(m: Any, x: Any, y: Any) -> Any:
    return cross_entropy(m, x, y) + 1e-1 * sum((p**2).sum() for p in m.parameters() if p.requires_grad)


def slope_penalised(m: Any, x: Any, y: Any) -> Any:
    """A loss that differentiates by its own parameters, as an inner step and sharpness-aware minimisation do."""
    torch = framework("torch").xp
    slopes = torch.autograd.grad(cross_entropy(m, x, y), list(m.parameters()), create_graph=True)
    return cross_entropy(m, x, y) + sum((slope**2).sum() for slope in slopes)


def two_outputs(m: Any, x: Any, y: Any) -> Any:
    return (m(x)[:, 0] ** 2).mean()


def pure(dtype: str) -> Asked:
    """The dict of a module's parameters, called by `functional_call`."""
    torch, _, _ = torch_of(dtype)
    base = network(multilayer, 4, 3, dtype=dtype)
    model, (x, y) = base.params, base.args
    params = {name: p.detach().clone() for name, p in model.named_parameters()}

    def loss(p: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(torch.func.functional_call(model, p, (x,)), y)

    return Asked(base.on, loss, params, (x, y))


IMAGES = (2, 1, 5, 5)
TOKENS = np.array([[0, 1, 2], [3, 4, 0]])
NO_VALUES: dict[Any, Outcome] = {
    "reverse": Refused("use|keep to"),
    "forward": Refused("use|keep to"),
    "complex-step": NOT_ANALYTIC,
}

LOSSES = (
    make("multilayer perceptron", multilayer, 4, 3),
    stated("a dict of its parameters", KIND, {"torch": pure}, {"complex-step": ANY_COMPLEX}),
    make("convolution and pooling", convolutional, *IMAGES,
         expected=dict.fromkeys(("fd-five-point", "fd-richardson"), ACROSS_KINKS)),
    make("BatchNorm, training", normalised, 4, 3),
    make("BatchNorm, evaluation", normalised, 4, 3, training=False),
    make("dropout, training", with_dropout, 4, 3, random=True),
    make("dropout, evaluation", with_dropout, 4, 3, training=False),
    make("LSTM", lambda torch, nn: nn.LSTM(2, 2, batch_first=True), 2, 3, 2, loss=last_state),
    make("GRU", lambda torch, nn: nn.GRU(2, 2, batch_first=True), 2, 3, 2, loss=last_state),
    make("multi-head attention", lambda torch, nn: nn.MultiheadAttention(2, 1, batch_first=True), 2, 3, 2,
         loss=attended),
    make("a transformer layer with dropout",
         lambda torch, nn: nn.TransformerEncoderLayer(2, 1, 3, dropout=0.2, batch_first=True), 2, 3, 2,
         loss=last_place, random=True),
    make("a wider transformer layer with dropout",
         lambda torch, nn: nn.TransformerEncoderLayer(4, 1, 3, dropout=0.2, activation="gelu", batch_first=True),
         2, 3, 4, loss=last_place, random=True),
    make("LayerNorm and an activation with a parameter",
         lambda torch, nn: nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.PReLU(), nn.Linear(3, 2)), 4, 3),
    make("embedding", embedded, 2, 3, inputs=TOKENS),
    make("tied weights", tied, 4, 3),
    make("frozen layers", frozen, 4, 3),
    make("a shared layer", shared, 4, 3),
    make("spectral norm", spectral, 4, 3, training=False),
    make("weight norm", weight_normalised, 4, 3),
    make("an autograd.Function with ctx", own_function, 4, 3, expected={"forward": OTHERWISE}),
    make("checkpointed", multilayer, 4, 3, loss=checkpointed),
    make("autocast to bfloat16", multilayer, 4, 3, loss=mixed_precision, dtypes=("float32",), loose=1e3,
         expected=dict.fromkeys(("fd-five-point", "fd-richardson"), COARSE)),
    make("returns .item()", multilayer, 4, 3, loss=reads_its_loss, differentiable=cross_entropy,
         expected=NO_VALUES),
    make("writes into a fresh tensor", multilayer, 4, 3, loss=writes_into_fresh),
    make("a seed set inside", multilayer, 4, 3, loss=random_inside, random=True),
    make("an if on the loss", multilayer, 4, 3, loss=clipped, expected={"complex-step": NOT_ANALYTIC}),
    make("weight decay by hand", multilayer, 4, 3, loss=penalised),
    make("weight decay of what is trained", frozen, 4, 3, loss=penalised_where_trained),
    make("a penalty on its own gradient", multilayer, 4, 3, loss=slope_penalised),
    make("one of two outputs", multilayer, 4, 3, loss=two_outputs),
)  # fmt: skip
