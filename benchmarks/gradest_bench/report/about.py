"""Says of a run, at the head of its page, when, how and on what it was made, and how to cite it.

This module measures nothing and judges nothing.
"""

import hashlib
from datetime import timedelta

from gradest_bench.report.printable import escape
from gradest_bench.report.shell import definitions, folded
from gradest_bench.report.units import counted
from gradest_bench.results.invocations import Span, span
from gradest_bench.results.loading import Run
from gradest_bench.results.places import without_places
from gradest_bench.results.store import RESULTS
from gradest_bench.suite.scaling import read_as_run

_SHOWN_DIGITS = 12
_UNKNOWN = "of a version that was not kept"


def about(run: Run) -> str:
    """Return what stands below the title: facts on how the run was made, the suite, and how to cite it."""
    made = span(run.invocations, run.records)
    found = [
        ("measured", "" if made is None else f"{made.first:%Y-%m-%d %H:%M} UTC"),
        ("took", "" if made is None else took(made)),
        ("command", "; ".join(dict.fromkeys(invocation.command for invocation in run.invocations))),
        ("suite", _suite(run)),
        ("machine", _machine(run)),
        ("software", _software(run)),
    ]
    suite = folded("the suite as it was run", f"<pre>{escape(without_places(run.suite_text))}</pre>")
    return definitions(found) + (suite if run.suite_text else "") + folded("how to cite this run", _citation(run, made))


def took(made: Span) -> str:
    """Return how long a run worked, in words."""
    words = duration(made.worked)
    return words if made.exact else f"at least {words}: from the first cell that ended to the last"


def duration(length: timedelta) -> str:
    """Return a length of time in hours and minutes, or minutes and seconds.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from gradest_bench.report.about import duration
    >>> duration(timedelta(seconds=47)), duration(timedelta(seconds=605)), duration(timedelta(hours=2))
    ('47 s', '10 min 5 s', '2 h 0 min')
    """
    # rounded before it is parted, or 59.7 s of a minute would be 60 s
    minutes, rest = divmod(round(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def versions(run: Run) -> tuple[str, ...]:
    """Return the versions of gradest that measured a run; several where it was resumed under another."""
    known = [run.environment.get("machine", {}).get("gradest")]
    known += [libraries.get("gradest") for libraries in run.environment.get("workers", {}).values()]
    return tuple(dict.fromkeys(str(version) for version in known if version))


def digest(run: Run) -> str:
    """Return the SHA-256 of the file of results, in hexadecimal, as `sha256sum` gives it; "" where there is none."""
    path = run.folder / RESULTS
    # of the bytes, not of what they were read as: anybody can ask sha256sum
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _suite(run: Run) -> str:
    if run.suite is None:
        return "not kept: the folder has no suite.toml"
    budget = run.suite.budget
    starts = f"{counted(budget.starts, 'start')} of the workers, " if budget.starts > 1 else ""
    timed = (
        f"{starts}{counted(budget.repetitions, 'round')}, each "
        f"cell at least {counted(budget.minimum_samples, 'sample')} and {budget.minimum_seconds:g} s, "
    )
    options = read_as_run(run.suite_text).options
    most = max((len(record.cell.seeds) for record in run.records), default=0)
    return (
        f"{run.suite.name}, {counted(run.num_cells, 'cell')}: "
        f"{timed if any('time' in record.cell.measure for record in run.records) else ''}"
        f"up to {counted(most, 'seed')}" + (f" (run with {options})" if options else "")
    )


def _machine(run: Run) -> str:
    machine = run.environment.get("machine", {})
    memory = machine.get("memory_bytes")
    found = [str(machine.get(key, "")) for key in ("processor", "system", "kernel")]
    found.insert(1, f"{machine['cores']} cores" if "cores" in machine else "")
    found.insert(2, f"{memory / 2**30:.1f} GiB" if isinstance(memory, int | float) else "")
    return ", ".join(filter(None, found))


def _software(run: Run) -> str:
    workers = run.environment.get("workers", {})
    # workers may have interpreters of their own: each is named once
    pythons = dict.fromkeys(str(libraries.get("python", "?")) for libraries in workers.values())
    found = [*(f"gradest {version}" for version in versions(run)), *(f"Python {python}" for python in pythons)]
    for worker in workers.values():
        # a value of several words is how a library was built, which the table of environments has
        found += [f"{name} {value}" for name, value in worker.get("versions", {}).items() if " " not in f"{value}"]
    return ", ".join(dict.fromkeys(found))


def _citation(run: Run, made: Span | None) -> str:
    """Return the run as a reference, with a digest by which anyone can tell whether they hold the same results."""
    year = f"{made.first:%Y}" if made is not None else "n.d."
    day = f", measured {made.first:%Y-%m-%d}" if made is not None else ""
    name = run.suite.name if run.suite is not None else run.folder.name
    found = digest(run)
    # the suite's name too: titles are for readers, and two suites may have one
    title = f"{run.title} (run of the suite {name})"
    by = f"gradest {' and '.join(versions(run)) or _UNKNOWN}"
    note = f"{_machine(run) or 'machine not kept'}{day}" + (f"; {RESULTS} has SHA-256 {found}" if found else "")
    entry = (
        f"@misc{{gradest-{name}-{found[:_SHOWN_DIGITS] or year},\n  title = {{{title}}},\n  year = {{{year}}},\n"
        f"  howpublished = {{Measured with {by}}},\n  note = {{{note}}}\n}}"
    )
    return f"<p>{escape(f'{title}. {year}. Measured with {by}. {note}.')}</p><pre>{escape(entry)}</pre>"
