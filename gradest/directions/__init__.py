"""Random directions: direction i of an estimate is a function of (seed, i) alone.

The same directions come out on every backend, for every chunk size and every number of workers, because they are
drawn by NumPy from a generator keyed by the seed and the index. Every law is scaled so that E v v^T = I, and is one
entry of `LAWS`. This package knows no framework and no estimator; `basis` alone, of the fixed directions e_1, ..., e_P,
knows an objective.
"""

from gradest.directions.directions import Directions, Noise, as_tangents
from gradest.directions.keys import Key, Rng, root_key
from gradest.directions.laws import DISTRIBUTIONS, LAWS, Components, Law

__all__ = ["DISTRIBUTIONS", "LAWS", "Components", "Directions", "Key", "Law", "Noise", "Rng", "as_tangents", "root_key"]
