"""The kernels of a prepared estimator, one for each shape of the data that it is called with.

What is prepared holds for the shapes it was prepared for: a last short batch needs another. This module knows no
estimator.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from gradest.objective import Objective

Kernel = TypeVar("Kernel")


class DataKernels(Generic[Kernel]):
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
    """

    def __init__(
        self, objective: Objective, prepare: Callable[[], Kernel], first: Kernel, *, reads_data: bool = False
    ) -> None:
        self._objective = objective
        self._prepare = prepare
        self._reads_data = reads_data
        self._kept = {objective.data_shapes: first}

    def latest(self) -> Kernel:
        """Return the kernel for the data that are bound now."""
        # A user's function has none here: its framework looks at the shapes of its arguments itself.
        shapes = self._objective.data_shapes
        kernel = None if self._reads_data and shapes else self._kept.get(shapes)
        if kernel is None:
            kernel = self._kept[shapes] = self._prepare()
        return kernel
