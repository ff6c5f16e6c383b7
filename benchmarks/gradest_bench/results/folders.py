"""Finds the folders of runs: one each, below `results/` unless told otherwise. This module reads no result."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from gradest.errors import InvalidInputError
from gradest_bench.results.files import StorageError
from gradest_bench.results.store import RESULTS, read_suite

ROOT = Path("results")


def new_folder(suite: str) -> Path:
    """Make and return a folder for a new run of a suite, named after the suite and the time.

    It is made at once, so that two runs that begin within one second have two.

    Raises
    ------
    StorageError
        It cannot be made.
    """
    name = f"{suite}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder, number = ROOT / name, 1
    try:
        while True:
            try:
                folder.mkdir(parents=True)
            except FileExistsError:  # another run of this second has it
                number += 1
                folder = ROOT / f"{name}-{number}"
            else:
                return folder
    except OSError as error:
        raise StorageError(
            f"a folder was to be made below {ROOT.resolve()}; {error.strerror}; choose another with --out"
        ) from error


def drop_if_empty(folder: Path) -> None:
    """Remove the folder of a run that did not come to write anything."""
    with contextlib.suppress(OSError):  # it holds something, or was never made: either is as it should be
        folder.rmdir()


def runs(root: Path = ROOT) -> list[Path]:
    """Return the folders of all runs below a folder, `results/` unless told otherwise, the latest first."""
    found = root.glob(f"*/{RESULTS}") if root.is_dir() else ()
    # by the last result: a report that is written later makes the folder itself younger
    return sorted((path.parent for path in found), key=lambda folder: (folder / RESULTS).stat().st_mtime, reverse=True)


def latest_run(suite_text: str | None = None) -> Path:
    """Return the folder of the latest run that has a result; of one suite's text, with or without one, where given.

    Raises
    ------
    InvalidInputError
        There is none.
    """
    for folder in runs():
        if suite_text is None and (folder / RESULTS).stat().st_size == 0:
            continue  # it was stopped before its first cell ended: there is nothing to show
        if suite_text is None or _is_of(folder, suite_text):
            return folder
    what = "a run" if suite_text is None else "a run of this suite"
    raise InvalidInputError(f"there is no folder of {what} below {ROOT.resolve()}; give one, or run: gradest bench run")


def _is_of(folder: Path, suite_text: str) -> bool:
    try:
        return read_suite(folder) == suite_text
    except StorageError:  # a run whose suite is damaged is none that could go on, and no fault of the others
        return False
