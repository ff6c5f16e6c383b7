"""The exact gradient by forward mode: one JVP for each basis direction, in chunks."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from gradest.backend import Leaves
from gradest.coordinates import Chunk, Factors, Gathering, Span, Spans, dense_chunks, gather, pipeline, row_chunks
from gradest.directions.keys import Rng
from gradest.errors import InvalidInputError
from gradest.estimate import Cost, KernelResult
from gradest.estimator import Estimator, Kernel, PreparedKernel
from gradest.fields import make_plain
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array, Data, NumpyArray
from gradest.refusals import FORWARD_MODE, IN_OPERATIONS

STRUCTURED_DIRECTIONS = 2048
"""How many structured directions go together: each carries one column of a layer until the logits."""

_Push = Callable[[Leaves, Chunk], tuple[Array, Array]]


@dataclass(frozen=True)
class Forward(Estimator):
    """Pushes each of the P basis directions forward through the loss: exact, in memory that does not grow with depth.

    Attributes
    ----------
    engine
        "native" (the framework's own), "gradest" (the dual numbers of `gradest.autodiff`), or "auto": native where
        there is one.
    path
        "dense": directions are arrays. "structured": a direction of a weight matrix is kept as the one column of
        the pre-activations that it moves, which needs gradest's engine. "auto" is "dense".
    chunk_size
        How many directions are pushed together; by default as many as fit the cache.

    Examples
    --------
    >>> import gradest
    >>> from gradest.estimators import Forward
    >>> quadratic = gradest.get_problem("quadratic", size=3)
    >>> estimate = Forward()(quadratic)
    >>> estimate.path, str(estimate.cost)
    ('gradest', '3 JVPs')
    """

    family = "forward"
    source = "Wengert 1964, doi:10.1145/355586.364791; Baydin et al. 2018, arXiv:1502.05767"
    formula = "g_i = J e_i, i = 1..P"
    cost_formula = "P JVPs"

    engine: str = "auto"
    path: str = "auto"
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        if self.path not in ("auto", "dense", "structured"):
            raise InvalidInputError(f"path must be 'auto', 'dense' or 'structured'; found {self.path!r}")
        if self.path == "structured" and self.engine == "native":
            raise InvalidInputError(
                "path='structured' was asked for with engine='native'; frameworks push dense tangents: "
                "use engine='gradest' or 'auto'"
            )

    @property
    def needs(self) -> str:
        """A loss that can be differentiated; structured tangents go through operations."""
        return IN_OPERATIONS if self.path == "structured" else FORWARD_MODE

    def cost(self, layout: Layout) -> Cost:
        return Cost(jvps=layout.num_parameters)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        structured = self.path == "structured"
        if structured:
            own = "value_and_jvps" in objective.backend.native
            objective.require_text("path='structured'", instead="'forward'" if own else None)
        engine = objective.choose_engine("gradest" if structured else self.engine, "value_and_jvps")
        kernel = _native(objective, self.chunk_size) if engine == "native" else self._dual(objective)
        return PreparedKernel(kernel, f"{engine}, structured" if structured else engine)

    def _dual(self, objective: Objective) -> Kernel:
        """Return the kernel by gradest's dual numbers, chunk by chunk of a block, where the others do not move."""
        structured, layout, backend = self.path == "structured", objective.layout, objective.backend
        # Entries of one row of a weight matrix move the columns of the pre-activations in turn, all by the same input
        # feature: chunks of whole rows share it.
        if structured:
            plan = row_chunks(layout, self.chunk_size, default=STRUCTURED_DIRECTIONS)
        else:
            plan = dense_chunks(layout, None, self.chunk_size)
        push = _push_dual(objective, Factors(objective, whole_rows=structured, plan=plan))

        def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
            values: list[Array] = []

            def finish(chunk: Chunk, found: tuple[Array, Array]) -> tuple[Chunk, NumpyArray]:
                if not values:  # each chunk has the loss; thousands of scalars on a device are not kept
                    values.append(found[0])
                return chunk, backend.numpy(found[1])

            parts = pipeline(plan, lambda chunk: push(leaves, chunk), finish)
            return KernelResult(values[0], gather(objective, parts))

        return kernel


def _push_dual(objective: Objective, factors: Factors) -> _Push:
    """Return the JVPs of a chunk by dual numbers; each block has a step of its own, where the others do not move."""

    # One compiled step for each block, not for each chunk: chunks of a block have one shape, or two.
    def make_step(block: int) -> Callable[..., tuple[Array, Array]]:
        def step(leaves: Leaves, left: Array, right: Array, data: Data) -> tuple[Array, Array]:
            return objective.evaluate_jvps(leaves, factors.tangents(leaves, block, left, right), data)

        return objective.compile(step)

    steps = [make_step(block) for block in range(len(objective.layout.shapes))]

    def push(leaves: Leaves, chunk: Chunk) -> tuple[Array, Array]:
        value, jvps = steps[chunk.block](leaves, *factors(chunk))
        return value, jvps

    return push


def _native(objective: Objective, chunk_size: int | None) -> Kernel:
    """Return the kernel by the framework's forward mode, which takes a tangent of every block.

    Zeros of blocks that do not move must be real arrays there, as frameworks have no symbolic zero to pass in: so
    spans run on from block to block, and what the framework compiles is compiled once.
    """
    jvps, spans, backend = objective.prepare_jvps(), Spans(objective, chunk_size), objective.backend
    directions = objective.compile(lambda leaves, factors, data: spans.directions(factors))

    def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
        values: list[Array] = []
        gathering = Gathering(objective)

        def finish(span: Span, found: tuple[Array, Array]) -> None:
            if not values:
                values.append(found[0])
            slopes = backend.numpy(found[1])
            for first, chunk in span.pieces:
                gathering.add(chunk, slopes[first : first + chunk.positions.size])

        pipeline(spans.plan, lambda span: jvps(leaves, directions(leaves, spans.factors(span))), finish)
        return KernelResult(values[0], gathering.leaves())

    return kernel
