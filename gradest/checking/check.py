"""`gradest.check`: is this gradient right? One call, no step and no tolerance to choose."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradest.backend import Backend
from gradest.binding import Bindable, bind_given
from gradest.case import Case
from gradest.checking.claims import entry_noise, flat_of, hessian_products, require_finite_loss, reverse_mode
from gradest.checking.examination import Examination, gradients_nearby
from gradest.checking.landscape import Landscape
from gradest.checking.result import BlockCheck, Defect, GradientCheck, Verdict
from gradest.directions.keys import generator_of
from gradest.errors import InvalidEstimateError, InvalidInputError, UnsupportedError
from gradest.objective import Objective
from gradest.problem import Problem
from gradest.refusals import usable_estimators
from gradest.signature import Argnums, Differentiated
from gradest.tree import Tree


def check(
    f: Bindable,
    params: Tree = None,
    gradient: Tree | Callable[..., Tree] = None,
    *args: object,
    order: int = 1,
    argnums: Argnums = 0,
    seed: int = 0,
    **kwargs: object,
) -> GradientCheck:
    """Return whether a gradient is right: true or false, with where and why it is wrong.

    The gradient is compared with whatever else there is: with the loss's own values, by a Taylor test over a sweep of
    steps; with the framework's forward mode (the adjoint identity `<grad f, v> = df(x) v`); and a gradient of the
    user's with the framework's reverse mode. Each comparison knows how far rounding reaches, in the dtype at hand. The
    whole of a block is tried at once along random directions, and single entries only where something is wrong.

    Parameters
    ----------
    f
        A function `f(params, *args, **kwargs) -> scalar`, a `Case`, a `Problem` or an `Objective`.
    params
        Where the gradient is asked: a pytree of arrays, an `nn.Module` or a Gluon `Block`; None for where a case, a
        problem or an objective is asked.
    gradient
        What is checked: arrays in the structure of the parameters (for a model by name or in its order), or a function
        `gradient(params, *args, **kwargs)` that returns them. By default reverse mode, with the custom rules in it.
        Of a loss that draws random numbers (dropout) a function is asked at the draw that is judged; arrays have to be
        of that draw: seed the framework alike before they are made and before the check.
    order
        1 for the gradient; 2 for products of the Hessian with a random vector u, by forward over reverse, compared with
        values of the slope `<grad f(x), u>`, whose gradient they are. No gradient is given then.
    argnums
        Which positional argument is differentiated, as `gradest.grad` takes it: counted without `gradient`.
    seed
        Of the directions.

    Returns
    -------
    result
        True where the verdict is "right"; it prints its resolution, the smallest relative error that it would have
        seen. Where rounding or a kink hides everything the verdict is "cannot tell", which counts as false.

    Raises
    ------
    InvalidEstimateError
        The gradient is of another structure or shape than the parameters, not real or not finite, or its function
        returned None.
    NonFiniteError
        The loss is NaN or infinite where the gradient is asked.
    UnsupportedError
        No gradient was given, and the framework cannot differentiate the loss; or, for order 2, not twice.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> loss = lambda w, x: float(np.sum((w - x) ** 2))
    >>> w, x = np.array([1.0, 2.0]), np.array([0.5, 3.0])
    >>> bool(gradest.check(loss, w, 2 * (w - x), x))
    True
    >>> wrong = gradest.check(loss, w, lambda w, x: w - x, x)  # a factor forgotten
    >>> bool(wrong), round(wrong.rate, 2), wrong.defects[0].cause
    (False, 1.0, 'a factor of 1/2')
    """
    _require_gradient(f, params, gradient, args, kwargs)
    objective = _bound(f, params, args, kwargs, argnums)
    before, backend = objective.counts, objective.backend
    # A loss that draws is another at each draw: a gradient function of the user's is asked at the draw that is judged.
    state = backend.random_state() if backend.reads_random_state and objective.text is None else None
    with objective.one_estimate():
        require_finite_loss(objective)
    if order != 1:
        return _check_products(objective, order, gradient, seed)
    landscape = Landscape(objective)  # evaluates, to see how: before the estimate, which begins at its first evaluation
    _put_back(backend, state)
    given = _called(gradient, f, params, args, kwargs) if callable(gradient) else gradient
    _put_back(backend, state)
    with objective.one_estimate():
        examination, reverse_used = _examination(landscape, given, seed)
        found = [examination.block(number) for number in range(len(objective.layout.names))]
    compared = ["values of the loss over a sweep of steps"]
    compared += ["forward mode"] if examination.forward_used else []
    compared += ["reverse mode"] if reverse_used else []
    if objective.draws and gradient is not None and not callable(gradient):
        compared += ["all at the next draw of the loss's random numbers, of which arrays have to be too"]
    claimed_by = "reverse mode" if gradient is None else "the gradient given"
    return _result(examination, found, claimed_by, compared, (objective.counts - before).values)


def _require_gradient(
    f: Bindable, params: Tree, gradient: Tree, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Refuse an argument of the loss in the gradient's place, where the loss lacks it and would take it."""
    if gradient is None or isinstance(f, Problem | Case | Objective):
        return
    try:
        takes = inspect.signature(f)
    except (TypeError, ValueError):  # a builtin that does not say
        return
    if _binds(takes, params, *args, **kwargs) or not _binds(takes, params, gradient, *args, **kwargs):
        return
    raise InvalidInputError(
        f"check takes (f, params, gradient, *args): the third argument, found {type(gradient).__name__}, is the "
        "gradient that is judged, and the loss lacks an argument; for the gradient of the framework write "
        "check(f, params, None, *args)"
    )


def _binds(takes: inspect.Signature, *args: Any, **kwargs: Any) -> bool:
    try:
        takes.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _put_back(backend: Backend, state: object) -> None:
    if state is not None:
        backend.set_random_state(state)


def _result(
    examination: Examination,
    found: Sequence[tuple[BlockCheck, Defect | None]],
    claimed_by: str,
    compared: Sequence[str],
    evaluations: int,
) -> GradientCheck:
    return GradientCheck(
        verdict=_verdict(examination, [block for block, _ in found]),
        claimed_by=claimed_by,
        blocks=tuple(block for block, _ in found),
        defects=tuple(sorted((d for _, d in found if d is not None), key=lambda d: -d.relative_size)),
        compared=(*compared, *examination.disagreements),
        noise=examination.noise,
        evaluations=evaluations,
    )


def _check_products(objective: Objective, order: int, gradient: Tree, seed: int) -> GradientCheck:
    """Return whether the Hessian's product with a random vector is the gradient of the slope along that vector."""
    if order != 2 or gradient is not None:
        found = f"order={order!r}" + ("" if gradient is None else " and a gradient")
        raise InvalidInputError(f"order must be 1, or 2 without a gradient; found {found}")
    generator, before = generator_of(seed), objective.counts
    with objective.one_estimate():
        reverse, product = reverse_mode(objective), hessian_products(objective)
        if reverse is None or product is None:
            raise UnsupportedError(
                f"order=2 checks products by forward over reverse; {objective.backend.name} has none for this loss; "
                "check the gradient, which products by differences are made of, or write the loss in operations"
            )
        # One vector for all blocks: the slope along it is a function whose gradient is the product that is checked.
        u = generator.standard_normal(objective.layout.num_parameters)
        landscape = Landscape(objective, lambda leaves: float(reverse(leaves) @ u))
        claim = product(objective.start, u)
        nearby = gradients_nearby(landscape, lambda leaves: product(leaves, u), generator)
        noise = entry_noise(objective, claim, nearby)
        again = product(objective.start, u)
        examination = Examination(
            landscape, claim, noise, again=again, reverse=None, generator=generator, forward=False
        )
        blocks = [examination.block(number) for number in range(len(objective.layout.names))]
    compared = ["slopes of the loss over a sweep of steps"]
    return _result(examination, blocks, "forward over reverse", compared, (objective.counts - before).vjps)


def _called(
    gradient: Callable[..., Tree], f: Bindable, params: Tree, args: tuple[object, ...], kwargs: dict[str, object]
) -> Tree:
    """Return what a gradient function of the user's gives where the loss is asked, with the loss's own arguments."""
    if isinstance(f, Case):
        params = f.params if params is None else params
        args, kwargs = (args, kwargs) if args or kwargs else (f.args, dict(f.kwargs))
    elif params is None and isinstance(f, Objective):
        params = f.start_tree
    given = gradient(params, *args, **kwargs)
    if given is None:  # which would ask for reverse mode in its place, and call that right
        raise InvalidEstimateError("a gradient was asked for; the function given returned None: is a `return` missing?")
    return given


def _examination(landscape: Landscape, given: Tree, seed: int) -> tuple[Examination, bool]:
    """Return the examination of a given gradient, or of reverse mode, and whether reverse mode is compared with."""
    objective = landscape.objective
    generator, reverse = generator_of(seed), reverse_mode(objective)
    if reverse is None and given is None:
        raise UnsupportedError(
            f"no gradient was given, and reverse mode was asked for in its place: {objective.backend.name} cannot "
            f"differentiate an opaque function; give gradient=, or use {usable_estimators(objective.backend)}"
        )
    try:
        own = None if reverse is None else reverse(objective.start)
    except UnsupportedError:  # the loss reads its values: a given gradient can be judged by them all the same
        if given is None:
            raise
        own = reverse = None
    nearby = [] if reverse is None else gradients_nearby(landscape, reverse, generator)
    claim = own if given is None else flat_of(objective, given)
    assert claim is not None
    # Of the framework's gradient where there is one: a wrong claim would say how far it may be off itself.
    noise = entry_noise(objective, claim if own is None else own, nearby)
    compared = own if given is not None else None
    # Only what is claimed by reverse mode is asked for twice: a user's arrays are one answer.
    again = reverse(objective.start) if given is None and reverse is not None else None
    examination = Examination(landscape, claim, noise, again=again, reverse=compared, generator=generator)
    return examination, compared is not None


def _verdict(examination: Examination, found: Sequence[BlockCheck]) -> Verdict:
    verdicts = [block.verdict for block in found]
    if Verdict.WRONG in verdicts:
        return Verdict.WRONG
    # What is untold of a block whose gradient is small is small; of one that rules the gradient, it is the answer.
    ruling = any(
        block.verdict is Verdict.CANNOT_TELL and not block.kink and block.resolution * share >= 1.0
        for block, share in zip(found, examination.shares, strict=True)
    )
    return Verdict.RIGHT if Verdict.RIGHT in verdicts and not ruling else Verdict.CANNOT_TELL


def _bound(
    f: Bindable, params: Tree, args: tuple[object, ...], kwargs: dict[str, object], argnums: Argnums
) -> Objective:
    if argnums != 0:
        if not callable(f) or isinstance(f, Objective | Problem | Case):
            raise InvalidInputError(f"argnums={argnums} is for a function f(params, *args); found {type(f).__name__}")
        order = Differentiated(argnums)
        chosen, others = order.first((params, *args))
        return bind_given(order.of(f), chosen, (others, kwargs))
    return bind_given(f, params, (args, kwargs))
