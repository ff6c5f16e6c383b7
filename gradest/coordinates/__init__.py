"""Walking along the coordinates, e_1..e_P: chunks of them, how they reach the framework, how derivatives come back.

What forward mode, finite differences and the complex step have in common. Random directions are in
`gradest.directions`. This package knows no estimator.
"""

from gradest.coordinates.chunks import Chunk, Positions, dense_chunks, row_chunks
from gradest.coordinates.factors import Factors, spread
from gradest.coordinates.gathering import Gathering, gather, pipeline
from gradest.coordinates.shared_steps import Alike, SharedSteps, perturbed_copies, perturbed_losses
from gradest.coordinates.spans import Span, Spans

__all__ = [
    "Alike",
    "Chunk",
    "Factors",
    "Gathering",
    "Positions",
    "SharedSteps",
    "Span",
    "Spans",
    "dense_chunks",
    "gather",
    "perturbed_copies",
    "perturbed_losses",
    "pipeline",
    "row_chunks",
    "spread",
]
