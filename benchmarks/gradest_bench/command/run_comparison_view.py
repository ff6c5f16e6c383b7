"""What a comparison of two runs looks like in a terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gradest_bench.results.run_comparison import FALSE_ALARM, MINIMUM_EFFECT, Comparison


def show_run_comparison(console: Console, found: Comparison) -> None:
    """Print what changed, and how much was compared."""
    for version in found.versions:
        console.print(escape(version), highlight=False)
    _show_times(console, found)
    _show_accuracies(console, found)
    for title, before, after in found.outcomes:
        console.print(f"[bold]{before} -> {after}[/]  {escape(title)}", highlight=False)
    counts = {
        word: sum(1 for t in found.times if t.verdict == word) for word in ("faster", "slower", "same", "disturbed")
    }
    errors = {word: sum(1 for t in found.accuracies if t.verdict == word) for word in ("better", "worse", "same")}
    console.print(
        f"time: {counts['faster']} faster, {counts['slower']} slower, {counts['same']} without a change of more than "
        f"{MINIMUM_EFFECT:.0%}, {counts['disturbed']} not judged as the machine was disturbed\n"
        f"accuracy: {errors['better']} better, {errors['worse']} worse, {errors['same']} the same\n"
        f"outcomes: {len(found.outcomes)} differ; cells of the first run alone: {found.only_before}, of the second: "
        f"{found.only_after}\nFalse-alarm rate: {FALSE_ALARM:.0%} over all times together, and over all accuracies "
        "(Mann-Whitney, bootstrap over rounds, Holm).",
        highlight=False,
    )


def _show_times(console: Console, found: Comparison) -> None:
    changed = sorted((t for t in found.times if t.verdict in ("faster", "slower")), key=lambda t: -t.ratio.ratio)
    if not changed:
        return
    table = Table(title="time, second / first", title_justify="left", title_style="bold")
    for heading in ("cell", "ratio", "95 % interval", "adjusted p", "verdict"):
        table.add_column(heading)
    for t in changed:
        interval = f"{t.ratio.low:.3f} .. {t.ratio.high:.3f}"
        table.add_row(escape(t.title), f"{t.ratio.ratio:.3f}", interval, f"{t.adjusted_p:.1e}", t.verdict)
    console.print(table)


def _show_accuracies(console: Console, found: Comparison) -> None:
    changed = [a for a in found.accuracies if a.verdict != "same"]
    if not changed:
        return
    table = Table(title="accuracy", title_justify="left", title_style="bold")
    for heading in ("cell", "measure", "first", "second", "verdict"):
        table.add_column(heading)
    for a in changed:
        table.add_row(escape(a.title), a.measure, f"{a.before:.3e}", f"{a.after:.3e}", a.verdict)
    console.print(table)
