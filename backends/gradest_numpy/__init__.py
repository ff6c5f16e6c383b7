"""The NumPy backend of gradest: arrays and operations; `gradest.autodiff` differentiates them."""

from gradest_numpy.backend import NumpyBackend

__all__ = ["NumpyBackend"]
