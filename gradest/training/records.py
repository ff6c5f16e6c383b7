"""What is written down while something is trained: plain numbers, that can be kept and read again. Knows no run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gradest.estimate import Cost

NOT_FINITE = "NaN or infinite"
"""What the end of a run says, among its words, where a loss, an estimate or parameters were so."""


@dataclass(frozen=True)
class Quality:
    """States how good the estimate of a step's gradient was, beside what theory predicts, on the same batch.

    Attributes
    ----------
    relative_mse, relative_mse_error
        The mean of `|estimate - g|^2 / |g|^2` over replicates with seeds of their own, and its standard error; None
        where an estimate has no chance in it.
    cosine, cosine_error
        The mean cosine of an estimate with the gradient, and its standard error.
    predicted_mse, predicted_cosine
        What theory says; None where it says nothing.
    replicates
        How many estimates.
    reference
        How the gradient that they are judged by was computed; or why there is none.

    Examples
    --------
    >>> import gradest
    >>> from gradest.training import Budget
    >>> bowl = gradest.get_problem("quadratic", size=3)
    >>> run = gradest.train(bowl, "es", budget=Budget(steps=2), quality_every=1, seed=0)
    >>> quality = run.records[0].quality
    >>> quality.predicted_mse, abs(quality.relative_mse - 0.04) < 5 * quality.relative_mse_error  # (P + 1) / N
    (0.04, True)
    """

    relative_mse: float
    relative_mse_error: float | None
    cosine: float
    cosine_error: float | None
    predicted_mse: float | None
    predicted_cosine: float | None
    replicates: int
    reference: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """States where a run of training stood.

    Attributes
    ----------
    step, epoch
        Steps made; passes over the data, None where there is no telling.
    cost, losses
        What all steps together took, as evaluations and in loss-equivalents; what is logged is counted apart.
    seconds
        The time of the steps.
    step_size
        s of the step before, 0 at the start.
    loss, metrics
        On the training data.
    held_out_loss, held_out_metrics
        On the data that were held out; None and empty without any.
    params_norm, gradient_norm
        L2 norms by parameter array; of the gradient that the last step used.
    quality
        Of the estimate at these parameters on the batch of the next step, where it was measured.

    Examples
    --------
    >>> import gradest
    >>> from gradest.training import Budget
    >>> run = gradest.train(gradest.get_problem("quadratic", size=3), "es", budget=Budget(steps=20), seed=1)
    >>> last = run.records[-1]
    >>> last.step, last.losses, round(last.loss, 4)
    (20, 4000.0, -0.0743)
    """

    step: int
    epoch: float | None
    cost: Cost
    losses: float
    seconds: float
    step_size: float
    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    held_out_loss: float | None = None
    held_out_metrics: Mapping[str, float] = field(default_factory=dict)
    params_norm: Mapping[str, float] = field(default_factory=dict)
    gradient_norm: Mapping[str, float] = field(default_factory=dict)
    quality: Quality | None = None

    def row(self) -> dict[str, Any]:
        """Return it as one flat row: "held_out_accuracy", "params_norm W1", "relative_mse", ..."""
        found: dict[str, Any] = {
            "step": self.step,
            "epoch": self.epoch,
            # A column for each kind of evaluation, and the sum by weights: what one machine weighs another need not.
            **asdict(self.cost),
            "losses": self.losses,
            "seconds": self.seconds,
            "step_size": self.step_size,
            "loss": self.loss,
            # Under the names that they were given: `callbacks` refuses those of other columns.
            **self.metrics,
            "held_out_loss": self.held_out_loss,
            **{f"held_out_{name}": number for name, number in self.held_out_metrics.items()},
            **{f"params_norm {name}": number for name, number in self.params_norm.items()},
            **{f"gradient_norm {name}": number for name, number in self.gradient_norm.items()},
        }
        # Columns that are not there in one row are empty in a frame: quality is measured at some logs alone.
        return found | (asdict(self.quality) if self.quality else {})

    def plain(self) -> dict[str, Any]:
        """Return it as nested dicts of numbers and texts, from which `read` makes it again."""
        return asdict(self)

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> "Record":
        """Return the record that `plain` was of."""
        quality = None if plain["quality"] is None else Quality(**plain["quality"])
        return cls(**{**plain, "cost": Cost(**plain["cost"]), "quality": quality})
