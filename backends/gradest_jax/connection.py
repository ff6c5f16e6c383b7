"""Whether a traced loss depends on its parameters, read off its equations: JAX gives zeros where it does not."""

from typing import Any

from gradest.errors import InvalidInputError


def require_connected(program: Any, num_leaves: int) -> None:
    """Refuse a program whose first result none of its first inputs reaches.

    Parameters
    ----------
    program
        A jaxpr whose first result is the loss and whose first inputs are the parameter leaves.
    num_leaves
        How many leaves there are.

    Raises
    ------
    InvalidInputError
        The loss does not depend on any of them.
    """
    reached = _inputs_of(program, {0})
    if not any(place < num_leaves for place in reached):
        raise InvalidInputError(
            "a loss computed by JAX from the parameters was asked for; none of them reaches the result (parameters "
            "closed over, or jax.lax.stop_gradient?); compute the loss from f's first argument"
        )


def _inputs_of(program: Any, results: set[int]) -> set[int]:
    """Return which inputs of a jaxpr reach some of its results, going backward through its equations."""
    needed = {id(program.outvars[k]) for k in results}
    for equation in reversed(program.eqns):
        found = {k for k, out in enumerate(equation.outvars) if id(out) in needed}
        if found and equation.primitive.name != "stop_gradient":
            given = equation.invars
            needed.update(id(given[k]) for k in _inputs_of_equation(equation, found))
    return {k for k, given in enumerate(program.invars) if id(given) in needed}


def _inputs_of_equation(equation: Any, results: set[int]) -> set[int]:
    """Return the inputs of one equation that reach some of its results; for a nested jit, by what is inside."""
    inner = equation.params.get("jaxpr") if equation.primitive.name in ("pjit", "jit") else None
    return set(range(len(equation.invars))) if inner is None else _inputs_of(inner.jaxpr, results)
