"""NumPy functions differentiated as they are, in reverse and forward mode, through NumPy's own protocols.

    from gradest_numpy.differentiation import value_and_gradient
    value, gradient = value_and_gradient(lambda leaves, data: np.sum(np.tanh(leaves[0]) ** 2))((x,), None)

The rules are tables, a file a theme: `elementwise`, `special`, `reductions`, `ordering`, `moved`, `joined`, `products`,
`linear_algebra`; what is written in other functions is in `shaped`, `statistics` and `contracted`.
"""

from gradest_numpy.differentiation.differentiate import hessian_product, value_and_gradient, value_and_jvps
from gradest_numpy.differentiation.tables import differentiable, without_slope
from gradest_numpy.differentiation.traced import TracedArray, values_of

__all__ = [
    "TracedArray",
    "differentiable",
    "hessian_product",
    "value_and_gradient",
    "value_and_jvps",
    "values_of",
    "without_slope",
]
