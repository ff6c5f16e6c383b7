"""Reverse mode: a tape of calls, pulled back once.

As `gradest.autodiff.tape`, whose nodes are values of gradest's operations; here they are values of NumPy functions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest_numpy.differentiation.keeping import Keeper
from gradest_numpy.differentiation.rules import Entry, Rule, unbroadcast, zero
from gradest_numpy.differentiation.trace import Trace
from gradest_numpy.differentiation.traced import TracedArray


@dataclass(frozen=True, slots=True)
class Step:
    """A call on the tape: what it made, of what, and how cotangents go back to each array that is traced."""

    rule: Rule
    result: Any  # a traced array, or a tuple of them and of plain ones
    value: Any
    values: tuple[Any, ...]
    options: Any
    links: list[tuple[TracedArray, Entry]]


class Tape(Trace):
    """Records the calls that depend on the leaves, in order.

    Attributes
    ----------
    steps
        The calls, until they are pulled back. `settled(step, g)` is told each then, with its complete cotangent.
    """

    __slots__ = ("_keeper", "_settled", "steps")

    def __init__(self, keeper: Keeper, *, settled: Callable[[Step, Any], None] | None = None) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._keeper = keeper
        self._settled = settled

    def record(self, rule: Rule, value: Any, arrays: tuple[Any, ...], values: tuple[Any, ...], options: Any) -> Any:
        links, followed = [], 0
        for k, x in enumerate(arrays):
            if type(x) is TracedArray and x.tracer is self:
                followed += 1
                entry = rule.vjp(k)
                if entry is None:
                    raise _no_rule(rule, k, "defvjp")
                if entry is not zero:
                    links.append((x, entry))
        if not links:
            return value
        kept = self._keeper.kept
        if followed < len(arrays):  # what the tape follows itself is no memory of the function's
            values = tuple([v if x is not v else kept(v) for x, v in zip(arrays, values, strict=True)])
        if options:
            options = {name: kept(option) for name, option in options.items()}
        if isinstance(value, tuple):
            parts = [TracedArray(self, part) if part.dtype.kind == "f" else part for part in value]
            result: Any = type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        elif value.dtype.kind != "f":
            return value  # integers and booleans are locally constant
        else:
            result = TracedArray(self, value)
        self.steps.append(Step(rule, result, value, values, options, links))
        return result

    def pull_back(self, result: TracedArray) -> None:
        """Give every leaf that the result depends on its cotangent: the derivative of the result by it."""
        result.carried = np.ones_like(result.primal)
        # A call is recorded after those that made its arrays: backward, when it is reached, every use of its result has
        # sent its part. Popped, so that values are freed as soon as they have been used.
        while self.steps:
            step = self.steps.pop()
            g = _cotangent(step.result, step.value)
            if g is None:
                continue  # computed and not used
            if self._settled is not None:
                self._settled(step, g)
            for x, entry in step.links:
                if step.rule.adds is not None and _add_in_place(x, g, step):
                    continue
                part = entry(g, step.value, *step.values, **step.options)
                receive(x, unbroadcast(part, x.shape) if step.rule.diagonal else part)


def _cotangent(result: Any, value: Any) -> Any:
    """Return the complete cotangent of a call's result and let go of it; None where nothing depends on it."""
    if type(result) is TracedArray:
        g, result.carried = result.carried, None
        return g
    parts = [_cotangent(part, None) if type(part) is TracedArray else None for part in result]
    if all(part is None for part in parts):
        return None
    return tuple(np.zeros_like(v) if part is None else part for part, v in zip(parts, value, strict=True))


def receive(x: TracedArray, part: Any) -> None:
    """Add what comes back from one use of a value to its cotangent."""
    if part.dtype != x.dtype:  # float32 that met float64: the cotangent is of the value's own dtype
        part = part.astype(x.dtype)
    if x.carried is None:
        x.carried = part  # perhaps shared with others: not written to
    elif x.own and type(part) is not TracedArray:  # an outer trace cannot see a write
        x.carried += part
    else:
        x.carried = x.carried + part
        x.own = type(x.carried) is np.ndarray


def _add_in_place(x: TracedArray, g: Any, step: Step) -> bool:
    """Add a part into a total that is x's own; a loop over the rows of an array is linear in its size so."""
    if type(g) is TracedArray or type(x.primal) is not np.ndarray:
        return False  # as above
    if not x.own:
        if type(x.carried) is TracedArray:
            return False
        x.carried = np.zeros(x.shape, x.dtype) if x.carried is None else np.array(x.carried, copy=True)
        x.own = True
    assert step.rule.adds is not None
    step.rule.adds(x.carried, g, **step.options)
    return True


def _no_rule(rule: Rule, position: int, define: str) -> UnsupportedError:
    return UnsupportedError(
        f"{rule.name} has no rule by its argument {position}, which is being differentiated; give it one by "
        f"gradest.{define}, or compute that argument from data alone"
    )
