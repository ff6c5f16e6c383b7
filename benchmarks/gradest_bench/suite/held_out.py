"""Parts the data set of a problem into what is trained on and what is held out."""

import dataclasses
from typing import Any

from gradest import InvalidInputError, Problem
from gradest.datasets import Dataset, load


def split(problem: Problem, share: float | None, *, seed: int, whole: bool) -> tuple[Problem, Problem | None]:
    """Return the problem to train on, and the same one with the data that are held out, if a share of them is.

    Parameters
    ----------
    problem
        One with fields `dataset` and `batch`, or another, which has nothing to hold out.
    share
        Of the data, between 0 and 1; None for nothing.
    seed
        By which the data are shuffled before they are parted.
    whole
        Whether all of the data set is trained on, in place of as many examples as the problem's `batch` says.

    Raises
    ------
    InvalidInputError
        A share was asked of a problem without a data set.
    """
    # a plug-in's problem need be no dataclass
    known = {field.name for field in dataclasses.fields(problem)} if dataclasses.is_dataclass(problem) else set[str]()
    if "dataset" not in known:
        if share is not None:
            raise InvalidInputError(
                f"a share was to be held out; problem {problem.name!r} has no data set to split; leave it away"
            )
        return problem, None
    changed: Any = dataclasses.replace(problem, batch=None) if whole else problem  # type: ignore[type-var]  # a dataclass, as it has fields
    if share is None:
        return changed, None
    data = changed.dataset if isinstance(changed.dataset, Dataset) else load(changed.dataset)
    # the batch first: parted before, both halves would hold other examples than the problem has by itself
    data = data if changed.batch is None else data.take(changed.batch)
    kept, other = data.split(1.0 - share, seed=seed)
    return tuple(dataclasses.replace(changed, dataset=part, batch=None) for part in (kept, other))
