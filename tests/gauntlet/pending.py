"""Cells that are not yet as the table says, each with what is found. They must fail: what is mended leaves the list.

Read from here, and from nowhere else: the tests expect these failures, strictly, and the full table marks them.
"""

Cell = tuple[str, str, str]

PENDING: dict[Cell | tuple[str, str, str, str], str] = {}
"""By (loss, path, backend), or with the dtype as well where another one is right."""

PENDING_NAMES: dict[Cell, str] = {}
"""By (loss, registered name, backend): what is wrong with one estimator of a path, and not with the others."""
