"""Runs `gradest train`: one problem or one loss of the user's, trained under several estimators, each row resumable."""

import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from gradest import Case, Estimator, GradestError, InvalidInputError, Problem, bind, get_problem, names, training
from gradest import train as train_under
from gradest.importing import users_line
from gradest.testing.results import raised
from gradest_bench.command.json_output import json_option, print_json
from gradest_bench.command.options import (
    SECONDS,
    CsvOption,
    OutputFile,
    OutputFolder,
    PositiveNumber,
    Suggested,
    complete_field,
    parse_fields,
)
from gradest_bench.command.terminal import open_console
from gradest_bench.command.train_view import Row, json_row, show_rows
from gradest_bench.report.paper import require_drawing
from gradest_bench.results.files import StorageError, replacing
from gradest_bench.suite.held_out import split
from gradest_bench.suite.resolving import make_estimators
from gradest_bench.suite.spec_text import parse_spec, split_names

_SEARCHES = {name for name in training.OPTIMIZERS if isinstance(training.get_optimizer(name), training.Search)}


@click.command(
    epilog="""\b
Examples:
  gradest train --steps 200 --batch-size 64 --held-out 0.2
  gradest train --estimators 'reverse,es(num_samples=20),random-search' --budget 20000 --batch-size 100
  gradest train --optimizer 'adam(step_size=0.01)' --epochs 5 --batch-size 64 --quality-every 20
  gradest train --schedule 'cosine(steps=200)' --steps 200 --batch-size 64
  gradest train --problem mlp --set dataset=iris --set 'widths=[8]' --steps 100 --state runs/iris
  gradest train --problem mlp --set dataset=iris --set 'widths=[8]' --steps 500 --state runs/iris --resume
  gradest train my_model.py:case --estimators reverse,spsa --steps 100

\b
Every row has the same optimiser, start, seeds and batches, so at one step size the rows compare step sizes as much as
estimators: the column 2N/tr(H) says above which a step along so noisy a gradient climbs on average. Give each
estimator the best step size of a grid before you compare them. Optimisers: gradest list optimizers"""
)
@click.argument("location", metavar="[path.py:case]", required=False, type=Suggested(tuple, paths="file"))
@click.option("--problem", type=Suggested(lambda: names("problems")), default="mlp", show_default=True)
@click.option(
    "--set",
    "fields",
    multiple=True,
    metavar="FIELD=VALUE",
    shell_complete=complete_field("problems", "problem"),
    help="A field of the problem; repeatable. All examples are trained on unless batch=N says how many.",
)
@click.option(
    "--estimators",
    type=CsvOption(lambda: (*names("estimators"), *sorted(_SEARCHES))),
    default="reverse,es",
    show_default=True,
    help="Names or patterns, by commas; hyper-parameters in brackets after a name. Searches are rows without a "
    "gradient.",
)
@click.option(
    "--optimizer",
    type=Suggested(lambda: training.OPTIMIZERS),
    default="sgd",
    show_default=True,
    help="A name; hyper-parameters in brackets.",
)
@click.option(
    "--schedule",
    type=Suggested(lambda: training.SCHEDULES),
    default="constant",
    show_default=True,
    help="What multiplies the step size as steps are made: constant, 'cosine(steps=1000, final=0.0)' or "
    "'step(every=100, decay=0.1)'.",
)
@click.option("--budget", type=PositiveNumber(), help="Loss-equivalents that each row may cost.")
@click.option("--evaluations", type=click.IntRange(min=1), help="Evaluations, each counted as one.")
@click.option("--steps", type=click.IntRange(min=1), help="Steps of the optimiser.")
@click.option("--epochs", type=PositiveNumber(), help="Passes over the data.")
@click.option("--seconds", type=SECONDS, help="Seconds of steps.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Examples in a batch; all by default.")
@click.option("--held-out", type=PositiveNumber(most=0.99), help="The share of the data that is not trained on.")
@click.option("--backend", type=Suggested(lambda: names("backends")), help="numpy by default; of a case its own.")
@click.option("--dtype", help="float64 by default; of a case its own.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--patience", type=click.IntRange(min=1), help="Logs without a lower loss after which a row ends.")
@click.option("--log-every", type=click.IntRange(min=1), help="Steps between logs; an epoch, or 10, by default.")
@click.option("--quality-every", type=click.IntRange(min=1), help="Steps between measurements of the estimate's error.")
@click.option(
    "--state",
    "folder",
    type=OutputFolder(),
    help="Keeps each row's state here, replaced at each log; gradest.training.parameters_of reads it.",
)
@click.option("--resume", is_flag=True, help="Goes on from the states in --state, as if never stopped.")
@click.option("--plot", type=OutputFile(), help="Write curves by evaluations, steps and time here.")
@json_option
def train(
    problem: str,
    fields: tuple[str, ...],
    location: str | None,
    estimators: tuple[str, ...],
    optimizer: str,
    schedule: str,
    batch_size: int | None,
    held_out: float | None,
    folder: Path | None,
    plot: Path | None,
    *,
    resume: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a problem, or a loss of your own, under several estimators, and print what became of each.

    The budget is one or several of --budget, --evaluations, --steps, --epochs, --seconds. A row that becomes NaN ends
    and says at which step. The file of a loss of your own is executed. Exit code: 0, or 1 where a row could not be run
    or all of them diverged.
    """
    if plot is not None:
        require_drawing(plot)
    if resume and folder is None:
        raise InvalidInputError("--resume goes on from states that were kept; name their folder by --state")
    chosen, other = _subject(problem, fields, location, held_out, seed=options["seed"])
    given = _given(options) | {"batch_size": batch_size, "held_out": other, "budget": _budget(options)}
    rows, rewind, named, planned = [], _rewinding(chosen), _estimators(estimators), _planned(schedule)
    places = _places(folder, named, resume=resume)
    for (label, estimator), place in zip(named.items(), places, strict=True):
        maker = parse_spec(label if estimator is None else optimizer)
        made = training.get_optimizer(maker.name, **maker.fields)
        with _stoppable(place):
            # a search has no step size that a schedule could change
            more = given if estimator is None else given | {"schedule": planned}
            rows.append(_row(label, chosen, estimator, made, more, rewind, place=place, quiet=as_json))
    if plot is not None:
        training.plot({row.label: row.found for row in rows if row.found is not None}, plot)
    if as_json:
        print_json(problem=_named(chosen), rows=[json_row(row) for row in rows], plot=plot and str(plot))
    else:
        show_rows(open_console(), _named(chosen), rows)
    # One row that diverges is what a comparison may be about; where all do, nothing was trained.
    failed = any(row.found is None for row in rows) or all(row.found is not None and row.found.diverged for row in rows)
    sys.exit(1 if failed else 0)


def _estimators(texts: tuple[str, ...]) -> dict[str, Estimator | None]:
    """Return what each text names, by its label; None for a search, which needs none."""
    found: dict[str, Estimator | None] = {}
    for text in texts:
        if parse_spec(text).name in _SEARCHES:
            found[" ".join(text.split())] = None
        else:
            found |= make_estimators(split_names(text))
    return found


def _planned(text: str) -> training.Schedule:
    spec = parse_spec(text)
    return training.get_schedule(spec.name, **spec.fields)


def _places(folder: Path | None, labels: Iterable[str], *, resume: bool) -> list[Path | None]:
    """Return where each row keeps its state; one that is there already is asked about before any row is trained."""
    if folder is None:
        return [None for _ in labels]
    names = [re.sub("[^A-Za-z0-9.]+", "-", label).strip("-") for label in labels]
    # numbered: labels that differ in signs alone would share a file
    own = [folder / f"{k}-{name}.state" for k, name in enumerate(names, start=1)]
    places: list[Path | None] = [_place(each, own) for each in own]
    for place in places:
        if place is not None and place.exists() and not resume:
            raise InvalidInputError(f"{place} has a state already; go on from it by --resume, or name another folder")
    # no error: a script that always resumes has nothing to resume the first time
    if resume and not any(place is not None and place.exists() for place in places):
        click.echo(f"gradest: --resume found no state to go on from in {folder}; all rows begin anew", err=True)
    folder.mkdir(parents=True, exist_ok=True)
    return places


def _place(own: Path, of_rows: list[Path]) -> Path:
    """Return where a row's state is: under another number where its estimator was another one of the list."""
    name = own.name.partition("-")[2]
    there = sorted(path for path in own.parent.glob("*.state") if path.name.partition("-")[2] == name)
    elsewhere = [path for path in there if path not in of_rows]
    if own in there or not elsewhere:
        return own
    if len(elsewhere) > 1:
        found = ", ".join(path.name for path in elsewhere)
        raise InvalidInputError(
            f"one state for {name.removesuffix('.state')!r} was looked for; found {found}; move one"
        )
    return elsewhere[0]


@contextmanager
def _stoppable(place: Path | None) -> Iterator[None]:
    """Say with which command a row that is interrupted goes on, where it keeps a state."""
    try:
        yield
    except KeyboardInterrupt:
        if place is not None:
            again = shlex.join(["gradest", *(word for word in sys.argv[1:] if word != "--resume"), "--resume"])
            click.echo(f"every row stands where it was last logged. Go on with:\n  {again}", err=True)
        raise


def _budget(options: dict[str, Any]) -> training.Budget:
    limits = {name: options[name] for name in ("evaluations", "steps", "epochs", "seconds")}
    if options["budget"] is None and not any(limits.values()):
        raise InvalidInputError("a budget is needed: --budget, --evaluations, --steps, --epochs or --seconds")
    return training.Budget(losses=options["budget"], **limits)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    asked = ("seed", "patience", "log_every", "quality_every", "backend", "dtype")
    # what was not asked for is left out: its default is that of `gradest.train`, and stated there
    return {name: options[name] for name in asked if options[name] is not None}


def _subject(
    problem: str, fields: tuple[str, ...], location: str | None, held_out: float | None, *, seed: int
) -> tuple[Problem | Case, Problem | None]:
    """Return what is trained, and the same problem with the data that are held out."""
    if location is not None:
        if fields or held_out is not None:
            raise InvalidInputError("--set and --held-out are of a problem; a case has its own data")
        return Case.load(location), None
    asked = parse_fields(fields)
    # whoever names a batch trains on that one; else on all there is
    return split(get_problem(problem, **asked), held_out, seed=seed, whole="batch" not in asked)


def _row(
    label: str,
    chosen: Problem | Case,
    estimator: Estimator | None,
    optimizer: training.Optimizer | training.Search,
    given: dict[str, Any],
    rewind: Callable[[], None],
    *,
    place: Path | None,
    quiet: bool,
) -> Row:
    """Return a row, from its state where there is one; what an estimator cannot do is told in it."""
    told: list[int] = []

    def keep(state: training.TrainingState) -> None:
        if place is not None:
            with replacing(place) as temporary:
                temporary.write_bytes(state.to_bytes())
        if not quiet and state.step not in told:  # that it has ended is told of the same step once more
            told.append(state.step)
            click.echo(f"{label}: step {state.step:,}, loss {state.records[-1].loss:.5g}", err=True)

    state = None if place is None or not place.exists() else _state_in(place)
    try:
        rewind()
        found = train_under(chosen, estimator, optimizer, state=state, on_state=keep, **given)
    except StorageError:  # no fault of the row's: what the others come to could not be kept either
        raise
    except GradestError as error:
        return Row(label, None, str(error), None)
    except Exception as error:  # noqa: BLE001  # a plug-in may raise anything: it ends its own row, as in a comparison
        _evaluate(chosen)  # a loss that raises by itself would end every row: it ends the command, at its own line
        if not users_line(error):  # of a fault that is not at a line of the user's, the way there is all that tells
            traceback.print_exc()
        return Row(label, None, raised(error), None)
    return Row(label, found, found.ended, _limit(chosen, estimator, given))


def _evaluate(chosen: Problem | Case) -> None:
    objective = bind(chosen)
    objective.prepare_value()(objective.start)


def _state_in(place: Path) -> training.TrainingState:
    try:
        return training.TrainingState.from_bytes(place.read_bytes())
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}: {error}") from error


def _rewinding(chosen: Problem | Case) -> Callable[[], None]:
    """Return what puts the framework's generator where it is first found: all rows see the same masks of dropout."""
    found: list[Any] = []

    def rewind() -> None:
        if isinstance(chosen, Case):  # of a problem nothing draws from it
            backend = bind(chosen).backend
            found.extend([] if found else [backend.random_state()])
            backend.set_random_state(found[0])

    return rewind


def _limit(chosen: Problem | Case, estimator: Estimator | None, given: dict[str, Any]) -> training.StepLimit | None:
    """Return the step size that noise allows at the start, on all of the training data."""
    if estimator is None or not estimator.stochastic:
        return None
    binding = {name: given[name] for name in ("backend", "dtype") if name in given}
    return training.step_limit(bind(chosen, **binding), estimator)


def _named(chosen: Problem | Case) -> str:
    return repr(chosen) if isinstance(chosen, Problem) else f"a case of {getattr(chosen.f, '__name__', 'a function')}"
