"""Runs `gradest bench compare-now`: two sides of a suite measured beside each other, and told apart."""

from collections.abc import Iterable
from pathlib import Path

import click

from gradest import names
from gradest.errors import InvalidInputError
from gradest.measurement.outcome import Outcome
from gradest_bench.command.json_output import json_option, print_json
from gradest_bench.command.options import CsvOption, Suggested
from gradest_bench.command.run_comparison_view import comparison_fields, show_run_comparison
from gradest_bench.command.run_view import ProgressBar
from gradest_bench.command.terminal import open_console
from gradest_bench.results.folders import drop_if_empty, new_folder
from gradest_bench.results.loading import load
from gradest_bench.results.outcomes import exit_code
from gradest_bench.results.run_comparison import compare_variants
from gradest_bench.results.significance import LEAST_PAIRED
from gradest_bench.results.store import RESULTS, Store
from gradest_bench.run.stopping import stoppable
from gradest_bench.run.sweep import Sweep
from gradest_bench.suite.cells import Cell
from gradest_bench.suite.scaling import REPEATED_STARTS, parse_as_run, repeated
from gradest_bench.suite.schema import Suite, require_runnable, shipped_suites, suite_folder, suite_text
from gradest_bench.suite.selection import chosen_cells
from gradest_bench.worker.launch import Launch, require_checkout, require_interpreters
from gradest_bench.worker.trial import check_names

SIDES = ("a", "b")


@click.command(
    "compare-now",
    epilog="""\b
Examples:
  gradest bench compare-now quick --a ../before            a checkout, against the code that runs this
  gradest bench compare-now quick --a ../before --b ../after --backends numpy
  gradest bench compare-now my_suite.toml --b /opt/new/bin/python   another interpreter, with other versions
  gradest bench compare-now quick                          one code against itself: can this machine tell?""",
)
@click.argument("suite", type=Suggested(shipped_suites, paths="file"))
@click.option("--a", "before", type=click.Path(path_type=Path), help="A checkout or a Python; this one by default.")
@click.option("--b", "after", type=click.Path(path_type=Path), help="The same of what it is compared with.")
@click.option(
    "--backends", type=CsvOption(lambda: names("backends")), default=(), help="Names or patterns; all by default."
)
@click.option(
    "--estimators", type=CsvOption(lambda: names("estimators")), default=(), help="Names or patterns of the suite's."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="By default a new one below results/.")
@click.option(
    "--starts",
    type=click.IntRange(min=LEAST_PAIRED),
    default=REPEATED_STARTS,
    show_default=True,
    help="Of each worker.",
)
@click.option("--strict", is_flag=True, help="Exit code 3 also where any time could not be told.")
@json_option
@click.pass_context
def compare_now(
    context: click.Context,
    suite: str,
    before: Path | None,
    after: Path | None,
    backends: tuple[str, ...],
    estimators: tuple[str, ...],
    out: Path | None,
    starts: int,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    """Measure the times of SUITE for two sides beside each other, and say how the second differs from the first.

    Workers of both sides are started together, and in each round a cell of one is timed next to that of the other: no
    change of the machine falls on one of them alone, which runs of different minutes can only hope for. Exit codes are
    those of `gradest bench compare`.
    """
    parsed = parse_as_run(suite_text(suite), origin=suite)
    require_runnable(parsed, origin=suite)
    check_names(parsed, suite_folder(suite))
    timed = repeated(parsed, starts=starts)
    cells = list(_of_two_sides(chosen_cells(timed, backends=backends, estimators=estimators, pythons={})))
    folder = out or new_folder(f"{parsed.name}-now")
    if (folder / RESULTS).exists():
        raise InvalidInputError(f"{folder} holds results; choose another --out")
    # a side without a place too: its worker runs the code, and the interpreter, that run this
    places = {
        f"{cell.backend}:{side}": place for cell in cells for side, place in zip(SIDES, (before, after), strict=True)
    }
    try:
        _sweep(timed, cells, places, folder, suite_folder(suite))
    except KeyboardInterrupt:
        context.exit(exit_code([Outcome.INTERRUPTED]))
    finally:
        drop_if_empty(folder)
    # read again from the disk, as any later comparison of this folder would be
    found = compare_variants(load(folder), *SIDES)
    if as_json:
        print_json(before=str(before or ""), after=str(after or ""), **comparison_fields(found))
    else:
        show_run_comparison(open_console(), found)
    context.exit(found.exit_code(strict=strict))


def _of_two_sides(cells: Iterable[Cell]) -> Iterable[Cell]:
    """Yield each timed cell for both sides; errors have no minutes, and can be compared at any time."""
    for cell in cells:
        if "time" in cell.measure:
            for side in SIDES:
                yield cell.for_worker(f"{cell.backend}:{side}")


def _sweep(suite: Suite, cells: list[Cell], places: dict[str, Path | None], folder: Path, beside: Path | None) -> None:
    # a folder is a checkout, and anything else an interpreter
    checkouts = {worker: require_checkout(place) for worker, place in places.items() if place and place.is_dir()}
    pythons = {worker: str(place) for worker, place in places.items() if place and worker not in checkouts}
    for side in SIDES:
        of_side = {worker: python for worker, python in pythons.items() if worker.endswith(f":{side}")}
        require_interpreters(of_side, option=f"--{side}")
    with stoppable(), Store(folder) as store, ProgressBar(open_console(stderr=True)) as progress:
        Sweep(
            suite=suite.name,
            cells=cells,
            store=store,
            launch=Launch(pythons=pythons, logs=store.logs, folder=beside, checkouts=checkouts),
            listener=progress,
            seed=suite.seed,
            plugins=suite.plugins,
        ).run()
