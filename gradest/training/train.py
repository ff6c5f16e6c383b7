"""`gradest.train`: parameters trained under any estimator, with what it costs and what it does written down."""

from collections.abc import Callable
from typing import Any

from gradest.binding import Bindable
from gradest.calls import bind_options
from gradest.directions.keys import whole_seed
from gradest.errors import InvalidInputError, InvalidTypeError, UnsupportedError
from gradest.estimate import Cost
from gradest.estimator import Estimator, get_estimator
from gradest.training.batches import Source
from gradest.training.budget import Budget, Weights, as_budget, measured_weights, require_epochs, require_spent
from gradest.training.callbacks import Metrics
from gradest.training.optimizers import Optimizer, Search, get_optimizer
from gradest.training.quality import StepLimit, objective_at, step_limit
from gradest.training.result import Training
from gradest.training.run import Run, first_state
from gradest.training.schedules import Constant, Schedule
from gradest.training.state import TrainingState
from gradest.training.step import Step, placed, words_of
from gradest.training.subject import Subject
from gradest.tree import Tree
from gradest.whole_numbers import whole_number

_LOG_EVERY = 10  # steps, where all of the data are in each and there are no epochs to go by
_OPTIMIZER = "the optimiser with its own, such as optimizer=gradest.training.GradientDescent(step_size=0.1)"
_BUDGET = "budget=gradest.training.Budget({}=...)"
_ELSEWHERE = {
    **dict.fromkeys(("lr", "learning_rate", "step_size", "momentum"), _OPTIMIZER),
    **{name: _BUDGET.format(name) for name in ("steps", "epochs", "seconds")},
    "rng": "seed=...",
}


def train(
    f: Bindable,
    estimator: str | Estimator | None,
    optimizer: str | Optimizer | Search = "sgd",
    *,
    budget: Budget | Cost | float,
    params: Tree = None,
    batch_size: int | None = None,
    batches: Source | None = None,
    replace: bool = False,
    drop_last: bool = False,
    schedule: Schedule | None = None,
    seed: int = 0,
    held_out: Any = None,
    metrics: Metrics | None = None,
    patience: int | None = None,
    log_every: int | None = None,
    quality_every: int | None = None,
    quality_replicates: int = 16,
    weights: Weights | None = None,
    after_step: Callable[[int, Any], None] | None = None,
    state: TrainingState | None = None,
    on_state: Callable[[TrainingState], None] | None = None,
    **binding: Any,
) -> Training:
    """Return parameters trained under an estimator, and the log of how that went. A model is not written into.

    Optimiser, order of the batches, start and seeds are the same for every estimator and backend: runs differ by what
    is asked to differ. Two runs at one step size compare step sizes more than estimators: see `limit` of the result. A
    function that draws random numbers itself (dropout) draws from its framework's generator, which the caller seeds.

    Parameters
    ----------
    f
        A `Problem`, or for a function, an `nn.Module` or a Gluon `Block` `Case(f, params, args)`.
    estimator
        A name or an estimator; None for "random-search" and "iterative-refinement", which use none.
    optimizer
        A name of `gradest.training.OPTIMIZERS`, or an optimiser: `gradest.training.Adam(step_size=0.01)`.
    budget
        A number of loss-equivalents, a `Cost`, or a `gradest.training.Budget` of steps, epochs, seconds, evaluations.
    params
        The start, by default the problem's or the case's.
    batch_size, replace, drop_last
        Of a problem's examples: how many a batch has, whether they are drawn with replacement, and whether a last short
        batch is left out. Their order follows from seed and epoch alone. By default each step has all data.
    batches
        In their place: an iterable, gone through again for each epoch (an iterator, once: then the run ends), or a
        function of the number of the step. Each is the data of a problem, or the arguments of a function: a tuple or
        list of them, or the only one. The log's loss is that of the case's own arguments, or of the first batch where
        it has none.
    schedule
        What multiplies the step size; constant by default.
    seed
        Of directions and batches.
    held_out
        For a problem one with other data, or data of its form; for a function a tuple of arguments. They are looked at
        and never trained on.
    metrics
        For a function: name -> a function of the parameters. A problem has its own.
    patience
        Stops after so many logs at which the held-out loss (the training loss without any) was not below its least;
        then the parameters of the least are returned, else the last.
    log_every
        In steps; by default an epoch, or 10 steps where each has all data. The first and the last are logged always.
    quality_every, quality_replicates
        Every so many steps, at the next log, how far that many estimates scatter about the gradient, beside theory;
        and, once, the step size that their noise allows. Those estimates are counted apart, and what they are judged by
        is not counted.
    weights
        What a JVP and a VJP count in losses; by default as measured on this machine, now, where the estimator has such.
    after_step
        Called with the number of the step and the parameters: where a model's running means are brought up to date, or
        what a loss closes over is annealed, for each value of which JAX compiles anew (`batches` can hold it instead).
        Like the metrics it is refused if it writes into the parameters, which are the optimiser's.
    state, on_state
        A run goes on from a state as if it had not stopped; `on_state` is given one at each log. What MXNet draws in a
        function (dropout) is other numbers then: its generator does not tell where it stands.
    **binding
        Options of `gradest.bind`: backend, dtype, device, kernel.

    Raises
    ------
    InvalidInputError, UnsupportedError
        Something cannot be used; nothing was trained. A loss, an estimate or parameters that become NaN or infinite
        later end the run: `ended` says where. What a function of yours raises goes through.

    Examples
    --------
    >>> import gradest
    >>> from gradest.training import Budget
    >>> problem = gradest.get_problem("mlp", dataset="iris", widths=(4,), batch=None)
    >>> found = gradest.train(problem, "reverse", "adam", budget=Budget(epochs=2), batch_size=50)
    >>> found.ended, len(found.records), found.records[-1].loss < found.records[0].loss
    ('2 epochs were passed', 3, True)
    """
    chosen, maker = _chosen(estimator, optimizer)
    seed = whole_seed(seed)
    order = {"seed": seed, "replace": replace, "drop_last": drop_last}
    # All that can be refused is refused before the loss is evaluated, which may take minutes.
    _require_used(maker, schedule, batch_size, {"replace": replace, "drop_last": drop_last})
    _require_callables(after_step=after_step, on_state=on_state)
    subject = Subject(
        f, params, batches=batches, batch_size=batch_size, order=order, binding=_binding(binding), metrics=metrics
    )
    limits = as_budget(budget)
    # Before anything is evaluated: an epoch that never ends would show only after hours.
    require_epochs(limits, subject.batches.per_epoch)
    _require_quadratic(subject, maker)
    _require_kinds(state, weights)
    step, planned = Step(subject, chosen, maker, seed), _planned(schedule)
    require_spent(limits, step.cost, patient=patience is not None)
    words = _words(subject, chosen, maker, planned, {"batch_size": batch_size, **order})
    if state is None:
        # A run that goes on keeps the weights of its state: what it costs is one sum, not of two machines.
        state = first_state(step, words, weights or measured_weights(subject.objective, step.cost))
    elif state.run != words:
        raise InvalidInputError(
            f"a run was to go on from a state of another: {_apart(words, state.run)}; ask for what is found, or begin "
            "without the state"
        )
    elif weights is not None and weights != state.weights:
        raise InvalidInputError(
            f"a run that goes on was given weights {weights}; found a state counted by {state.weights}; leave weights "
            "away, or begin without the state"
        )
    quality = None
    if quality_every is not None:
        replicates = whole_number("quality_replicates", quality_replicates, least=2)  # one has no scatter
        quality = whole_number("quality_every", quality_every), replicates
    run = Run(
        step,
        budget=limits,
        schedule=planned,
        look=subject.training(),
        held_out=None if held_out is None else subject.held_out(held_out),
        patience=None if patience is None else whole_number("patience", patience),
        log_every=whole_number("log_every", log_every) if log_every is not None else _log_every(subject),
        quality=quality,
        after_step=after_step,
        state=state,
    )
    # At the start, also of a run that goes on: it is one number of a run, whatever happens on the way.
    limit = None if quality is None else _limit(subject, chosen)
    return _finished(run, run.go(on_state), watched=held_out is not None, limit=limit)


def _chosen(
    estimator: str | Estimator | None, optimizer: str | Optimizer | Search
) -> tuple[Estimator | None, Optimizer | Search]:
    """Return estimator and optimiser, of which a search uses none and the others need one."""
    chosen = get_estimator(estimator) if isinstance(estimator, str) else estimator
    maker = get_optimizer(optimizer) if isinstance(optimizer, str) else optimizer
    if not isinstance(maker, Optimizer | Search):
        raise InvalidTypeError(
            f"optimizer must be a name of gradest.training.OPTIMIZERS or one of their classes, such as Adam(); found "
            f"{_found(maker)}; an optimiser of a framework takes gradients in a loop, by gradest.assign"
        )
    if chosen is not None and not isinstance(chosen, Estimator):
        raise InvalidTypeError(f"estimator must be a name or an estimator; found {_found(chosen)}")
    if isinstance(maker, Search) and chosen is not None:
        raise InvalidInputError(f"{maker} uses no gradient; found estimator {chosen.name!r}: pass None in its place")
    if isinstance(maker, Optimizer) and chosen is None:
        raise InvalidInputError(f"{maker} needs a gradient; name an estimator, such as 'reverse' or 'es'")
    return chosen, maker


def _planned(schedule: Schedule | None) -> Schedule:
    if schedule is not None and not isinstance(schedule, Schedule):
        raise InvalidTypeError(
            f"schedule must be a gradest.training.Schedule, such as Cosine(steps=100) or StepDecay(); found "
            f"{_found(schedule)}; one of your own is a subclass with a method factor(step)"
        )
    return Constant() if schedule is None else schedule


def _found(given: object) -> str:
    """Return what was found in words: a class in the place of what it makes is the likeliest, and told as such."""
    return f"the class {given.__name__}, not one made of it" if isinstance(given, type) else type(given).__name__


def _require_used(
    maker: Optimizer | Search, schedule: Schedule | None, batch_size: int | None, asked: dict[str, bool]
) -> None:
    """Refuse what would be left out without a word."""
    for name, value in asked.items():
        # replace and drop_last are of the batches that are made here; batches of the user's own are as they are.
        if value and batch_size is None:
            raise InvalidInputError(f"{name} was given without batch_size, of whose batches it is; give batch_size too")
    if schedule is not None and isinstance(maker, Search):
        raise InvalidInputError(f"a schedule was given with {maker}, which has no step size; leave it away")


def _require_callables(**given: Any) -> None:
    for name, function in given.items():
        if function is not None and not callable(function):
            raise InvalidTypeError(f"{name} must be a function; found {type(function).__name__}")


def _binding(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `bind`; what other libraries' `fit` takes by a keyword is told its place here."""
    for name in options:
        if name in _ELSEWHERE:
            raise InvalidInputError(f"train has no option {name!r}; write {_ELSEWHERE[name]}")
    return bind_options(options)


def _require_quadratic(subject: Subject, maker: Optimizer | Search) -> None:
    if isinstance(maker, Optimizer) and maker.searches_line and not (subject.problem and subject.problem.is_quadratic):
        what = "a function" if subject.problem is None else f"problem {subject.problem.name!r}"
        raise UnsupportedError(
            f"an exact line search was asked for of {what}, whose loss is not known to be quadratic; use "
            "'gradient-descent', or a problem such as 'quadratic' or 'least-squares'"
        )


def _require_kinds(state: TrainingState | None, weights: Weights | None) -> None:
    for name, given, kind in (("state", state, TrainingState), ("weights", weights, Weights)):
        if given is not None and not isinstance(given, kind):
            hint = "; bytes of one are read by TrainingState.from_bytes" if isinstance(given, bytes) else ""
            raise InvalidTypeError(
                f"{name} must be a gradest.training.{kind.__name__}; found {type(given).__name__}{hint}"
            )


def _log_every(subject: Subject) -> int:
    per_epoch = subject.batches.per_epoch
    # Where all data are in each step an epoch is one step, and a log at each would cost as much as the steps.
    return per_epoch if per_epoch is not None and per_epoch > 1 else _LOG_EVERY


def _words(
    subject: Subject, estimator: Estimator | None, maker: Optimizer | Search, schedule: Schedule, order: dict[str, Any]
) -> str:
    """Return what a run is of, in words: what its numbers follow from, but for the data and the budget."""
    objective = subject.objective
    where = f"{objective.backend.name}, {', '.join(dict.fromkeys(objective.dtypes))}, {objective.kernel}"
    # Not the start, which is in the state; nor budget, logs and patience, which may change as a run goes on.
    return f"{words_of(objective)}; {where}; {estimator!r}; {maker!r}; {schedule!r}; {order}"


def _apart(asked: str, found: str) -> str:
    """Return in what the words of two runs differ: one field of an estimator is hard to find in all of them."""
    parts, others = asked.split("; "), found.split("; ")
    if len(parts) != len(others):  # a repr of the user's own holds the mark, or another version had other words
        return f"asked {asked}; found {found}"
    pairs = [(part, other) for part, other in zip(parts, others, strict=True) if part != other]
    return "; ".join(f"asked {part}, found {other}" for part, other in pairs)


def _limit(subject: Subject, estimator: Estimator | None) -> StepLimit | None:
    """Return the step size that noise allows at the start, before any step is made."""
    if estimator is None:
        return None
    return step_limit(objective_at(subject.objective, subject.objective.start), estimator)


def _finished(run: Run, state: TrainingState, *, watched: bool, limit: StepLimit | None) -> Training:
    step = run.step
    objective = step.objective
    leaves = run.leaves if state.best is None else placed(objective, state.best)
    return Training(
        params=objective.form.params_of(leaves),
        records=state.records,
        ended=state.ended,
        returned_step=state.step if state.best_step is None else state.best_step,
        watched=None if state.best is None else ("held-out loss" if watched else "training loss"),
        estimator="none" if step.estimator is None else step.estimator.name,
        optimizer=step.optimizer,
        weights=state.weights,
        logging_cost=state.logging_cost,
        limit=limit,
        state=state,
    )
