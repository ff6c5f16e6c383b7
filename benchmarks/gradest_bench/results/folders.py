"""Finds the folders of runs: one each, below `results/` unless told otherwise. This module reads no result."""

from datetime import UTC, datetime
from pathlib import Path

from gradest.errors import InvalidInputError
from gradest_bench.results.store import RESULTS, SUITE

ROOT = Path("results")


def new_folder(suite: str) -> Path:
    """Return a folder for a new run of a suite, named after the suite and the time."""
    return ROOT / f"{suite}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def runs() -> list[Path]:
    """Return the folders of all runs below `results/`, the latest first."""
    found = ROOT.glob(f"*/{RESULTS}") if ROOT.is_dir() else ()
    return sorted((path.parent for path in found), key=lambda folder: (folder / RESULTS).stat().st_mtime, reverse=True)


def latest_run(suite_text: str | None = None) -> Path:
    """Return the folder of the latest run, of one suite's text where given.

    Raises
    ------
    InvalidInputError
        There is none.
    """
    for folder in runs():
        kept = folder / SUITE
        if suite_text is None or (kept.is_file() and kept.read_text(encoding="utf-8") == suite_text):
            return folder
    what = "a run" if suite_text is None else "a run of this suite"
    raise InvalidInputError(f"there is no folder of {what} below {ROOT.resolve()}; give one, or run: gradest bench run")
