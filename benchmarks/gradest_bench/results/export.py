"""Writes a run for other tools: CSV, JSON, and pyperf's JSON, which `python -m pyperf compare_to` reads.

This module judges nothing: a disturbed time is exported with a word that says so.
"""

import csv
import json
from pathlib import Path
from typing import Any

import msgspec

from gradest.errors import InvalidInputError, MissingDependencyError
from gradest_bench.results.loading import Run
from gradest_bench.results.records import plain, rounds_of

FORMATS = ("csv", "json", "pyperf")


def export(run: Run, form: str, target: Path) -> int:
    """Write a run in a format of `FORMATS`; return how many cells were written.

    Raises
    ------
    InvalidInputError
        Nothing in the run can be written so.
    """
    return {"csv": _csv, "json": _json, "pyperf": _pyperf}[form](run, target)


def _csv(run: Run, target: Path) -> int:
    rows = list(run.rows())
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def _json(run: Run, target: Path) -> int:
    whole = {
        "title": run.title,
        "question": run.question,
        "num_cells": run.num_cells,
        "environment": run.environment,
        "records": [msgspec.to_builtins(record) for record in run.records],
    }
    target.write_text(json.dumps(plain(whole), allow_nan=False, indent=1), encoding="utf-8")
    return len(run.records)


def _pyperf(run: Run, target: Path) -> int:
    try:
        import pyperf
    except ImportError as error:
        raise MissingDependencyError(
            "pyperf's format needs the package 'pyperf', which is not installed; "
            "install it with: pip install 'gradest[report]'"
        ) from error
    benchmarks = []
    for record in run.measured:
        timing = record.timing
        if timing is None or not timing.wall_seconds:
            continue
        metadata: dict[str, Any] = {
            "name": record.cell.title,
            "loops": max(timing.loops),
            "unit": "second",
            "gradest_key": record.key,
            "gradest_disturbed": str(record.disturbed),
            "date": record.finished.removesuffix("+00:00"),  # pyperf knows no time zones
        }
        # what pyperf would collect is this process and this machine; the run may be of another
        runs = [pyperf.Run(part, metadata=metadata, collect_metadata=False) for part in rounds_of(timing)]
        benchmarks.append(pyperf.Benchmark(runs))
    if not benchmarks:
        raise InvalidInputError(f"pyperf's format holds times; no cell of {run.folder} has any; use csv or json")
    target.unlink(missing_ok=True)  # pyperf writes over nothing, where the other formats do
    pyperf.BenchmarkSuite(benchmarks).dump(str(target))
    return len(benchmarks)
