"""Makes the tables of a report: results, outcomes by estimator and backend, what did not run, environment."""

import math
from collections.abc import Sequence

from gradest.measurement.outcome import Outcome
from gradest_bench.report.curves import trained
from gradest_bench.report.glossary import glossary
from gradest_bench.report.html import TableCell, number_cell, table, text_cell
from gradest_bench.report.printable import escape
from gradest_bench.report.record_numbers import error, error_text, evaluations, grouped, median, variant
from gradest_bench.report.shell import folded
from gradest_bench.report.units import bytes_text, mark, seconds
from gradest_bench.results.loading import Run
from gradest_bench.results.records import Record, number, z_of
from gradest_bench.results.seed_ends import ends, lost, mean_end
from gradest_bench.results.verdict import AGREES, WRONG, Judgement

_MOST_LOGS = 20
_RESULT_HEADINGS = (
    "estimator", "backend", "dtype", "problem", "P", "relative error", "cosine", "norm ratio", "time", "IQR",
    "x loss", "preparation", "first call", "to backend", "to NumPy",
    "loss GFLOP/s", "evaluations", "noise scale", "relative MSE", "theory", "z", "mean cosine", "cosine by theory",
    "scale", "peak memory", "preparation memory", "processor share", "path", "verdict",
)  # fmt: skip


def results_table(run: Run) -> str:
    """Return the table of everything that was measured; columns without a number are left out."""
    rows = [_result_row(record, run.verdicts[record.key]) for record in run.measured]
    # some thirty columns, of which what nothing was measured of is left out
    used = [k for k in range(len(_RESULT_HEADINGS)) if any(row[k].text for row in rows)]
    headings = [_RESULT_HEADINGS[k] for k in used]
    return glossary(headings) + table("results", headings, [[row[k] for k in used] for row in rows])


_TRAINING_HEADINGS = (
    "estimator", "backend", "dtype", "problem", "step size", "noise allows up to", "training loss", "of seeds, from",
    "to", "held-out loss", "steps", "cost, in losses", "ended",
)  # fmt: skip


def training_table(run: Run) -> str:
    """Return the table of what was trained: the step size chosen beside what noise allows, and where it ended."""
    rows = [_training_row(record) for record in trained(run.measured)]
    return table("training", _TRAINING_HEADINGS, rows) if rows else ""


def _training_row(record: Record) -> list[TableCell]:
    cell, found, losses = record.cell, record.training, ends(record, "loss")
    limit = (found.get("limit") or {}).get("limit")
    return [
        text_cell(cell.estimator.label),
        text_cell(variant(record)),
        text_cell(cell.dtype),
        text_cell(cell.problem.label),
        _plain(found["step_size"], ".3g"),
        _plain(limit, ".3g"),
        _plain(mean_end(record, "loss"), ".4g"),
        _plain(min(losses), ".4g"),
        _plain(max(losses), ".4g"),
        _plain(mean_end(record, "held_out_loss"), ".4g"),
        # of the first seed: all have one budget, and one that was lost before is named behind
        _plain(ends(record, "steps")[0], ",.0f"),
        _plain(ends(record, "losses")[0], ",.0f"),
        text_cell("; ".join(lost(record)) or "all seeds at the end of the budget", "bad" if lost(record) else ""),
    ]


def _result_row(record: Record, judged: Judgement) -> list[TableCell]:
    cell, timing, scatter = record.cell, record.timing, record.accuracy.get("replicates", {})
    single = record.accuracy.get("single", {})
    predicted = record.accuracy.get("predicted") or {}
    found, reason = judged
    return [
        text_cell(cell.estimator.label),
        text_cell(variant(record)),
        text_cell(cell.dtype),
        text_cell(cell.problem.label),
        _plain(record.facts.get("num_parameters"), ",.0f"),
        _error(record),
        _plain(single.get("cosine"), ".6f"),
        _plain(single.get("norm_ratio"), ".4g"),
        _time(median(record), disturbed=record.disturbed),
        _time(timing.iqr_seconds if timing else None, disturbed=record.disturbed),
        _plain(timing.loss_units if timing else None, ",.2f", disturbed=record.disturbed),
        # never marked as disturbed: each is one measurement, and the share of the processor is that of the rounds
        _time(timing.preparation_seconds if timing else None),
        _time(timing.first_call_seconds if timing else None),
        _time(timing.to_backend_seconds if timing else None),
        _time(timing.to_numpy_seconds if timing else None),
        _plain(_loss_rate(record), ",.1f", disturbed=record.disturbed),
        _plain(evaluations(record), ",.0f"),
        _plain((record.accuracy.get("reference") or {}).get("noise_scale"), ".4g"),
        _plain(scatter.get("relative_mse"), ".4g"),
        _plain(predicted.get("relative_mse"), ".4g"),
        _plain(z_of(record), "+.1f"),
        _plain(scatter.get("cosine"), ".4f"),
        _plain(predicted.get("cosine"), ".4f"),
        _plain(scatter.get("scale"), ".3f"),
        _bytes(record.memory.peak_extra_bytes if record.memory else None),
        _bytes(record.memory.preparation_extra_bytes if record.memory else None),
        _plain(timing.cpu_wall_ratio if timing else None, ".2f", disturbed=record.disturbed),
        text_cell(record.facts.get("path")),
        text_cell(
            f"{found}: {reason}" if reason else found, "bad" if found == WRONG else "ok" if found == AGREES else ""
        ),
    ]


def _error(record: Record) -> TableCell:
    """Return the error, as a bound where one estimate is nearer to the reference than that is to the gradient."""
    found, bound = error(record), error_text(record)
    return number_cell(found, bound if bound.startswith("<") else f"{found:.2e}")


def _loss_rate(record: Record) -> float:
    """Return the rate of matrix products in one evaluation of the loss, in GFLOP/s; NaN where there are none."""
    seconds_each = number(record.timing.value_seconds) if record.timing is not None else math.nan
    # 0 says that nobody can see what is multiplied, and no rate of 0
    return number(record.facts.get("value_flops") or None) / seconds_each / 1e9


def _plain(value: object, form: str, *, disturbed: bool = False) -> TableCell:
    found = number(value)
    return number_cell(found, format(found, form) + mark(disturbed=disturbed), "warn" if disturbed else "")


def _time(value: float | None, *, disturbed: bool = False) -> TableCell:
    found = number(value)
    return number_cell(found, seconds(found, disturbed=disturbed), "warn" if disturbed else "")


def _bytes(value: int | None) -> TableCell:
    return number_cell(value, "" if value is None else bytes_text(value))


def outcome_matrix(run: Run) -> str:
    """Return how many cells of each estimator ended how, on each backend and dtype."""
    columns = list(dict.fromkeys((variant(record), record.cell.dtype) for record in run.records))
    rows = []
    for name, part in grouped(run.records, lambda record: record.cell.estimator.name).items():
        by_column = grouped(part, lambda record: (variant(record), record.cell.dtype))
        rows.append([text_cell(name), *(_outcomes(by_column.get(column, []), run.verdicts) for column in columns)])
    return table("outcomes", ["estimator", *(f"{which} {dtype}" for which, dtype in columns)], rows)


def _outcomes(records: Sequence[Record], judged: dict[str, Judgement]) -> TableCell:
    counts: dict[str, int] = {}
    for record in records:
        # what is wrong has run well: its outcome alone would count it among the good ones
        word = WRONG if judged[record.key][0] == WRONG else record.outcome
        counts[word] = counts.get(word, 0) + 1
    failed = any(word == WRONG or (word != Outcome.OK and Outcome(word).failed) for word in counts)
    style = "bad" if failed else "ok" if set(counts) == {Outcome.OK.value} else "warn" if counts else ""
    return text_cell(", ".join(f"{count} {word}" for word, count in counts.items()), style)


def failures_table(run: Run) -> str:
    """Return what was not measured and why, below what each outcome means; empty where everything was measured."""
    failed = [record for record in run.records if record.outcome != Outcome.OK]
    if not failed:
        return ""
    rows = [
        [
            text_cell(record.cell.estimator.label),
            text_cell(variant(record)),
            text_cell(record.cell.dtype),
            text_cell(record.cell.problem.label),
            text_cell(record.outcome + (" (expected)" if record.expected else ""), _failure_style(record)),
            text_cell(record.reason, "wide"),
        ]
        for record in failed
    ]
    meanings = "".join(f"<li>{escape(f'{found}: {found.wording}')}</li>" for found in _outcomes_of(failed))
    return (
        f"<ul>{meanings}</ul>"
        + table("not measured", ("estimator", "backend", "dtype", "problem", "outcome", "reason"), rows)
        + _logs(failed)
    )


def _logs(failed: Sequence[Record]) -> str:
    """Return the last lines that workers printed, folded away; of many cells those of the first."""
    # cells that died alike printed alike: once is enough, under the first, which reversing leaves
    kept = {record.log_tail: record.cell.title for record in reversed(failed) if record.log_tail.strip()}
    shown = list(kept.items())[::-1]
    more = f"<p>The folder of the run holds {len(shown) - _MOST_LOGS} more.</p>" if len(shown) > _MOST_LOGS else ""
    return (
        "".join(
            folded(f"what the worker printed: {title}", f"<pre>{escape(text)}</pre>")
            for text, title in shown[:_MOST_LOGS]
        )
        + more
    )


def _outcomes_of(records: Sequence[Record]) -> list[Outcome]:
    return list(dict.fromkeys(Outcome(record.outcome) for record in records))


def _failure_style(record: Record) -> str:
    return "bad" if Outcome(record.outcome).failed and not record.expected else "warn"


def environment_table(run: Run) -> str:
    """Return the machine and the libraries of each worker."""
    rows = [
        [text_cell(of), text_cell(what), text_cell(value, "wide warn" if what == "warning" else "wide")]
        for of, what, value in environment_rows(run)
    ]
    return table("environment", ("of", "what", "value"), rows)


def environment_rows(run: Run) -> list[tuple[str, str, str]]:
    """Return whose each fact of the environment is, what it is, and what it says."""
    found = [("machine", name, str(value)) for name, value in run.environment.get("machine", {}).items()]
    for worker, libraries in run.environment.get("workers", {}).items():
        found += [(worker, name, str(value)) for name, value in libraries.get("versions", {}).items()]
        found.append((worker, "python", str(libraries.get("python", ""))))
        found.append((worker, "devices", ", ".join(map(str, libraries.get("devices", ())))))
        if libraries.get("executor"):
            found.append((worker, "executor", str(libraries["executor"])))
        for pool in libraries.get("pools", ()):
            words = " ".join(str(pool[key]) for key in ("prefix", "version", "architecture") if pool.get(key))
            found.append((worker, "pool", f"{words}, threads: {pool.get('num_threads')}"))
        pinned = ", ".join(f"{name}={value}" for name, value in libraries.get("variables", {}).items())
        found.append((worker, "variables", pinned))
        found += [(worker, "warning", str(text)) for text in libraries.get("warnings", ())]
    return found
