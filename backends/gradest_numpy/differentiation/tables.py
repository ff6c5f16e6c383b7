"""All tables of rules, and their list.

Imported for what the imports do: each file of rules adds its functions to the table.
"""

from gradest_numpy.differentiation import contracted as contracted
from gradest_numpy.differentiation import elementwise as elementwise
from gradest_numpy.differentiation import joined as joined
from gradest_numpy.differentiation import linear_algebra as linear_algebra
from gradest_numpy.differentiation import ordering as ordering
from gradest_numpy.differentiation import reductions as reductions
from gradest_numpy.differentiation import shaped as shaped
from gradest_numpy.differentiation import special
from gradest_numpy.differentiation import statistics as statistics
from gradest_numpy.differentiation.rules import COMPOSED, PLAIN, RULES, name_of


def differentiable() -> tuple[str, ...]:
    """Return the names of all functions through which derivatives go, NumPy's and SciPy's."""
    numpy = {name_of(function) for function in (*RULES, *COMPOSED)} - {"numpy.linalg.lstsq", "numpy.ix_"}
    scipy = {f"scipy.special.{name}" for name in (*special.ONE_ARRAY, *special.TWO_ARRAYS)}
    return tuple(sorted(numpy | scipy))


def without_slope() -> tuple[str, ...]:
    """Return the names of the functions whose value is plain: comparisons, steps, indices, shapes."""
    return tuple(sorted({name_of(function) for function in PLAIN}))
