"""One step of training, and what is prepared for it: an estimate and an optimiser, or a search. Holds no state."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradest.backend import Leaves
from gradest.directions.keys import root_key
from gradest.estimate import Cost, Estimate
from gradest.estimator import Estimator
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray
from gradest.stateful import StatefulEstimator
from gradest.training.optimizers import Optimizer, Search
from gradest.training.subject import Subject, number_of


class Step:
    """What makes one step: an estimate and an optimiser, or a search; it holds what is prepared, and no state."""

    def __init__(self, subject: Subject, estimator: Estimator | None, optimizer: Optimizer | Search, seed: int) -> None:
        self.subject = subject
        self.estimator = estimator
        self.optimizer = optimizer
        self.seed = seed
        self._times_bound = subject.renewed()
        self._prepare()

    @property
    def objective(self) -> Objective:
        """What is trained, as it is bound now."""
        return self.subject.objective

    def renew(self) -> None:
        """Prepare again where the subject was bound again."""
        if self._times_bound != self.subject.renewed():
            self._times_bound = self.subject.renewed()
            self._prepare()

    def _prepare(self) -> None:
        estimator = self.estimator
        self._value = self.objective.prepare_value() if estimator is None else None
        self._prepared = None if estimator is None else estimator.prepare(self.objective)
        self._run = estimator.prepare_run(self.objective) if isinstance(estimator, StatefulEstimator) else None
        # One compiled program for all steps: step sizes come in as numbers, which a schedule changes at each.
        self._update = self.objective.scoped(self.objective.backend.compile(self._updated))
        # Not compiled, as the names that it returns are no arrays.
        self._broken = self.objective.scoped(self._first_broken)

    @property
    def cost(self) -> Cost:
        """What a step costs, as far as that is known before."""
        return Cost(values=2) if self._prepared is None else self._prepared.cost

    def zeros(self) -> tuple[Leaves, ...]:
        """Return what an optimiser remembers before the first step."""
        count = self.optimizer.num_moments if isinstance(self.optimizer, Optimizer) else 0
        # Made in the dtype's scope, outside of which JAX makes float32 of float64.
        zeros_like = self.objective.scoped(self.objective.ops.zeros_like)
        return tuple(tuple(zeros_like(leaf) for _ in range(count)) for leaf in self.objective.start)

    def estimate(
        self, leaves: Leaves, rng: np.random.SeedSequence, call: Any, kept: Any = None
    ) -> tuple[Estimate, Any]:
        """Return an estimate with the arguments of a step, and what a stateful estimator keeps then."""
        self.renew()
        if self._run is None:
            assert self._prepared is not None
            found = self._prepared.at(leaves, rng, *call), None
        else:
            params = self.objective.form.params_of(leaves)
            found = self._run(params, *call[0], state=kept, rng=rng, **call[1])
        self.subject.note()
        return found

    def init_state(self) -> Any:
        """Return what a stateful estimator keeps before its first estimate, or None."""
        return None if self._run is None else self._run.init_state()

    def stepped(
        self, leaves: Leaves, gradient: Leaves, moments: tuple[Leaves, ...], step_size: float, count: int
    ) -> tuple[Leaves, tuple[Leaves, ...]]:
        """Return parameters and what is remembered after step `count` (from 1)."""
        assert isinstance(self.optimizer, Optimizer)
        numbers = self.optimizer.numbers(step_size, count)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite ends the run, which says where
            found: tuple[Leaves, tuple[Leaves, ...]] = self._update(leaves, gradient, moments, numbers)
        return found

    def _updated(self, leaves: Leaves, gradient: Leaves, moments: Any, numbers: tuple[float, ...]) -> Any:
        assert isinstance(self.optimizer, Optimizer)
        found = [
            self.optimizer.update(self.objective.ops, x, g, kept, numbers)
            for x, g, kept in zip(leaves, gradient, moments, strict=True)
        ]
        same = self._same_kind
        return (
            tuple(same(new, x) for (new, _), x in zip(found, leaves, strict=True)),
            tuple(tuple(same(m, x) for m in kept) for (_, kept), x in zip(found, leaves, strict=True)),
        )

    def _same_kind(self, new: Array, like: Array) -> Array:
        # NumPy makes scalars of arrays (), and numbers of double precision of such times a number of Python's.
        return np.asarray(new, dtype=like.dtype) if isinstance(like, np.ndarray) else new

    def tried(self, leaves: Leaves, count: int) -> Leaves:
        """Return the parameters that a search tries at step `count`, from the seed and the step alone."""
        assert isinstance(self.optimizer, Search)
        # NumPy's on every backend, in float64: a search tries the same parameters wherever it runs.
        generator = np.random.Generator(np.random.Philox(key=np.array(root_key([self.seed, count]), dtype=np.uint64)))
        normal = placed(self.objective, [generator.standard_normal(leaf.shape) for leaf in leaves])
        candidate = self.objective.scoped(self.optimizer.candidate)
        return tuple(self._same_kind(candidate(x, z), x) for x, z in zip(leaves, normal, strict=True))

    def values(self, call: Any, *points: Leaves) -> list[float]:
        """Return the loss at points on the batch of a step."""
        self.renew()
        assert self._value is not None
        if any(call):
            self.objective.take_arguments(*call)
        found = [number_of(self.objective, self._value(point)) for point in points]
        self.subject.note()
        return found

    def broken(self, leaves: Leaves, moments: tuple[Leaves, ...] = ()) -> str:
        """Return the name of the first parameter array that holds NaN or infinity, or ""; this waits for the device.

        With `moments` also of one of which something remembered does.
        """
        return str(self._broken(leaves, moments))

    def _first_broken(self, leaves: Leaves, moments: tuple[Leaves, ...]) -> str:
        ops, numpy = self.objective.ops, self.objective.backend.numpy
        # x - x is 0 of a number and NaN of what is none: one number a leaf crosses, where all of them would.
        with np.errstate(invalid="ignore"):  # NumPy's warning of inf - inf says less than what is returned here
            sums = [ops.sum(leaf - leaf) for leaf in leaves]
            for k, kept in enumerate(moments):
                sums[k] = sum((ops.sum(moment - moment) for moment in kept), start=sums[k])
        names = zip(self.objective.layout.names, sums, strict=True)
        return next((name for name, total in names if float(np.asarray(numpy(total))) != 0.0), "")


def placed(objective: Objective, arrays: Sequence[NumpyArray], dtype: str | None = None) -> Leaves:
    """Return NumPy arrays as the framework's, in the dtypes of the parameters, or all in one."""
    dtypes = objective.dtypes if dtype is None else [dtype] * len(arrays)
    # Where the parameters are: a state that was kept on one device goes on on another.
    make, device = objective.backend.array, objective.device
    run = objective.scoped(lambda: tuple(make(x, dtype=d, device=device) for x, d in zip(arrays, dtypes, strict=True)))
    found: Leaves = run()
    return found


def words_of(objective: Objective) -> str:
    """Return what is trained, in words."""
    return f"a function of {objective.layout}" if objective.problem is None else repr(objective.problem)
