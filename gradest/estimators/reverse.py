"""The gradient by reverse-mode automatic differentiation."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from gradest.autodiff.checkpointed import checkpointed_value_and_gradient
from gradest.backend import Leaves
from gradest.directions.keys import Rng
from gradest.errors import InvalidInputError
from gradest.estimate import Cost, KernelResult
from gradest.estimator import Estimator, PreparedKernel
from gradest.fields import make_plain
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array
from gradest.refusals import IN_OPERATIONS, REVERSE_MODE

DEFAULT_PLACES = 8
"""At how many places `checkpoint=True` keeps values."""
_OWN = "'reverse', with the framework's own checkpointing inside the function where it has one"


@dataclass(frozen=True)
class Reverse(Estimator):
    """Pulls the loss's cotangent 1 back through its operations: the exact gradient for one VJP.

    Attributes
    ----------
    engine
        "native" (the framework's own), "gradest" (the tape of `gradest.autodiff`), or "auto": native where there
        is one.
    checkpoint
        At how many places between operations values are kept (True: 8); what lies between is computed again, for
        one evaluation more. For losses written in operations, by gradest's tape, uncompiled: a compiler that
        merges equal computations would keep the values after all.

    Examples
    --------
    >>> import gradest
    >>> from gradest.estimators import Reverse
    >>> quadratic = gradest.get_problem("quadratic", size=3)
    >>> estimate = Reverse()(quadratic)
    >>> estimate.path, str(estimate.cost), estimate.gradient["x"].shape
    ('gradest', '1 VJP', (3,))
    """

    family = "reverse"
    composable = True
    source = "Linnainmaa 1976, doi:10.1007/BF01931367; Griewank & Walther 2008, doi:10.1137/1.9780898717761"
    formula = "J^T 1"
    cost_formula = "1 VJP (and 1 value with checkpoints)"

    engine: str = "auto"
    checkpoint: bool | int = False

    def __post_init__(self) -> None:
        make_plain(self)
        if not isinstance(self.checkpoint, int) or self.checkpoint < 0:
            raise InvalidInputError(
                f"checkpoint must be True, False or a number of places of 1 or more; found {self.checkpoint!r}"
            )
        if self.checkpoint and self.engine == "native":
            raise InvalidInputError(
                "checkpoint was asked for with engine='native'; use engine='gradest' or 'auto', or the framework's own "
                "checkpointing inside your function"
            )

    @property
    def needs(self) -> str:
        """A loss that can be differentiated; checkpoints stand between operations."""
        return IN_OPERATIONS if self.checkpoint else REVERSE_MODE

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=1 if self.checkpoint else 0, vjps=1)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        if self.checkpoint:
            gradient, path = self._prepare_checkpointed(objective), "gradest, checkpointed"
        else:
            gradient, path = objective.prepare_gradient(self.engine)

        def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
            return KernelResult(*gradient(leaves))

        return PreparedKernel(kernel, path)

    def _prepare_checkpointed(self, objective: Objective) -> Callable[[Leaves], tuple[Array, Leaves]]:
        own = "value_and_gradient" in objective.backend.native
        text = objective.require_text("checkpoint", instead=_OWN if own else None)
        ops, cost = objective.ops, self.cost(objective.layout)
        places = DEFAULT_PLACES if self.checkpoint is True else int(self.checkpoint)

        def gradient(leaves: Leaves) -> tuple[Array, Leaves]:
            objective.count(cost)
            return checkpointed_value_and_gradient(text, ops, leaves, objective.data, places=places)

        return gradient
