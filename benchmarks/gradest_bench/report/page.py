"""Writes the report of a run: one HTML file that needs nothing else, for laptop and phone, light and dark."""

import base64
import hashlib
from html import escape
from importlib.resources import files

from gradest.measurement.outcome import Outcome
from gradest_bench.report.figure import Figure
from gradest_bench.report.figures import figures_of
from gradest_bench.report.html import figure_html
from gradest_bench.report.record_numbers import error, grouped, median
from gradest_bench.report.tables import environment_table, failures_table, outcome_matrix, results_table
from gradest_bench.report.units import DISTURBED, DISTURBED_MEANS, seconds
from gradest_bench.results.loading import Run
from gradest_bench.results.records import Record
from gradest_bench.results.verdict import WRONG

_TOLERABLE_ERROR = 1e-2
_MOST_PROBLEMS = 6
_SECTIONS = ("summary", "figures", "results", "outcomes", "environment")


def report_html(run: Run) -> str:
    """Return the whole report as the text of one HTML file."""
    figures = figures_of(run)
    # style and script stand in the page: it is read from a mail or a disk, where nothing lies beside it
    style, script = (files("gradest_bench.report").joinpath(name).read_text(encoding="utf-8") for name in _FILES)
    links = "".join(f'<a href="#{name}">{name}</a>' for name in _SECTIONS)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(run.title)}</title><style>{style}</style></head><body>'
        '<a class="skip" href="#summary">to the summary</a>'
        f"<header><h1>{escape(run.title)}</h1>"
        f'<p class="question">{escape(run.question)}</p><nav>{links}</nav></header><main>'
        f"{_summary(run)}{_figures(figures)}{_results(run)}{_outcomes(run)}{_environment(run)}"
        f'</main><div id="tip" role="tooltip"></div><script>{script}</script></body></html>\n'
    )


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy of the page: its own style and script by their hashes, and nothing else.

    What came out of a record is escaped; should any ever slip through, it still would not run, load or send anything.
    """
    texts = {"style": style, "script": script}
    sources = {name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for name, text in texts.items()}
    hashes = "; ".join(f"{name}-src 'sha256-{digest}'" for name, digest in sources.items())
    return f"default-src 'none'; {hashes}; img-src data:; base-uri 'none'; form-action 'none'"


_FILES = ("report.css", "report.js")


def _section(name: str, content: str) -> str:
    return f'<section id="{name}"><h2>{name.capitalize()}</h2>{content}</section>'


def _summary(run: Run) -> str:
    measured = len(run.measured)
    wrong = [record for record in run.records if run.verdicts[record.key][0] == WRONG]
    failed = [r for r in run.records if Outcome(r.outcome).failed and not r.expected]
    disturbed = sum(1 for r in run.measured if r.disturbed)
    facts = [
        (f"{measured} of {run.num_cells}", "cells measured"),
        (str(len(wrong)), "estimates judged wrong"),
        (str(len(failed)), "errors, crashes and invalid estimates"),
    ]
    timed = [r for r in run.measured if median(r) > 0]
    if timed:
        facts.append((f"{disturbed} of {len(timed)}", "timed cells disturbed by the machine"))
    shown = "".join(
        f'<div class="fact"><b>{escape(value)}</b><span>{escape(text)}</span></div>' for value, text in facts
    )
    sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in _sentences(run, wrong))
    return _section("summary", f'<div class="facts">{shown}</div><ul>{sentences}</ul>{_reading(run)}')


def _sentences(run: Run, wrong: list[Record]) -> list[str]:
    """Return what there is to say of each problem in one sentence, what is wrong and what could not be predicted."""
    found = []
    for (problem, dtype), part in grouped(run.measured, lambda r: (r.cell.problem.label, r.cell.dtype)).items():
        good = [r for r in part if error(r) < _TOLERABLE_ERROR and median(r) > 0 and run.verdicts[r.key][0] != WRONG]
        if good:
            best = min(good, key=median)
            found.append(
                f"{problem}, {dtype}: the fastest gradient with an error below {_TOLERABLE_ERROR:.0%} is "
                f"{best.cell.estimator.label} on {best.cell.worker}: {_median_text(best)}, error {error(best):.1e}."
            )
    more = len(found) - _MOST_PROBLEMS
    # a sentence that stands for one other sentence saves nothing
    found = [*found[:_MOST_PROBLEMS], f"The same of {more} more problems is in the table below."] if more > 1 else found
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
    methods = {r.accuracy["reference"]["method"] for r in run.measured if r.accuracy.get("reference")}
    text = f" Errors are relative L2, against: {'; '.join(sorted(methods))}." if methods else ""
    return f"<p>{escape(times) if timed else ''}{escape(text)}</p>"


def _figures(figures: list[Figure]) -> str:
    if not figures:
        return _section("figures", "<p>This run has no data that a figure could show.</p>")
    return _section("figures", f'<div class="figures">{"".join(figure_html(figure) for figure in figures)}</div>')


def _results(run: Run) -> str:
    return _section("results", results_table(run) if run.measured else "<p>Nothing was measured.</p>")


def _outcomes(run: Run) -> str:
    coverage = f"<p>{len(run.records)} of {run.num_cells} cells of the suite have an outcome.</p>"
    return _section("outcomes", coverage + outcome_matrix(run) + failures_table(run))


def _environment(run: Run) -> str:
    return _section("environment", environment_table(run))
