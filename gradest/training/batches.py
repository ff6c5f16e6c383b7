"""Where each step finds its batch: a function of the number of the step, so that a run can go on from any."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from typing import Any

from gradest.errors import InvalidInputError, InvalidTypeError
from gradest.example_order import Rows, batches_per_epoch, epoch_of_batches
from gradest.problem import Problem

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments of a prepared estimator by position, and by keyword; both empty for those that were bound."""

Source = Iterable[Any] | Callable[[int], Any]
"""What a user gives: batches one after another, for each epoch anew, or a function of the number of the step."""


class UsedUpError(InvalidInputError):
    """There is no batch for a step, and there was one for the step before."""


class Batches(ABC):
    """The batches of a run."""

    per_epoch: int | None = None
    """How many there are in an epoch, where that is known."""

    @abstractmethod
    def at(self, step: int) -> Call:
        """Return the arguments of a step, from 0."""

    def pass_over(self, steps: int) -> None:  # noqa: B027  # most find any batch by the number of its step
        """Go past the batches of steps that were made, where they come one after another."""


class SameBatch(Batches):
    """All of the data at each step."""

    def __init__(self, *, per_epoch: int | None) -> None:
        self.per_epoch = per_epoch

    def at(self, step: int) -> Call:
        return (), {}


class ProblemBatches(Batches):
    """Rows of a problem's data, in an order that follows from seed and epoch."""

    def __init__(self, problem: Problem, size: int, *, seed: int, replace: bool, drop_last: bool) -> None:
        self._problem = problem
        self._size = size
        self._order = partial(epoch_of_batches, seed=seed, replace=replace, drop_last=drop_last)
        self._count = problem.num_examples
        self.per_epoch: int = batches_per_epoch(self._count, size, replace=replace, drop_last=drop_last)
        self._kept: tuple[int, list[Rows]] = (-1, [])

    def at(self, step: int) -> Call:
        epoch, place = divmod(step, self.per_epoch)
        # Once for an epoch: a permutation of all examples at each step would cost more than a small step does.
        if self._kept[0] != epoch:
            self._kept = epoch, list(self._order(self._count, self._size, epoch=epoch))
        return (), {"data": self._problem.batch_of(self._kept[1][place])}


class GivenBatches(Batches):
    """What a user gives: for a problem its data, for a function its arguments, a tuple or a list by position."""

    def __init__(self, source: Source, *, of_problem: bool, named: dict[str, Any]) -> None:
        if not (callable(source) or isinstance(source, Iterable)):
            raise InvalidTypeError(
                f"batches must be an iterable of batches, or a function of the step; found {type(source).__name__}"
            )
        self._source = source
        self._of_problem = of_problem
        self._named = named  # what a function is given by name stays
        self._next = 0
        self._latest: Any = None
        self._items: Iterator[Any] | None = None
        self.per_epoch = _length(source)
        if self.per_epoch == 0:
            raise InvalidInputError("batches hold none; give at least one batch")

    def at(self, step: int) -> Call:
        batch = self._source(step) if callable(self._source) else self._in_order(step)
        if self._of_problem:
            return (), {"data": batch}
        # Loaders of PyTorch give lists, whose items are what a call takes by position.
        return (tuple(batch) if isinstance(batch, tuple | list) else (batch,)), self._named

    def pass_over(self, steps: int) -> None:
        if not callable(self._source):
            while self._next < steps:
                self._latest = self._following()
                self._next += 1

    def _in_order(self, step: int) -> Any:
        self.pass_over(step + 1)
        return self._latest

    def _following(self) -> Any:
        assert not callable(self._source)
        # None may be a batch.
        missing = object()
        if self._items is not None:
            found = next(self._items, missing)
            if found is not missing:
                return found
        self._items = iter(self._source)  # the next epoch
        found = next(self._items, missing)
        # An iterator gives itself for its next epoch, empty by then: that it never had a batch, the first one shows.
        if found is missing and self._next == 0:
            raise InvalidInputError("batches hold none (an iterator that was gone through before?); give a list")
        if found is missing:
            raise UsedUpError(
                f"the batches are used up after {self._next}: pass a list or a loader, which can be gone through "
                "again, or a function of the step"
            )
        return found


def _length(source: Any) -> int | None:
    """Return how many batches there are, or None: a loader of PyTorch's has a length, and refuses it of a stream."""
    try:
        return len(source) if isinstance(source, Sized) else None
    except TypeError:
        return None
