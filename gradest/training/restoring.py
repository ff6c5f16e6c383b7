"""Gives the parameters of a run that was kept, as its model or function takes them: a state has bare arrays."""

from typing import Any

from gradest.binding import bind
from gradest.calls import bind_options
from gradest.case import Case
from gradest.errors import InvalidInputError
from gradest.problem import Problem
from gradest.training.state import TrainingState
from gradest.training.step import placed, words_of
from gradest.tree import Tree


def parameters_of(state: TrainingState, f: Problem | Case, **binding: Any) -> Tree:
    """Return what `gradest.train` returned, or would return, as `params` from a state, such as one of the command line.

    Parameters
    ----------
    state
        Where a run stands: `TrainingState.from_bytes(path.read_bytes())` of a file of `gradest train --state`.
    f
        What was trained. Nothing is evaluated.
    **binding
        Options of `gradest.bind`, as they were given to the run: backend, dtype, device, kernel.

    Raises
    ------
    InvalidInputError
        The state is of parameters of other shapes, or of a function's parameters of other names or in another order.

    Examples
    --------
    >>> import gradest
    >>> from gradest.training import Budget, TrainingState, parameters_of
    >>> bowl = gradest.get_problem("quadratic", size=3)
    >>> run = gradest.train(bowl, "reverse", budget=Budget(steps=5))
    >>> kept = TrainingState.from_bytes(run.state.to_bytes())
    >>> bool((parameters_of(kept, bowl)["x"] == run.params["x"]).all())
    True
    """
    objective = bind(f, **bind_options(binding))
    arrays = state.params if state.best is None else state.best
    found, asked = [array.shape for array in arrays], [tuple(shape) for shape in objective.layout.shapes]
    # The first of the words is what was trained; estimator and optimiser may be any.
    trained = state.run.partition(";")[0]
    if found != asked:
        raise InvalidInputError(
            f"parameters of shapes {asked} were asked for; found a state of arrays of shapes {found}; give what was "
            f"trained: {trained}"
        )
    # A state has arrays without names: those of another order, such as a dict's with sorted keys, would be swapped.
    if objective.problem is None and trained != words_of(objective):
        raise InvalidInputError(
            f"parameters of {words_of(objective)} were asked for; found a state of {trained}; give what was trained, "
            "with its parameters in the same order"
        )
    return objective.form.params_of(placed(objective, arrays))
