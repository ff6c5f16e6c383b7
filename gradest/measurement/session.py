"""What is measured of one estimator on one objective: times on the one clock, counts, accuracy outside the clock.

`gradest.compare` holds many sessions, a worker of the harness serves them one by one. This module knows no file, no
other session and no process.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from gradest.backend import Backend, Leaves
from gradest.binding import Bindable, bind
from gradest.errors import InvalidEstimateError, InvalidInputError, UnsupportedError
from gradest.estimate import Estimate
from gradest.estimator import Estimator
from gradest.measurement.accuracy import accuracy_of_replicates, compare_gradients
from gradest.measurement.findings import Counts, EstimateAccuracy, ReferenceFacts
from gradest.measurement.noise_scale import NoiseScale, noise_scale_of
from gradest.measurement.prediction import predicted_error
from gradest.measurement.reference import reference_gradient
from gradest.measurement.reference_record import Reference
from gradest.measurement.smoothed import in_numpy, smoothed_accuracy, smooths_normally
from gradest.measurement.timing import Block, Call, Timing, Wait, calibrate, machine_share, time_block, time_once
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray
from gradest.problem import EmpiricalRisk

SAMPLE_SECONDS = 0.01
"""The least that one timed sample lasts."""
_CONVERSION_SAMPLES = 3
_MOST_KEPT_ENTRIES = 1 << 22


class Bound:
    """An objective and what its cells share: the time of one loss, of conversions, and the reference gradient.

    It takes what `gradest.bind` takes: a problem with a backend, or a function where its arrays are.
    """

    def __init__(
        self,
        f: Bindable,
        *,
        backend: str | Backend | None = None,
        dtype: str | None = None,
        device: str | None = None,
        kernel: str = "portable",
    ) -> None:
        self.objective: Objective = bind(f, backend=backend, dtype=dtype, device=device, kernel=kernel)
        self.objective.look()  # does it draw? then all that is compared has to draw the same
        self._random_state = self.objective.backend.random_state() if self.objective.draws else None
        self._value: tuple[Callable[[Leaves], Array], int] | None = None
        self._value_seconds: dict[int, float] = {}
        self._conversions: tuple[float, float] | None = None
        self._reference: Reference | None = None
        self._noise: NoiseScale | None = None

    @property
    def reference(self) -> Reference:
        """The reference gradient, computed when first asked for."""
        if self._reference is None:
            self.rewind()
            self._reference = reference_gradient(self.objective)
        return self._reference

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known of the loss to read numbers that are measured on it, in words."""
        first, found = self.objective.first_look, []
        if self.objective.draws:
            found.append(
                "the loss draws random numbers (dropout in training mode?): the reference and every estimate are of "
                "one draw, the one that the framework's generator makes next"
            )
        if first is not None and first.noise > 0.0:
            found.append(
                f"the loss is noisy: two evaluations at one point differ by {first.noise:.2g}, which no random state "
                "of the framework's holds fixed, and theory leaves it out: a measured MSE may lie far above the "
                "predicted one; pass a seed as an argument to compare without it"
            )
        return tuple(found)

    def rewind(self) -> None:
        """Put the framework's generator back to where it was when this was bound, if the loss draws from it.

        A layer that draws (dropout) makes another loss of each draw: the reference and every estimate are of one.
        """
        if self._random_state is not None:
            self.objective.backend.set_random_state(self._random_state)

    @contextmanager
    def random_state_kept(self) -> Iterator[None]:
        """Leave the framework's generator as it was found, whatever is drawn inside the context."""
        try:
            yield
        finally:
            self.rewind()

    @property
    def noise_scale(self) -> NoiseScale | None:
        """The noise scale of a problem with examples, in NumPy's float64 whatever is measured; None of another."""
        if (
            self._noise is None
            and isinstance(self.objective.problem, EmpiricalRisk)
            and np.any(self.reference.gradient)  # it is relative to the gradient: of zeros there is none
        ):
            self._noise = noise_scale_of(in_numpy(self.objective), rng=0)
        return self._noise

    def value_seconds(self, round_number: int) -> float:
        """Return the seconds of one evaluation of the loss, measured once in each round."""
        objective = self.objective
        if self._value is None:
            value = objective.prepare_value()
            # Prepared when first asked for: sessions that are only judged need no compiled loss.
            self._value = (value, calibrate(lambda: value(objective.start), self._wait, SAMPLE_SECONDS))
        # In each round anew: the unit of a time is measured while the machine is as it was for that time.
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

            def to_backend() -> list[Array]:
                return [backend.array(a, dtype=objective.dtype, device=objective.device) for a in arrays]

            def to_numpy() -> None:
                for leaf in objective.start:
                    backend.numpy(leaf)

            forth = objective.scoped(to_backend)
            self._conversions = (
                _median_seconds(forth, backend.wait),
                _median_seconds(to_numpy, _at_once),
            )
        return self._conversions

    def _wait(self, value: Array) -> None:
        self.objective.backend.wait([value])


class Session:
    """An estimator prepared on one objective, called twice, ready to be timed in blocks and judged.

    Raises
    ------
    InvalidEstimateError
        What it returned is no gradient here: another structure, shape or dtype, NaN or infinity.
    UnsupportedError
        It refuses the loss.
    """

    def __init__(self, estimator: Estimator, bound: Bound, *, seeds: Sequence[int]) -> None:
        self.estimator = estimator
        self.bound = bound
        self.seeds = seeds
        objective = bound.objective
        try:
            bound.rewind()
            self.preparation_seconds, self._prepared = time_once(lambda: estimator.prepare(objective), _at_once)
            bound.rewind()  # preparing may have drawn
            self.first_call_seconds, self._estimate = time_once(lambda: self.call(seeds[0]), self.wait)
        except InvalidInputError as error:
            if not objective.is_users_own:
                raise
            # The function can be evaluated, as its first look has shown: it is this estimator that cannot take it.
            raise UnsupportedError(str(error)) from error
        self._require_valid(self._estimate)
        before = objective.counts  # of the second call: the first may count what it traces
        second_call_seconds, _ = time_once(lambda: self.call(seeds[0]), self.wait)
        self.counts = Counts(stated=self._prepared.cost, counted=objective.counts - before)
        # What is slow is warm after two calls and needs no calibration, which would call it once more.
        self._loops = 1 if second_call_seconds > SAMPLE_SECONDS else 0

    @property
    def path(self) -> str:
        """How the estimate is computed: "native", "gradest", "batched", "structured", ..."""
        path: str = self._prepared.path
        return path

    @property
    def state_bytes(self) -> int:
        """What an estimate hands to the next one, in bytes; 0 where nothing is remembered.

        Each estimate of a session is the first of a run.
        """
        size: int = self._estimate.state_bytes
        return size

    def call(self, seed: int) -> Estimate:
        """Return one estimate; a deterministic estimator is given no randomness."""
        estimate: Estimate = self._prepared(rng=seed if self.estimator.stochastic else None)
        return estimate

    def wait(self, estimate: Estimate) -> None:
        """Return when the estimate is there."""
        objective = self.bound.objective
        leaves = list(objective.backend.flatten(estimate.gradient)[0])
        # the value too: a framework that computes in its own time may have the gradient and not yet that
        if objective.backend.owns(estimate.value):
            leaves.append(estimate.value)
        objective.backend.wait(leaves)

    def block(self, *, round_number: int, samples: int, seconds: float) -> Block:
        """Return the times of at least so many samples, which last at least so long together."""
        seed = self.seeds[0]
        if not self._loops:
            self._loops = calibrate(lambda: self.call(seed), self.wait, SAMPLE_SECONDS)
        # Around the samples alone: preparing and calibrating may wait for a compiler's threads.
        share, (walls, processors) = machine_share(lambda: self._samples(seed, samples=samples, seconds=seconds))
        return Block(
            wall_seconds=tuple(walls),
            cpu_seconds=tuple(processors),
            loops=self._loops,
            value_seconds=self.bound.value_seconds(round_number),
            machine_share=share,
        )

    def _samples(self, seed: int, *, samples: int, seconds: float) -> tuple[list[float], list[float]]:
        """Return the wall and the processor seconds a call of each sample."""
        walls: list[float] = []
        processors: list[float] = []
        while len(walls) < samples or sum(walls) * self._loops < seconds:
            wall, processor = time_block(lambda: self.call(seed), self.wait, self._loops)
            walls.append(wall / self._loops)
            processors.append(processor / self._loops)
        return walls, processors

    def timing(self, blocks: Sequence[Block], *, conversions: bool = True) -> Timing:
        """Return all times, from the blocks that were taken; with what conversions take, where asked."""
        first = Timing(preparation_seconds=self.preparation_seconds, first_call_seconds=self.first_call_seconds)
        if conversions:
            forth, back = self.bound.conversion_seconds()
            first = replace(first, to_backend_seconds=forth, to_numpy_seconds=back)
        return first.with_blocks(blocks, on_processor=self.bound.objective.device == "cpu")

    def accuracy(self, *, smoothed: bool = True) -> EstimateAccuracy:
        """Return how the estimates differ from the reference, measured and predicted.

        `smoothed` says whether an estimator of a smoothed gradient is judged by that too, which costs as many exact
        gradients as the smoothed reference is the mean of.
        """
        reference = self.bound.reference
        single = compare_gradients(self._vector(self._estimate), reference.gradient, layout=self.bound.objective.layout)
        found = EstimateAccuracy(reference=ReferenceFacts.of(reference, self.bound.noise_scale), single=single)
        if not (self.estimator.stochastic and len(self.seeds) > 1 and np.any(reference.gradient)):
            return found  # of a gradient of zeros nothing is relative: the error of one estimate, which is absolute
        estimates = self._kept_replicates()
        predicted, fault = predicted_error(self.estimator, self.bound.objective, reference)
        found = replace(
            found,
            replicates=accuracy_of_replicates(estimates or self._replicates(), reference.gradient),
            predicted=predicted,
            prediction_fault=fault,
        )
        smoothing = self.estimator.smoothing
        if smoothed and smoothing is not None and smooths_normally(self.estimator):
            around = smoothed_accuracy(
                smoothing.sigma, self.bound.objective, reference, estimates or self._replicates()
            )
            found = replace(found, smoothed=around)
        return found

    def _kept_replicates(self) -> list[NumpyArray]:
        """Return all estimates where they fit a stated memory, so that each is made once; else none."""
        entries = len(self.seeds) * self.bound.objective.layout.num_parameters
        return list(self._replicates()) if entries <= _MOST_KEPT_ENTRIES else []

    def _replicates(self) -> Iterator[NumpyArray]:
        for seed in self.seeds:
            # estimates are to differ in their directions alone, and not in the mask of a dropout
            self.bound.rewind()
            yield self._vector(self.call(seed))

    def _vector(self, estimate: Estimate) -> NumpyArray:
        return flat(self.bound.objective, estimate, dtype=np.longdouble)

    def _require_valid(self, estimate: Estimate) -> None:
        """Refuse an estimate of another structure, shape or dtype than the parameters, or one that is not finite."""
        objective = self.bound.objective
        backend, layout = objective.backend, objective.layout
        leaves, paths, _ = backend.flatten(estimate.gradient)
        if paths != layout.names:
            raise InvalidEstimateError(f"a gradient of {layout.names} was asked for; found {paths}")
        for name, shape, dtype, leaf in zip(layout.names, layout.shapes, objective.dtypes, leaves, strict=True):
            found = backend.dtype(leaf), tuple(int(n) for n in leaf.shape)
            if found != (dtype, shape):
                raise InvalidEstimateError(f"block {name!r} must be {dtype} {shape}; found {found[0]} {found[1]}")
            values = np.asarray(backend.numpy(leaf), dtype=np.longdouble)
            bad = values.size - int(np.isfinite(values).sum())
            if bad:
                raise InvalidEstimateError(f"block {name!r} has {bad} of {values.size} entries NaN or infinite")


def _at_once(result: object) -> None:
    """Wait for nothing: what was made is there."""


def flat(objective: Objective, estimate: Estimate, *, dtype: type[np.floating[Any]] = np.float64) -> NumpyArray:
    """Return an estimate's gradient as one vector `(P,)` in the objective's layout, in a precision of NumPy's."""
    backend = objective.backend
    leaves = backend.flatten(estimate.gradient)[0]
    blocks = [np.asarray(backend.numpy(leaf) if backend.owns(leaf) else leaf) for leaf in leaves]
    return objective.layout.flatten([block.astype(dtype) for block in blocks])


def _median_seconds(call: Call, wait: Wait) -> float:
    loops = calibrate(call, wait, SAMPLE_SECONDS)
    samples = sorted(time_block(call, wait, loops)[0] / loops for _ in range(_CONVERSION_SAMPLES))
    return samples[_CONVERSION_SAMPLES // 2]
