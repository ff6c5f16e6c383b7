"""Measures an estimator of another package on losses of known gradient, and says whether it keeps what it promises.

On linear and quadratic losses the gradient of the loss smoothed by any symmetric law is the gradient itself; on cubic
ones it depends on sigma and on the law, which is that of an estimator of gradest's that the adapter names. Whether a
mean of independent estimates is that vector is Hotelling's test; the level is shared by all tests of an audit. A wrong
length is told apart from a wrong direction by the same test after the length has been divided out.
"""

import importlib.metadata
import math
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest.directions.laws import LAWS
from gradest.layout import Layout
from gradest.operations import NumpyArray
from gradest.situation import Situation
from gradest.testing.statistics import hotelling_test
from gradest_bench.audit.adapter import Adapter, AuditLoss, Claim, Request, losses

FALSE_ALARM = 1e-3
"""The probability that an audit of estimators that all keep their promise calls any of them wrong."""
SIGMAS = (0.25, 0.5)
"""Where each is asked: a factor that depends on sigma is seen by two of them."""
SAMPLES = 4
"""N of each estimate."""
REPLICATES = 400
"""Estimates of each loss and sigma; `LEAST_SPARE` more than parameters are needed."""
LEAST_SPARE = 30
WIDEST = 0.25
"""The standard error of a scale above which an estimate that no test rejects is not called right."""
EXACT_TOLERANCE = 1e-5
"""The relative error up to which an estimate without chance is right: differences in double precision do better."""
_EXACT_REPLICATES = 3
_SAME_FACTOR = 0.05

RIGHT, SCALED, BIASED = "right", "another length", "biased"
DIRECTION, TOO_FEW, ABSENT, RAISED = "direction only", "too few replicates", "not installed", "raised"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """States what was measured of one estimator on one loss with one sigma.

    Attributes
    ----------
    scale, scale_error
        The slope of the estimates on the gradient, 1 for one that is right, and its standard error.
    bias
        `|mean - gradient| / |gradient|`; of a mean of noise it is not zero.
    log10_p
        Of Hotelling's test of the mean against the gradient.
    direction_log10_p
        Of the same test after `scale` has been divided out.
    relative_mse, relative_mse_error, predicted
        Measured, its standard error, and what theory says of the same law, where there is one.
    """

    loss: str
    sigma: float
    replicates: int
    scale: float
    scale_error: float
    bias: float
    cosine: float
    log10_p: float
    direction_log10_p: float
    relative_mse: float
    relative_mse_error: float
    predicted: float | None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """States what became of one estimator: the verdict, in words, and all that it rests on."""

    name: str
    claim: str
    reference: str
    versions: dict[str, str]
    verdict: str
    reason: str
    findings: tuple[Finding, ...] = ()


def audit(adapter: Adapter, *, tests: int, replicates: int = REPLICATES, samples: int = SAMPLES) -> Audit:
    """Return what an estimator is, beside what it promises; `tests` is how many all audits of this run make."""
    asked = losses()
    # Hotelling's test inverts a covariance of P numbers, which as many estimates only just have
    spare = replicates - max(loss.point.size for loss in asked)
    findings: list[Finding] = []
    try:
        if spare < LEAST_SPARE:
            need = max(loss.point.size for loss in asked) + LEAST_SPARE
            return _ended(adapter, TOO_FEW, f"{replicates} estimates; {need} are needed to tell a bias from noise")
        for loss in asked:
            if loss.cubic and adapter.claim is not Claim.EXACT and adapter.law is None:
                continue  # nobody says by what law it smooths
            for sigma in SIGMAS:
                findings.append(_measured(adapter, loss, sigma, replicates, samples))
    except ImportError as error:
        return _ended(adapter, ABSENT, f"{error}; pip install {' '.join(adapter.packages)}")
    except Exception as error:  # noqa: BLE001  # another package may raise anything, and it is the answer
        # the last frame: in the package, or in what it calls
        where = traceback.extract_tb(error.__traceback__)[-1]
        return _ended(adapter, RAISED, f"{type(error).__name__}: {error} ({where.name})")
    verdict, reason = judged(adapter.claim, findings, tests=tests)
    return _ended(adapter, verdict, reason, findings)


def tests_of(adapters: Sequence[Adapter]) -> int:
    """Return how many tests audits of some adapters make at most."""
    return max(1, 2 * len(adapters) * len(losses()) * len(SIGMAS))


def judged(claim: Claim, findings: Sequence[Finding], *, tests: int) -> tuple[str, str]:
    """Return the verdict on findings and its reason; each test has an equal share of the false-alarm probability."""
    # by logarithms: what is plainly wrong has a p-value that no float holds
    level = math.log10(FALSE_ALARM / tests)
    if claim is Claim.DIRECTION:
        cosines = [found.cosine for found in findings]
        return DIRECTION, f"mean cosine {min(cosines):.3f} to {max(cosines):.3f}; a length is not promised"
    if all(found.log10_p >= level for found in findings):
        loose = max(found.scale_error for found in findings)
        if loose > WIDEST:
            return TOO_FEW, f"the scale is known to {loose:.2g} alone: ask for more --replicates"
        return RIGHT, f"scale {_range([found.scale for found in findings])}"
    off = [found for found in findings if found.log10_p < level]
    # linear and quadratic losses have one gradient under every symmetric law: only the law can be off
    if all(found.loss.startswith("cubic") for found in off):
        by = _range([found.scale for found in off])
        return BIASED, f"off on cubic losses alone, scale {by} there: smoothed by another width or law than stated"
    if any(found.direction_log10_p < level for found in findings):
        worst = min(findings, key=lambda found: found.direction_log10_p)
        return BIASED, f"the mean is off in direction too, most on {worst.loss} at sigma = {worst.sigma:g}"
    return SCALED, _factor(off, findings)


def _factor(moved: Sequence[Finding], findings: Sequence[Finding]) -> str:
    """Return what the scale is, with the formula that fits at every sigma, size and loss, if one alone does."""
    fits = [
        words
        for words, of in _FACTORS.items()
        if all(abs(f.scale / of(f) - 1) <= _SAME_FACTOR + 4 * f.scale_error / abs(of(f)) for f in findings)
    ]
    scales = _range([found.scale for found in moved])
    # One that fits beside another is no cause: at other settings they would part.
    return f"the gradient times {scales}" + (f": {fits[0]}" if len(fits) == 1 else "")


def _size(found: Finding) -> float:
    return float(found.loss.rpartition("=")[2])


_FACTORS: dict[str, Any] = {
    "sigma": lambda f: f.sigma,
    "1 / sigma": lambda f: 1 / f.sigma,
    "sigma^2": lambda f: f.sigma**2,
    "1 / sigma^2": lambda f: 1 / f.sigma**2,
    "2": lambda f: 2.0,
    "1/2": lambda f: 0.5,
    "N": lambda f: float(SAMPLES),
    "1 / N": lambda f: 1 / SAMPLES,
    "P": _size,
    "1 / P": lambda f: 1 / _size(f),
    "-1": lambda f: -1.0,
}


def _measured(adapter: Adapter, loss: AuditLoss, sigma: float, replicates: int, samples: int) -> Finding:
    if adapter.claim is Claim.EXACT:
        replicates = _EXACT_REPLICATES  # alike, if it is what it says
    requests = (Request(loss, samples, sigma, seed) for seed in range(replicates))
    vectors = np.array([np.asarray(adapter.estimate(request), dtype=np.float64).ravel() for request in requests])
    if vectors.shape != (replicates, loss.point.size) or not np.isfinite(vectors).all():
        raise ValueError(f"estimates of shape ({loss.point.size},) of finite numbers were asked for")
    exact = _promised(adapter, loss, sigma)
    squared = float(exact @ exact)
    slopes, errors = vectors @ exact / squared, np.sum((vectors - exact) ** 2, axis=1) / squared
    lengths = np.linalg.norm(vectors, axis=1) * math.sqrt(squared)
    scale = float(slopes.mean())
    chance = bool(np.ptp(vectors, axis=0).max() > 0)
    # sums in threads are rounded otherwise at each call: what is promised to be exact may differ by as little
    rounding = 1e-9 if chance and adapter.claim is not Claim.EXACT else EXACT_TOLERANCE
    return Finding(
        loss=loss.name,
        sigma=sigma,
        replicates=replicates,
        scale=scale,
        scale_error=float(slopes.std(ddof=1) / math.sqrt(replicates)),
        bias=float(np.linalg.norm(vectors.mean(axis=0) - exact) / math.sqrt(squared)),
        cosine=float(np.mean(vectors @ exact / np.where(lengths > 0, lengths, math.inf))),
        log10_p=-hotelling_test(vectors, exact, rounding=rounding).surprise,
        # The length divided out of each: one direction of freedom is used up by it, which makes the test cautious.
        direction_log10_p=-hotelling_test(vectors / scale, exact, rounding=rounding).surprise if scale else -math.inf,
        relative_mse=float(errors.mean()),
        relative_mse_error=float(errors.std(ddof=1) / math.sqrt(replicates)),
        predicted=_predicted(adapter, loss, sigma, samples),
    )


def _promised(adapter: Adapter, loss: AuditLoss, sigma: float) -> NumpyArray:
    """Return the vector that the mean of estimates should be."""
    if adapter.claim is Claim.EXACT or adapter.law is None:
        return loss.gradient
    components = LAWS[adapter.law(1, sigma).distribution].components
    if components is None:
        raise ValueError(f"{adapter.name}: a law of independent components was asked for")
    return loss.smoothed(sigma, components.kurtosis)


def _predicted(adapter: Adapter, loss: AuditLoss, sigma: float, samples: int) -> float | None:
    if adapter.law is None or loss.cubic:  # theory is exact for losses without third derivatives
        return None
    point = loss.point
    at = Situation(
        Layout(("x",), (point.shape,)),
        loss.gradient,
        value=float(loss.value(point, np.asarray)),
        hessian=loss.hessian,
    )
    found = adapter.law(samples, sigma).predict(at)
    return None if found is None else found.relative_mse


def _ended(adapter: Adapter, verdict: str, reason: str, findings: Sequence[Finding] = ()) -> Audit:
    return Audit(
        name=adapter.name,
        claim=adapter.claim.value,
        reference=adapter.reference,
        versions={name: version for name in adapter.packages if (version := _version(name))},
        verdict=verdict,
        reason=reason,
        findings=tuple(findings),
    )


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
