"""Checks that an estimate does not depend on how it is computed: chunks, workers, backend, a constant in the loss."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from gradest.backend import get_backend
from gradest.dtypes import epsilon
from gradest.errors import UnsupportedError
from gradest.measurement.session import flat
from gradest.target import Target
from gradest.testing.known_problems import Cubic, network
from gradest.testing.results import CheckResult, claimed, judged, not_applicable, worse
from gradest.testing.subject import WIDE_SIGMA, Subject

_SAMPLES = 11
_CHUNKS = (1, 2, 3, 4, 7, 11, 50)  # with and without a remainder; larger than the number of directions
_WORKERS = (1, 2, 3)
_ROUNDINGS = 1000  # units of a coarser dtype's epsilon
_ROUNDING = 1e-9  # of float64 estimates whose sums run in another order, steps of differences included
_OFFSET, _COARSE_OFFSET = 1024.0, 64.0  # what is added to a loss in float64, and in dtypes with fewer digits
_OFFSET_FELT = 1e-2  # relative; a loss of a thousand, divided by a radius, would be far above


def check_chunks(subject: Subject) -> CheckResult:
    """Check that an estimate does not depend on `chunk_size`, with chunks of unequal size too.

    A failure means that memory decides results: directions are dropped, repeated, or weighted by their chunk.
    """
    if not subject.has("chunk_size"):
        return not_applicable(
            "chunks", "it has no field chunk_size; name the number of directions that it holds at a time so"
        )
    problem, worst, where = network(), 0.0, 0
    whole = subject.estimates(subject.with_few_samples(_SAMPLES, chunk_size=None), problem, [subject.seed])[0]
    for size in _CHUNKS:
        parts = subject.estimates(subject.with_few_samples(_SAMPLES, chunk_size=size), problem, [subject.seed])[0]
        difference = _relative(parts, whole)
        if worse(difference, worst):
            worst, where = difference, size
    detail = f"chunk_size={where} changes the estimate by {worst:.2g} of its length" if worst else "no chunk size shows"
    return judged("chunks", worst, _difference_rounding(subject), detail)


def check_workers(subject: Subject) -> CheckResult:
    """Check that an estimate is the same, bit for bit, with an executor of 1, 2 or 3 workers and without one.

    A failure means that a result cannot be repeated on a machine with another number of cores.
    """
    estimator = subject.with_few_samples(_SAMPLES, chunk_size=2)
    objective = subject.objective(network())
    serial = flat(objective, estimator.prepare(objective)(rng=subject.seed))
    faults = []
    for count in _WORKERS:
        with ThreadPoolExecutor(count) as executor:
            prepared = estimator.prepare(subject.objective(network()), executor=executor)
            for _ in range(2):
                if not np.array_equal(flat(prepared.objective, prepared(rng=subject.seed)), serial):
                    faults.append(f"{count} workers give another estimate than none")
                    break
    return claimed("workers", faults, f"the same bits with {', '.join(map(str, _WORKERS))} workers and with none")


def check_backends(subject: Subject) -> CheckResult:
    """Check that estimates of one seed agree on all backends: the directions are the same there.

    In float64 where all of the backends have it, else in float32.

    A failure means that frameworks cannot be compared by this estimator: each draws, or computes, something else.
    """
    if len(subject.backends) < 2:
        return not_applicable(
            "backends", "one backend was asked for; give several, such as backends=('numpy', 'torch')"
        )
    dtypes = [set(get_backend(name).dtypes) for name in subject.backends]
    dtype = "float64" if all("float64" in known for known in dtypes) else "float32"
    expected, worst, done = None, 0.0, []
    for name in subject.backends:
        try:
            prepared = subject.prepared(name, dtype)
        except UnsupportedError:
            continue
        found = flat(prepared.objective, prepared(rng=subject.seed))
        expected = found if expected is None else expected
        difference = _relative(found, expected)
        worst = difference if worse(difference, worst) else worst
        done.append(name)
    detail = f"estimates on {', '.join(done)} differ by {worst:.2g} of their length in {dtype}"
    return judged("backends", worst, _difference_rounding(subject, dtype), detail)


def check_offset(subject: Subject) -> CheckResult:
    """Check that a constant added to the loss does not change the estimate, where differences should cancel it.

    A failure means that the loss itself, divided by the radius, is in the estimate: a baseline or a pair is missing.
    """
    estimator = subject.estimator
    cancels = subject.option("antithetic") is True or subject.option("baseline", "none") != "none"
    cancels |= subject.option("shaping") is not None or estimator.cost(Cubic().layout).values == 0
    if estimator.stochastic and not cancels:
        return not_applicable(
            "offset",
            "values without a baseline carry the loss itself into the variance; with one, or in pairs, they do not",
        )
    added = _OFFSET if subject.dtype == "float64" else _COARSE_OFFSET
    varied = subject.with_few_samples(sigma=WIDE_SIGMA)
    plain, shifted = (subject.estimates(varied, Cubic(offset=offset), [subject.seed])[0] for offset in (0.0, added))
    felt = _relative(shifted, plain)
    detail = f"adding {added:g} to the loss changes the estimate by {felt:.2g} of its length"
    return judged("offset", felt, _OFFSET_FELT, detail)


def _relative(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    norm = float(np.linalg.norm(expected))
    return float(np.linalg.norm(found - expected)) / (norm or 1.0)


def _difference_rounding(subject: Subject, dtype: str | None = None) -> float:
    """Return what rounding in the loss may change: much where differences of values are divided by a small step."""
    values = subject.estimator.cost(Cubic().layout).values
    exact = values == 0 or subject.estimator.target is Target.NOTHING or subject.has("sigma")
    eps = epsilon(dtype or subject.dtype)
    return max(_ROUNDING, _ROUNDINGS * eps) if exact else eps**0.5 * 100
