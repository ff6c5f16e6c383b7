"""Losses whose gradients are right, and gradients planted wrong: what `gradest.check` is measured on.

A layer is tried at a random point with random data, in the dtypes of its framework; closed forms are NumPy's.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Loss = tuple[str, Callable[..., Any], Any, Any, tuple[Any, ...]]
"""A name, a loss, its parameters, a gradient or None for the framework's own, and the loss's further arguments."""


def closed_forms(seed: int) -> Iterator[Loss]:
    """Yield losses of NumPy's with gradients derived by hand, in float64 and float32, kinks beside the point too."""
    for dtype in ("float64", "float32"):
        r = np.random.default_rng(seed)
        x = r.standard_normal(6).astype(dtype)
        a = (r.standard_normal((6, 6)) / 2).astype(dtype)
        far = (np.sign(x) * (np.abs(x) + 0.05)).astype(dtype)
        for name, f, at, gradient in (
            ("square", lambda p: np.sum(p * p), x, 2 * x),
            ("quartic", lambda p: np.sum(p**4), x, 4 * x**3),
            ("quadratic form", lambda p, a=a: p @ a @ p, x, (a + a.T) @ x),
            ("sine", lambda p: np.sum(np.sin(3 * p)), x, 3 * np.cos(3 * x)),
            ("exponential", lambda p: np.sum(np.exp(p)), x, np.exp(x)),
            ("logsumexp", lambda p: np.log(np.sum(np.exp(p))), x, np.exp(x) / np.sum(np.exp(x))),
            ("tanh", lambda p: np.sum(np.tanh(p)), x, 1 - np.tanh(x) ** 2),
            ("norm", lambda p: np.sqrt(np.sum(p * p)), x, x / np.sqrt(np.sum(x * x))),
            ("absolute", lambda p: np.sum(np.abs(p)), far, np.sign(far)),
            ("hinge", lambda p: np.sum(np.maximum(p, 0) ** 2), x, 2 * np.maximum(x, 0)),
            ("kink at the point", lambda p: np.sum(np.abs(p)), np.zeros(6, dtype), np.zeros(6, dtype)),
            ("large offset", lambda p: np.sum(p * p) + 1000, x, 2 * x),
            ("linear", lambda p, a=a: np.sum(a @ p), x, a.sum(axis=0)),
            ("constant block", lambda p: np.sum(p[:3] ** 2), x, np.where(np.arange(6) < 3, 2 * x, 0)),
            ("tiny parameters", lambda p: np.sum((p / 1e-6) ** 3), x * 1e-6, 3e6 * x**2),
            ("rosenbrock", _rosenbrock, x, _rosenbrock_gradient(x)),
        ):
            yield f"numpy {name} {dtype} {seed}", f, at, np.asarray(gradient, dtype), ()


def _rosenbrock(p: Any) -> Any:
    return np.sum(100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2)


def _rosenbrock_gradient(x: Any) -> Any:
    out = np.zeros_like(x)
    out[1:] += 200 * (x[1:] - x[:-1] ** 2)
    out[:-1] += -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    return out


def torch_layers(seed: int) -> Iterator[Loss]:
    """Yield layers of PyTorch's under a squared loss in float64, float32 and bfloat16, by reverse mode."""
    import torch
    from torch import nn

    def loss(model: Any, x: Any, y: Any) -> Any:
        found = model(x)
        found = found[0] if isinstance(found, tuple) else found
        return ((found.float() if found.dtype == torch.bfloat16 else found) - y).square().mean()

    layers: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
        "linear": (lambda: nn.Linear(6, 4), (5, 6)),
        "relu network": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), (5, 6)),
        "gelu network": (lambda: nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 3)), (5, 6)),
        "tanh network": (lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), (5, 6)),
        "layer norm": (lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8)), (5, 6)),
        "batch norm, eval": (lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8)).eval(), (5, 6)),
        "group norm": (lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.GroupNorm(2, 4)), (3, 2, 7)),
        "convolution": (lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2)), (2, 1, 6, 6)),
        "dropout": (lambda: nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3)), (5, 6)),
        "softplus": (lambda: nn.Sequential(nn.Linear(6, 8), nn.Softplus(), nn.Linear(8, 3)), (5, 6)),
        "leaky relu": (lambda: nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(), nn.Linear(8, 3)), (5, 6)),
        "softmax": (lambda: nn.Sequential(nn.Linear(6, 8), nn.Softmax(-1)), (5, 6)),
        "gru": (lambda: nn.GRU(4, 3), (4, 2, 4)),
        "bilinear sum": (lambda: nn.Sequential(nn.Linear(6, 8, bias=False), nn.SiLU()), (5, 6)),
    }
    for name, (make, shape) in layers.items():
        for dtype in (torch.float64, torch.float32, torch.bfloat16):
            torch.manual_seed(seed)
            model, x = make().to(dtype), torch.randn(shape).to(dtype)
            yield f"torch {name} {dtype} {seed}", loss, model, None, (x, torch.tensor(0.3))


def jax_functions(seed: int) -> Iterator[Loss]:
    """Yield functions of JAX's in float32 and bfloat16."""
    import jax
    import jax.numpy as jnp

    def network(act: Any) -> Any:
        return lambda p, x: jnp.mean(jnp.square(act(x @ p["w"] + p["b"]) @ p["v"]).astype(jnp.float32))

    for dtype in (jnp.float32, jnp.bfloat16):
        r = np.random.default_rng(seed)
        p = {"w": (6, 8), "b": (8,), "v": (8, 3)}
        at = {k: jnp.asarray(r.standard_normal(s) / 2, dtype) for k, s in p.items()}
        x = jnp.asarray(r.standard_normal((5, 6)), dtype)
        acts = {"relu": jax.nn.relu, "tanh": jnp.tanh, "gelu": jax.nn.gelu, "sin": jnp.sin, "softmax": jax.nn.softmax}
        acts |= {"silu": jax.nn.silu, "elu": jax.nn.elu, "logsumexp": jax.nn.log_softmax}
        for name, act in acts.items():
            yield f"jax {name} {jnp.dtype(dtype).name} {seed}", network(act), at, None, (x,)


def mxnet_blocks(seed: int) -> Iterator[Loss]:
    """Yield Gluon blocks in float32 and float64."""
    from gradest_mxnet import mx

    def loss(net: Any, x: Any) -> Any:
        return net(x).square().mean()

    for dtype in ("float32", "float64"):
        for activation in ("tanh", "relu", "sigmoid", "softrelu"):
            mx.random.seed(seed)
            net = mx.gluon.nn.HybridSequential()
            net.add(mx.gluon.nn.Dense(5, activation=activation, in_units=4), mx.gluon.nn.Dense(2, in_units=5))
            net.initialize(mx.init.Xavier())
            net.cast(dtype)
            x = mx.nd.from_numpy(np.random.default_rng(seed).standard_normal((3, 4)).astype(dtype), zero_copy=False)
            yield f"mxnet {activation} {dtype} {seed}", loss, net, None, (x,)


def planted(right: dict[str, Any], params: dict[str, Any], size: float) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield wrong gradients of NumPy blocks: a name, the block, and the gradient off by about `size` of that block.

    `size` is relative to the length of the block's gradient.
    """
    for block, g in right.items():
        scale = size * float(np.linalg.norm(g))

        def off(difference: Any, block: str = block, g: Any = g, scale: float = scale) -> dict[str, Any]:
            length = float(np.linalg.norm(difference))
            return {**right, block: (g + difference * (scale / length)).astype(g.dtype)}

        one = np.zeros_like(g)
        one.flat[g.size // 2] = 1
        row = np.zeros_like(g)
        row[-1] = 1
        noise = np.random.default_rng(7).standard_normal(g.shape)
        yield "factor", block, off(g)
        yield "factor below one", block, off(-g)
        yield "one entry", block, off(one)
        yield "last row", block, off(row)
        yield "constant", block, off(np.ones_like(g))
        yield "weight decay", block, off(params[block])
        yield "missing weight decay", block, off(-params[block])
        yield "noise in every entry", block, off(noise)
        yield "reversed order", block, off(g[::-1] - g)
        yield "sign of some", block, off(np.where(noise > 0, -2 * g, 0))
        yield "shifted by one", block, off(np.roll(g.ravel(), 1).reshape(g.shape) - g)
        yield "half of the block", block, off(np.where(np.arange(g.size).reshape(g.shape) < g.size // 2, g, 0))
