"""The computation of a JAX function, by the equations of its jaxpr, evaluated and differentiated one by one."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.graphs import Computation, Node
from gradest.operations import Data

_CALLS = {"pjit", "jit", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "closed_call"}
"""Equations that call a function, which is named where JAX knows its name."""


def graph(
    function: Callable[[Leaves, Data], Any],
    leaves: Leaves,
    data: Data,
    *,
    names: Sequence[str],
    tangents: Sequence[NDArray[Any]] | None,
) -> Computation:
    """Return the steps of one evaluation with adjoints, or with tangents along a direction; see `gradest.graph`."""
    closed = jax.make_jaxpr(lambda at: function(at, data))(tuple(leaves))
    steps = _Steps(closed, leaves)
    if tangents is None:
        return steps.computation("reverse", steps.adjoints(), names)
    given = [jnp.asarray(t, str(x.dtype)) for t, x in zip(tangents, leaves, strict=True)]
    return steps.computation("forward", steps.tangents(given), names)


class _Steps:
    """The equations that depend on the parameters, with the values of what goes in and what comes out."""

    def __init__(self, closed: Any, leaves: Leaves) -> None:
        self.values: dict[Any, Any] = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
        self.values.update(zip(closed.jaxpr.invars, leaves, strict=True))
        self.inputs = list(closed.jaxpr.invars)
        self.result = closed.jaxpr.outvars[0]
        self.made: list[Any] = []
        depends = set(self.inputs)
        for equation in closed.jaxpr.eqns:
            found = _run(equation, *self._arguments(equation))
            self.values.update(zip(equation.outvars, found, strict=True))
            moved = any(_is_variable(x) and x in depends for x in equation.invars)
            real = [v for v in equation.outvars if jnp.issubdtype(v.aval.dtype, jnp.floating)]
            if moved and real:
                self.made.append(equation)
                depends.update(real)
        self.depends = depends

    def _arguments(self, equation: Any) -> list[Any]:
        return [self.values[x] if _is_variable(x) else x.val for x in equation.invars]

    def adjoints(self) -> dict[Any, tuple[Any, int]]:
        """Return the adjoint of each variable, and when the backward sweep had it complete."""
        found: dict[Any, Any] = {}
        turns: dict[Any, int] = {}
        if _is_variable(self.result):
            found[self.result] = jnp.ones_like(self.values[self.result])
        for equation in reversed(self.made):
            outs = [v for v in equation.outvars if v in self.depends and v in found]
            if not outs:
                continue
            for v in outs:
                turns[v] = len(turns) + 1
            arguments = self._arguments(equation)
            places = [i for i, x in enumerate(equation.invars) if _is_variable(x) and x in self.depends]
            _, back = jax.vjp(partial(_run_at, equation, arguments, places), *(arguments[i] for i in places))
            zeros = [jnp.zeros_like(self.values[v]) for v in equation.outvars if v in self.depends]
            kept = [v for v in equation.outvars if v in self.depends]
            parts = back([found.get(v, zero) for v, zero in zip(kept, zeros, strict=True)])
            for i, part in zip(places, parts, strict=True):
                variable = equation.invars[i]
                found[variable] = part if variable not in found else found[variable] + part
        for v in self.inputs:
            if v in found:
                turns[v] = len(turns) + 1
        return {v: (found[v], turns[v]) for v in turns}

    def tangents(self, given: Sequence[Any]) -> dict[Any, tuple[Any, int]]:
        """Return the tangent of each variable along a direction, and its place in the sweep."""
        found = dict(zip(self.inputs, given, strict=True))
        for equation in self.made:
            arguments = self._arguments(equation)
            places = [i for i, x in enumerate(equation.invars) if _is_variable(x) and x in self.depends]
            primals = tuple(arguments[i] for i in places)
            along = tuple(found[equation.invars[i]] for i in places)
            _, out = jax.jvp(partial(_run_at, equation, arguments, places), primals, along)
            kept = [v for v in equation.outvars if v in self.depends]
            found.update(zip(kept, out, strict=True))
        return {v: (tangent, turn) for turn, (v, tangent) in enumerate(found.items(), start=1)}

    def computation(self, mode: str, found: dict[Any, tuple[Any, int]], names: Sequence[str]) -> Computation:
        rows: list[tuple[Any, str, Sequence[Any]]] = [(v, names[k], ()) for k, v in enumerate(self.inputs)]
        for equation in self.made:
            rows += [(v, _name(equation), equation.invars) for v in equation.outvars if v in self.depends]
        place = {v: k for k, (v, _, _) in enumerate(rows)}
        nodes = []
        for variable, name, invars in rows:
            derivative, turn = found.get(variable, (None, None))
            parents = tuple(place[x] for x in invars if _is_variable(x) and x in place)
            shown = None if derivative is None else np.asarray(derivative, np.float64)
            nodes.append(Node(name, parents, np.asarray(self.values[variable], np.float64), shown, turn))
        return Computation(tuple(nodes), mode)


def _run(equation: Any, *arguments: Any) -> list[Any]:
    """Carry out one equation."""
    bound = equation.primitive.get_bind_params(equation.params)
    functions, more = bound if isinstance(bound, tuple) else ((), bound)  # newer JAX has no functions apart
    found = equation.primitive.bind(*functions, *arguments, **more)
    return list(found) if equation.primitive.multiple_results else [found]


def _run_at(equation: Any, arguments: Sequence[Any], places: Sequence[int], *moved: Any) -> list[Any]:
    """Carry out one equation as a function of some of its arguments; return what is real of it."""
    given = list(arguments)
    for place, value in zip(places, moved, strict=True):
        given[place] = value
    found = zip(equation.outvars, _run(equation, *given), strict=True)
    return [value for v, value in found if jnp.issubdtype(v.aval.dtype, jnp.floating)]


def _is_variable(x: Any) -> bool:
    return not hasattr(x, "val")  # a literal holds its value


def _name(equation: Any) -> str:
    name = str(equation.primitive.name)
    return str(equation.params.get("name", name)) if name in _CALLS else name
