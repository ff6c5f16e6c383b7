"""The gradient by the problem's closed form, derived by hand."""

from concurrent.futures import Executor
from dataclasses import dataclass

from gradest.backend import Leaves
from gradest.directions.keys import Rng
from gradest.estimate import Cost, KernelResult
from gradest.estimator import Estimator, PreparedKernel
from gradest.layout import Layout
from gradest.objective import Objective


@dataclass(frozen=True)
class Analytic(Estimator):
    """Evaluates the problem's closed-form gradient on the objective's backend.

    Examples
    --------
    >>> import gradest
    >>> from gradest.estimators import Analytic
    >>> estimate = Analytic()(gradest.get_problem("quadratic", size=3))
    >>> estimate.path, str(estimate.cost)
    ('closed form', '1 VJP')
    """

    family = "analytic"
    composable = True
    source = "Rumelhart, Hinton & Williams 1986, doi:10.1038/323533a0 (for networks)"
    formula = "closed form"
    cost_formula = "1 VJP"
    needs = "a problem with a closed-form gradient"

    def cost(self, layout: Layout) -> Cost:
        return Cost(vjps=1)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        closed_form = objective.prepare_closed_form()

        def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
            return KernelResult(*closed_form(leaves))

        return PreparedKernel(kernel, "closed form")
