"""Writes a run for other tools: CSV, JSON, and pyperf's JSON, which `python -m pyperf compare_to` reads.

This module judges nothing: a disturbed time is exported with a word that says so.
"""

import csv
import json
from pathlib import Path
from typing import Any

import msgspec

from gradest.errors import InvalidInputError, MissingDependencyError
from gradest_bench.results.files import replace_text, replacing
from gradest_bench.results.loading import Run
from gradest_bench.results.records import plain, rounds_of
from gradest_bench.suite.cells import distinct_titles

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
FORMATS = ("csv", "json", "pyperf")


def export(run: Run, form: str, target: Path) -> int:
    """Write a run in a format of `FORMATS`; return how many cells were written.

    Raises
    ------
    InvalidInputError
        Nothing in the run can be written so.
    StorageError
        The file cannot be written; one that stood there is as it was.
    """
    return {"csv": _csv, "json": _json, "pyperf": _pyperf}[form](run, target)


def csv_value(value: Any) -> Any:
    """Return a value for a CSV file: a text that a spreadsheet would carry out as a formula gets an apostrophe."""
    # a cell that begins so is computed as it is opened, and may send what stands beside it (CWE-1236)
    if not isinstance(value, str) or not value.lstrip(" ").startswith(_FORMULA_STARTS) or _is_harmless(value.strip()):
        return value
    return f"'{value}"


def _is_harmless(text: str) -> bool:
    """Whether a text is a lone sign or a number, which may begin as a formula does."""
    try:
        return len(text) < 2 or float(text) is not None
    except ValueError:
        return False


def _csv(run: Run, target: Path) -> int:
    rows = list(run.rows())
    # a field of one estimator is a column of all: it is empty for the others
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({name: csv_value(value) for name, value in row.items()} for row in rows)
    return len(rows)


def _json(run: Run, target: Path) -> int:
    whole = {
        "title": run.title,
        "question": run.question,
        "num_cells": run.num_cells,
        "environment": run.environment,
        "records": [msgspec.to_builtins(record) for record in run.records],
    }
    # "nan" and "inf" as texts, as everywhere: a reader of JSON refuses Python's bare NaN
    replace_text(target, json.dumps(plain(whole), allow_nan=False, indent=1))
    return len(run.records)


def _pyperf(run: Run, target: Path) -> int:
    try:
        import pyperf
    except ImportError as error:
        raise MissingDependencyError(
            "pyperf's format needs the package 'pyperf', which is not installed; "
            "install it with: pip install 'gradest[report]'"
        ) from error
    benchmarks, titles = [], distinct_titles({record.key: record.cell for record in run.records})
    for record in run.measured:
        timing = record.timing
        if timing is None or not timing.wall_seconds:
            continue
        metadata: dict[str, Any] = {
            "name": titles[record.key],  # pyperf takes no name twice
            "loops": max(timing.loops),
            "unit": "second",
            "gradest_key": record.key,
            "gradest_disturbed": str(record.disturbed),
        }
        if record.finished:  # pyperf takes no empty text, and knows no time zones
            metadata["date"] = record.finished.removesuffix("+00:00")
        # what pyperf would collect is this process and this machine; the run may be of another
        # pyperf compares equal numbers of values alone, and what a round took to fill its seconds differs between runs
        rounds = [part[: record.cell.budget.samples_in_round] for part in rounds_of(timing)]
        runs = [pyperf.Run(part, metadata=metadata, collect_metadata=False) for part in rounds]
        benchmarks.append(pyperf.Benchmark(runs))
    if not benchmarks:
        raise InvalidInputError(f"pyperf's format holds times; no cell of {run.folder} has any; use csv or json")
    with replacing(target) as temporary:
        temporary.unlink()  # pyperf writes over nothing
        pyperf.BenchmarkSuite(benchmarks).dump(str(temporary))
    return len(benchmarks)
