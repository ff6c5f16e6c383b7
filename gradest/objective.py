"""An objective: a problem, or a user's own function, bound to one backend, dtype and device.

It is all that an estimator sees. Data cross to the framework once, here. It counts evaluations truthfully: what
is evaluated inside a compiled step is counted each time the step runs.
"""

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from gradest.arguments import Arguments
from gradest.autodiff import Shared, perturbed_values, value_and_differences, value_and_gradient, value_and_jvps
from gradest.backend import Backend, Function, Leaves
from gradest.counting import JVPS, VALUES, VJPS, EvaluationCounts, Step
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.estimate import Cost
from gradest.evaluation import UserFunction, choose_population, one_by_one
from gradest.form import Form
from gradest.operations import Array, Data, Text
from gradest.problem import Problem
from gradest.refusals import MODES, cannot_differentiate, lacks_native, needs_operations, usable_estimators
from gradest.tangents import Tangent
from gradest.tree import Tree


class Objective:
    """A scalar function of parameter leaves on the arrays of one framework; made by `gradest.bind`.

    Attributes
    ----------
    backend, ops, kernel, dtype, device
        Where and how it runs.
    form, layout
        The form of the parameters; their names and shapes.
    start
        The leaves at which it was bound (private copies).
    text
        The loss in operations, where there is one: then `gradest.autodiff` can interpret it.
    problem
        The problem it was bound from, or None for a user's function.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> objective = gradest.bind(lambda x: (x * x).sum(), np.array([1.0, 2.0]))
    >>> loss = objective.prepare_value()
    >>> float(loss(objective.start)), str(objective.counts)
    (5.0, '1 value')
    """

    def __init__(
        self,
        *,
        backend: Backend,
        function: Function,
        text: Text | None,
        start: Leaves,
        form: Form,
        data: Data,
        kernel: str = "portable",
        problem: Problem | None = None,
        arguments: Arguments | None = None,
        model: Any = None,
        recipe: tuple[Callable[..., "Objective"], tuple[Any, ...]] | None = None,
        population: str = "auto",
        verify: bool = True,
    ) -> None:
        self.backend = backend
        self.kernel = kernel
        self.ops = backend.operations(kernel)
        self.text = text
        self.start = start
        self.data = data
        self.problem = problem
        self.form = form
        self.layout = form.layout
        self.dtypes = form.dtypes
        self.dtype = form.dtypes[0]
        self.device = form.device
        self._counts = EvaluationCounts()
        self._recipe = recipe
        self._arguments = arguments
        self._model = model
        self._function = function
        self._user = function if isinstance(function, UserFunction) else None
        self._asked = population
        self._verify = verify
        self._population_path: str | None = "batched" if text is not None else None
        self.preparation_cost = Cost()

    @property
    def counts(self) -> Cost:
        """The evaluations made so far, in all threads."""
        return self._counts.total

    def count(self, cost: Cost) -> None:
        """Add evaluations that were made elsewhere, by a worker."""
        self._counts.add_all(cost)

    def separate(self) -> "Objective":
        """Return the same objective with counts of its own, for another thread."""
        twin = object.__new__(type(self))  # copy.copy would pickle
        twin.__dict__.update(self.__dict__, _counts=EvaluationCounts())
        return twin

    def __reduce__(self) -> tuple[Callable[..., "Objective"], tuple[Any, ...]]:
        """Pickle what it was bound from, at its start and with its latest arguments; it is bound again on arrival."""
        if self._recipe is None:
            raise TypeError("this objective was not made by gradest.bind, and cannot be pickled")
        again, (f, params, *rest) = self._recipe
        if params is not None and self._model is None:  # as they were when bound, whatever was written to since
            params = self.start_tree
        with self.backend.scope(self.dtype) or nullcontext():
            content = pickle.dumps((again, (f, params, *rest)))
        return _bound_again, (self.backend, self.dtype, content)

    # -- parameters and arguments ------------------------------------------------------------------------
    @property
    def start_tree(self) -> Any:
        """The start point in the structure in which it was given."""
        return self.form.tree_of(self.start)

    def bound_to(self, params: Tree) -> bool:
        """Return whether `params` is the very model that the objective was bound with, or both are no model."""
        return self._model is (params if self.backend.is_model(params) else None)

    def take_arguments(self, args: tuple[object, ...]) -> Data | None:
        """Take other arrays in the places of the function's arguments: the next batch.

        Returns
        -------
        before
            None where they stay. Where a transformation of the framework is tracing them they mean nothing after this
            call, and the data to put back then is returned.

        Raises
        ------
        PreparationMismatchError
            They are of another form than those bound.
        UnsupportedError
            The objective is a problem, which has data of its own.
        """
        if self._arguments is None:
            raise UnsupportedError("arguments were given to a problem, which has its own data; bind another problem")
        before, self.data = self.data, self._arguments.renewed(args)
        if any(map(self.backend.is_abstract, self.data)):
            return before
        if self._recipe is not None:
            again, (f, params, _, *rest) = self._recipe
            self._recipe = (again, (f, params, args, *rest))
        return None

    def leaves_at(self, params: Tree) -> Leaves:
        """Return the leaves of `params`, or those of the start point for None.

        Raises
        ------
        PreparationMismatchError
            `params` are of another form than those bound.
        """
        return self.start if params is None else self.form.leaves_of(params)

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
        return self._population_path

    def evaluate_perturbed(
        self, leaves: Leaves, tangents: Sequence[Tangent], data: Data, *, shared: Shared | None = None
    ) -> Array:
        """Return the losses `(K,)` at `leaves + tangents`, using the structure of the tangents; counts K values.

        `shared` keeps what calls with the same leaves and data have in common.
        """
        self._counts.add(VALUES, tangents[0].count)
        text = self.require_text("structured evaluation")
        return perturbed_values(text, self.ops, leaves, tangents, data, shared=shared)

    def evaluate_differences(
        self, leaves: Leaves, tangents: Sequence[Tangent], data: Data, *, shared: Shared | None = None
    ) -> tuple[Array, Array]:
        """Return the loss and the exact differences `f(x + tangent_k) - f(x)`, `(K,)`; counts K + 1 values.

        `shared` keeps what calls with the same leaves and data have in common.
        """
        self._counts.add(VALUES, tangents[0].count + 1)
        text = self.require_text("cancellation-free differences")
        return value_and_differences(text, self.ops, leaves, tangents, data, shared=shared)

    def evaluate_jvps(self, leaves: Leaves, tangents: Sequence[Tangent], data: Data) -> tuple[Array, Array]:
        """Return the loss and the JVPs `(K,)` by gradest's dual numbers; counts K JVPs."""
        self._counts.add(JVPS, tangents[0].count)
        return value_and_jvps(self.require_text("engine='gradest'"), self.ops, leaves, tangents, data)

    def evaluate_gradient(self, leaves: Leaves, data: Data) -> tuple[Array, Leaves]:
        """Return the loss and its gradient by gradest's tape; counts one VJP."""
        self._counts.add(VJPS, 1)
        return value_and_gradient(self.require_text("engine='gradest'"), self.ops, leaves, data)

    # -- prepared functions -------------------------------------------------------------------------------
    def compile(self, step: Step) -> Step:
        """Return `step(*arrays, data)` compiled where the backend compiles, with this objective's data bound last.

        `step` takes nested tuples of arrays, then the data, and evaluates through the `evaluate_*` methods. What it
        counts while it is traced is added again each time the compiled step runs; steps whose count varies
        with anything but the shapes of their arguments must not be compiled.
        """
        compiled = self.backend.compile(step)
        return self.scoped(self._counts.counted(lambda *arrays: compiled(*arrays, self.data)))

    def stepped(self, step: Step) -> Step:
        """Return `step(*arrays, data)` with the data bound: compiled, but where the population is evaluated in a loop.

        A loop over a user's function reads values one by one, which no framework can trace.
        """
        if self.population_path != "loop":
            return self.compile(step)
        return self.scoped(lambda *arrays: step(*arrays, self.data))

    def prepare_value(self) -> Callable[[Leaves], Array]:
        """Return `leaves -> value`, compiled where that is right, and counted."""
        if self._user is not None and ("compile" not in self.backend.native or self.population_path == "loop"):
            return self._counted(self._user.alone, VALUES)
        return self._counted(self.backend.compile(self._function), VALUES)

    def prepare_gradient(self, engine: str = "auto") -> tuple[Callable[[Leaves], tuple[Array, Leaves]], str]:
        """Return `leaves -> (value, gradient leaves)` by reverse mode, and the engine that it uses.

        Raises
        ------
        UnsupportedError
            The engine cannot differentiate this objective.
        """
        if self.choose_engine(engine, "value_and_gradient") == "native":
            return self._counted(self.backend.value_and_gradient(self._function), VJPS), "native"
        return self.compile(self.evaluate_gradient), "gradest"

    def prepare_jvps(self) -> Callable[[Leaves, Leaves], tuple[Array, Array]]:
        """Return `(leaves, tangents (K, *shape) each) -> (value, jvps (K,))` by the framework's forward mode."""
        native = self.scoped(self.backend.value_and_jvps(self._function))

        def jvps(leaves: Leaves, tangents: Leaves) -> tuple[Array, Array]:
            self._counts.add(JVPS, int(tangents[0].shape[0]))
            with self._no_graph():
                value, products = native(leaves, tangents, self.data)
            return value, products

        return jvps

    def prepare_closed_form(self) -> Callable[[Leaves], tuple[Array, Leaves]]:
        """Return `leaves -> (value, gradient leaves)` by the problem's closed form.

        Raises
        ------
        UnsupportedError
            There is none.
        """
        problem = self.problem
        if problem is None or not problem.has_closed_form:
            what = "a user's function" if problem is None else f"problem {problem.name!r}"
            instead = usable_estimators(self.backend) if self.text is None else "'reverse' or 'forward'"
            raise UnsupportedError(f"the closed-form gradient was asked for; {what} has none; use {instead}")
        names, ops = self.layout.names, self.ops

        def closed_form(leaves: Leaves, data: Data) -> tuple[Array, Leaves]:
            value, gradient = problem.loss_and_gradient(ops, dict(zip(names, leaves, strict=True)), data)
            return value, tuple(gradient[name] for name in names)

        return self._counted(self.backend.compile(closed_form), VJPS)

    def choose_engine(self, engine: str, transformation: str) -> str:
        """Return "native" or "gradest" for an engine of "auto", "native" or "gradest".

        Raises
        ------
        UnsupportedError
            The engine asked for cannot carry out the transformation here.
        """
        if engine not in ("auto", "native", "gradest"):
            raise InvalidInputError(f"engine must be 'auto', 'native' or 'gradest'; found {engine!r}")
        has_native = transformation in self.backend.native
        if engine == "native" and not has_native:
            raise lacks_native(transformation, self.backend, opaque=self.text is None)
        chosen = "native" if has_native and engine != "gradest" else "gradest"
        if chosen == "gradest" and engine == "auto" and self.text is None:
            raise cannot_differentiate(transformation, self.backend)
        if chosen == "gradest":
            asked, instead = f"engine='gradest' ({MODES[transformation]})", "engine='native'" if has_native else None
            self.require_text(asked, instead=instead)
        return chosen

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
        if self.backend.scope(self.dtype) is None:
            return function
        backend, dtype = self.backend, self.dtype

        def run(*args: object) -> object:
            with backend.scope(dtype):  # type: ignore[union-attr]  # not None, as tested above
                return function(*args)

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
        assert self._user is not None
        size = int(population[0].shape[0])
        # One point is no population: nothing is batched, which some layers would do slowly, or not at all.
        if self.population_path == "vmap" and (size > 1 or "compile" in self.backend.native):
            return self._user.batched(population, data)
        return one_by_one(self._user, population, data, dtype=self.dtype, device=self.device)

    def _choose_population(self) -> str:
        assert self._user is not None
        with self.backend.computing_now() or nullcontext():
            way, cost = choose_population(self._user, self.start, self.data, asked=self._asked, verifies=self._verify)
        self.preparation_cost = self.preparation_cost + Cost(values=cost)
        return way

    @contextmanager
    def _no_graph(self) -> Iterator[None]:
        """Keep no graph of derivatives, and have a user's function draw what it drew first in this estimate."""
        draws = nullcontext() if self._user is None else self._user.common_random_numbers()
        with self.backend.evaluating() or nullcontext(), draws:
            yield

    def one_estimate(self) -> AbstractContextManager[None]:
        """Return a context in which a user's function draws the same random numbers in all evaluations."""
        return nullcontext() if self._user is None or self._user.draws is False else self._user.one_estimate()


def _bound_again(backend: Backend, dtype: str, content: bytes) -> Objective:
    """Bind a pickled objective; outside the backend's scope JAX would make float32 of float64."""
    with backend.scope(dtype) or nullcontext():
        again, given = pickle.loads(content)
    objective: Objective = again(*given)
    return objective
