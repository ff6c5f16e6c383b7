"""Runs blocks of directions on the workers of an executor, or here, with the same sums in the same order either way.

Tasks are groups of blocks, large enough to be worth sending, fixed by the sizes of the objective and never by the
number of workers. Parameters and results travel as NumPy arrays. This module knows no particular estimator.
"""

import contextvars
import pickle
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from gradest.backend import Leaves
from gradest.errors import GradestError, InvalidInputError, InvalidTypeError, UnsupportedError
from gradest.estimate import Cost
from gradest.objective import Objective
from gradest.operations import NumpyArray

Block = tuple[int, int]
Group = tuple[Block, ...]

# Entries of parameters times (rows of data + draws) that take some 50 ms: 20 multiply-adds a nanosecond.
_TASK_WORK = 1_000_000_000
_DRAWING_ROWS = 20  # drawing a number costs about as much as 20 rows of data through one parameter

_ENTRY_BYTES = 16
"""Of an entry of a result that waits: a float64 number, twice, as what arrives may be held beside its pickled form."""


class Parts(Protocol):
    """A kernel whose work is cut into parts: methods `part(self, leaves, group, *arguments)` for workers to run."""

    objective: Objective


K_co = TypeVar("K_co", bound=Parts, covariant=True)
Result = TypeVar("Result")


class PartsFactory(Protocol[K_co]):
    """A picklable estimator that makes its kernel anew on a worker."""

    def parts(self, objective: Objective) -> K_co:
        """Return the kernel for an objective."""


def task_groups(blocks: Sequence[Block], objective: Objective) -> tuple[Group, ...]:
    """Return the blocks in consecutive groups, each of about 50 ms of work or one block."""
    data = objective.data
    arrays = data.values() if isinstance(data, dict) else data
    rows = max(map(_rows, arrays), default=1)
    each = objective.layout.num_parameters * (rows + _DRAWING_ROWS) * (blocks[0][1] - blocks[0][0])
    size = max(1, _TASK_WORK // each)
    return tuple(tuple(blocks[k : k + size]) for k in range(0, len(blocks), size))


def _rows(array: Any) -> int:
    """Return how many rows an argument has, 1 where it has no shape: a guess at how much work it makes."""
    try:
        shape: tuple[int, ...] = getattr(array, "shape", ())
    except RuntimeError:  # PyTorch's tensors of rows of several lengths (strided nested ones) raise it
        return 1
    return int(shape[0]) if len(shape) else 1


class Crew(Generic[K_co]):
    """Runs parts of a kernel on groups of blocks, here or on an executor, and yields results in order."""

    def __init__(
        self, factory: PartsFactory[K_co], objective: Objective, executor: Executor | None, *, budget_bytes: int
    ) -> None:
        if executor is not None:
            _require_usable(executor, objective)
        self.kernel: K_co = objective.scoped(factory.parts)(objective)
        self._factory = factory
        self._objective = objective
        self._executor = executor
        # Names this crew among all that a long-lived worker meets: it keeps the kernel of the latest.
        self._token = uuid.uuid4().hex
        # Results wait for those before them; no more of them than the budget holds.
        self._waiting = max(2, budget_bytes // (_ENTRY_BYTES * max(1, objective.layout.num_parameters)))
        if executor is not None and not isinstance(executor, ThreadPoolExecutor):
            _require_picklable(factory, objective)

    def run(
        self,
        part: Callable[..., Result],
        leaves: Leaves,
        groups: Sequence[Group],
        arguments: Sequence[tuple[Any, ...]],
    ) -> Iterator[Result]:
        """Yield `part(kernel, leaves, group, *arguments[k])` for each group k, in order.

        `part` is a method taken from the kernel's class, such as `EvolutionKernel.slopes`, and not from the kernel:
        it travels to another process by its qualified name, and is run there on the kernel made there.
        """
        if self._executor is None:  # no copies, no groups in flight: the kernel itself, on the framework's own arrays
            for group, more in zip(groups, arguments, strict=True):
                yield part(self.kernel, leaves, group, *more)
            return
        inner = self.kernel.objective
        sent = _to_numpy(inner, tuple(leaves))
        common = (self._token, self._factory, self._objective, inner.backend.thread_settings(), part, sent)
        tasks = iter(zip(groups, arguments, strict=True))
        submit = self._executor.submit
        here = isinstance(self._executor, ThreadPoolExecutor)
        context = contextvars.copy_context()

        def work(*task: Any) -> Future[Any]:
            # What the loss reads of the caller's context it reads in its threads; each enters a copy of its own.
            return submit(context.copy().run, _work, *task) if here else submit(_work_elsewhere, *task)

        def submitted(count: int) -> list[Future[Any]]:
            return [work(*common, group, _to_numpy(inner, more)) for group, more in islice(tasks, count)]

        waiting = submitted(self._waiting)
        while waiting:
            result, counted = waiting.pop(0).result()  # the oldest, though others may be done: sums run in order
            waiting.extend(submitted(1))
            inner.count(counted)  # a worker counts on an objective of its own
            yield _to_arrays(inner, result)


_local = threading.local()


def _work(
    token: str,
    factory: PartsFactory[Any],
    objective: Objective,
    settings: Any,
    part: Callable[..., Any],
    leaves: Any,
    group: Group,
    arguments: Any,
) -> tuple[Any, Cost]:
    """Carry out one task on a worker, which keeps the kernel that it made last, under the caller's settings."""
    with objective.backend.under(settings):
        # `scoped` gives back what it was given, and says so of no type.
        return objective.scoped(_carry_out)(token, factory, objective, part, leaves, group, arguments)  # type: ignore[no-any-return]


def _work_elsewhere(*task: Any) -> tuple[Any, Cost]:
    """Carry out one task in another process; what it raises can be sent back, or would break the executor."""
    try:
        return _work(*task)
    except Exception as error:
        if _survives_pickling(error):
            raise
        raise GradestError(
            f"an evaluation on a worker raised {type(error).__name__}: {error}; this exception cannot be pickled: give "
            "its class an __init__ of one message, or use a ThreadPoolExecutor"
        ) from None


def _survives_pickling(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - the class is a user's, and may raise anything when it is made again
        return False
    return True


def _carry_out(
    token: str,
    factory: PartsFactory[Any],
    objective: Objective,
    part: Callable[..., Any],
    leaves: Any,
    group: Group,
    arguments: Any,
) -> tuple[Any, Cost]:
    # A kernel holds compiled steps and scratch memory: made once for each thread of a worker, not for each task.
    if getattr(_local, "token", None) != token:
        # Counts of its own: what one task evaluates must be told from what other threads do meanwhile.
        _local.token, _local.kernel = token, factory.parts(objective.separate())
    kernel = _local.kernel
    inner: Objective = kernel.objective
    before = inner.counts
    result = part(kernel, _to_arrays(inner, leaves), group, *_to_arrays(inner, arguments))
    return _to_numpy(inner, result), inner.counts - before


def _to_numpy(objective: Objective, nested: Any) -> Any:
    # A framework's array lives on a device, which another process may not reach; NumPy's travels anywhere.
    if isinstance(nested, tuple | list):
        return tuple(_to_numpy(objective, item) for item in nested)
    if not hasattr(nested, "shape") or isinstance(nested, np.ndarray) or not objective.backend.owns(nested):
        return nested
    return _Sent(objective.backend.numpy(nested), objective.backend.dtype(nested))


def _to_arrays(objective: Objective, nested: Any) -> Any:
    if isinstance(nested, _Sent):
        return objective.backend.array(nested.values, dtype=nested.dtype, device=objective.device)
    return tuple(_to_arrays(objective, item) for item in nested) if isinstance(nested, tuple) else nested


class _Sent:
    """An array of a framework on its way between workers: its values, and the name of its dtype.

    NumPy's own arrays travel as they are.
    """

    __slots__ = ("dtype", "values")

    def __init__(self, values: NumpyArray, dtype: str) -> None:
        self.values = values
        self.dtype = dtype


_SPAWNING = 'ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))'


def _require_usable(executor: Executor, objective: Objective) -> None:
    """Refuse what is no executor, and one whose processes would wait for ever.

    Raises
    ------
    InvalidTypeError
        It has no `submit`, as a `multiprocessing.Pool` has none.
    UnsupportedError
        Its processes are forked, and the backend does not survive that.
    """
    if not callable(getattr(executor, "submit", None)):
        raise InvalidTypeError(
            f"executor must be a concurrent.futures.Executor; found {type(executor).__name__}; pass "
            f"ThreadPoolExecutor(2), or {_SPAWNING}"
        )
    # How its processes start is in no public attribute (3.11 to 3.14); an executor of another kind starts its own.
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork" and not objective.backend.survives_fork:
        raise UnsupportedError(
            f"an executor that forks its processes was given for an objective of backend {objective.backend.name!r}; a "
            "forked copy of a process in which that framework has computed waits for ever: it has the locks of the "
            f"framework's threads and not the threads; pass {_SPAWNING}, or ThreadPoolExecutor(2)"
        )


def _require_picklable(factory: PartsFactory[Any], objective: Objective) -> None:
    try:
        pickle.dumps((factory, objective))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InvalidInputError(
            f"an executor of processes was given, and the objective cannot be sent to them: {error}; pass a function "
            "defined at the top of a module, a Problem, or a ThreadPoolExecutor"
        ) from error
