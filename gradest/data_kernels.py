"""The kernels of a prepared estimator, one for each shape of the data that it is called with.

What is prepared holds for the shapes it was prepared for: a last short batch needs another. So it does for a loss that
draws no random numbers, which may come to draw some. This module knows no estimator.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from gradest.evaluation import UserFunction
from gradest.objective import Objective

Result = TypeVar("Result")


class DataKernels(Generic[Result]):
    """Keeps what `prepare` makes for the data of an objective, and makes it again for other shapes.

    Parameters
    ----------
    objective
        Whose data are looked at.
    prepare
        What makes a kernel for them.
    first
        The kernel for the data that are bound now.
    reads_data
        Whether a kernel depends on the numbers too: then it is made again for each batch.

    Attributes
    ----------
    current
        The kernel that was asked for last.
    """

    def __init__(
        self,
        objective: Objective,
        prepare: Callable[[], Callable[..., Result]],
        first: Callable[..., Result],
        *,
        reads_data: bool = False,
    ) -> None:
        self._objective = objective
        self._prepare = prepare
        self._reads_data = reads_data
        self.current = first
        self._kept = {objective.data_shapes: first}

    def follow_data(self) -> None:
        """Make the kernel for the data that are bound now the current one."""
        # A user's function has none here: its framework looks at the shapes of its arguments itself.
        shapes = self._objective.data_shapes
        kernel = None if self._reads_data and shapes else self._kept.get(shapes)
        if kernel is None:
            kernel = self._kept[shapes] = self._prepare()
        self.current = kernel

    def of_one_draw(self, *args: Any, elsewhere: bool = False) -> Result:
        """Return what the current kernel finds, whose evaluations all draw the same random numbers.

        A loss that drew nothing when it was looked at may do so now: a model was in eval mode then, and its dropout is
        on since. What the kernel finds there is of many masks; it is thrown away, and the kernel made again. Not for
        evaluations that are made `elsewhere`, by workers.
        """
        function = self._objective.function
        user = function if isinstance(function, UserFunction) and not elsewhere else None
        before = None if user is None else user.undrawn_state()
        with self._objective.one_estimate():
            found = self.current(*args)
        if user is None or not user.has_come_to_draw(before):
            return found
        self._kept.clear()
        self.follow_data()
        user.backend.set_random_state(before)  # last, as what was just made may have evaluated the loss
        with self._objective.one_estimate():
            return self.current(*args)
