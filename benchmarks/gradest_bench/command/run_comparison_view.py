"""Shows a comparison of two runs in a terminal: what changed, how surely, and what could not be told."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape

from gradest_bench.command.terminal import titled_table, wide_enough
from gradest_bench.report.run_comparison_words import comparison_sentences
from gradest_bench.results.accuracy_change import SAME
from gradest_bench.results.run_comparison import (
    CANNOT_TELL,
    MINIMUM_EFFECT,
    NO_CHANGE,
    RunComparison,
    TimeChange,
)
from gradest_bench.results.significance import FALSE_CHANGE


def show_run_comparison(console: Console, found: RunComparison) -> None:
    """Print what changed, what could not be told, and how much was compared."""
    for version in found.versions:
        console.print(escape(version), highlight=False)
    _show_times(console, found)
    _show_accuracies(console, found)
    for title, before, after in found.outcomes:
        console.print(f"[bold]{before} -> {after}[/]  {escape(title)}", highlight=False)
    for sentence in comparison_sentences(found):
        console.print(escape(sentence), highlight=False)


def comparison_fields(found: RunComparison) -> dict[str, Any]:
    """Return what `--json` prints of a comparison: every judged cell, also those without a change."""
    return {
        "differences": found.versions,
        "worse": found.worse,
        "false_change": FALSE_CHANGE,
        "minimum_effect": MINIMUM_EFFECT,
        "times": [
            {
                "title": change.title,
                "starts": change.starts,
                "verdict": change.verdict,
                **{name: getattr(change.ratio, name, None) for name in ("ratio", "low", "high", "visible")},
                "ratio_of_medians": change.ratio_of_medians,
            }
            for change in found.times
        ],
        "accuracies": [asdict(change) for change in found.accuracies],
        "outcomes": [{"title": title, "before": a, "after": b} for title, a, b in found.outcomes],
        "only_before": found.only_before,
        "only_after": found.only_after,
    }


def _show_times(console: Console, found: RunComparison) -> None:
    """Print the times that changed or could not be told; the ratio of medians beside them judges nothing."""
    shown = [change for change in found.times if change.ratio is not None and change.verdict != NO_CHANGE]
    if not shown:
        return
    table = titled_table(
        "time, second / first",
        "cell",
        "starts",
        "ratio",
        "interval, all together",
        "would see",
        "of medians",
        "verdict",
    )
    for change in sorted(shown, key=_size):
        ratio = change.ratio
        assert ratio is not None  # as for all that are shown
        table.add_row(
            escape(change.title),
            str(change.starts),
            f"{ratio.ratio:.3f}",
            f"{ratio.low:.3f} .. {ratio.high:.3f}",
            f"x{ratio.visible:.2f}",
            f"{change.ratio_of_medians:.3f}",
            change.verdict,
        )
    wide_enough(console, [table]).print(table)


def _size(change: TimeChange) -> tuple[bool, float]:
    assert change.ratio is not None
    # what is told first, and of that the slowest: what cannot be told is long, and asks for nothing
    return change.verdict == CANNOT_TELL, -change.ratio.ratio


def _show_accuracies(console: Console, found: RunComparison) -> None:
    changed = [a for a in found.accuracies if a.verdict != SAME]
    if not changed:
        return
    table = titled_table("accuracy", "cell", "measure", "first", "second", "verdict")
    for a in changed:
        table.add_row(escape(a.title), a.measure, f"{a.before:.3e}", f"{a.after:.3e}", a.verdict)
    wide_enough(console, [table]).print(table)
