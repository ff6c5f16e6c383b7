"""Shows a comparison of two runs in a terminal: what changed, and how much was compared."""

from rich.console import Console
from rich.markup import escape

from gradest_bench.command.terminal import titled_table, wide_enough
from gradest_bench.report.units import DISTURBED, DISTURBED_MEANS, mark
from gradest_bench.results.run_comparison import FALSE_ALARM, MINIMUM_EFFECT, RunComparison


def show_run_comparison(console: Console, found: RunComparison) -> None:
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


def _show_times(console: Console, found: RunComparison) -> None:
    """Print the times that changed, and those that seem to but were disturbed: these are marked, and judge nothing."""
    shown = sorted((t for t in found.times if t.verdict != "same" and t.seems_changed), key=lambda t: -t.ratio.ratio)
    if not shown:
        return
    table = titled_table("time, second / first", "cell", "ratio", "95 % interval", "adjusted p", "verdict")
    for t in shown:
        ratio = f"{t.ratio.ratio:.3f}{mark(disturbed=t.disturbed)}"
        interval = f"{t.ratio.low:.3f} .. {t.ratio.high:.3f}"
        p = "" if t.disturbed else f"{t.adjusted_p:.1e}"
        table.add_row(escape(t.title), ratio, interval, p, t.verdict)
    wide_enough(console, [table]).print(table)
    if any(t.disturbed for t in shown):
        console.print(f"{DISTURBED} {DISTURBED_MEANS}.", highlight=False, style="dim")


def _show_accuracies(console: Console, found: RunComparison) -> None:
    changed = [a for a in found.accuracies if a.verdict != "same"]
    if not changed:
        return
    table = titled_table("accuracy", "cell", "measure", "first", "second", "verdict")
    for a in changed:
        table.add_row(escape(a.title), a.measure, f"{a.before:.3e}", f"{a.after:.3e}", a.verdict)
    wide_enough(console, [table]).print(table)
