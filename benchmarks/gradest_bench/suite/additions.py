"""Puts estimators beside those of a suite, and keeps them in the text of a run, so that its cells are known later.

The text stays that of the suite, comments and all; what was added is its last line, itself a comment. This module
imports no class: whoever reads a run need not have those of its plug-ins.
"""

import json
import re
from collections.abc import Sequence

import msgspec

from gradest_bench.suite.cells import Spec
from gradest_bench.suite.schema import Named, Suite
from gradest_bench.suite.spec_text import parse_spec

# a comment of TOML: who reads the text as a suite sees the suite's own estimators, and no key of a run's
_ADDED = "# run with --estimators "


def extended(suite: Suite, added: Sequence[Spec]) -> Suite:
    """Return a suite with estimators added to each of its grids, behind its own.

    Examples
    --------
    >>> from gradest_bench.suite.additions import extended
    >>> from gradest_bench.suite.schema import parse_suite, suite_text
    >>> from gradest_bench.suite.spec_text import parse_spec
    >>> quick = extended(parse_suite(suite_text("quick")), [parse_spec("es(sigma=0.5)")])
    >>> quick.grid[0].estimators[-1].label
    'es(sigma=0.5)'
    """
    new = [Named(name=spec.name, fields=dict(spec.fields), label=spec.label) for spec in added]
    grids = [msgspec.structs.replace(grid, estimators=[*grid.estimators, *new]) for grid in suite.grid]
    return msgspec.structs.replace(suite, grid=grids) if new else suite


def text_with(text: str, added: Sequence[Spec]) -> str:
    """Return the text of a suite as a run keeps it: with a last line that has the estimators that were added."""
    if not added:
        return text
    listed = json.dumps([spec.label for spec in added], ensure_ascii=True)  # one line, whatever stands in it
    return f"{text.rstrip()}\n{_ADDED}{listed}\n"


def without_added(text: str) -> tuple[str, list[Spec]]:
    """Return a text without its last line of estimators, and the estimators; none where the text says nothing."""
    last = re.search(r"^" + re.escape(_ADDED) + r"(\[.*\])\n\Z", text, re.MULTILINE)
    # a comment of another hand that only looks like ours stays a comment
    labels = None if last is None else _labels(last.group(1))
    if last is None or labels is None:
        return text, []
    return text[: last.start()], [parse_spec(label) for label in labels]


def _labels(listed: str) -> list[str] | None:
    """Return the labels of a line that this module wrote; None for a comment of another hand that looks like one."""
    try:
        found = json.loads(listed)
    except (ValueError, RecursionError):
        return None
    return found if all(isinstance(label, str) for label in found) else None
