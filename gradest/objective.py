"""An objective: a problem, or a user's own function, bound to one backend, dtype and device.

It is all that an estimator sees. Data cross to the framework once, here. It counts evaluations truthfully: what
is evaluated inside a compiled step is counted each time the step runs.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

from gradest.arguments import Arguments
from gradest.autodiff import value_and_gradient
from gradest.backend import Backend, Function, Leaves, as_float64
from gradest.counting import JVPS, VALUES, VJPS, EvaluationCounts, Step
from gradest.engines import choose_engine
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.evaluations import Evaluations
from gradest.form import Form
from gradest.operations import Array, Data, Text
from gradest.pickled import bound_again, pickled
from gradest.problem import Problem, closed_form
from gradest.problem_data import ProblemData
from gradest.refusals import MODES, has_no_derivative, usable_estimators
from gradest.tree import Tree
from gradest.weighted_losses import weighted_function, weighted_text, with_weights


class Objective(Evaluations):
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
    losses_text
        The loss of each example in operations, `(B,)`, where a problem states those; see `has_losses`.
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
        losses_text: Text | None = None,
        kernel: str = "portable",
        problem: Problem | None = None,
        problem_data: ProblemData | None = None,
        arguments: Arguments | None = None,
        model: Any = None,
        recipe: tuple[Callable[..., "Objective"], tuple[Any, ...]] | None = None,
        population: str = "auto",
        verify: bool = True,
    ) -> None:
        super().__init__(
            backend=backend,
            function=function,
            text=text,
            losses_text=losses_text,
            start=start,
            form=form,
            data=data,
            kernel=kernel,
            population=population,
            verify=verify,
        )
        self.problem = problem
        self._problem_data = problem_data
        self._recipe = recipe
        self._given = None if recipe is None else recipe[1][2]  # latest; what the recipe has was bound first
        self._arguments = arguments
        self._model = model
        self._value: Callable[[Leaves], Array] | None = None

    def separate(self) -> "Objective":
        """Return the same objective with counts of its own, for another thread."""
        twin = object.__new__(type(self))  # copy.copy would pickle
        twin.__dict__.update(self.__dict__, _counts=EvaluationCounts(), _value=None)
        return twin

    def __reduce__(self) -> tuple[Callable[..., "Objective"], tuple[Any, ...]]:
        """Pickle what it was bound from, at its start and with its latest arguments; it is bound again on arrival."""
        if self._recipe is None:
            raise TypeError("this objective was not made by gradest.bind, and cannot be pickled")
        again, (f, params, _, *rest) = self._recipe
        if params is not None and self._model is None:  # as they were when bound, whatever was written to since
            params = self.start_tree
        with self.backend.scope(self._widest) or nullcontext():
            content = pickled(self, (again, (f, params, self._given, *rest)))
        return bound_again, (self.backend, self._widest, content)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Objective":
        """Return itself where the model that it is bound to is being copied, which holds it; bind again elsewhere."""
        if self._model is not None and id(self._model) in memo:
            return self  # the copy of the model is not complete yet: prepared for it is what is prepared later
        again, given = self.__reduce__()
        return again(*given)

    def rebound(self, *, dtype: str | None = None, leaves: Leaves | None = None) -> "Objective":
        """Return the same loss bound again: in another dtype, at other parameter leaves, or both.

        Parameters and floating-point arguments are those bound here, as their own dtype holds them, exact in a finer
        one. Whether a user's function can compute in it, an evaluation shows: it may hold arrays of its own. What is
        evaluated is counted by the new objective.
        """
        assert self._recipe is not None  # as of all that `bind` makes
        again, (f, _, _, backend, own_dtype, device, *rest) = self._recipe
        at = self.start if leaves is None else leaves
        if self.problem is not None:
            return again(f, self.form.params_of(at), self._given, backend, dtype or own_dtype, device, *rest)
        assert self._arguments is not None
        with self.backend.scope(dtype or self._widest) or nullcontext():
            params = self.form.user_tree_of([self._as(leaf, dtype) for leaf in at])
            arguments = self._arguments.rebuild(tuple(self._as(array, dtype) for array in self.data))
            model = self._model
            if model is not None:
                copied = None if dtype is None else self.backend.model_in_dtype(model, dtype)
                f = self.backend.bind_model(f, model if copied is None else copied)
            return again(f, params, arguments, backend, None, device, *rest)

    def _as(self, array: Array, dtype: str | None) -> Array:
        """Return a floating-point array in another dtype, and any other array as it is."""
        own = self.backend.dtype(array)
        if dtype in (None, own) or not ("float" in own or own == "longdouble"):
            return array
        values = self.backend.numpy(array)
        values = values if values.dtype.kind == "f" else as_float64(self.backend, array)  # bfloat16 is none of NumPy's
        return self.backend.array(values, dtype=dtype, device=self.backend.device(array))

    # -- parameters and arguments ------------------------------------------------------------------------
    @property
    def start_tree(self) -> Any:
        """The start point in the structure in which it was given."""
        return self.form.params_of(self.start)

    def bound_to(self, params: Tree) -> bool:
        """Return whether `params` is the very model that the objective was bound with, or both are no model."""
        return self._model is (params if self.backend.is_model(params) else None)

    @property
    def draws(self) -> bool:
        """Whether the loss draws from the framework's random generator, as far as its first look has shown it."""
        return self._user is not None and self._user.draws is True

    @property
    def has_arguments(self) -> bool:
        """Whether the user's function was given arguments beside its parameters, or the problem other data."""
        return self._arguments.given if self._arguments is not None else any(self._given or ())

    @property
    def data_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of a problem's data as they are bound now; of a user's function none, which may change shape."""
        return () if self._problem_data is None else tuple([array.shape for array in self.data.values()])

    def take_arguments(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Data | None:
        """Take other arrays in the places of the function's arguments, or of a problem's `data=`: the next batch.

        Returns
        -------
        before
            None where they stay. Where a transformation of the framework is tracing them they mean nothing after this
            call, and the data to put back then is returned.

        Raises
        ------
        PreparationMismatchError
            They are of another form than those bound.
        InvalidInputError, InvalidTypeError
            A problem was given something else than `data`, or data that are no arrays.
        """
        if self._problem_data is not None and len(kwargs) == 1 and not args:
            batch = self._problem_data.again(kwargs.get("data"))
            if batch is not None:
                self.data, self._given = batch, (args, kwargs)
                return None
        before = self.data
        if self._arguments is not None:
            self.data = self._arguments.renewed(args, kwargs)
        elif self._problem_data is not None and not args and kwargs.keys() == {"data"}:
            self.data = self._problem_data.crossed(kwargs["data"], like=self.data)
        else:
            found = ", ".join((*(type(arg).__name__ for arg in args), *kwargs))
            raise InvalidInputError(
                f"a problem takes other data by name, data={{...}}, and nothing else; found {found}"
            )
        if any(map(self.backend.is_abstract, self.data.values() if self._arguments is None else self.data)):
            return before
        self._given = args, kwargs
        return None

    def leaves_at(self, params: Tree) -> Leaves:
        """Return the leaves of `params`, or those of the start point for None.

        Raises
        ------
        PreparationMismatchError
            `params` are of another form than those bound.
        """
        return self.start if params is None else self.form.leaves_of(params)

    def value(self, params: Tree = None) -> Any:
        """Return the loss at `params`, the start point by default, with the arguments bound last; counts one value.

        Raises
        ------
        PreparationMismatchError
            `params` are of another form than those bound.

        Examples
        --------
        >>> import numpy as np, gradest
        >>> objective = gradest.bind(lambda x, scale: float(scale * x @ x), np.array([1.0, 2.0]), scale=3.0)
        >>> float(objective.value()), float(objective.value(np.zeros(2)))
        (15.0, 0.0)
        """
        if self._value is None:
            self._value = self.prepare_value()
        return self._value(self.leaves_at(params))

    # -- prepared functions -------------------------------------------------------------------------------
    def compile(self, step: Step, *, seldom: bool = False) -> Step:
        """Return `step(*arrays, data)` compiled where the backend compiles, with this objective's data bound last.

        `step` takes nested tuples of arrays, then the data, and evaluates through the `evaluate_*` methods. What it
        counts while it is traced is added again each time the compiled step runs; steps whose count varies
        with anything but the shapes of their arguments must not be compiled. One that runs `seldom` compiles sooner.
        """
        compiled = self.backend.compile(step, seldom=seldom)
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

    def prepare_single(self) -> Callable[[Leaves], Array]:
        """Return `leaves -> value`, counted, for estimators that evaluate one point at a time and make no population.

        Unlike `prepare_value` it never tries whether the framework batches, which takes the memory of several points.
        """
        return self._counted(self.single_function(), VALUES)

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

    def prepare_losses(self) -> Callable[[Leaves], Array]:
        """Return `leaves -> losses (B,)`, those of each example, counted as one value.

        Raises
        ------
        UnsupportedError
            The examples of the loss are not known apart.
        """
        self.require_losses("the loss of each example")
        if self._user is not None:
            return self._counted(partial(self._user.alone, apart=True), VALUES)
        text, ops = self.losses_text, self.ops
        assert text is not None
        return self._counted(self.backend.compile(lambda leaves, data: text(ops, leaves, data)), VALUES)

    def prepare_weighted_gradient(self) -> Callable[[Leaves, Array], Leaves]:
        """Return `(leaves, weights (B,)) -> gradient leaves` of `sum_b weights_b l_b`, by reverse mode; counts a VJP.

        Raises
        ------
        UnsupportedError
            The examples of the loss are not known apart, or nothing here differentiates it.
        """
        self.require_losses("the gradient of a weighted loss")
        text, ops, user = self.losses_text, self.ops, self._user
        if self.choose_engine("auto", "value_and_gradient") == "gradest" and text is not None:
            pull = self.backend.compile(partial(value_and_gradient, partial(weighted_text, text), ops))
        elif text is not None:
            pull = self.backend.value_and_gradient(self.backend.compile_loss(partial(weighted_text, text, ops)))
        else:
            assert user is not None
            pull = self.backend.value_and_gradient(partial(weighted_function, user.losses))

        def gradient(leaves: Leaves, weights: Array) -> Leaves:
            self._counts.add(VJPS, 1)
            found: Leaves = pull(leaves, with_weights(self.data, weights))[1]
            return found

        return self.scoped(gradient)

    def prepare_jvps(self) -> Callable[[Leaves, Leaves], tuple[Array, Array]]:
        """Return `(leaves, tangents (K, *shape) each) -> (value, jvps (K,))` by the framework's forward mode."""
        native = self.scoped(self.backend.value_and_jvps(self._function))

        def jvps(leaves: Leaves, tangents: Leaves) -> tuple[Array, Array]:
            self._counts.add(JVPS, int(tangents[0].shape[0]))
            with self._no_graph():
                value, products = native(leaves, tangents, self.data)
            return value, products

        return jvps

    def prepare_hessian_product(self) -> tuple[Callable[[Leaves, Leaves], Leaves], str] | None:
        """Return `(leaves, direction leaves) -> Hessian times direction`, and the engine; None where there is none.

        The framework's own comes first; gradest's is for losses in operations. A product counts one JVP and one VJP.
        """
        self.require_derivative("a Hessian-vector product")
        native = self.backend.hessian_product(self._function)
        if native is None or (self.text is not None and self.backend.interprets):  # as `choose_engine` has it
            return None if self.text is None else (self.compile(self.evaluate_hessian_product), "gradest")
        run = self.scoped(native)

        def product(leaves: Leaves, direction: Leaves) -> Leaves:
            self._counts.add(JVPS, 1)
            self._counts.add(VJPS, 1)
            found: Leaves = run(leaves, direction, self.data)
            return found

        return product, "native"

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

        def by_problem(leaves: Leaves, data: Data) -> tuple[Array, Leaves]:
            return closed_form(problem, ops, dict(zip(names, leaves, strict=True)), data)

        return self._counted(self.backend.compile(by_problem), VJPS)

    def require_derivative(self, asked: str) -> None:
        """Refuse a derivative of a problem that says it has none, such as a number of errors.

        Raises
        ------
        UnsupportedError
            It is 0 wherever it is defined; the message says what can be used.
        """
        if self.problem is not None and not self.problem.differentiable:
            raise has_no_derivative(asked, self.problem.name)

    def choose_engine(self, engine: str, transformation: str) -> str:
        """Return "native" or "gradest" for an engine of "auto", "native" or "gradest".

        Raises
        ------
        UnsupportedError
            The engine asked for cannot carry out the transformation here, or the problem has no derivative.
        """
        self.require_derivative(MODES[transformation])
        chosen = choose_engine(engine, transformation, self.backend, written_in_operations=self.text is not None)
        if chosen == "gradest":
            instead = "engine='native'" if transformation in self.backend.native else None
            self.require_text(f"engine='gradest' ({MODES[transformation]})", instead=instead)
        return chosen
