"""Automatic differentiation over any backend's operations, by interpreters of a loss.

Forward mode by dual numbers, reverse mode by a tape, products with the Hessian by one over the other, differences
without cancellation, and losses at many perturbed parameters that compute what they share once.

Each takes a loss text `text(ops, leaves, data)`, a backend's operations and arrays; none knows a framework.
"""

from gradest.autodiff.dual import value_and_jvps
from gradest.autodiff.exact_differences import value_and_differences
from gradest.autodiff.near_only import NearOnly
from gradest.autodiff.perturbed import perturbed_values
from gradest.autodiff.second_order import hessian_product
from gradest.autodiff.tape import value_and_gradient
from gradest.autodiff.unperturbed import Expressions, Shared

__all__ = [
    "Expressions",
    "NearOnly",
    "Shared",
    "hessian_product",
    "perturbed_values",
    "value_and_differences",
    "value_and_gradient",
    "value_and_jvps",
]
