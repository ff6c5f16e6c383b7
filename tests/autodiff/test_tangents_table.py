"""The tables of `gradest.tangents` say what each kind of directions becomes under each operation."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from gradest import tangents
from gradest.autodiff import linear_rules as linear
from gradest.backend import get_backend
from gradest.tangents import Columns, Dense, LowRank, Mirrored, Outer, Rows, Tangent, Zero

OPS = get_backend("numpy").operations()
RNG = np.random.default_rng(0)
SIZE = 3  # directions of matrices (3, 3), so that every product exists
X = RNG.standard_normal((SIZE, SIZE))


def columns() -> Columns:
    return Columns(RNG.standard_normal((2, SIZE, SIZE)), (SIZE, SIZE))


MAKE: dict[str, Callable[[], Tangent]] = {
    "Zero": lambda: Zero(6, X),
    "Dense": lambda: Dense(RNG.standard_normal((6, SIZE, SIZE))),
    "Rows": lambda: Rows(np.eye(SIZE)[:2], RNG.standard_normal((2, SIZE))),
    "Columns": columns,
    "Outer": lambda: Outer(columns(), X),
    "LowRank": lambda: LowRank(RNG.standard_normal((6, SIZE, 1)), RNG.standard_normal((6, SIZE, 1))),
}


def elementwise(t: Tangent) -> Tangent | None:
    (array,), wrap = linear.frame(OPS, (t,), (SIZE, SIZE))
    assert array is not None  # None has no array
    return wrap(array * 2.0)


RULES: dict[str, Callable[[Tangent], Tangent | None]] = {
    "add same": lambda t: linear.add_changes(OPS, t, t, (SIZE, SIZE)),
    "x @ t": lambda t: linear.matmul_left(OPS, X, t),
    "t @ W": lambda t: linear.matmul_right(OPS, t, X),
    "elementwise": elementwise,
    "sum rows": lambda t: linear.sum_change(OPS, t, axis=-2, keepdims=False),
    "sum columns": lambda t: linear.sum_change(OPS, t, axis=-1, keepdims=False),
    "transpose": lambda t: linear.transpose_change(OPS, t),
    "new axis -2": lambda t: linear.expand_change(OPS, t, axis=-2),
    "new last": lambda t: linear.expand_change(OPS, t, axis=-1),
    "broadcast": lambda t: linear.broadcast_change(OPS, t, (2, SIZE, SIZE)),
    "reshape": lambda t: linear.reshape_change(OPS, t, (SIZE * SIZE,)),
    "t @ s": lambda t: linear.matmul_both(OPS, t, t),
}
COST = "inner products <t, G>"
"""A column of words: what `contract` does, whose numbers other tests compare."""


def table() -> dict[str, dict[str, str]]:
    """Return both tables as they are written: kind -> operation -> what becomes of it."""
    lines = (tangents.__doc__ or "").splitlines()
    rules = [k for k, line in enumerate(lines) if line.startswith("====")]
    found: dict[str, dict[str, str]] = {}
    for top, middle, bottom in zip(rules[::3], rules[1::3], rules[2::3], strict=True):
        edges = [m.start() for m in re.finditer("=+", lines[top])]
        rows = [
            [line[start:stop].strip().strip("`") for start, stop in zip(edges, [*edges[1:], None], strict=True)]
            for line in (lines[top + 1], *lines[middle + 1 : bottom])
        ]
        for kind, *said in rows[1:]:
            found.setdefault(kind, {}).update(zip(rows[0][1:], said, strict=True))
    return found


def test_the_tables_name_every_kind_and_operation() -> None:
    kinds = {kind.__name__ for kind in Tangent.__subclasses__()}
    assert set(table()) == kinds
    assert all(set(row) == {*RULES, COST} and all(row.values()) for row in table().values())


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", MAKE)
def test_what_becomes_of_each_kind_is_what_the_table_says(kind: str, rule: str) -> None:
    change = linear.start_change(MAKE[kind]())
    found = "=" if change is None else type(RULES[rule](change)).__name__  # zero directions stay None everywhere
    said = table()[kind][rule]
    assert (found if found != kind else "=") == said


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "elementwise"])
@pytest.mark.parametrize("kind", [kind for kind in MAKE if kind != "Zero"])
def test_directions_on_both_sides_do_what_their_half_does(kind: str, rule: str) -> None:
    found = RULES[rule](Mirrored(MAKE[kind](), 0.5))
    said = table()[kind][rule]
    assert table()["Mirrored"][rule] == ("=" if isinstance(found, Mirrored) else type(found).__name__)
    if isinstance(found, Mirrored):
        assert type(found.half).__name__ == (kind if said == "=" else said)
