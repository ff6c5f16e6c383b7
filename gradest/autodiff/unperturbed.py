"""Memoises the values of the unperturbed loss, which evaluations at many perturbed parameters have in common.

This is common subexpression elimination across evaluations. A value is known by its expression, an operation on other
known values, down to parameters and data; an evaluation that comes to an expression that is there takes its value.
Expressions are numbered, so that a compiled evaluation can be handed the values that another has computed. This module
knows no framework.
"""

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from gradest.autodiff.interpreter import map_data
from gradest.operations import Array, Data


class Expressions:
    """Numbers expressions, the same for all evaluations of one loss."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._unused = itertools.count()

    def number(self, expression: Hashable) -> int:
        """Return the number of an expression, the next one if it is new."""
        return self._numbers.setdefault(expression, next(self._unused))


class Shared:
    """Values at one set of parameters and data, by the number of their expression.

    Parameters
    ----------
    expressions
        Where numbers come from.
    values
        Values that are there already: number -> array, or a nested tuple of arrays.
    """

    def __init__(self, expressions: Expressions | None = None, values: Mapping[int, Any] | None = None) -> None:
        self.values: dict[int, Any] = dict(values or {})
        self._expressions = Expressions() if expressions is None else expressions
        self._known: dict[int, tuple[int, Any]] = {}  # the object's identity; the object is kept, and so its identity
        self._inputs: list[Array] = []

    def begin(self, leaves: Sequence[Array], data: Data) -> None:
        """State the parameters and data that an evaluation starts from; what was there of other arrays is dropped.

        Arrays that are written to in between are not noticed: there is one of these objects for each call of an
        estimator, and each thread.
        """
        inputs = list(leaves)
        map_data(inputs.append, data)
        # The same arrays again: all that is known still holds. Others: nothing does.
        if self._inputs and any(a is not b for a, b in zip(inputs, self._inputs, strict=True)):
            self.values.clear()
            self._known.clear()
        self._inputs = inputs
        for place, array in enumerate(inputs):
            self._known[id(array)] = (self._expressions.number(("input", place)), array)

    def compute(self, operation: Hashable, operands: Sequence[Array | float], function: Callable[[], Any]) -> Any:
        """Return what `function()` returns, computed now if operands are unknown or the value is not there yet.

        `operation` names what the function does to the operands, all that it depends on.
        """
        # Operands are recognised by identity, not by value: comparing arrays would cost as much as computing them.
        arguments: list[Hashable] = []
        for operand in operands:
            if isinstance(operand, int | float):
                arguments.append(("number", operand))
                continue
            found = self._known.get(id(operand))
            if found is None:  # it depends on a perturbation: nobody else has this value
                return function()
            arguments.append(found[0])
        number = self._expressions.number((operation, *arguments))
        if number not in self.values:
            self.values[number] = function()
        value = self.values[number]
        # Kept with the object: were it freed, another array could be given its identity and be taken for it.
        self._known[id(value)] = (number, value)
        return value
