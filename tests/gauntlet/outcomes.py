"""Carries out one cell, and judges it: right, warned, refused, or one of the things that may never happen."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gauntlet import paths, plain
from gauntlet.frameworks import walk
from gauntlet.records import Asked, Either, Loss, Outcome, Refused, Right, Warned

import gradest
from gradest.tree import is_static

BAD = ("wrong", "raw error", "changed input", "other form", "random state")
"""What no cell may be."""


@dataclass(frozen=True)
class Found:
    """What a cell gave: "right", "warned", "refused", or one of `BAD`; and the words for it."""

    kind: str
    text: str = ""
    category: str = ""


def carry_out(loss: Loss, backend: str, dtype: str, name: str) -> Found:
    """Return what the estimator of a name gives for a loss on a backend."""
    asked = loss.ask(backend, dtype)
    estimator = paths.estimator(name, loss, dtype, asked)
    before = marks(asked)
    after_one = _state_after_one(asked)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if asked.seed is not None:
            asked.seed()
        try:
            gradient = estimate(asked, estimator)
        except gradest.GradestError as error:
            found: Found | None = Found("refused", str(error), _ancestry(error))
        except Exception as error:  # noqa: BLE001  # whatever comes through raw is a finding
            found = Found("raw error", f"{type(error).__name__}: {error}")
        else:
            found = None
    if _marks_or_none(asked) != before:
        return Found("changed input", "parameters or arguments are not what they were before")
    if found is not None:
        return found
    if not said and name != "null" and after_one is not None and asked.on.random_state() != after_one:
        return Found("random state", "the generator is not where one evaluation would have left it")
    return _judged(loss, asked, name, dtype, estimator, gradient, said)


def _ancestry(error: Exception) -> str:
    return " ".join(kind.__name__ for kind in type(error).__mro__)


def _state_after_one(asked: Asked) -> Any:
    """Return the random state that one evaluation would leave; None where it cannot be known."""
    if asked.seed is None:
        return None if asked.draws_numpy else asked.on.random_state()
    if asked.on.name == "mxnet":  # which does not tell where its generator stands
        return None
    asked.evaluate(asked.leaves())
    return asked.on.random_state()


def estimate(asked: Asked, estimator: gradest.Estimator) -> Any:
    """Return the gradient as a user asks for it, in one line."""
    function = gradest.grad(asked.f, method=estimator, **asked.options)
    found = function(*asked.first, asked.params, *asked.args, rng=plain.SEED, **asked.kwargs)
    return found[0] if asked.aux else found


def _marks_or_none(asked: Asked) -> list[bytes] | None:
    try:
        return marks(asked)
    except Exception:  # noqa: BLE001  # a model that is left unreadable was changed
        return None


def marks(asked: Asked) -> list[bytes]:
    """Return the bits of everything that was handed over, a model's buffers included."""
    on, held = asked.on, [*asked.args, *asked.first, *asked.kwargs.values()]
    model = on.is_model(asked.params)
    if model and hasattr(asked.params, "state_dict"):
        held += list(asked.params.state_dict().values())
        held.append(np.array([id(p) for p in asked.params.parameters()]))  # the very tensors, not others like them
    elif model:
        held += [p.data() for p in asked.params._collect_params_with_prefix().values()]
    else:
        held.append(asked.params)
    leaves = [leaf for tree in held for _, leaf in walk(tree)]
    return [on.bits(leaf) for leaf in leaves if hasattr(leaf, "dtype") and hasattr(leaf, "shape")]


def _judged(
    loss: Loss,
    asked: Asked,
    name: str,
    dtype: str,
    estimator: gradest.Estimator,
    gradient: Any,
    said: Sequence[warnings.WarningMessage],
) -> Found:
    if said:
        texts = dict.fromkeys(str(one.message) for one in said)
        kinds = {kind.__name__ for one in said for kind in one.category.__mro__}
        return Found("warned", "; ".join(texts), " ".join([said[0].category.__name__, *sorted(kinds)]))
    form = other_form(asked, gradient)
    if form:
        return Found("other form", form)
    leaves = list(gradient.values()) if asked.params is None else asked.on.leaves(gradient)
    found = [asked.on.numpy(leaf) for leaf in leaves]
    candidates = [asked] if asked.variants is None else asked.variants()
    expected = min(
        (plain.gradient_of(name, estimator, one) for one in candidates),
        key=lambda right: relative_distance(found, right),
    )
    distance = relative_distance(found, expected)
    bound = paths.tolerance(name, loss, dtype)
    if distance <= bound:
        return Found("right", f"{distance:.1e} of {bound:.0e}")
    return Found("wrong", f"{_shown(found)} where {_shown(expected)} is right: {distance:.1e} off, {bound:.0e} allowed")


def _shown(leaves: Sequence[np.ndarray]) -> str:
    return np.array2string(np.concatenate([x.ravel() for x in leaves])[:6], precision=4)


def relative_distance(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Return the distance relative to the length of what is right (to 1 where that is zero)."""
    a, b = (np.concatenate([np.asarray(x, dtype=np.float64).ravel() for x in each]) for each in (found, expected))
    if a.shape != b.shape or not np.isfinite(a).all():
        return float("inf")
    length = float(np.linalg.norm(b))
    return float(np.linalg.norm(a - b)) / (length if length > 0 else 1.0)


def other_form(asked: Asked, gradient: Any) -> str:
    """Return how the structure, an array's kind, its dtype or its device differ from the parameters'; "" where not."""
    on = asked.on
    if asked.params is None:
        names = tuple(asked.f.layout.names)
        return "" if tuple(gradient) == names else f"names {tuple(gradient)}, not {names}"
    params = on.trainable(asked.params) if on.is_model(asked.params) else asked.params
    asked_for, given = dict(walk(params)), dict(walk(gradient))
    asked_for = {place: leaf for place, leaf in asked_for.items() if not is_static(leaf)}
    if _containers(params) != _containers(gradient) or list(asked_for) != list(given):
        return f"{_containers(gradient)} with {list(given)}, not {_containers(params)} with {list(asked_for)}"
    for place, leaf in asked_for.items():
        if not on.is_array(leaf):
            continue
        if isinstance(leaf, float) and getattr(given[place], "shape", ()) == ():
            continue  # the slope of a number comes back as a number of Python's or as an array ()
        one, other = on.described(_detached(leaf)), on.described(given[place])
        if one != other:
            return f"{place}: {other}, not {one}"
    return ""


def _detached(leaf: Any) -> Any:
    return leaf.detach() if hasattr(leaf, "detach") and hasattr(leaf, "requires_grad") else leaf


def _containers(tree: Any) -> Any:
    """Return the classes of the containers, nested as they are."""
    if isinstance(tree, dict):
        return (type(tree).__name__, tuple(_containers(child) for child in tree.values()))
    if isinstance(tree, list | tuple):
        return (type(tree).__name__, tuple(_containers(child) for child in tree))
    return None if tree is None or is_static(tree) else ""  # a gradient holds None where there is no parameter


def complaint(found: Found, expected: Outcome) -> str:
    """Return what is wrong with a cell beside what the table says; "" where it is as it should be."""
    if isinstance(expected, Either):
        complaints = [complaint(found, expected.one), complaint(found, expected.other)]
        return " / ".join(complaints) if all(complaints) else ""
    wanted = {Right: "right", Warned: "warned", Refused: "refused"}[type(expected)]
    if found.kind != wanted:
        return f"{wanted} was expected; found {found.kind}: {found.text}"
    if isinstance(expected, Right):
        return ""
    named = expected.category if isinstance(expected, Warned) else expected.error
    if named not in found.category.split():
        return f"{named} was expected; found {found.category.split()[0]}: {found.text}"
    if not re.search(expected.match, found.text, re.DOTALL):
        return f"{expected.match!r} was expected in: {found.text}"
    return ""
