"""Functions of the user's beside the loss: they are given the parameters of a run to look at. Knows no run."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from gradest.backend import Leaves
from gradest.errors import InvalidInputError, InvalidTypeError
from gradest.estimate import Cost
from gradest.objective import Objective
from gradest.training.records import Quality, Record
from gradest.tree import Tree

Metrics = Mapping[str, Callable[[Tree], float]]

_TAKEN = frozenset(
    [field.name for kind in (Record, Cost, Quality) for field in fields(kind)]
    + ["cost, in losses", "held-out loss", "relative MSE", "predicted"]
)
"""The names of the columns of a log, which a metric of the same name would hide."""


def as_metrics(metrics: Metrics | None) -> dict[str, Callable[[Tree], float]]:
    """Return metrics as a dict.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        They are no mapping from names to functions, or a name is that of a column of the log.
    """
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping) or not all(isinstance(k, str) and callable(v) for k, v in metrics.items()):
        raise InvalidTypeError(
            f"metrics must be a mapping from names to functions of the parameters, such as {{'norm': norm}}; found "
            f"{metrics!r}"
        )
    taken = sorted(_TAKEN.intersection(metrics))
    if taken:
        raise InvalidInputError(f"metrics may not have names of the log's own columns; found {taken}; try 'my_loss'")
    return dict(metrics)


def looked_at(objective: Objective, name: str, look: Callable[[Tree], Any], leaves: Leaves) -> Any:
    """Return what a user's function of the parameters returns, and see that it has left them as they are.

    What it is given is read-only, or a copy: a run depends on its batches and its optimiser alone.

    Raises
    ------
    InvalidInputError
        It has written into what it was given.
    """
    backend = objective.backend
    lent = objective.scoped(backend.lend)(leaves, private=True)
    # PyTorch counts what is written into a tensor; NumPy's are lent read-only, and raise.
    marks = backend.marks(lent)
    try:
        found = look(objective.form.params_of(lent))
    except Exception as error:
        # A ValueError of NumPy's about a read-only array says nothing of whose it is, or why.
        if backend.refused_writing(error):
            raise InvalidInputError(_writes(name)) from error
        raise
    # Not every framework counts what is written.
    kept = all(copy is leaf or backend.same(copy, leaf) for leaf, copy in zip(leaves, lent, strict=True))
    if backend.marks(lent) != marks or not kept:
        raise InvalidInputError(_writes(name))
    return found


def _writes(name: str) -> str:
    return (
        f"a function that looks at the parameters was asked for; {name} writes into them; work on a copy, such as "
        "`p = p.copy()` in NumPy or `p = p.clone()` in PyTorch; what a step does to them, such as clipping, is an "
        "optimiser's: a subclass of gradest.training.Optimizer with its own update"
    )


def metric_of(objective: Objective, name: str, metric: Callable[[Tree], Any], leaves: Leaves) -> float:
    """Return a metric at parameter leaves as a number of Python's; raises as `looked_at`, or where it is no number."""
    found = looked_at(objective, f"metric {name!r}", metric, leaves)
    try:
        # An array of one entry is one number, of which NumPy's float warns; a text that looks like one is none.
        plain = found.item() if callable(getattr(found, "item", None)) else found
        if isinstance(plain, str | bytes):
            raise TypeError("a text")
        return float(plain)
    except (TypeError, ValueError, RuntimeError) as error:  # as each framework has it
        raise InvalidTypeError(
            f"metric {name!r} must return one number; found {type(found).__name__} {str(found)[:60]}"
        ) from error
