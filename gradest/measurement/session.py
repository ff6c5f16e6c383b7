"""What is measured of one estimator on one objective: times on the one clock, counts, accuracy outside the clock.

`gradest.compare` holds many sessions, a worker of the harness serves them one by one. This module knows no file, no
other session and no process.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Backend
from gradest.binding import bind
from gradest.errors import InvalidEstimateError
from gradest.estimate import Estimate
from gradest.estimator import Estimator
from gradest.measurement.accuracy import accuracy_of_replicates, compare_gradients
from gradest.measurement.reference import Reference, reference_gradient
from gradest.measurement.smoothed import predicted_error, smoothed_accuracy, smooths_normally
from gradest.measurement.timing import calibrate, time_block, time_once
from gradest.objective import Objective
from gradest.problem import Problem

SAMPLE_SECONDS = 0.01
"""The least that one timed sample lasts."""
_CONVERSION_SAMPLES = 3
_MOST_KEPT_ENTRIES = 1 << 22


class Bound:
    """An objective and what its cells share: the time of one loss, of conversions, and the reference gradient."""

    def __init__(
        self,
        problem: Problem,
        *,
        backend: str | Backend,
        dtype: str | None = None,
        device: str | None = None,
        kernel: str = "portable",
    ) -> None:
        self.problem = problem
        self.objective: Objective = bind(problem, backend=backend, dtype=dtype, device=device, kernel=kernel)
        self._value: tuple[Any, int] | None = None
        self._value_seconds: dict[int, float] = {}
        self._conversions: tuple[float, float] | None = None
        self._reference: Reference | None = None

    @property
    def reference(self) -> Reference:
        """The reference gradient, computed when first asked for."""
        if self._reference is None:
            self._reference = reference_gradient(self.objective)
        return self._reference

    def value_seconds(self, round_number: int) -> float:
        """Return the seconds of one evaluation of the loss, measured once in each round."""
        objective = self.objective
        if self._value is None:
            value = objective.prepare_value()
            self._value = (value, calibrate(lambda: value(objective.start), self._wait, SAMPLE_SECONDS))
        if round_number not in self._value_seconds:
            value, loops = self._value
            seconds, _ = time_block(lambda: value(objective.start), self._wait, loops)
            self._value_seconds[round_number] = seconds / loops
        return self._value_seconds[round_number]

    def conversion_seconds(self) -> tuple[float, float]:
        """Return the seconds that all parameters take from NumPy to the backend, and back."""
        if self._conversions is None:
            objective, backend = self.objective, self.objective.backend
            arrays = [backend.numpy(leaf) for leaf in objective.start]

            def to_backend() -> list[Any]:
                return [backend.array(a, dtype=objective.dtype, device=objective.device) for a in arrays]

            def to_numpy() -> None:
                for leaf in objective.start:
                    backend.numpy(leaf)

            forth = objective.scoped(to_backend)
            self._conversions = (
                _median_seconds(forth, backend.wait),
                _median_seconds(to_numpy, lambda result: None),
            )
        return self._conversions

    def _wait(self, value: Any) -> None:
        self.objective.backend.wait([value])


class Session:
    """An estimator prepared on one objective, called once, ready to be timed in blocks and judged.

    Raises
    ------
    InvalidEstimateError
        What it returned is no gradient here.
    """

    def __init__(self, estimator: Estimator, bound: Bound, *, seeds: Sequence[int]) -> None:
        self.estimator = estimator
        self.bound = bound
        self.seeds = seeds
        objective = bound.objective
        self.preparation_seconds, self._prepared = time_once(
            lambda: self.estimator.prepare(objective), lambda result: None
        )
        self.first_call_seconds, self._estimate = time_once(lambda: self.call(seeds[0]), self.wait)
        self._require_valid(self._estimate)
        before = objective.counts
        second_call_seconds, _ = time_once(lambda: self.call(seeds[0]), self.wait)
        self.counted = objective.counts - before
        # What is slow is warm after two calls and needs no calibration: a third would be paid in vain.
        self._loops = 1 if second_call_seconds > SAMPLE_SECONDS else 0

    def call(self, seed: int) -> Estimate:
        """Return one estimate; a deterministic estimator is given no randomness."""
        estimate: Estimate = self._prepared(rng=seed if self.estimator.stochastic else None)
        return estimate

    def wait(self, estimate: Estimate) -> None:
        """Return when the estimate is there."""
        objective = self.bound.objective
        leaves = list(objective.backend.flatten(estimate.gradient)[0])
        if objective.backend.owns(estimate.value):
            leaves.append(estimate.value)
        objective.backend.wait(leaves)

    def facts(self) -> dict[str, Any]:
        """Return what there is to know of the prepared cell beside its measurements."""
        return {
            "path": self._prepared.path,
            "stochastic": self.estimator.stochastic,
            "target": self.estimator.target.value,
            "num_parameters": self.bound.objective.layout.num_parameters,
            "dtype": self.bound.objective.dtype,
            "device": self.bound.objective.device,
            "preparation_seconds": self.preparation_seconds,
            "first_call_seconds": self.first_call_seconds,
            "stated": asdict(self._prepared.cost),
            "counted": asdict(self.counted),
        }

    def block(self, *, round_number: int, samples: int, seconds: float) -> dict[str, Any]:
        """Return wall and processor seconds a call of at least so many samples, lasting at least so long together."""
        seed = self.seeds[0]
        if not self._loops:
            self._loops = calibrate(lambda: self.call(seed), self.wait, SAMPLE_SECONDS)
        walls: list[float] = []
        processors: list[float] = []
        while len(walls) < samples or sum(walls) * self._loops < seconds:
            wall, processor = time_block(lambda: self.call(seed), self.wait, self._loops)
            walls.append(wall / self._loops)
            processors.append(processor / self._loops)
        return {
            "wall_seconds": walls,
            "cpu_seconds": processors,
            "loops": self._loops,
            "value_seconds": self.bound.value_seconds(round_number),
            "conversion_seconds": self.bound.conversion_seconds(),
        }

    def accuracy(self) -> dict[str, Any]:
        """Return how the estimates differ from the reference, measured and predicted."""
        reference = self.bound.reference
        layout = self.bound.objective.layout
        single = asdict(compare_gradients(self._vector(self._estimate), reference.gradient, layout=layout))
        found: dict[str, Any] = {
            "reference": {
                "method": reference.method,
                "uncertainty": reference.uncertainty,
                "value": float(reference.value),
                "gradient_norm": float(np.sqrt(np.sum(reference.gradient * reference.gradient))),
            },
            "blocks": single.pop("blocks"),
            "single": single,
        }
        if self.estimator.stochastic and len(self.seeds) > 1:
            estimates = self._kept_replicates()
            found["replicates"] = asdict(accuracy_of_replicates(estimates or self._replicates(), reference.gradient))
            found["predicted"] = predicted_error(self.estimator, self.bound.objective, reference)
            if smooths_normally(self.estimator):
                sigma = float(self.estimator.sigma)  # type: ignore[attr-defined]  # as was tested
                found["smoothed"] = smoothed_accuracy(
                    sigma, self.bound.problem, reference, estimates or self._replicates()
                )
        return found

    def _kept_replicates(self) -> list[NDArray[Any]]:
        """Return all estimates where they fit a stated memory, so that each is made once; else none."""
        entries = len(self.seeds) * self.bound.objective.layout.num_parameters
        return list(self._replicates()) if entries <= _MOST_KEPT_ENTRIES else []

    def _replicates(self) -> Iterator[NDArray[Any]]:
        return (self._vector(self.call(seed)) for seed in self.seeds)

    def _vector(self, estimate: Estimate) -> NDArray[Any]:
        objective = self.bound.objective
        blocks = [objective.backend.numpy(leaf) for leaf in objective.backend.flatten(estimate.gradient)[0]]
        return objective.layout.flatten([np.asarray(block).astype(np.longdouble) for block in blocks])

    def _require_valid(self, estimate: Estimate) -> None:
        """Refuse an estimate of another structure, shape or dtype than the parameters, or one that is not finite."""
        objective = self.bound.objective
        backend, layout = objective.backend, objective.layout
        leaves, paths, _ = backend.flatten(estimate.gradient)
        if paths != layout.names:
            raise InvalidEstimateError(f"a gradient of {layout.names} was asked for; found {paths}")
        for name, shape, dtype, leaf in zip(layout.names, layout.shapes, objective.dtypes, leaves, strict=True):
            found_shape, found_dtype = tuple(int(n) for n in leaf.shape), backend.dtype(leaf)
            if (found_shape, found_dtype) != (shape, dtype):
                raise InvalidEstimateError(f"block {name!r} must be {dtype} {shape}; found {found_dtype} {found_shape}")
            values = np.asarray(backend.numpy(leaf), dtype=np.longdouble)
            bad = values.size - int(np.isfinite(values).sum())
            if bad:
                raise InvalidEstimateError(f"block {name!r} has {bad} of {values.size} entries NaN or infinite")


def _median_seconds(call: Any, wait: Any) -> float:
    loops = calibrate(call, wait, SAMPLE_SECONDS)
    samples = sorted(time_block(call, wait, loops)[0] / loops for _ in range(_CONVERSION_SAMPLES))
    return samples[_CONVERSION_SAMPLES // 2]
