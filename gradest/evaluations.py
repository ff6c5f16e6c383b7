"""Evaluations of one loss that count themselves: plain values, populations, and derivatives by gradest's own engines.

What `gradest.objective` prepares is made of these. In a step that a framework compiles they are counted each time the
compiled step runs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from gradest.autodiff import (
    Shared,
    hessian_product,
    perturbed_values,
    value_and_differences,
    value_and_gradient,
    value_and_jvps,
)
from gradest.backend import Backend, Function, Leaves
from gradest.counting import JVPS, VALUES, VJPS, EvaluationCounts, Step
from gradest.dtypes import epsilon
from gradest.errors import UnsupportedError
from gradest.estimate import Cost
from gradest.evaluation import (
    UserFunction,
    Verification,
    choose_population,
    compiles,
    one_by_one,
    take_first_look,
)
from gradest.form import Form
from gradest.operations import Array, Data, Operations, Text
from gradest.refusals import needs_operations
from gradest.tangents import Tangent


class Evaluations:
    """The evaluations of a loss on the arrays of one backend; see `Objective`, which adds what can be prepared.

    Attributes
    ----------
    first_look, preparation_cost
        What evaluations of a user's function showed when it was found out how it can be evaluated, and what they cost.
    inner_roundings
        How far its values were seen to be off for what is rounded inside, by the radius of the directions.
    """

    def __init__(
        self,
        *,
        backend: Backend,
        function: Function,
        text: Text | None,
        losses_text: Text | None,
        start: Leaves,
        form: Form,
        data: Data,
        kernel: str,
        population: str,
        verify: bool,
    ) -> None:
        self.backend = backend
        self.kernel = kernel
        self.ops = backend.operations(kernel)
        self.text = text
        self.losses_text = losses_text
        self.start = start
        self.data = data
        self.form = form
        self.layout = form.layout
        self.dtypes = form.dtypes
        filled = (dtype for dtype, size in zip(form.dtypes, form.layout.sizes, strict=True) if size)
        self.dtype = next(filled, form.dtypes[0])  # the first; one without entries says nothing of how a loss computes
        self._widest = min(form.dtypes, key=epsilon)  # which decides what the framework has to be switched to
        self.device = form.device
        self.verifies = verify
        self.first_look: Verification | None = None
        self.preparation_cost = Cost()
        self.inner_roundings: dict[float, float] = {}
        self._counts = EvaluationCounts()
        self._function = function
        self._user = function if isinstance(function, UserFunction) else None
        self._asked = population
        self._population_path: str | None = "batched" if text is not None else None

    def __repr__(self) -> str:
        """Return what is evaluated, and where."""
        what = "function" if self.is_users_own else "loss in operations"
        return f"{type(self).__name__}({what}, {self.described})"

    @property
    def described(self) -> str:
        """Where it is evaluated and at what, on one line; of many parameter arrays the first."""
        blocks = [f"{name} {shape}" for name, shape in zip(self.layout.names, self.layout.shapes, strict=True)]
        shown = ", ".join(blocks[:4]) + (f", ... ({len(blocks)} arrays)" if len(blocks) > 4 else "")
        return f"{self.backend.name} {self.dtype} on {self.device}: {shown}"

    @property
    def counts(self) -> Cost:
        """The evaluations made so far, in all threads."""
        return self._counts.total

    def count(self, cost: Cost) -> None:
        """Add evaluations that were made elsewhere, by a worker."""
        self._counts.add_all(cost)

    # -- evaluation inside steps (counted as they run) ------------------------------------------------------
    def evaluate(self, leaves: Leaves, data: Data) -> Array:
        """Return the loss; counts one value."""
        self._counts.add(VALUES, 1)
        return self._single(leaves, data)

    def evaluate_population(self, population: Leaves, data: Data) -> Array:
        """Return the losses `(K,)` of leaves with a leading axis K; counts K values.

        Batched by broadcasting where the loss is written in operations, by the framework's vmap where it has
        one, else one by one.
        """
        size = int(population[0].shape[0])
        self._counts.add(VALUES, size)
        return self._population(population, data)

    def evaluate_moved(self, leaves: Leaves, moved: Mapping[int, Array], data: Data) -> Array:
        """Return the losses `(K,)` with some blocks replaced by K values each, `(K, *shape)`; counts K values.

        It is for use inside a step that the framework compiles. Where a user's function is batched by vmap, what
        follows from the other blocks alone is computed once, and products with them are one product for all K.
        """
        size = int(next(iter(moved.values())).shape[0])
        if self.text is None:
            assert self._user is not None
            self._counts.add(VALUES, size)
            return self._user.batched_in(leaves, moved, data)
        # Operations batch by a leading axis, which all blocks must have: two of them may be joined.
        copies = enumerate(self.ops.broadcast_to(leaf, (size, *leaf.shape)) for leaf in leaves)
        return self.evaluate_population(tuple(moved.get(k, copy) for k, copy in copies), data)

    def evaluate_losses(self, population: Leaves, data: Data) -> Array:
        """Return the loss of each example, `(K, B)`, for leaves with a leading axis K; counts K values.

        Its mean over the examples is `evaluate_population`, and it is evaluated in the same way.

        Raises
        ------
        UnsupportedError
            The examples of the loss are not known apart.
        """
        self.require_losses("the loss of each example")
        size = int(population[0].shape[0])
        self._counts.add(VALUES, size)
        if self.losses_text is not None:
            return self.losses_text(self.ops, population, data)
        return self._users_population(population, data, apart=True)

    @property
    def has_losses(self) -> bool:
        """Whether the examples of the loss are known apart: an `EmpiricalRisk`, or a function of per-example losses."""
        return self.losses_text is not None or (self._user is not None and self._user.per_example)

    def require_losses(self, asked: str) -> None:
        """Refuse what needs the loss of each example where those are not known apart.

        Raises
        ------
        UnsupportedError
            The message says how they can be given.
        """
        if not self.has_losses:
            found = "a function of one number" if self._user is not None else "a loss that is no mean over examples"
            raise UnsupportedError(
                f"{asked} was asked for; found {found}; give a gradest.EmpiricalRisk, or a function that returns one "
                "loss for each example, (B,), with per_example=True"
            )

    @property
    def parameter_epsilon(self) -> float:
        """The relative distance of the numbers that the coarsest parameters are, of those that have entries."""
        each = zip(self.dtypes, self.layout.sizes, strict=True)
        return max((epsilon(dtype) for dtype, size in each if size), default=epsilon(self.dtype))

    @property
    def value_epsilon(self) -> float:
        """The relative distance of the numbers that values of the loss are computed in, as far as it is known."""
        seen = 0.0 if self.first_look is None else self.first_look.epsilon
        return max(epsilon(self.dtype), seen)

    @property
    def is_users_own(self) -> bool:
        """Whether the loss is a user's function, of which nothing is known but what its evaluations show."""
        return self._user is not None

    @property
    def population_path(self) -> str:
        """How `evaluate_population` works here: "batched", "vmap" or "loop".

        For a user's function it is found out when it is first asked for, by some evaluations at the start point, which
        are counted in `preparation_cost`.

        Warns
        -----
        NoiseWarning
            Two evaluations at one point differ.

        Raises
        ------
        InvalidInputError
            The function writes into its inputs, or does not return one real number.
        UnsupportedError
            population="vmap" was asked for, and the framework cannot batch the function.
        """
        if self._population_path is None:
            self._population_path = self.scoped(self._choose_population)()
        if self._asked == "auto" and self._user is not None and self._user.draws and self._population_path == "vmap":
            return "loop"  # it has come to draw since, and is never batched then
        return self._population_path

    def evaluate_perturbed(
        self,
        leaves: Leaves,
        tangents: Sequence[Tangent],
        data: Data,
        *,
        shared: Shared | None = None,
        ops: Operations | None = None,
    ) -> Array:
        """Return the losses `(K,)` at `leaves + tangents`, using the structure of the tangents; counts K values.

        `shared` keeps what calls with the same leaves and data have in common; `ops` take the place of its own.
        """
        self._counts.add(VALUES, tangents[0].count)
        text = self.require_text("structured evaluation")
        return perturbed_values(text, ops or self.ops, leaves, tangents, data, shared=shared)

    def evaluate_differences(
        self,
        leaves: Leaves,
        tangents: Sequence[Tangent],
        data: Data,
        *,
        shared: Shared | None = None,
        ops: Operations | None = None,
    ) -> tuple[Array, Array]:
        """Return the loss and the exact differences `f(x + tangent_k) - f(x)`, `(K,)`; counts K + 1 values.

        `shared` keeps what calls with the same leaves and data have in common; `ops` take the place of its own.
        """
        self._counts.add(VALUES, tangents[0].count + 1)
        text = self.require_text("cancellation-free differences")
        return value_and_differences(text, ops or self.ops, leaves, tangents, data, shared=shared)

    def evaluate_jvps(self, leaves: Leaves, tangents: Sequence[Tangent], data: Data) -> tuple[Array, Array]:
        """Return the loss and the JVPs `(K,)` by gradest's dual numbers; counts K JVPs."""
        self._counts.add(JVPS, tangents[0].count)
        return value_and_jvps(self.require_text("engine='gradest'"), self.ops, leaves, tangents, data)

    def evaluate_gradient(self, leaves: Leaves, data: Data) -> tuple[Array, Leaves]:
        """Return the loss and its gradient by gradest's tape; counts one VJP."""
        self._counts.add(VJPS, 1)
        return value_and_gradient(self.require_text("engine='gradest'"), self.ops, leaves, data)

    def evaluate_hessian_product(self, leaves: Leaves, direction: Leaves, data: Data) -> Leaves:
        """Return the Hessian times a direction by gradest's dual numbers over its tape; counts one JVP and one VJP."""
        self._counts.add(JVPS, 1)
        self._counts.add(VJPS, 1)
        return hessian_product(self.require_text("engine='gradest'"), self.ops, leaves, direction, data)

    def plain_value(self, leaves: Leaves) -> Array:
        """Return the loss of a user's function by one evaluation that nothing transforms or compiles; counts it."""
        assert self._user is not None
        self._counts.add(VALUES, 1)
        with self.backend.scope(self._widest) or nullcontext():
            return self._user.alone(leaves, self.data)

    def require_text(self, asked: str, *, instead: str | None = None) -> Text:
        """Return the loss written in operations, which `asked` needs.

        Raises
        ------
        UnsupportedError
            The loss is an opaque function; the message says what can be used instead.
        """
        if self.text is None:
            raise needs_operations(asked, self.backend, instead=instead)
        return self.text

    def scoped(self, function: Step) -> Step:
        """Return the function run inside the backend's scope for this dtype; unchanged where none is needed."""
        if self.backend.scope(self._widest) is None:
            return function
        backend, dtype = self.backend, self._widest

        def run(*args: object, **named: object) -> object:
            with backend.scope(dtype) or nullcontext():  # within another one there is nothing left to switch
                return function(*args, **named)

        return run

    # -- internals ----------------------------------------------------------------------------------------
    def _counted(self, function: Callable[[Leaves, Data], Any], kind: int) -> Callable[[Leaves], Any]:
        def call(leaves: Leaves) -> Any:
            self._counts.add(kind, 1)
            return function(leaves, self.data)

        return self.scoped(call)

    def _single(self, leaves: Leaves, data: Data) -> Array:
        """Return one loss; of a user's function by itself, but inside a step that the framework compiles."""
        if self._user is None or ("compile" in self.backend.native and self.population_path != "loop"):
            return self._function(leaves, data)
        return self._user.alone(leaves, data)

    def _population(self, population: Leaves, data: Data) -> Array:
        if self.text is not None:
            return self.text(self.ops, population, data)
        return self._users_population(population, data)

    def _users_population(self, population: Leaves, data: Data, *, apart: bool = False) -> Array:
        """Return the losses `(K,)` of a user's function, with `apart` those of each example, `(K, B)`."""
        assert self._user is not None
        size = int(population[0].shape[0])
        # One point is no population: nothing is batched, which some layers would do slowly, or not at all.
        if self.population_path == "vmap" and (size > 1 or "compile" in self.backend.native):
            return self._user.batched(population, data, apart=apart)
        return one_by_one(self._user, population, data, dtype=self.dtype, device=self.device, apart=apart)

    def _choose_population(self) -> str:
        assert self._user is not None
        self.look()
        with self.backend.computing_now() or nullcontext():
            way, cost = choose_population(self._user, self.start, self.data, asked=self._asked, found=self.first_look)
        self.preparation_cost = self.preparation_cost + Cost(values=cost)
        return way

    def look(self, *, tells_noise: bool = True) -> None:
        """Take a first look at a user's function, once, where evaluations may be spent on it.

        Noise is not told of to who has asked for it to be measured, and would be told to do just that.

        Raises
        ------
        InvalidInputError
            The function writes into its inputs, or does not return one real number.
        """
        if self._user is None or self.first_look is not None or not self.verifies:
            return
        with self.backend.computing_now() or nullcontext(), self.backend.scope(self._widest) or nullcontext():
            self.first_look = take_first_look(self._user, self.start, self.data, tells_noise=tells_noise)
        self.preparation_cost = self.preparation_cost + Cost(values=self.first_look.evaluations)

    @property
    def function(self) -> Function:
        """The loss `(leaves, data) -> scalar` as it is differentiated; nothing is counted."""
        return self._function

    def single_function(self) -> Function:
        """Return the loss as it is evaluated at one point at a time, where no population is ever made: not counted.

        A user's function is compiled where the framework compiles and that is seen to give the same value.
        """
        if self._user is None:
            return self.backend.compile(self._function)
        self.look()
        if "compile" not in self.backend.native or self._asked == "loop" or self._population_path == "loop":
            return self._user.alone
        if self._population_path is None and not self._compiles():
            return self._user.alone
        return self.backend.compile(self._function)

    def _compiles(self) -> bool:
        if self._user is None or self.first_look is None or self.first_look.noise > 0.0:
            return False
        with self.backend.computing_now() or nullcontext(), self.backend.scope(self._widest) or nullcontext():
            found = compiles(self._user, self.start, self.data)
        self.preparation_cost = self.preparation_cost + Cost(values=2)
        return found

    @contextmanager
    def _no_graph(self) -> Iterator[None]:
        """Keep no graph of derivatives, and have a user's function draw what it drew first in this estimate."""
        evaluating = self.backend.evaluating() if self._user is None else self._user.evaluating()
        with evaluating or nullcontext(), self.common_random_numbers():
            yield

    def common_random_numbers(self) -> AbstractContextManager[None]:
        """Return a context in which a user's function draws what it drew first in this estimate."""
        return nullcontext() if self._user is None else self._user.common_random_numbers()

    def one_estimate(self) -> AbstractContextManager[None]:
        """Return a context in which a user's function draws the same random numbers in all evaluations."""
        return nullcontext() if self._user is None or self._user.draws is False else self._user.one_estimate()

    def last_estimate(self) -> AbstractContextManager[None]:
        """Return a context in which a user's function draws what it drew in the last estimate of this thread."""
        return nullcontext() if self._user is None or self._user.draws is False else self._user.last_estimate()
