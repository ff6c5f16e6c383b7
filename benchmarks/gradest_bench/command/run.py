"""Runs `gradest bench run`: makes a sweep of what is asked, shows how it goes, and gives the exit code."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from gradest import names
from gradest.errors import InvalidInputError
from gradest.measurement.outcome import Outcome
from gradest_bench.command.dry_run import show_dry_run
from gradest_bench.command.options import SCALE, CsvOption, Suggested
from gradest_bench.command.run_view import ProgressBar, show_outcomes, show_records
from gradest_bench.command.terminal import open_console
from gradest_bench.results.files import StorageError
from gradest_bench.results.folders import drop_if_empty, latest_run, new_folder
from gradest_bench.results.invocations import add_invocation
from gradest_bench.results.outcomes import EXIT_STORAGE, EXIT_WRONG, exit_code, exit_code_of_run, worst
from gradest_bench.results.records import Record
from gradest_bench.results.store import RESULTS, Store
from gradest_bench.results.verdict import Judgement, verdicts, wrong_and_unexpected
from gradest_bench.run.executors import executor_name, open_executor
from gradest_bench.run.stopping import stoppable
from gradest_bench.run.sweep import Sweep
from gradest_bench.suite.additions import extended
from gradest_bench.suite.cells import Cell, Spec
from gradest_bench.suite.scaling import read_as_run
from gradest_bench.suite.schema import Suite, parse_suite, shipped_suites, suite_folder, suite_text
from gradest_bench.suite.selection import chosen_cells, plugin_specs, split_choice
from gradest_bench.worker.launch import Launch, require_interpreters
from gradest_bench.worker.trial import check_names, require_loadable

_MANY_CELLS = 120
"""A run of more cells is shown by its outcomes alone: its tables would scroll away, and the report has them."""

_MOST_WRONG = 3
"""More cells that are judged wrong are counted, not named."""


@dataclass(frozen=True)
class _Request:
    """Holds what is to be run, and where it is kept."""

    suite: Suite
    text: str
    cells: list[Cell]
    folder: Path
    pythons: dict[str, str]
    threads: int
    suite_folder: Path | None


@click.command(
    epilog="""\b
Examples:
  gradest bench run quick                                        a shipped suite: gradest bench list
  gradest bench run my_suite.toml --backends numpy,torch         a file; some of its backends
  gradest bench run quick --estimators 'es*' --budget 0.5        by patterns; half the time
  gradest bench run quick --estimators 'es(sigma=0.1),reverse'   added to the suite, beside one of its own
  gradest bench run quick --estimators '*,es(sigma=0.1)'         added to all of its own
  gradest bench run quick --plugin my_estimator.py               with the estimators of a file
  gradest bench run quick --dry-run                              how many cells, and how long
  gradest bench run quick --resume                               goes on in the latest run of the suite
  gradest bench run quick --python mxnet=/opt/mx/bin/python      an interpreter for one backend
  gradest bench run accuracy --executor local:2                  two groups at a time; their times disturb each other"""
)
@click.argument("suite", type=Suggested(shipped_suites, paths="file"))
@click.option(
    "--backends", type=CsvOption(lambda: names("backends")), default=(), help="Names or patterns; all by default."
)
@click.option(
    "--estimators",
    type=CsvOption(lambda: names("estimators")),
    default=(),
    help="Names or patterns of the suite's; NAME(FIELD=VALUE, ...) adds one. All by default.",
)
@click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(dir_okay=False),
    metavar="FILE.py",
    help="Adds the estimators of a file, which is executed; repeatable.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="By default a new one below results/.")
@click.option("--resume", is_flag=True, help="Go on in --out, or in the latest run of this suite.")
@click.option("--python", "pythons", multiple=True, metavar="BACKEND[:VARIANT]=PATH", help="Interpreter of a worker.")
@click.option("--executor", help="local:N, dask:ADDRESS or module:callable; times measured side by side are disturbed.")
@click.option("--budget", type=SCALE, default=1.0, show_default=True, help="Multiplies repetitions, seconds and seeds.")
@click.option("--repeat", is_flag=True, help="Start the workers 7 times, 5 rounds each: for `gradest bench compare`.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of each library, a worker.")
@click.option("--dry-run", is_flag=True, help="Say which cells would run, and how long; run nothing.")
@click.pass_context
def run(
    context: click.Context,
    suite: str,
    backends: tuple[str, ...],
    estimators: tuple[str, ...],
    plugins: tuple[str, ...],
    out: Path | None,
    pythons: tuple[str, ...],
    executor: str | None,
    budget: float,
    repeat: bool,
    threads: int,
    *,
    resume: bool,
    dry_run: bool,
) -> None:
    """Run a shipped SUITE, or that of a TOML file; this executes its plug-ins and the files and modules it names.

    A cell that fails is an outcome; the run goes on. Exit code: 0, or 1 for an error, an invalid estimate or a worker
    that cannot start, 6 for an estimate judged wrong that the suite does not expect, 3 for a crash, 4 for a limit of
    time or memory, 5 if nothing was measured, 74 if results cannot be written, 130 if interrupted.
    """
    text = suite_text(suite)
    parsed = parse_suite(text, origin=suite)
    kept = read_as_run(text)  # the suite of a run is run as it was: with its options, and those that are given now
    own, added = _chosen(extended(parsed, kept.added), estimators, plugins)
    # by label: what a run has already is not added twice when it is resumed with the same words
    together = {spec.label: spec for spec in (*kept.added, *added)}
    as_run = replace(kept, budget=kept.budget * budget, repeat=kept.repeat or repeat, added=tuple(together.values()))
    check_names(extended(parsed, as_run.added), suite_folder(suite))
    parsed = as_run.changed(parsed)
    interpreters = _pythons(pythons)
    require_interpreters(interpreters)
    cells = chosen_cells(parsed, backends=backends, estimators=own, added=added, pythons=interpreters)
    if dry_run:
        show_dry_run(open_console(), parsed, cells)
        return
    # a resume must be of the same text: what --budget and --estimators change is part of it
    folder = _folder(parsed.name, str(as_run), out, resume=resume)
    request = _Request(parsed, str(as_run), cells, folder, interpreters, threads, suite_folder(suite))
    context.exit(_execute(request, executor, open_console()))


def _chosen(suite: Suite, estimators: Sequence[str], plugins: Sequence[str]) -> tuple[list[str], list[Spec]]:
    """Return the patterns that choose among a suite's estimators, and what is added to it; plug-ins are executed."""
    patterns, added = split_choice(suite, estimators)
    if not plugins:
        return list(patterns), added
    for file in plugins:
        require_loadable(file)
    # beside the suite, unless some of it was chosen
    return list(patterns) or ["*"], [*added, *plugin_specs(plugins)]


def _folder(name: str, as_run: str, out: Path | None, *, resume: bool) -> Path:
    folder = out or (latest_run(as_run) if resume else new_folder(name))
    if not resume and (folder / RESULTS).exists():
        raise InvalidInputError(f"{folder} holds results; use --resume to go on there, or another --out")
    if resume and not (folder / RESULTS).exists():
        # no error: a job that may be stopped at any moment is started again by the same words
        click.echo(f"gradest: --resume found nothing to go on from in {folder}; a new run begins there", err=True)
    return folder


def _execute(request: _Request, executor: str | None, console: Console) -> int:
    """Carry out a request, say what came of it, and return the exit code."""
    folder = request.folder
    console.print(f"{request.suite.name}: {len(request.cells)} cells -> {folder}", highlight=False, markup=False)
    try:
        records = _sweep(request, executor, console)
    except KeyboardInterrupt:
        console.print("\ninterrupted; every finished cell is kept. Go on with:", highlight=False)
        console.print(f"  {_resume_line(folder)}", highlight=False, markup=False, soft_wrap=True)
        return exit_code([Outcome.INTERRUPTED])
    except StorageError as error:
        click.echo(f"gradest: {error}", err=True)
        return EXIT_STORAGE
    finally:
        drop_if_empty(folder)
    # of all cells together, as false alarms are shared among them
    judged = verdicts(records)
    if len(records) > _MANY_CELLS:
        show_outcomes(console, records)
    else:
        show_records(console, records, judged)
    report = shlex.join(["gradest", "bench", "report", str(folder)])
    console.print(f"results: {folder}   report: {report}", highlight=False, markup=False, soft_wrap=True)
    # a wrong estimate is measured well: the outcome of its cell is ok
    return worst([exit_code_of_run(records), EXIT_WRONG if _told_wrong(console, records, judged) else 0])


def _told_wrong(console: Console, records: Sequence[Record], judged: dict[str, Judgement]) -> bool:
    """Say which estimates were judged wrong against what the suite expects, and whether there are any."""
    wrong = wrong_and_unexpected(records, judged)
    if wrong:
        titles = "; ".join(f"{record.cell.title}: {judged[record.key][1]}" for record in wrong[:_MOST_WRONG])
        more = f"; and {len(wrong) - _MOST_WRONG} more" if len(wrong) > _MOST_WRONG else ""
        console.print(f"[bold red]{len(wrong)} judged wrong[/]: {escape(titles + more)}", highlight=False)
    return bool(wrong)


def _sweep(request: _Request, executor: str | None, console: Console) -> list[Record]:
    suite = request.suite
    # the executor comes first: one that is refused leaves no folder behind, which would be the latest run
    with stoppable(), open_executor(executor) as pool, Store(request.folder) as store, ProgressBar(console) as progress:
        store.write_suite(request.text)
        # under the lock: of two sweeps that are begun in one folder, one alone has begun
        add_invocation(store.folder, shlex.join(["gradest", *sys.argv[1:]]))
        sweep = Sweep(
            suite=suite.name,
            cells=request.cells,
            store=store,
            launch=Launch(
                pythons=request.pythons, logs=store.logs, threads=request.threads, folder=request.suite_folder
            ),
            listener=progress,
            seed=suite.seed,
            plugins=suite.plugins,
            executor=executor_name(executor),
        )
        return sweep.run(pool)


def _resume_line(folder: Path) -> str:
    # the line is to be copied: it is what was typed, with the folder that was chosen for it
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    if not any(argument == "--out" or argument.startswith("--out=") for argument in arguments):
        arguments += ["--out", str(folder)]
    return shlex.join(["gradest", *arguments, "--resume"])


def _pythons(texts: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise InvalidInputError(f"--python asks for BACKEND=PATH or BACKEND:VARIANT=PATH; found {text!r}")
        if name in found:
            raise InvalidInputError(f"--python gives {name!r} twice: {found[name]!r} and {path!r}; keep one")
        found[name] = path
    return found
