"""What was found of one estimator on one objective beside its times: evaluations, errors, predictions."""

from dataclasses import dataclass

from gradest.estimate import Cost
from gradest.lengths import norm_of
from gradest.measurement.accuracy import Accuracy, ReplicateAccuracy
from gradest.measurement.noise_scale import NoiseScale
from gradest.measurement.reference_record import Reference
from gradest.measurement.smoothed import SmoothedAccuracy
from gradest.theory import Prediction


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Evaluations: what the estimator states before it runs, and what one call was counted to make."""

    stated: Cost
    counted: Cost


@dataclass(frozen=True, kw_only=True)
class ReferenceFacts:
    """What estimates were judged by.

    Attributes
    ----------
    method
        How the reference gradient was found.
    uncertainty
        The relative error that it may have itself.
    value, gradient_norm
        The loss there, and the length of its gradient.
    noise_scale, noise_scale_error
        How much the gradients of the examples scatter (`gradest.noise_scale`), and its standard error; None of a loss
        that is no mean over examples, or whose gradient vanishes.
    """

    method: str
    uncertainty: float
    value: float
    gradient_norm: float
    noise_scale: float | None = None
    noise_scale_error: float | None = None

    @classmethod
    def of(cls, reference: Reference, noise: NoiseScale | None = None) -> "ReferenceFacts":
        """Return the facts of a reference, and of the noise of the examples around it."""
        return cls(
            method=reference.method,
            uncertainty=reference.uncertainty,
            value=float(reference.value),
            # Not NumPy's norm: squares of a gradient near 1e200 are infinite in it.
            gradient_norm=norm_of(reference.gradient),
            noise_scale=None if noise is None else noise.value,
            noise_scale_error=None if noise is None else noise.error,
        )


@dataclass(frozen=True, kw_only=True)
class EstimateAccuracy:
    """How estimates differ from the reference; what does not apply is None.

    Attributes
    ----------
    single
        Of one estimate.
    replicates, predicted
        Of a stochastic estimator: how independent estimates scatter, and what theory predicts.
    prediction_fault
        What went wrong in the estimator's `predict`, or "".
    smoothed
        How the estimates scatter around the gradient of the smoothed loss, where that is the target.
    """

    reference: ReferenceFacts
    single: Accuracy
    replicates: ReplicateAccuracy | None = None
    predicted: Prediction | None = None
    prediction_fault: str = ""
    smoothed: SmoothedAccuracy | None = None
