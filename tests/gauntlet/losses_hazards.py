"""Losses with a fault, or with what has misled an estimator: the number is right, or the words say why not."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from gauntlet.building import EVERYWHERE, arrays, stated
from gauntlet.frameworks import framework
from gauntlet.records import (
    NO_COMPLEX,
    NOISY,
    NOT_ANALYTIC,
    OPAQUE,
    RIGHT,
    Asked,
    Either,
    Loss,
    Outcome,
    Refused,
    Warned,
)

FAULTS = "faults"
ANSWERS = "answers that are no number"
NOISE = "noise, constants, values that are not finite"
P = np.array([0.7, -1.2, 0.4])
USES = ("reverse", "forward", "differences", "complex-step", "full", "low-rank", "shaped")
WRITES = Refused("writes into its parameters or arguments.*copy", "InvalidInputError")
UNCONNECTED = Refused("parameters was asked for|not connected|does not depend", "InvalidInputError")
INTO_ARRAY = Refused("assignment into a plain array.*'fd-central'", "UnsupportedError")
UNCHANGED = Warned("Warning", "chang|depend")
NOT_FINITE = Warned("Warning", "NaN or infinite")


def refused(match: str, *backends: str) -> dict[Any, Outcome]:
    """Return that every path that evaluates the loss refuses it; those that never do, for their own reason."""
    answer = Refused(match, "InvalidInputError")
    found: dict[Any, Outcome] = {}
    for backend in backends or EVERYWHERE:
        lacking = {"mxnet": ("forward", "complex-step")}.get(backend, ())
        found |= {(path, backend): answer for path in USES if path not in lacking}
    return found


def writes(xp: Any, p: Any) -> Any:
    p *= 2
    return (p**2).sum()


def writes_into_arguments(xp: Any, p: Any, x: Any) -> Any:
    x += 1
    return (p * x).sum()


def buffer(backend: str, dtype: str) -> Asked:
    """A loss that fills one buffer, and returns it each time."""
    on = framework(backend)
    out = on.array(np.zeros(()), dtype)

    def loss(p: Any) -> Any:
        out[...] = (p * p).sum()
        return out

    return Asked(on, loss, on.array(P, dtype), gradient=lambda x: [2 * x[0]])


def float_buffer(xp: Any, p: Any) -> Any:
    out = np.zeros(3)
    out[:] = p**2
    return out.sum() + p.sum()


def a_view(xp: Any, p: Any) -> Any:
    return p[0:1].reshape(())


def in_float32(backend: str, dtype: str) -> Asked:
    on = framework(backend)

    def loss(p: Any) -> Any:
        narrow = p.float() if backend == "torch" else p.astype("float32")
        return (narrow**2).sum()

    return Asked(on, loss, on.array(np.array([1 / 3, 2.0]), dtype), gradient=lambda x: [2 * x[0]])


def noisy(backend: str, dtype: str) -> Asked:
    """A loss to which NumPy adds noise, from a generator that the loss holds."""
    on, generator = framework(backend), np.random.default_rng(0)
    return Asked(on, lambda p: (p * p).sum() + 1e-3 * float(generator.standard_normal()), on.array(P, dtype),
                 gradient=lambda x: [2 * x[0]])  # fmt: skip


def global_noise(backend: str, dtype: str) -> Asked:
    """A loss that draws from NumPy's global generator."""
    on = framework(backend)

    def loss(p: Any) -> Any:
        return (p * p).sum() + 1e-3 * float(np.random.standard_normal())  # noqa: NPY002  # what many losses do

    return Asked(on, loss, on.array(P, dtype), gradient=lambda x: [2 * x[0]], draws_numpy=True)


def seeded_inside(backend: str, dtype: str) -> Asked:
    """A loss that makes its noise anew from one seed in each evaluation."""
    on = framework(backend)

    def loss(p: Any) -> Any:
        drawn = on.array(np.random.default_rng(7).standard_normal(3), dtype)
        return ((p + 0.1 * drawn) ** 2).sum()

    drawn = np.random.default_rng(7).standard_normal(3)
    return Asked(on, loss, on.array(P, dtype), gradient=lambda x: [2 * (x[0] + 0.1 * drawn)])


def of_others(backend: str, dtype: str) -> Asked:
    """A loss of arrays that it closes over: the parameters that it is given are not used."""
    on = framework(backend)
    other = on.array(P, dtype)
    if backend == "torch":
        other.requires_grad_()
    if backend == "mxnet":
        other.attach_grad()
    return Asked(on, lambda p: (other * other).sum(), on.array(P, dtype), gradient=lambda x: [0 * x[0]])


def logarithm(xp: Any, p: Any) -> Any:
    return xp.log(p).sum()


def counted(backend: str, dtype: str) -> Asked:
    """How many entries are positive, an integer: it has no slope, and a smoothed one."""
    on = framework(backend)
    return Asked(
        on, lambda p: (p > 0).sum(), on.array(np.array([0.2, -0.1, 0.3]), dtype), gradient=lambda x: [0 * x[0]]
    )


def answer(make: Any, backend: str, dtype: str) -> Asked:
    on = framework(backend)
    return Asked(on, partial(make, on.xp), on.array(P, dtype), gradient=lambda x: [0 * x[0]])


def answers(name: str, make: Any, match: str, *backends: str) -> Loss:
    makers = {backend: partial(answer, make, backend) for backend in backends}
    return stated(name, ANSWERS, makers, refused(match, *backends))


def record(name: str, kind: str, make: Any, backends: tuple[str, ...], **fields: Any) -> Loss:
    return stated(name, kind, {backend: partial(make, backend) for backend in backends}, **fields)


_WRITING = ("numpy", "torch")
_NOISY: dict[Any, Outcome] = dict.fromkeys(("differences", "full", "low-rank", "shaped"), NOISY)
_NOISY |= {"complex-step": Either(NOISY, NOT_ANALYTIC), ("complex-step", "mxnet"): NO_COMPLEX}
_FLAT: dict[Any, Outcome] = dict.fromkeys(("differences", "full", "low-rank", "shaped"), UNCHANGED)

LOSSES = (
    # -- what is written into
    arrays("writes into its parameters", FAULTS, writes, P, gradient=lambda p: [8 * p], backends=_WRITING,
           expected=dict.fromkeys(USES, WRITES)
           | {("forward", "torch"): Either(RIGHT, WRITES)}),
    arrays("writes into its arguments", FAULTS, writes_into_arguments, P, np.array([1.0, 2.0, 3.0]),
           backends=_WRITING, gradient=lambda p: [np.array([2.0, 3.0, 4.0])],
           expected=dict.fromkeys(USES, WRITES) | {("forward", "torch"): WRITES}),
    arrays("writes into a parameter, on MXNet", FAULTS, writes, P, gradient=lambda p: [8 * p], backends=("mxnet",),
           expected={path: Either(RIGHT, Refused("a loss that leaves its inputs.*copy", "InvalidInputError"))
                     for path in ("reverse", "differences", "full", "low-rank", "shaped")}),
    record("fills and returns one buffer", FAULTS, buffer, ("numpy", "torch"),
           expected={"complex-step": NOT_ANALYTIC, ("reverse", "numpy"): INTO_ARRAY, ("forward", "numpy"): INTO_ARRAY,
                     ("reverse", "torch"): Either(RIGHT, Refused("use|keep to|copy")),
                     ("forward", "torch"): Either(RIGHT, Refused("use|keep to|copy"))}),
    arrays("returns a view of its parameters", FAULTS, a_view, P, gradient=lambda p: [np.array([1.0, 0.0, 0.0])]),
    arrays("goes through a buffer of floats", FAULTS, float_buffer, P, backends=("numpy",),
           gradient=lambda p: [2 * p + 1],
           expected={"complex-step": NOT_ANALYTIC, "reverse": INTO_ARRAY, "forward": INTO_ARRAY}),
    record("computes in float32", FAULTS, in_float32, EVERYWHERE, loose=1e5,  # 1e-7 of the value beside a step of 1e-5
           expected={"differences": Either(RIGHT, Warned("NoiseWarning", "rounding|float32")),
                     "complex-step": NOT_ANALYTIC,
                     ("complex-step", "mxnet"): NO_COMPLEX}
           | {path: Either(RIGHT, Warned("NoiseWarning", "rounding")) for path in ("full", "low-rank", "shaped")}),
    # -- noise and constants
    record("draws from a generator of NumPy's", NOISE, noisy, ("numpy", "torch", "mxnet"), expected=_NOISY),
    record("draws from NumPy's global generator", NOISE, global_noise, ("numpy", "torch"), expected=_NOISY),
    record("makes its noise from one seed", NOISE, seeded_inside, EVERYWHERE),
    record("a loss of other arrays", NOISE, of_others, EVERYWHERE,
           expected=_FLAT | {"reverse": UNCONNECTED, "forward": Either(UNCONNECTED, UNCHANGED),
                             ("forward", "mxnet"): OPAQUE,
                             "complex-step": Either(NOT_ANALYTIC, UNCHANGED), ("complex-step", "mxnet"): NO_COMPLEX}),
    arrays("a logarithm near zero", NOISE, logarithm, np.array([1e-7, 1.0]), gradient=lambda p: [1 / p],
           # float64 has room for steps that stay where the logarithm is a number
           expected={"differences": Either(RIGHT, NOT_FINITE), "full": NOT_FINITE, "low-rank": NOT_FINITE,
                     "shaped": Refused("NaN or infinite", "NonFiniteError"), "smoothed": NOT_FINITE}),
    record("counts, an integer", NOISE, counted, ("numpy", "torch", "jax"), sigma=0.5,
           expected={"reverse": Either(UNCONNECTED, Refused("use|keep to|integer")),
                     "forward": Either(UNCONNECTED, Refused("use|keep to|integer")),
                     **dict.fromkeys(("es-forward", "es-vanilla", "es-leave-one-out", "residual-feedback"),
                                     Either(RIGHT, UNCHANGED)),
                     "differences": Either(UNCHANGED, Warned("Warning", "integer")), "complex-step": NOT_ANALYTIC}),
    # -- answers
    answers("forgets to return", lambda xp, p: None, "`return` missing", "torch"),
    answers("returns text", lambda xp, p: "0.5", "string", "numpy"),
    answers("returns a boolean", lambda xp, p: (p * p).sum() > 1.0, "boolean", "jax"),
    answers("returns a complex number", lambda xp, p: (p * 1j).sum(), "complex number.*real", "torch"),
    answers("returns a vector", lambda xp, p: p * p, r"\(3,\)|\[3\]|one number|scalar", "mxnet"),
    answers("returns a pair", lambda xp, p: ((p * p).sum(), p), "tuple", "jax"),
    answers("returns an object with a loss", lambda xp, p: SimpleNamespace(loss=(p * p).sum()), r"return out\.loss",
            "torch"),
)  # fmt: skip
