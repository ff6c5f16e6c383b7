"""Writes the report of a run: one HTML file that needs nothing else, for laptop and phone, light and dark."""

import shlex

from gradest.measurement.outcome import Outcome
from gradest_bench.report.about import about
from gradest_bench.report.figure import Figure, names_of
from gradest_bench.report.figures import figures_of
from gradest_bench.report.html import FIGURE_KEYS, figure_html
from gradest_bench.report.printable import escape
from gradest_bench.report.record_numbers import ALIKE, error, grouped, joined, median
from gradest_bench.report.shell import document, facts, folded, sentences
from gradest_bench.report.tables import environment_table, failures_table, outcome_matrix, results_table, training_table
from gradest_bench.report.units import DISTURBED, DISTURBED_MEANS, counted, seconds
from gradest_bench.results.loading import Run
from gradest_bench.results.places import without_places
from gradest_bench.results.records import Record
from gradest_bench.results.verdict import WRONG

_TOLERABLE_ERROR = 1e-2
_MOST_NAMED = 3
_MOST_PROBLEMS = 6
_MOST_OPEN = 24
"""More figures are folded away until they are asked for: each has hundreds of elements, which a page would lay out."""
_MOST_DRAWN = 60
"""Of one subject; a sweep of hundreds of problems would make a page that no browser opens in a moment."""
_SUBJECTS = {
    "step": "Error against the step",
    "scaling": "Error against samples, parameters and smoothing",
    "time": "Cost against size",
    "memory": "Cost against size",
    "frontier": "Error against cost",
    "problems": "Error on each problem",
    "blocks": "Error of each block of parameters",
    "training": "Training under each estimator",
}
"""What figures are about, by the first word of their keys."""


def report_html(run: Run) -> str:
    """Return the whole report as the text of one HTML file."""
    header = f'<p class="question">{escape(run.question)}</p>{about(run)}'
    return document(
        run.title,
        header,
        {
            "summary": _summary(run),
            "figures": _figures(run),
            "results": training_table(run) + results_table(run) if run.measured else "<p>Nothing was measured.</p>",
            "outcomes": _outcomes(run),
            "environment": environment_table(run),
        },
    )


def _summary(run: Run) -> str:
    measured = len(run.measured)
    wrong = [record for record in run.records if run.verdicts[record.key][0] == WRONG]
    failed = [r for r in run.records if Outcome(r.outcome).failed and not r.expected]
    disturbed = sum(1 for r in run.measured if r.disturbed)
    numbers = [
        (f"{measured} of {run.num_cells}", "cells measured"),
        (str(len(wrong)), "estimates judged wrong"),
        (str(len(failed)), "errors, crashes and invalid estimates"),
    ]
    timed = [r for r in run.measured if median(r) > 0]
    if timed:
        numbers.append((f"{disturbed} of {len(timed)}", "timed cells disturbed by the machine"))
    return facts(numbers) + sentences(_sentences(run, wrong)) + _reading(run)


def _sentences(run: Run, wrong: list[Record]) -> list[str]:
    """Return what there is to say of each problem in one sentence, what is wrong and what could not be predicted."""
    found = _fastest(run)
    # of all backends and problems: the range says below which times nothing is told
    nulls = sorted((r for r in run.measured if r.cell.estimator.name == "null" and median(r) > 0), key=median)
    if nulls:
        found.append(
            f"The null estimator, which computes nothing, takes {_median_text(nulls[0])} to {_median_text(nulls[-1])} "
            "a call: times near that say nothing about an estimator."
        )
    for name, part in grouped(wrong, lambda r: r.cell.estimator.name).items():
        found.append(f"Wrong: {part[0].cell.title}: {run.verdicts[part[0].key][1]}{_others(name, part)}.")
    faults = [record for record in run.measured if record.reason]
    for name, part in grouped(faults, lambda r: r.cell.estimator.name).items():
        found.append(f"Not predicted: {part[0].cell.title}: {part[0].reason}{_others(name, part)}.")
    return found


def _fastest(run: Run) -> list[str]:
    """Return the fastest gradient with a small error on each problem; none of it rests on a disturbed time."""
    found, unsaid = [], 0
    for (problem, dtype), part in grouped(run.measured, lambda r: (r.cell.problem.label, r.cell.dtype)).items():
        # the fastest of what is right enough to be used: the null estimator is the fastest of all
        good = [r for r in part if error(r) < _TOLERABLE_ERROR and median(r) > 0 and run.verdicts[r.key][0] != WRONG]
        sure = [record for record in good if not record.disturbed]
        unsaid += bool(good) and not sure
        if sure:
            best = min(sure, key=median)
            # one of those that are left out may be the fastest: that there are some is said
            left = f" ({len(good) - len(sure)} disturbed left out)" if len(sure) < len(good) else ""
            found.append(
                f"{problem}, {dtype}: the fastest gradient with an error below {_TOLERABLE_ERROR:.0%} is "
                f"{_named(best)}: {_median_text(best)}, error {error(best):.1e}{left}{_not_told_from(best, sure)}."
            )
    more = len(found) - _MOST_PROBLEMS
    # a sentence that stands for one other sentence saves nothing
    found = [*found[:_MOST_PROBLEMS], f"The same of {more} more problems is in the table below."] if more > 1 else found
    if unsaid:
        found.append(
            f"Which gradient is the fastest is not said of {counted(unsaid, 'pair')} of a problem and a dtype: the "
            "machine was disturbed in all cells."
        )
    return found


def _not_told_from(best: Record, sure: list[Record]) -> str:
    """Return in words which cells may as well be the fastest, as their times lie near those of the one that is."""
    near = sorted((r for r in sure if r is not best and median(r) < ALIKE * median(best)), key=median)
    if not near:
        return ""
    more = [f"{len(near) - _MOST_NAMED} more"] if len(near) > _MOST_NAMED else []
    took = "takes" if len(near) == 1 else "take"
    return f"; {joined([*map(_named, near[:_MOST_NAMED]), *more])} {took} less than a third more, which may be noise"


def _named(record: Record) -> str:
    return f"{record.cell.estimator.label} on {record.cell.worker}"


def _others(name: str, part: list[Record]) -> str:
    return f", and {len(part) - 1} more cells of {name}" if len(part) > 1 else ""


def _median_text(record: Record) -> str:
    return seconds(median(record), disturbed=record.disturbed)


def _reading(run: Run) -> str:
    times = (
        "Times are medians of calibrated samples, the device awaited, cells interleaved in random order; x loss is in "
        "units of one evaluation of the loss."
    )
    if any(record.disturbed for record in run.measured):
        times += f" {DISTURBED}: {DISTURBED_MEANS}."
    timed = any(median(record) > 0 for record in run.measured)
    references = [r.accuracy.get("reference") or {} for r in run.measured]
    methods = {reference["method"] for reference in references if reference.get("method")}
    text = f" Errors are relative L2, against: {'; '.join(sorted(methods))}." if methods else ""
    return f"<p>{escape(times) if timed else ''}{escape(text)}</p>"


def _figures(run: Run) -> str:
    """Return the figures by what they are about; from some number on they are folded away, and then left out."""
    figures = figures_of(run)
    if not figures:
        return "<p>This run has no data that a figure could show.</p>"
    anchors = names_of(figures)
    parts, drawn = [], 0
    for subject, group in _by_subject(figures).items():
        drawn += len(group)
        content = "".join(figure_html(figure, anchors[figure.key]) for figure in group[:_MOST_DRAWN])
        parts.append(
            folded(
                f"{subject}: {counted(len(group), 'figure')}",
                f'{_left_out(run, len(group) - _MOST_DRAWN)}<div class="figures">{content}</div>',
                opened=drawn <= _MOST_OPEN,
            )
        )
    return "".join([FIGURE_KEYS, *parts])


def _left_out(run: Run, count: int) -> str:
    if count <= 0:
        return ""
    line = shlex.join(["gradest", "bench", "report", without_places(str(run.folder)), "--figures", "figures"])
    said = f"The first {_MOST_DRAWN} are here, and the numbers of all in the table; this draws the other {count} too:"
    return f"<p>{escape(said)} <code>{escape(line)}</code></p>"


def _by_subject(figures: list[Figure]) -> dict[str, list[Figure]]:
    found: dict[str, list[Figure]] = {}
    for figure in figures:
        found.setdefault(_SUBJECTS[figure.key.partition("-")[0]], []).append(figure)
    return found


def _outcomes(run: Run) -> str:
    coverage = f"<p>{len(run.records)} of {run.num_cells} cells of the suite have an outcome.</p>"
    return coverage + outcome_matrix(run) + failures_table(run)
