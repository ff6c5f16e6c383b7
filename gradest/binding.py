"""Binding: from a problem, or a user's own function and parameters, to an `Objective`.

Everything that is asked of parameters and arguments is checked here, above the backends, so that bad input is the
same error on each of them. This module knows no framework by name.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from gradest.arguments import Arguments, Given
from gradest.backend import Backend, Leaves, get_backend
from gradest.case import Case
from gradest.errors import InvalidInputError, InvalidTypeError, UnsupportedError
from gradest.evaluation import UserFunction, Verification, require_population
from gradest.form import Form
from gradest.objective import Objective
from gradest.operations import Array, Operations, Text
from gradest.owner import infer_backend, known_backends
from gradest.parameters import bound_inside, float_array, start_of
from gradest.problem import EmpiricalRisk, Problem
from gradest.problem_data import ProblemData
from gradest.tree import PartlyStatic, Structure, Tree, is_static

Bindable = Objective | Problem | Case | Callable[..., object]
"""What an objective can be made of; a function is of `(params, *args, **kwargs)` and returns one real number."""

BINDING = ("backend", "dtype", "device", "kernel", "population", "verify", "per_example")
"""The names of the options of `bind`."""


def bind(
    f: Bindable,
    params: Tree = None,
    *args: object,
    backend: str | Backend | None = None,
    dtype: str | None = None,
    device: str | None = None,
    kernel: str = "portable",
    population: str = "auto",
    verify: bool = True,
    per_example: bool = False,
    **kwargs: object,
) -> Objective:
    """Return the objective of a problem, or of a user's function, on one backend.

    Parameters
    ----------
    f
        A `Problem`, a function `f(params, *args, **kwargs) -> scalar`, or a `Case`: such a function with where it is
        asked.
    params
        For a function: a pytree of floating-point arrays, an `nn.Module` or a Gluon `Block`. Text, truth values,
        functions and classes in the pytree are settings: the function is given them as they are, and the gradient has
        None in their places. For a problem: a mapping of arrays, its own start point by default.
    *args, **kwargs
        Further arguments of the function, not differentiated; one whose name is an option of `bind` goes in by
        `functools.partial`. Arrays among them are copied, as the parameters are: what changes in place afterwards is
        not seen. NumPy arrays beside parameters of NumPy's or JAX's go to their framework and device, floating-point
        ones in their dtype; PyTorch's and MXNet's functions are given them as they are.
        A problem takes `data=` alone, in place of its own: `problem.batch_of(rows)`, or data that were held out.
    backend
        A name or a backend; for a function the one that owns the arrays by default, for a problem "numpy".
    dtype
        For a problem: "float64" (default), "float32" or another of the backend's. A function computes in the
        dtype of its parameters.
    kernel
        "portable" or "native": which composed operations a problem's loss uses.
    population
        How estimators that only evaluate a user's function do so at many points: "vmap", by the framework's batching;
        "loop", one evaluation after another, which any function that returns a number can carry out (values read,
        branches on them, NumPy or a simulator inside); "auto" compares one batched pair with single evaluations when
        such an estimator is prepared, and takes the loop where batching is refused or disagrees.
    verify
        Whether some evaluations at the start point may be spent, in preparation, on finding out whether the function
        is noisy, writes into its inputs, or can be batched. Without them "auto" is the loop.
    per_example
        Whether the function returns one loss for each example, an array `(B,)`: the loss is their mean, and what needs
        the examples apart (`gradest.noise_scale`) has them.

    Raises
    ------
    InvalidTypeError
        A parameter is not a floating-point array.
    InvalidInputError, NonFiniteError, UnsupportedError, MissingDependencyError
        Something cannot be used; nothing has been evaluated.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> objective = gradest.bind(lambda p, x: np.sum((p["w"] - x) ** 2), {"w": np.zeros(2)}, np.array([1.0, 2.0]))
    >>> objective.backend.name, objective.dtype, objective.layout.shapes
    ('numpy', 'float64', ((2,),))
    >>> gradest.get_estimator("complex-step")(objective).gradient["w"].tolist()
    [-2.0, -4.0]
    """
    return bind_given(
        f,
        params,
        (args, kwargs),
        backend=backend,
        dtype=dtype,
        device=device,
        kernel=kernel,
        population=population,
        verify=verify,
        per_example=per_example,
    )


def bind_given(
    f: Bindable,
    params: Tree,
    given: Given,
    *,
    backend: str | Backend | None = None,
    dtype: str | None = None,
    device: str | None = None,
    kernel: str = "portable",
    population: str = "auto",
    verify: bool = True,
    per_example: bool = False,
) -> Objective:
    """Return what `bind` does, for arguments whose names may be those of its options."""
    if isinstance(f, Objective):
        options: dict[str, object] = {"params": params, "args": given[0] or None, "backend": backend}
        options |= {"dtype": dtype, "device": device, "per_example": per_example or None}
        extra = [name for name, value in {**options, **given[1]}.items() if value is not None]
        if extra:
            raise InvalidInputError(f"{', '.join(extra)} were given with an Objective, which is bound already")
        return f
    if device is not None and not isinstance(device, str):
        raise InvalidTypeError(f"device must be a name, such as 'cpu' or 'cuda:0'; found {type(device).__name__}")
    if isinstance(f, Case):
        case = f
        f, params = case.f, case.params if params is None else params
        given = case.arguments(*given)
    if isinstance(f, Problem):
        _require_no_examples(f, per_example)
        return _bind_problem(f, params, given, backend or "numpy", dtype or "float64", device, kernel)
    if not callable(f):
        raise InvalidTypeError(f"a Problem, an Objective or a function was asked for; found {type(f).__name__}")
    if params is None:
        raise InvalidInputError("a function needs params: a pytree of arrays, an nn.Module or a Gluon Block")
    if dtype is not None:
        raise InvalidInputError(f"dtype={dtype!r} was given with a function; it computes in its parameters' dtype")
    where = get_backend(backend) if backend else infer_backend(params)
    return _bind_function(f, params, given, where, device, population, verify, per_example)


def _require_no_examples(problem: Problem, per_example: bool) -> None:
    """Refuse with a problem, which says itself what it is, what a function is said to return."""
    if per_example:
        raise InvalidInputError(f"per_example=True is for a function; problem {problem.name!r} says itself what it is")


def _bind_problem(
    problem: Problem,
    params: Tree,
    given: Given,
    backend_name: str | Backend,
    dtype: str,
    device: str | None,
    kernel: str,
) -> Objective:
    backend = get_backend(backend_name)
    where = _require_available(backend, dtype, kernel, device)
    names = problem.layout.names
    _require_values(backend, params)
    leaves, structure = _leaves_of_problem(problem, params, backend)
    # What was given in NumPy comes back in NumPy; a problem's own start, in the framework's arrays.
    returns_numpy = params is not None and not all(backend.owns(leaf) for leaf in leaves)
    with backend.scope(dtype) or nullcontext():
        start = tuple(
            backend.array(float_array(backend, leaf, p), dtype=dtype, device=where)
            for leaf, p in zip(leaves, names, strict=True)
        )
    data = ProblemData(problem, backend, dtype=dtype, device=where)

    text = _text_of(problem.loss, names)
    objective = Objective(
        backend=backend,
        function=backend.compile_loss(partial(text, backend.operations(kernel))),
        text=text,
        losses_text=_text_of(problem.losses, names) if isinstance(problem, EmpiricalRisk) else None,
        start=start,
        form=Form(backend, start, names, structure, returns_numpy=returns_numpy),
        # Its own data, which may be large, cross only where no others are given.
        data={} if any(given) else data.own(),
        kernel=kernel,
        problem=problem,
        problem_data=data,
        recipe=(_bind_again, (problem, params, ((), {}), backend.name, dtype, where, kernel)),
    )
    _take_data(objective, given)
    return objective


def _take_data(objective: Objective, given: Given) -> None:
    """Put data in place of a problem's own, and say of a loss of steps what a look at a user's function would find."""
    if any(given):
        objective.take_arguments(*given)
    if objective.problem is not None and not objective.problem.differentiable:
        objective.first_look = Verification(noise=0.0, evaluations=0, level=True)


def _text_of(loss: Callable[..., Array], names: tuple[str, ...]) -> Text:
    """Return a loss of a problem as one of parameter leaves."""

    def text(ops: Operations, values: Leaves, given: Mapping[str, Array]) -> Array:
        found: Array | None = loss(ops, dict(zip(names, values, strict=True)), given)
        if found is None:  # of which every derivative would be zero
            raise InvalidTypeError(f"a loss was asked for; {loss.__qualname__} returned None: is a `return` missing?")
        return found

    return text


def _require_available(backend: Backend, dtype: str, kernel: str, device: str | None) -> str:
    """Return the device to run on, refusing a dtype, kernels or a device that the backend does not have."""
    for asked, known, what in ((dtype, backend.dtypes, "dtype"), (kernel, backend.kernels, "kernel")):
        if asked not in known:
            raise UnsupportedError(f"backend {backend.name!r} has no {what} {asked!r}; it has: {', '.join(known)}")
    devices = backend.devices()
    where = device or devices[0]
    if ":" not in where:  # "cuda" alone is the first of its kind, as the frameworks have it
        where = next((each for each in devices if each.partition(":")[0] == where), where)
    if where not in devices:
        raise UnsupportedError(f"backend {backend.name!r} has no device {where!r} here; it has: {', '.join(devices)}")
    return where


def _leaves_of_problem(problem: Problem, params: Tree, backend: Backend) -> tuple[Leaves, Structure]:
    """Return the start of a problem, or the parameters given in its place, which must be of its layout."""
    names = problem.layout.names
    if isinstance(params, dict) and params.keys() == set(names):  # in another order they are the same parameters
        params = {name: params[name] for name in names}
    leaves, paths, structure = backend.flatten(problem.parameters() if params is None else params)
    if paths != names:
        raise InvalidInputError(f"problem {problem.name!r} has parameters {names}; found {paths}")
    shapes = tuple(np.shape(leaf) for leaf in leaves)
    if shapes != problem.layout.shapes:
        raise InvalidInputError(
            f"problem {problem.name!r} has parameters of shapes {problem.layout.shapes}; found {shapes}"
        )
    return leaves, structure


def _bind_function(
    f: Callable[..., Any],
    params: Tree,
    given: Given,
    backend: Backend,
    device: str | None,
    population: str,
    verify: bool,
    per_example: bool,
) -> Objective:
    require_population(population)
    as_given = (f, params, given)
    model = params if backend.is_model(params) else None
    if model is not None:
        f, params = backend.bind_model(f, model), backend.model_parameters(model)
    leaves, paths, structure = _parameters(backend, params)
    _require_values(backend, (params, given))
    if model is None:
        f = backend.bind_arrays(f, leaves, paths)
    start, returns_numpy = start_of(leaves, paths, backend, device)
    # A compiled function would hold NumPy arguments as constants, and be compiled again for each new batch.
    crosses = returns_numpy or "compile" in backend.native
    arguments = Arguments(backend, *given, like=start[0] if crosses else None)
    form = Form(backend, start, paths, structure, returns_numpy=returns_numpy, model=model)
    return Objective(
        backend=backend,
        function=UserFunction(f, backend=backend, form=form, arguments=arguments, per_example=per_example),
        text=None,
        start=start,
        form=form,
        data=arguments.data,
        arguments=arguments,
        model=model,
        recipe=(_bind_again, (*as_given, backend.name, None, device, "portable", population, verify, per_example)),
        population=population,
        verify=verify,
    )


def _parameters(backend: Backend, params: Tree) -> tuple[tuple[Any, ...], tuple[str, ...], Structure | PartlyStatic]:
    """Return leaves and paths of the parameters, and the structure, which knows what in the tree is none.

    Raises
    ------
    InvalidTypeError
        There is no parameter.
    """
    leaves, paths, structure = backend.flatten(params)
    statics = {place: leaf for place, leaf in enumerate(leaves) if is_static(leaf)}
    if not statics:
        return leaves, paths, structure
    if len(statics) == len(leaves):
        raise InvalidTypeError(f"params has no arrays in it: found {params!r}; pass at least one array of parameters")
    mixed = PartlyStatic(structure, statics)
    return mixed.parameters_of(leaves), mixed.parameters_of(paths), mixed


def tracing_backend(tree: Tree) -> Backend | None:
    """Return the backend of which a transformation is tracing an array of a pytree; None where none is."""
    return next((backend for backend in known_backends() if _is_traced(backend, tree)), None)


def _is_traced(backend: Backend, tree: Tree) -> bool:
    try:
        return any(map(backend.is_abstract, backend.flatten(tree)[0]))
    except InvalidInputError:  # no leaves at all
        return False


def _require_values(backend: Backend, tree: Tree) -> None:
    if _is_traced(backend, tree):
        raise bound_inside(backend)


def with_values(tree: Tree, backend: Backend) -> Tree:
    """Return a pytree with stand-ins for the arrays that are being traced, to prepare with."""
    leaves, _, structure = backend.flatten(tree)
    return structure.rebuild([backend.stand_in(leaf) if backend.is_abstract(leaf) else leaf for leaf in leaves])


def _bind_again(
    f: Any,
    params: Tree,
    given: Given,
    backend: str,
    dtype: str | None,
    device: str | None,
    kernel: str,
    population: str = "auto",
    verify: bool = True,
    per_example: bool = False,
) -> Objective:
    """Bind in another process what was bound in this one."""
    return bind_given(
        f,
        params,
        given,
        backend=backend,
        dtype=dtype,
        device=device,
        kernel=kernel,
        population=population,
        verify=verify,
        per_example=per_example,
    )
