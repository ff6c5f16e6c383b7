"""Takes out of a run what could tell whose it is, for a review that is blind.

What a run keeps is free of home folders, users and hosts already; here every path goes, what workers printed, and the
release of the system's kernel, which may be one of a kind. This module reads and writes no file.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from gradest_bench.results.loading import Run
from gradest_bench.results.places import anonymous_text, with_texts
from gradest_bench.results.records import Record
from gradest_bench.suite.cells import Cell

_TELLING = ("kernel",)


def anonymous(run: Run) -> Run:
    """Return a run whose texts name no file, and that holds nothing of what workers printed."""
    environment = with_texts(run.environment, anonymous_text)
    for machine in (environment, *environment.get("workers", {}).values()):
        for name in _TELLING:
            machine.get("machine", {}).pop(name, None)
    names = _anonymous_names(environment.get("workers", {}))
    if names:
        environment["workers"] = {names[name]: libraries for name, libraries in environment["workers"].items()}
    return Run(
        # without the suite and the commands: comments of the one and arguments of the other may name anybody
        folder=Path(run.folder.name),
        records=tuple(_anonymous_record(record, names) for record in run.records),
        environment=environment,
        title=anonymous_text(run.title),
        question=anonymous_text(run.question),
        num_cells=run.num_cells,
    )


def _anonymous_names(workers: Iterable[str]) -> dict[str, str]:
    """Return what the environments of workers are called: a backend's name may be the path of its file."""
    found: dict[str, str] = {}
    for worker in workers:
        name = short = anonymous_text(worker)
        number = 1
        # two files may be called alike, and their environments must not become one
        while name in found.values():
            number += 1
            name = f"{short}#{number}"
        found[worker] = name
    return found


def _anonymous_record(record: Record, names: Mapping[str, str]) -> Record:
    cell = msgspec.convert(with_texts(msgspec.to_builtins(record.cell), anonymous_text), Cell)
    return msgspec.structs.replace(
        record,
        cell=cell,
        reason=anonymous_text(record.reason),
        # whatever a framework prints may hold names that no pattern knows
        log_tail="",
        environment=names.get(record.environment, ""),
        facts=with_texts(record.facts, anonymous_text),
        accuracy=with_texts(record.accuracy, anonymous_text),
        training=with_texts(record.training, anonymous_text),
    )
