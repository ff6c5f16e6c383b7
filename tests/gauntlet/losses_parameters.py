"""Parameters and arguments of every form: numbers, mixed and half precision, leaves that are no arrays, keywords."""

from functools import partial
from typing import Any

import numpy as np
from gauntlet.building import BOTH, numbers, stated
from gauntlet.frameworks import framework
from gauntlet.records import COARSE, NOT_ANALYTIC, ROUNDED, Asked, Loss, Refused

KIND = "parameters and arguments"
P = np.array([0.7, -1.2, 0.4])
EVERYWHERE = ("numpy", "jax", "torch", "mxnet")
NO_INTEGERS = Refused("floating-point", "InvalidTypeError")


def squares(p: Any) -> Any:
    return (p * p).sum()


def float_parameter(backend: str, dtype: str) -> Asked:
    return Asked(framework(backend), lambda p: p**2, 1.5, options={"backend": backend}, gradient=lambda x: [2 * x[0]])


def list_of_floats(backend: str, dtype: str) -> Asked:
    return Asked(
        framework(backend), lambda p: p[0] ** 2 * p[1], [1.5, 2.0], options={"backend": backend},
        gradient=lambda x: [2 * x[0] * x[1], x[0] ** 2],
    )  # fmt: skip


def number_beside_array(backend: str, dtype: str) -> Asked:
    on = framework(backend)
    return Asked(
        on, lambda p: p["scale"] * (p["x"] * p["x"]).sum(), {"scale": 0.5, "x": on.array(P, dtype)},
        gradient=lambda x: [(x[1] ** 2).sum(), 2 * x[0] * x[1]],
    )  # fmt: skip


def numpy_scalar(backend: str, dtype: str) -> Asked:
    return Asked(framework(backend), lambda p: p**3, np.float64(1.5), gradient=lambda x: [3 * x[0] ** 2])


def swapped_bytes(backend: str, dtype: str) -> Asked:
    class NativeBytes(Asked):
        pass

    return NativeBytes(framework(backend), squares, P.astype(">f8"), gradient=lambda x: [2 * x[0]])


def read_only(backend: str, dtype: str) -> Asked:
    values = P.copy()
    values.flags.writeable = False
    return Asked(framework(backend), squares, values, gradient=lambda x: [2 * x[0]])


def strided(backend: str, dtype: str) -> Asked:
    """A transposed matrix and every second entry of a vector, as views."""
    on = framework(backend)
    if backend == "torch":
        params = {"m": on.array(numbers(2, 3), dtype).T, "v": on.array(numbers(6, seed=1), dtype)[::2]}
    else:
        params = {"m": np.array(numbers(2, 3), dtype=dtype).T, "v": np.array(numbers(6, seed=1), dtype=dtype)[::2]}

    def gradient(leaves: Any) -> Any:
        rows, v = leaves[0].sum(1), leaves[1]
        return [np.outer(2 * rows * v**2, np.ones(2)), 2 * rows**2 * v]

    return Asked(on, lambda p: ((p["m"].sum(1) * p["v"]) ** 2).sum(), params, gradient=gradient)


def mixed(backend: str, dtype: str) -> Asked:
    """A float32 leaf beside a float64 leaf."""
    on = framework(backend)
    params = {"a": on.array(P, "float32"), "b": on.array(P + 1, "float64")}
    return Asked(
        on, lambda p: (p["a"] * p["a"]).sum() + (p["b"] ** 3).sum(), params,
        gradient=lambda x: [2 * x[0], 3 * x[1] ** 2],
    )  # fmt: skip


def half(kind: str, backend: str, dtype: str) -> Asked:
    """All parameters in half precision; the loss is taken in float32, as people do."""
    on = framework(backend)

    def loss(p: Any) -> Any:
        wide = p.float() if backend == "torch" else p.astype("float32")
        return (wide * wide).sum()

    return Asked(on, loss, on.array(np.array([0.75, -1.25, 0.5]), kind), gradient=lambda x: [2 * x[0]])


def body_and_head(backend: str, dtype: str) -> Asked:
    """A bfloat16 body with a float32 head."""
    on = framework(backend)
    params = {"body": on.array(np.array([0.75, -1.25]), "bfloat16"), "head": on.array(np.array([2.0, 1.0]), "float32")}

    def loss(p: Any) -> Any:
        body = p["body"].float() if backend == "torch" else p["body"].astype("float32")
        return (p["head"] * body**2).sum()

    return Asked(on, loss, params, gradient=lambda x: [2 * x[1] * x[0], x[0] ** 2])


def leaves_that_are_no_arrays(backend: str, dtype: str) -> Asked:
    """A tree that also holds an activation, a name, a flag and a None."""
    on = framework(backend)
    params = {"w": on.array(P, dtype), "activation": on.xp.tanh, "name": "head", "bias": None, "scaled": True}

    def loss(p: Any) -> Any:
        assert (p["name"], p["bias"], p["scaled"]) == ("head", None, True)
        return p["activation"](p["w"]).sum()

    return Asked(on, loss, params, gradient=lambda x: [1 / np.cosh(x[0]) ** 2])


def keywords(backend: str, dtype: str) -> Asked:
    on = framework(backend)
    kwargs = {"scale": 3.0, "shift": on.array(P[::-1].copy(), dtype)}
    return Asked(
        on, lambda p, *, scale, shift: scale * ((p - shift) ** 2).sum(), on.array(P, dtype), kwargs=kwargs,
        gradient=lambda x: [6 * (x[0] - P[::-1])],
    )  # fmt: skip


def second_argument(backend: str, dtype: str) -> Asked:
    on = framework(backend)
    x = on.array(P[::-1].copy(), dtype)
    return Asked(on, lambda x, p: ((p - x) ** 2).sum(), on.array(P, dtype), first=(x,), options={"argnums": 1},
                 gradient=lambda leaves: [2 * (leaves[0] - P[::-1])])  # fmt: skip


def value_and_more(backend: str, dtype: str) -> Asked:
    on = framework(backend)
    return Asked(on, lambda p: ((p * p).sum(), {"largest": p.max()}), on.array(P, dtype), options={"has_aux": True},
                 aux=True, gradient=lambda x: [2 * x[0]])  # fmt: skip


def numpy_arguments(backend: str, dtype: str) -> Asked:
    """Parameters of the framework, a batch of NumPy's with integer labels."""
    on = framework(backend)
    labels = np.array([2, 0, 1])
    one_hot = np.eye(3)[labels]
    return Asked(on, lambda p, x, k: ((x * p) ** 2)[k].sum(), on.array(P, dtype), (np.array([1.0, 2.0, 3.0]), labels),
                 gradient=lambda x: [2 * np.array([1.0, 4.0, 9.0]) * x[0] * one_hot.sum(0)])  # fmt: skip


def another_backend(backend: str, dtype: str) -> Asked:
    """Parameters and a batch of NumPy's, computed by another framework, which is named."""
    on, x = framework(backend), np.array([1.0, 2.0, 3.0], dtype=dtype)

    def loss(p: Any, x: Any) -> Any:
        return on.xp.exp(-p * x).sum()

    def value(leaves: Any) -> Any:
        with on.scope():
            return on.number(loss(on.array(leaves[0], dtype), on.array(x, dtype)))

    return Asked(framework("numpy"), loss, np.array(P, dtype=dtype), (x,), options={"backend": backend}, value=value,
                 gradient=lambda leaves: [-x * np.exp(-x * leaves[0])])  # fmt: skip


def nested_arguments(backend: str, dtype: str) -> Asked:
    """A batch in a dict of tuples, an option and a function among the arguments."""
    on = framework(backend)
    batch = {"pair": (on.array(P, dtype), on.array(P**2, dtype)), "power": 2}
    return Asked(on, lambda p, b, fn: (fn(p * b["pair"][0]) ** b["power"] + b["pair"][1]).sum(), on.array(P, dtype),
                 (batch, on.xp.sin), gradient=lambda x: [2 * np.sin(x[0] * P) * np.cos(x[0] * P) * P])  # fmt: skip


def an_empty_leaf(backend: str, dtype: str) -> Asked:
    on = framework(backend)
    params = {"w": on.array(P, dtype), "none": on.array(np.zeros((0, 2)), dtype)}
    return Asked(on, lambda p: (p["w"] ** 2).sum(), params, gradient=lambda x: [2 * x[0], np.zeros((0, 2))])


def an_unused_leaf(backend: str, dtype: str) -> Asked:
    on = framework(backend)
    params = {"w": on.array(P, dtype), "unused": on.array(P, dtype)}
    return Asked(on, lambda p: (p["w"] ** 2).sum(), params, gradient=lambda x: [2 * x[0], 0 * x[1]])


def integers(backend: str, dtype: str) -> Asked:
    on = framework(backend)
    return Asked(on, lambda p: (p * p).sum(), on.array(np.array([1, 2, 3]), "int32"), gradient=lambda x: [2 * x[0]])


def not_finite(backend: str, dtype: str) -> Asked:
    on = framework(backend)
    return Asked(on, squares, on.array(np.array([1.0, np.nan]), dtype), gradient=lambda x: [2 * x[0]])


def record(name: str, make: Any, backends: tuple[str, ...] = EVERYWHERE, **fields: Any) -> Loss:
    return stated(name, KIND, {backend: partial(make, backend) for backend in backends}, **fields)


HALF = ("jax", "torch")
_ONE_SIDED = ("es-forward", "es-vanilla", "es-leave-one-out")
_HIGH_ORDERS = dict.fromkeys(("fd-five-point", "fd-richardson"), COARSE)
ALL_REFUSED = dict.fromkeys(EVERYWHERE, NO_INTEGERS)
LOSSES = (
    record("a Python float", float_parameter),
    record("a list of floats", list_of_floats),
    record("a number beside an array", number_beside_array),
    record("a NumPy scalar", numpy_scalar, ("numpy",)),
    record("swapped bytes", swapped_bytes, ("numpy",)),
    record("a read-only array", read_only, ("numpy",)),
    record("views with strides", strided, ("numpy", "torch")),
    record("float32 beside float64", mixed, loose=1e4),  # as exact as the float32 leaf
    record("float16", partial(half, "float16"), ("numpy", *HALF), dtypes=("float16",),
           expected={"complex-step": NOT_ANALYTIC}),
    record("bfloat16", partial(half, "bfloat16"), HALF, dtypes=("bfloat16",),
           expected={"complex-step": NOT_ANALYTIC, "spsa": ROUNDED, **_HIGH_ORDERS}),
    record("a bfloat16 body, a float32 head", body_and_head, HALF, dtypes=("bfloat16",),
           expected={"complex-step": NOT_ANALYTIC, **dict.fromkeys(_ONE_SIDED, ROUNDED), "spsa": ROUNDED,
                     **_HIGH_ORDERS}),
    record("leaves that are no arrays", leaves_that_are_no_arrays),
    record("keyword arguments", keywords, dtypes=BOTH,
           expected={"es-coordinates": ROUNDED}),  # level along one coordinate
    record("the second argument", second_argument),
    record("a value and more", value_and_more,  # what comes beside the loss has no complex kind in PyTorch
           expected={("complex-step", "torch"): Refused("complex parameters.*use", "UnsupportedError")}),
    record("a batch of NumPy's", numpy_arguments, ("numpy", "jax"), dtypes=BOTH),
    record("NumPy's parameters, another framework", another_backend, ("jax", "torch", "mxnet"), dtypes=BOTH),
    record("nested arguments", nested_arguments),
    record("an empty leaf", an_empty_leaf, ("numpy", "jax", "torch")),
    record("a leaf that the loss does not use", an_unused_leaf),
    record("integer parameters", integers, ("mxnet",), expected=ALL_REFUSED),
    record("a parameter that is NaN", not_finite, ("jax",),
           expected={b: Refused("1 of 2 entries NaN", "NonFiniteError") for b in EVERYWHERE}),
)  # fmt: skip
