"""Networks and functions of JAX: scans, branches, custom rules, Flax modules, keys, trees of registered classes."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from gauntlet.building import converted, numbers, stated
from gauntlet.frameworks import framework
from gauntlet.records import NOT_ANALYTIC, RIGHT, Asked, Either, Leaves, Loss, Outcome, Refused

KIND = "networks of JAX"
P = np.array([0.7, -1.2, 0.4])
X, Y = numbers(4, 3, seed=2), numbers(4, seed=3)
ANY_COMPLEX = Either(RIGHT, NOT_ANALYTIC)
BOTH = ("float64", "float32")
OTHERWISE = Refused("use|instead|keep to", "GradestError")


def jax_loss(
    name: str,
    f: Callable[..., Any],
    params: Any,
    *args: Any,
    expected: dict[Any, Outcome] | None = None,
    gradient: Callable[[Leaves], Leaves] | None = None,
    **fields: Any,
) -> Loss:
    """Return the record of `f(jax, params, *args)`; its gradient is `jax.grad`'s where no other is given."""

    def asked(dtype: str) -> Asked:
        on = framework("jax")
        given = tuple(converted("jax", arg, dtype) for arg in args)
        return Asked(on, partial(f, on.jax), converted("jax", params, dtype), given, gradient=gradient)  # type: ignore[attr-defined]

    return stated(name, KIND, {"jax": asked}, {"complex-step": ANY_COMPLEX} | (expected or {}), **fields)


def scanned(jax: Any, p: Any, x: Any, y: Any) -> Any:
    def step(state: Any, row: Any) -> Any:
        state = jax.numpy.tanh(p["W"] @ state + row)
        return state, state.sum()

    _, sums = jax.lax.scan(step, jax.numpy.zeros(3, x.dtype), x)
    return ((sums - y) ** 2).mean()


def attention(jax: Any, p: Any, x: Any) -> Any:
    query, key = x @ p["Q"], x @ p["K"]
    return ((jax.nn.softmax(query @ key.T) @ x) ** 2).mean()


def convolution(jax: Any, p: Any, x: Any) -> Any:
    z = jax.lax.conv_general_dilated(x[None, None], p["kernel"], (1,), "SAME")
    return (jax.nn.gelu(z) ** 2).mean()


def lstm(jax: Any, p: Any, x: Any) -> Any:
    def step(carry: Any, row: Any) -> Any:
        h, c = carry
        i, f, o, g = jax.numpy.split(row @ p["U"] + h @ p["W"] + p["b"], 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
        return (jax.nn.sigmoid(o) * jax.numpy.tanh(c), c), None

    zero = jax.numpy.zeros(1, x.dtype)
    (h, _), _ = jax.lax.scan(step, (zero, zero), x)
    return (h**2).sum()


def conditional(jax: Any, p: Any) -> Any:
    return jax.lax.cond(p[0] > 0, lambda q: (q * q).sum(), lambda q: q.sum(), p)


def counted_loop(jax: Any, p: Any) -> Any:
    return jax.lax.fori_loop(0, 3, lambda k, q: jax.numpy.sin(q) + 0.1 * p, p).sum()


def open_loop(jax: Any, p: Any) -> Any:
    """A loop that ends by a condition on values: JAX has no reverse mode for it."""

    def body(pair: Any) -> Any:
        return pair[0] / 2, pair[1] * 0.9

    return jax.lax.while_loop(lambda pair: pair[0] > 0.1, body, (p[0], p))[1].sum()


def open_loop_gradient(leaves: Leaves) -> Leaves:
    halved, power = leaves[0][0], 0
    while halved > 0.1:
        halved, power = halved / 2, power + 1
    return [np.full(3, 0.9**power)]


def custom_rule(jax: Any, p: Any) -> Any:
    """A function with a rule of its own for reverse mode, and none for forward mode."""
    return _cube(jax)(p).sum()


@cache
def _cube(jax: Any) -> Any:
    cube = jax.custom_vjp(lambda x: x**3)
    cube.defvjp(lambda x: (x**3, x), lambda x, upstream: (upstream * 3 * x**2,))
    return cube


def called_back(jax: Any, p: Any) -> Any:
    """NumPy called from inside, which JAX cannot differentiate."""
    shape = jax.ShapeDtypeStruct((), p.dtype)
    return jax.pure_callback(
        lambda x: np.asarray((np.asarray(x) ** 2).sum(), x.dtype), shape, p, vmap_method="sequential"
    )


def dropout(jax: Any, p: Any, x: Any, key: Any) -> Any:
    kept = jax.random.bernoulli(key, 0.5, (4, 2))
    hidden = jax.numpy.where(kept, jax.numpy.tanh(x @ p["W"]) * 2, 0.0)
    return (hidden**2).mean()


def jitted(jax: Any, p: Any, x: Any) -> Any:
    return jax.jit(lambda p, x: (jax.numpy.tanh(x @ p) ** 2).mean())(p, x)


def mapped(jax: Any, p: Any, x: Any) -> Any:
    return jax.vmap(lambda row: jax.numpy.tanh(row @ p) ** 2)(x).mean()


def curvature_inside(jax: Any, p: Any, x: Any) -> Any:
    """A loss with a gradient in it: the length of the slope by the inputs."""
    slope = jax.grad(lambda row: jax.numpy.tanh(row @ p).sum())
    return (jax.vmap(slope)(x) ** 2).mean()


def stopped(jax: Any, p: Any) -> Any:
    """A constant shift held by stop_gradient, on which the value does not depend."""
    top = jax.lax.stop_gradient(p.max())
    return top + jax.numpy.log(jax.numpy.exp(p - top).sum())


def standardised(jax: Any, p: Any, x: Any) -> Any:
    """What Flax's LayerNorm does: a variance from squared magnitudes."""
    z = x * p
    spread = jax.numpy.maximum((jax.numpy.abs(z) ** 2).mean(-1) - jax.numpy.abs(z.mean(-1)) ** 2, 0.0)
    return ((z - z.mean(-1, keepdims=True)) / jax.numpy.sqrt(spread + 1e-3)[:, None] ** 1.5)[:, 0].sum()


def written(jax: Any, p: Any) -> Any:
    return (jax.numpy.zeros(4, p.dtype).at[1:].set(p) ** 2).sum()


@cache
def _flax() -> tuple[Any, Any]:
    """Return a Flax module and the names of its parameters' values, made from a seed."""
    import flax.linen as nn

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return nn.Dense(1)(nn.tanh(nn.Dense(2)(x)))

    return Network(), nn


def flax_network(dtype: str) -> Asked:
    on = framework("jax")
    jax = on.jax  # type: ignore[attr-defined]
    model, _ = _flax()
    x, y = on.array(X, dtype), on.array(Y, dtype)
    with on.scope():
        start = jax.tree_util.tree_map(lambda leaf: leaf.astype(dtype), model.init(jax.random.key(0), x))

    def loss(variables: Any, x: Any, y: Any) -> Any:
        return ((model.apply(variables, x)[:, 0] - y) ** 2).mean()

    return Asked(on, loss, start, (x, y))


@cache
def _registered() -> Any:
    """Return a class that JAX's tree library knows: two arrays, and a number that is part of its structure."""
    import jax

    class Affine:
        def __init__(self, weight: Any, bias: Any, power: int) -> None:
            self.weight, self.bias, self.power = weight, bias, power

        def __call__(self, x: Any) -> Any:
            return (x @ self.weight + self.bias) ** self.power

    jax.tree_util.register_pytree_node(
        Affine, lambda a: ((a.weight, a.bias), a.power), lambda power, leaves: Affine(*leaves, power)
    )
    return Affine


def registered_class(dtype: str) -> Asked:
    on = framework("jax")
    params = _registered()(on.array(P, dtype), on.array(np.array(0.3), dtype), 2)
    return Asked(on, lambda p, x: p(x).mean(), params, (on.array(X, dtype),),
                 gradient=lambda leaves: [2 * X.T @ (X @ leaves[0] + leaves[1]) / 4,
                                          np.array(2 * (X @ leaves[0] + leaves[1]).mean())])  # fmt: skip


def keyed_dropout(dtype: str) -> Asked:
    on = framework("jax")
    jax = on.jax  # type: ignore[attr-defined]
    params = {"W": on.array(numbers(3, 2, seed=5), dtype)}
    return Asked(on, partial(dropout, jax), params, (on.array(X, dtype), jax.random.key(7)))


_LSTM = {"U": numbers(2, 4, seed=1), "W": numbers(1, 4, seed=2), "b": numbers(4, seed=3)}
_PRODUCTS = {"Q": numbers(3, 2, seed=4, scale=0.5), "K": numbers(3, 2, seed=5, scale=0.5)}
_DERIVATIVES: dict[Any, Outcome] = {"reverse": OTHERWISE, "forward": OTHERWISE}

LOSSES = (
    jax_loss("a scan over rows", scanned, {"W": numbers(3, 3, seed=4, scale=0.5)}, X, Y, dtypes=BOTH),
    jax_loss("an LSTM by scan", lstm, _LSTM, numbers(3, 2, seed=4)),
    jax_loss("attention by softmax", attention, _PRODUCTS, X, dtypes=BOTH),
    jax_loss("convolution by lax", convolution, {"kernel": numbers(2, 1, 3, seed=4)}, numbers(6, seed=5)),
    jax_loss("lax.cond", conditional, P, gradient=lambda leaves: [2 * leaves[0]]),
    jax_loss("lax.fori_loop", counted_loop, P),
    jax_loss("lax.while_loop", open_loop, P, gradient=open_loop_gradient, expected={"reverse": OTHERWISE}),
    jax_loss("a custom_vjp", custom_rule, P, gradient=lambda leaves: [3 * leaves[0] ** 2],
             expected={"forward": OTHERWISE}),
    jax_loss("pure_callback to NumPy", called_back, P, gradient=lambda leaves: [2 * leaves[0]],
             expected=_DERIVATIVES),
    jax_loss("jit inside", jitted, P, X),
    jax_loss("vmap inside", mapped, P, X),
    jax_loss("a gradient inside", curvature_inside, P, X),
    jax_loss("stop_gradient", stopped, P, gradient=lambda leaves: [np.exp(leaves[0]) / np.exp(leaves[0]).sum()]),
    jax_loss("writing by .at[].set", written, P, gradient=lambda leaves: [2 * leaves[0]]),
    stated("dropout with a key", KIND, {"jax": keyed_dropout}, {"complex-step": ANY_COMPLEX}, dtypes=BOTH),
    stated("a Flax module", KIND, {"jax": flax_network}, {"complex-step": ANY_COMPLEX}),
    jax_loss("layer normalisation by jax.nn", standardised, P, X, dtypes=BOTH),
    stated("a registered class", KIND, {"jax": registered_class}, dtypes=BOTH),
)  # fmt: skip
