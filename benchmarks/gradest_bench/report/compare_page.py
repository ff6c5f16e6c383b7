"""Writes the page of two runs side by side: what changed and how surely, what could not be told, what each ran on."""

from itertools import count

from gradest_bench.report.about import about
from gradest_bench.report.figure import Axis, Figure, Point, Series, backends_of
from gradest_bench.report.html import FIGURE_KEYS, TableCell, figure_html, number_cell, table, text_cell
from gradest_bench.report.printable import escape
from gradest_bench.report.record_numbers import median, variant
from gradest_bench.report.run_comparison_words import comparison_sentences
from gradest_bench.report.shell import document, facts, sentences
from gradest_bench.report.tables import environment_rows
from gradest_bench.report.units import counted, seconds
from gradest_bench.results.accuracy_change import BETTER, SAME, WORSE, AccuracyChange
from gradest_bench.results.loading import Run
from gradest_bench.results.places import without_places
from gradest_bench.results.records import Record
from gradest_bench.results.run_comparison import FASTER, NO_CHANGE, SLOWER, RunComparison, TimeChange

_STYLES = {SLOWER: "bad", WORSE: "bad", FASTER: "ok", BETTER: "ok", NO_CHANGE: "", SAME: ""}
_UNJUDGED = "the change could not be judged"
_TIMES = ("cell", "first", "second", "ratio", "interval, all together", "would see", "of medians", "starts", "verdict")


def comparison_html(before: Run, after: Run, found: RunComparison) -> str:
    """Return two runs and how they differ as the text of one HTML file."""
    title = f"{after.title}: two runs compared" if before.title == after.title else f"{before.title} and {after.title}"
    return document(
        title,
        f'<p class="question">{escape(after.question)}</p><div class="pair">{_head("first", before)}'
        f"{_head('second', after)}</div>",
        {
            "summary": _summary(found),
            "times": _times(before, after, found),
            "accuracies": _accuracies(found),
            "outcomes": _outcomes(found),
            "environments": _environments(before, after),
        },
    )


def _head(which: str, run: Run) -> str:
    # the place of a folder is its reader's: its name is what tells runs apart
    return f"<div><h3>{which}: {escape(run.folder.name)}</h3>{about(run)}</div>"


def _summary(found: RunComparison) -> str:
    verdicts = [*(change.verdict for change in found.times), *(change.verdict for change in found.accuracies)]
    told = {SLOWER: "slower", FASTER: "faster", WORSE: "less accurate", BETTER: "more accurate"}
    numbers = [(f"{verdicts.count(word):,}", text) for word, text in told.items()]
    numbers.append((f"{len(found.outcomes):,}", "other outcomes"))
    differing = [f"Differs: {without_places(version)}." for version in found.versions]
    return facts(numbers) + sentences([*comparison_sentences(found), *differing])


def _times(before: Run, after: Run, found: RunComparison) -> str:
    if not found.times:
        return "<p>No cell was timed in both runs.</p>"
    pairs = _pairs(before, after)
    rows = [_time_row(change, *pairs[change.key]) for change in found.times]
    words = (
        "Ratios are second / first, from the least samples of each start of the workers; all intervals hold together. "
        '"Would see" is the least change that these samples would show; the ratio of medians stands beside it and '
        "judges nothing."
    )
    figure = figure_html(_ratio_figure(found, pairs), "ratios")
    return f'<p>{escape(words)}</p>{FIGURE_KEYS}<div class="figures">{figure}</div>{table("times", _TIMES, rows)}'


def _pairs(before: Run, after: Run) -> dict[str, tuple[Record, Record]]:
    """Return the records of both runs by the key of their cell."""
    known = {record.key: record for record in before.records}
    return {record.key: (known[record.key], record) for record in after.records if record.key in known}


def _time_row(change: TimeChange, before: Record, after: Record) -> list[TableCell]:
    ratio = change.ratio
    return [
        text_cell(change.title),
        _time(before),
        _time(after),
        number_cell(ratio.ratio if ratio else None, f"{ratio.ratio:.3f}" if ratio else ""),
        text_cell(f"{ratio.low:.3f} .. {ratio.high:.3f}" if ratio else ""),
        number_cell(ratio.visible if ratio else None, f"x{ratio.visible:.2f}" if ratio else ""),
        number_cell(change.ratio_of_medians, f"{change.ratio_of_medians:.3f}"),
        number_cell(change.starts, str(change.starts)),
        text_cell(change.verdict, _STYLES.get(change.verdict, "warn")),
    ]


def _time(record: Record) -> TableCell:
    found = median(record)
    return number_cell(found, seconds(found, disturbed=record.disturbed), "warn" if record.disturbed else "")


def _ratio_figure(found: RunComparison, pairs: dict[str, tuple[Record, Record]]) -> Figure:
    """Return the ratio of each time against the time in the first run, with the interval where there is one."""
    points: dict[tuple[str, str], list[Point]] = {}
    for change in found.times:
        first, second = pairs[change.key]
        points.setdefault((second.cell.estimator.label, variant(second)), []).append(_ratio_point(change, first))
    series = [Series(name, which, tuple(part), "marks") for (name, which), part in points.items()]
    places = sorted(median(pairs[change.key][0]) for change in found.times)
    # a little beyond the marks on either side, as a line of theory is drawn between its points alone
    even = tuple(Point(x, 1.0, "") for x in (places[0] / 1.2, places[-1] * 1.2))
    return Figure(
        key="ratios",
        title="How times changed",
        sentence="Above the dashed line the second run is slower, below it faster.",
        x=Axis("median time in the first run, seconds"),
        y=Axis("time, second / first"),
        series=(*series, Series("no change", "", even, "theory")),
        pale_means=_UNJUDGED,
        bars_mean="the interval of the ratio, all together",
        dashed_means="no change",
        backends=backends_of(which for _, which in points),
    )


def _ratio_point(change: TimeChange, first: Record) -> Point:
    ratio = change.ratio
    if ratio is None:
        tip = f"{change.title}\nratio of medians {change.ratio_of_medians:.3f}\n{change.verdict}"
        # without an interval there is no ratio of least samples: what is drawn, pale, judges nothing
        return Point(median(first), change.ratio_of_medians, tip, pale=True)
    tip = f"{change.title}\nratio {ratio.ratio:.3f}, {ratio.low:.3f} to {ratio.high:.3f}\n{change.verdict}"
    return Point(median(first), ratio.ratio, tip, ratio.low, ratio.high)


def _accuracies(found: RunComparison) -> str:
    if not found.accuracies:
        return "<p>No cell has an error in both runs.</p>"
    rows = [_accuracy_row(change) for change in found.accuracies]
    return table("accuracies", ("cell", "measure", "first", "second", "verdict"), rows)


def _accuracy_row(change: AccuracyChange) -> list[TableCell]:
    return [
        text_cell(change.title),
        text_cell(change.measure),
        number_cell(change.before, f"{change.before:.3e}"),
        number_cell(change.after, f"{change.after:.3e}"),
        text_cell(change.verdict, _STYLES.get(change.verdict, "warn")),
    ]


def _outcomes(found: RunComparison) -> str:
    alone = (
        f"<p>{counted(found.only_before, 'cell')} of the first run alone, "
        f"{counted(found.only_after, 'cell')} of the second alone.</p>"
    )
    if not found.outcomes:
        return f"{alone}<p>All cells that both have ended alike.</p>"
    rows = [[text_cell(title), text_cell(a), text_cell(b)] for title, a, b in found.outcomes]
    return alone + table("other outcomes", ("cell", "first", "second"), rows)


def _environments(before: Run, after: Run) -> str:
    """Return what either run had, in one table; what differs is marked, and stands first."""
    first, second = _by_name(before), _by_name(after)
    rows = []
    for of, what, number in dict.fromkeys((*first, *second)):
        a, b = (side.get((of, what, number), "") for side in (first, second))
        style = "wide" if a == b else "wide warn"
        rows.append([text_cell(of), text_cell(what), text_cell(a, style), text_cell(b, style), text_cell(_word(a, b))])
    # what differs first, as False is less than True; sort() keeps the order of the others
    rows.sort(key=lambda row: row[-1].text != "differs")
    return table("environments", ("of", "what", "first", "second", "alike"), rows)


def _word(a: str, b: str) -> str:
    return "alike" if a == b else "differs"


def _by_name(run: Run) -> dict[tuple[str, str, int], str]:
    """Return the facts of an environment by whose and what they are; of several of one name, by their number too."""
    found: dict[tuple[str, str, int], str] = {}
    for of, what, value in environment_rows(run):
        number = next(k for k in count() if (of, what, k) not in found)
        found[of, what, number] = value
    return found
