"""What antithetic evolution strategies on something else than the parameters as they are have in common."""

from dataclasses import dataclass
from typing import ClassVar

from gradest.sampling.sampler import Sampler, require_sigma


@dataclass(frozen=True, kw_only=True)
class AntitheticVariant(Sampler):
    """Base class of strategies that take plain antithetic pairs, of pre-activations or in a subspace, for instance.

    It is a `Strategy` whose other choices are made: pairs need no baseline, and keep the gradient's length unshaped.

    Attributes
    ----------
    sigma
        Smoothing radius, in units of what is perturbed.
    num_samples, chunk_size, memory_budget_bytes
        As in `Sampler`, for antithetic pairs.
    """

    antithetic: ClassVar[bool] = True
    baseline: ClassVar[str] = "none"
    shaping: ClassVar[str | None] = None
    differences: ClassVar[str] = "plain"
    noise: ClassVar[str] = "portable"

    sigma: float = 0.01

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        require_sigma(self.sigma)
