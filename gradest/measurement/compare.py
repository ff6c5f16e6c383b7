"""One call: estimators on a problem or on a loss of the user's own -> accuracy and cost, as data. Prints nothing.

A problem runs on several backends and in several dtypes; a loss of the user's own where its arrays are. Both are
measured by the same sessions (`gradest.measurement.session`).
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gradest.binding import Bindable, bind_given
from gradest.case import Case
from gradest.directions.keys import whole_seed
from gradest.errors import InvalidInputError, InvalidTypeError, UnknownNameError
from gradest.estimate import Cost
from gradest.estimator import Estimator
from gradest.measurement.applicability import labelled
from gradest.measurement.comparison import CellResult, Combination, Compared, Comparison
from gradest.measurement.outcome import Outcome, outcome_of
from gradest.measurement.session import Bound, Session
from gradest.measurement.side_by_side import time_side_by_side
from gradest.objective import Objective
from gradest.problem import Problem
from gradest.real_numbers import real_number
from gradest.tree import Tree
from gradest.whole_numbers import whole_number

BACKENDS = ("numpy", "jax", "torch", "mxnet")
DTYPES = ("float64", "float32")
ESTIMATORS = ("reverse", "forward", "fd-central", "es", "spsa")
"""What is compared where nothing is said."""
REPLICATES = 32
"""How many estimates of a stochastic estimator are compared where nothing is said."""
_CALLS = 5  # of an estimator whose estimate takes long: two before it is timed, and three rounds
_LONGEST_SECONDS = 10.0  # of a row that nobody asked for by name, or as long as the longest stochastic one

Progress = Callable[[str, int, int], None]
"""`(what is done now, steps done, steps in all)`."""


def compare(
    f: Bindable,
    params: Tree = None,
    *args: object,
    estimators: Mapping[str, Estimator] | Sequence[str] | None = None,
    backends: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    kernel: str | None = None,
    replicates: int = REPLICATES,
    budget_seconds: float = 0.3,
    seed: int = 0,
    progress: Progress | None = None,
    **kwargs: object,
) -> Comparison:
    """Return accuracy and cost of each estimator, on a problem or on a loss of your own.

    Parameters
    ----------
    f
        A `Problem`; or a function `f(params, *args, **kwargs) -> scalar`, a `Case` or an `Objective`, which run on the
        backend, the device and in the dtype of their own arrays.
    params, *args, **kwargs
        Of a function: where its gradient is asked (a pytree of arrays, an `nn.Module`, a Gluon `Block`), and its
        further arguments, not differentiated.
    estimators
        Registered names, or a mapping from labels to estimators; by default `ESTIMATORS`. One that cannot carry out the
        loss is a row that says why, and so is one of the default whose evaluations, as many as there are parameters,
        would take more than ten seconds and longer than the stochastic ones: name it to have it.
    backends, dtypes, kernel
        Of a problem alone: where it runs; by default on all four backends, in float64 and float32, with portable
        kernels.
    replicates
        How many independent estimates a stochastic estimator makes to have its scatter measured; at least 2.
    budget_seconds
        How long each cell is timed, once it is warm.
    seed
        Of the estimates (seed, seed + 1, ...) and of the order of timing.
    progress
        Called as work goes on.

    Returns
    -------
    comparison
        A sequence of `CellResult`, one for each estimator, backend and dtype, which prints as a table.

    Raises
    ------
    InvalidTypeError
        `f` is nothing that can be compared on, parameters are no floating-point arrays, or `estimators` is a string.
    UnknownNameError
        A name is not registered. A cell that cannot run, whatever it raises, is an outcome and not an exception.
    InvalidInputError
        A stochastic estimator is to be measured by fewer than 2 replicates; a loss of your own does not return one
        number, or was given what is for problems.

    Notes
    -----
    Errors are relative to a reference that is better than what it judges: of a problem its closed form in extended
    precision; of a function the best that it allows (reverse mode in a finer dtype, else the complex step, else
    Richardson-extrapolated differences), compared with a second method and with values of the loss. Each row names it
    and states its uncertainty; an error below that is shown as a bound.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> def loss(w, x, y):
    ...     return np.mean((np.tanh(x @ w) - y) ** 2)
    >>> x, y = np.eye(3), np.ones(3)
    >>> found = gradest.compare(loss, np.zeros(3), x, y, estimators=["reverse", "fd-central"], budget_seconds=0.01)
    >>> [(each.cell.estimator, str(each.cost), each.relative_error < 1e-9) for each in found]
    [('reverse', '1 VJP', True), ('fd-central', '6 values', True)]
    >>> quadratic = gradest.get_problem("quadratic", size=4)
    >>> (result,) = gradest.compare(
    ...     quadratic, estimators=["fd-central"], backends=["numpy"], dtypes=["float64"], budget_seconds=0.01
    ... )
    >>> result.outcome.value, str(result.cost), result.accuracy.relative_error < 1e-8
    ('ok', '8 values', True)
    """
    whole_number("replicates", replicates, least=0)  # a deterministic estimator needs none
    real_number("budget_seconds", budget_seconds, "[0, inf)", example=0.1)
    if progress is not None and not callable(progress):
        raise InvalidTypeError(
            f"progress must be a function of what begins, its number and how many; found {type(progress).__name__}"
        )
    chosen = _chosen(ESTIMATORS if estimators is None else estimators, replicates)
    # A deterministic estimator is called with the first seed.
    seed = whole_seed(seed)
    asked = _Asked(
        chosen, range(seed, seed + max(replicates, 1)), budget_seconds, seed, progress, usual=estimators is None
    )
    if isinstance(f, Problem):
        if params is not None or args or kwargs:
            raise InvalidInputError(
                f"params or arguments were given with problem {f.name!r}, which has its own; leave them out, or pass "
                "a function f(params, *args)"
            )
        where = _named("backends", backends, BACKENDS), _named("dtypes", dtypes, DTYPES)
        return _on_problem(f, asked, *where, kernel or "portable")
    _require_taken(f, kwargs)
    objective = bind_given(f, params, (args, kwargs))
    _require_own(objective, {"backends": backends, "dtypes": dtypes, "kernel": kernel})
    return _on_function(_name_of(f), objective, asked)


def _named(option: str, given: Iterable[str] | None, usual: Sequence[str]) -> Sequence[str]:
    """Return names, the usual ones where none are given; objects in place of names would not tell rows apart."""
    if given is None:
        return usual
    if isinstance(given, str):
        raise InvalidTypeError(f"{option} must be a sequence of names; found a string: write [{given!r}]")
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    wrong = next((each for each in found if not isinstance(each, str)), None)
    if wrong is not None:
        example = "'numpy', 'module:Class' or 'path/file.py:Class' of a backend"
        raise InvalidTypeError(
            f"{option} must be names, such as {example if option == 'backends' else repr('float64')}; found "
            f"{type(wrong).__name__}"
        )
    if not found:
        raise InvalidInputError(f"{option} to compare on were asked for; found none; leave {option}= out for the usual")
    return found


@dataclass(frozen=True)
class _Asked:
    """What is to be measured, whatever it is measured on."""

    estimators: Mapping[str, Estimator]
    seeds: Sequence[int]
    budget_seconds: float
    seed: int
    progress: Progress | None
    usual: bool

    def counter(self, steps: int) -> Callable[[str], None]:
        """Return a function that is told what begins, of so many steps."""
        done = 0

        def report(what: str) -> None:
            nonlocal done
            if self.progress is not None:
                self.progress(what, done, steps)
            done += 1

        return report


def _chosen(estimators: Mapping[str, Estimator] | Sequence[str], replicates: int) -> Mapping[str, Estimator]:
    """Return the estimators by their labels; refuse what would fail in every cell."""
    chosen = labelled(estimators)
    if not chosen:
        raise InvalidInputError("estimators to compare were asked for; found none; leave estimators= out for the usual")
    stochastic = [name for name, estimator in chosen.items() if estimator.stochastic]
    if stochastic and replicates < 2:
        raise InvalidInputError(
            f"the scatter of {stochastic[0]!r} asks for at least 2 replicates; found {replicates}; give more, or "
            "leave stochastic estimators out"
        )
    return chosen


# -- a problem: on backends, in dtypes --------------------------------------------------------------------
def _on_problem(
    problem: Problem, asked: _Asked, backends: Sequence[str], dtypes: Sequence[str], kernel: str
) -> Comparison:
    chosen = asked.estimators
    size = problem.layout.num_parameters  # first: a data set that is not here is told before anything is measured
    report = asked.counter(2 * len(chosen) * len(backends) * len(dtypes))
    results: list[CellResult] = []
    for dtype in dtypes:
        found = [
            item
            for backend in backends
            for item in _run_backend(problem, asked, Combination("", backend, dtype, kernel), report)
        ]
        results += _timed(found, asked, report)
    # as they were asked for: refused cells come first from `_timed`, whatever their place
    place = {name: k for k, name in enumerate(chosen)}
    results.sort(key=lambda r: (dtypes.index(r.cell.dtype), place[r.cell.estimator], backends.index(r.cell.backend)))
    return Comparison(Compared(problem.name, repr(problem), size), tuple(results))


def _run_backend(
    problem: Problem, asked: _Asked, where: Combination, report: Callable[[str], None]
) -> Iterator[tuple[CellResult, Session | None]]:
    """Yield what was found of each cell, and the session of those that go on to be timed."""
    try:
        bound = Bound(problem, backend=where.backend, dtype=where.dtype, kernel=where.kernel)
        _ = bound.reference  # here, where what it raises is the outcome of all its cells and not of the first alone
    except UnknownNameError:
        raise  # a mistyped backend is a mistake in the call, not something found out about a cell
    except Exception as error:  # noqa: BLE001  # a problem or a framework may raise anything; it is its cells' outcome
        outcome, reason = outcome_of(error)
        for name, estimator in asked.estimators.items():
            report(f"{where.backend} {where.dtype}: {outcome}")
            yield CellResult(replace(where, estimator=name), outcome, reason, stochastic=estimator.stochastic), None
        return
    yield from _run(bound, asked, where, report)


# -- a function: where its arrays are ---------------------------------------------------------------------
def _on_function(name: str, objective: Objective, asked: _Asked) -> Comparison:
    # Each estimator is told of twice, judged and timed; and the reference once, which may take longest.
    report = asked.counter(2 * len(asked.estimators) + 1)
    kernel = "own" if objective.is_users_own else objective.kernel
    where = Combination("", objective.backend.name, objective.dtype, kernel)
    report(f"reference of {name}")
    # What the function itself raises is the user's to see as it is: no cell could be measured.
    bound = Bound(objective)
    with bound.random_state_kept():
        _ = bound.reference
        found = list(_run(bound, asked, where, report))
        results = {result.cell.estimator: result for result in _timed(found, asked, report)}
    loss = Compared(name, objective.described, objective.layout.num_parameters, bound.notes)
    return Comparison(loss, tuple(results[label] for label in asked.estimators))


def _name_of(f: object) -> str:
    if isinstance(f, Objective):
        return "objective" if f.problem is None else f.problem.name
    function = f.f if isinstance(f, Case) else f
    return str(getattr(function, "__qualname__", type(function).__name__)).rpartition("<locals>.")[2]


def _require_own(objective: Objective, options: Mapping[str, object]) -> None:
    """Refuse what says where a problem runs: a function runs where its arrays are."""
    given = [f"{name}={value!r}" for name, value in options.items() if value is not None]
    if given:
        raise InvalidInputError(
            f"{', '.join(given)} was given with a loss of your own, which runs where its arrays are (here "
            f"{objective.backend.name}, {objective.dtype}); leave it out, convert the arrays, or write the loss as a "
            "gradest.Problem, which runs on every backend"
        )


def _require_taken(f: object, kwargs: Mapping[str, object]) -> None:
    """Refuse a keyword argument that is neither an option here nor an argument of the function: a slip of the pen."""
    function = f.f if isinstance(f, Case) else f
    if not kwargs or not callable(function):
        return
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin that does not say
        return
    unknown = [name for name in kwargs if name not in parameters]
    if unknown and not any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        options = [p.name for p in inspect.signature(compare).parameters.values() if p.kind is p.KEYWORD_ONLY]
        raise InvalidInputError(
            f"{unknown[0]!r} is neither an option of compare ({', '.join(options)}) nor an argument of the loss "
            f"({', '.join(parameters)})"
        )


# -- cells ------------------------------------------------------------------------------------------------
def _run(
    bound: Bound, asked: _Asked, where: Combination, report: Callable[[str], None]
) -> Iterator[tuple[CellResult, Session | None]]:
    for name, estimator in asked.estimators.items():
        report(f"accuracy: {name} on {where.backend}, {where.dtype}")
        cell = replace(where, estimator=name)
        try:
            if reason := _too_long(estimator, bound, asked):
                yield CellResult(cell, Outcome.TIMEOUT, reason, stochastic=estimator.stochastic), None
                continue
            session = Session(estimator, bound, seeds=asked.seeds)
            yield _judged(cell, session), session
        except Exception as error:  # noqa: BLE001  # an estimator may raise anything; it is one cell's outcome
            yield CellResult(cell, *outcome_of(error), stochastic=estimator.stochastic), None


def _too_long(estimator: Estimator, bound: Bound, asked: _Asked) -> str:
    """Return why an estimator is left out that nobody asked for by name, "" where it is not.

    Else of thousands of parameters nearly all of the time is spent on exact forward mode and differences.
    """
    if not asked.usual or estimator.stochastic:
        return ""
    layout = bound.objective.layout
    evaluations = _CALLS * _evaluations(estimator.cost(layout))
    scattered = (other for other in asked.estimators.values() if other.stochastic)
    if evaluations <= max(len(asked.seeds) * _evaluations(other.cost(layout)) for other in scattered):
        return ""
    seconds = evaluations * bound.value_seconds(-1)  # of no round: those take the unit anew
    if seconds <= _LONGEST_SECONDS:
        return ""
    return (
        f"left out: an estimate takes {estimator.cost(layout)}, and its row about {seconds:.0f} s; name it to have it, "
        f"as by estimators=[{estimator.name!r}], or --estimators {estimator.name} at the command line"
    )


def _evaluations(cost: Cost) -> int:
    return cost.values + cost.jvps + cost.vjps


def _judged(cell: Combination, session: Session) -> CellResult:
    accuracy = session.accuracy(smoothed=False)
    return CellResult(
        cell=cell,
        outcome=Outcome.OK,
        reason=accuracy.prediction_fault,
        path=session.path,
        stochastic=session.estimator.stochastic,
        cost=session.counts.counted,
        accuracy=accuracy.single,
        replicates=accuracy.replicates,
        predicted=accuracy.predicted,
        reference_uncertainty=accuracy.reference.uncertainty,
        reference_method=accuracy.reference.method,
    )


def _timed(
    found: Sequence[tuple[CellResult, Session | None]], asked: _Asked, report: Callable[[str], None]
) -> Iterator[CellResult]:
    """Yield the results, those of sessions with their times, or with what ended them while they were timed."""
    yield from (result for result, session in found if session is None)
    running = [(result, session) for result, session in found if session is not None]

    def begin(number: int) -> None:
        cell = running[number][0].cell
        report(f"cost: {cell.estimator} on {cell.backend}, {cell.dtype}")

    sessions = [session for _, session in running]
    times = time_side_by_side(sessions, budget_seconds=asked.budget_seconds, seed=asked.seed, begin=begin)
    for (result, _), timing in zip(running, times, strict=True):
        if isinstance(timing, Exception):
            outcome, reason = outcome_of(timing)
            yield replace(result, outcome=outcome, reason=reason)
        else:
            yield replace(result, timing=timing)
