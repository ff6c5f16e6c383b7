"""From a call as a user writes it to the arrays and options of a rule.

Positional options become keywords, keywords that say what holds anyway are dropped, and those that a rule does not
know are refused by name.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from gradest.errors import InvalidTypeError, UnsupportedError
from gradest.primitives import MakeVjp, Primitive, rules_of
from gradest_numpy.differentiation import special
from gradest_numpy.differentiation.rules import NOT_GIVEN, Entry, Rule, name_of, zero

NEUTRAL: Mapping[str, Callable[[Any], bool]] = {
    "out": lambda value: value is None or (isinstance(value, tuple) and all(part is None for part in value)),
    "dtype": lambda value: value is None,
    "where": lambda value: value is True or value is NOT_GIVEN,
    "keepdims": lambda value: value is NOT_GIVEN,
    "initial": lambda value: value is NOT_GIVEN,
    "mean": lambda value: value is NOT_GIVEN,
    "correction": lambda value: value is NOT_GIVEN,
    "casting": lambda value: value == "same_kind",
    "subok": lambda value: True,
    "like": lambda value: value is None,
    "stable": lambda value: value in (None, NOT_GIVEN),
    "copy": lambda value: value is True,
}
"""Keywords that change nothing with the value that they have here."""

IN_PLACE = "such values are not written into arrays: a = a + x in place of a += x, y = f(x) in place of out="


@cache
def parameters(function: Any) -> tuple[str, ...]:
    """Return the names of a function's parameters, () where it does not say."""
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def arranged(
    function: Any, rule: Rule, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a call as the arrays that the rule takes, and everything else by keyword."""
    count = len(rule.vjps)
    names = parameters(function)
    options = dict(kwargs)
    for k in range(len(args), count):  # an array given by its name: np.sum(a=x)
        if k < len(names) and names[k] in options:
            args = (*args, options.pop(names[k]))
    if len(args) > count and not isinstance(function, np.ufunc):
        options.update(zip(names[count : len(args)], args[count:], strict=True))
        args = args[:count]
    if len(args) != count:
        raise TypeError(f"{name_of(function)} takes {count} arrays with a derivative; found {len(args)}")
    for key, value in options.items():
        if hasattr(value, "primal"):
            raise UnsupportedError(
                f"{name_of(function)} was called with a value that is being differentiated as its {key}, by which it "
                "has no rule; compute it from data alone"
            )
    return args, _without_neutral(name_of(function), options, rule.options)


def accepted(function: Any, text: Callable[..., Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keywords of a composed function, without those that change nothing."""
    return _without_neutral(name_of(function), dict(kwargs), frozenset(parameters(text))) if kwargs else kwargs


def _without_neutral(name: str, options: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    kept = {}
    for key, value in options.items():
        if key in NEUTRAL and NEUTRAL[key](value):
            continue
        if key not in known:
            raise UnsupportedError(
                f"{name} was called with {key}= and a value that is being differentiated; its rule has no {key}: "
                + (IN_PLACE if key in ("out", "copy") else "leave it out")
            )
        kept[key] = value
    return kept


def require_untraced_out(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse a step that is to be written into what is being differentiated, which would keep its derivative."""
    out = kwargs.get("out")
    if out is None and not isinstance(function, np.ufunc) and "out" in (names := parameters(function)):
        out = next(iter(args[names.index("out") :]), None)
    if any(hasattr(part, "primal") for part in (out if isinstance(out, tuple) else (out,))):
        raise UnsupportedError(
            f"{name_of(function)} was called with out= a value that is being differentiated: {IN_PLACE}"
        )


# -- methods of ufuncs -----------------------------------------------------------------------------
REDUCTIONS = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
}
ACCUMULATIONS = {np.add: np.cumsum, np.multiply: np.cumprod}


def ufunc_method(ufunc: Any, method: str, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """Return a ufunc called with keywords, or one of its methods: `reduce`, `accumulate`, `outer`."""
    name = name_of(ufunc) if method == "__call__" else f"{name_of(ufunc)}.{method}"
    if method == "__call__":
        options = {key: value for key, value in options.items() if key != "order"}  # of memory, not of entries
        return ufunc(*inputs, **_without_neutral(name, options, frozenset()))
    known = {"axis", "keepdims"} if ufunc is np.logaddexp else {"axis", "keepdims", "where", "initial"}
    given = _without_neutral(name, dict(options), frozenset(known))
    if method == "outer" and not given:
        x, y = inputs
        return ufunc(np.reshape(x, np.shape(x) + (1,) * np.ndim(y)), y)
    tables: dict[str, Mapping[Any, Any]] = {"reduce": REDUCTIONS, "accumulate": ACCUMULATIONS}
    table = tables.get(method, {})
    if ufunc in table:
        return table[ufunc](*inputs, **{"axis": 0, **given})
    if ufunc is np.logaddexp and method == "reduce":
        return _logsumexp(*inputs, **given)
    raise UnsupportedError(
        f"{name} was called with a value that is being differentiated, and has no rule; use add, multiply, maximum, "
        "minimum or logaddexp .reduce, add or multiply .accumulate, or .outer, or write it in other functions"
    )


def _logsumexp(x: Any, axis: Any = 0, keepdims: bool = False) -> Any:
    """Return log(sum(exp(x))), shifted by the largest entry, which is a constant: it cancels."""
    largest = np.max(_detached(x), axis=axis, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    sums = np.sum(np.exp(x - shift), axis=axis, keepdims=keepdims)
    shift, none = np.reshape(shift, np.shape(sums)), _detached(sums) == 0
    if not np.any(none):
        return np.log(sums) + shift
    # Of entries that are all -inf it is -inf, with slope 0 as `logaddexp` of two of them has.
    return np.where(none, shift.dtype.type(-np.inf), np.log(np.where(none, shift.dtype.type(1), sums)) + shift)


def _detached(x: Any) -> Any:
    while hasattr(x, "primal"):
        x = x.primal
    return x


# -- rules that are found when they are first asked for --------------------------------------------
def special_rule(function: Any) -> Rule | None:
    """Return the rule of a ufunc of SciPy's, which whoever calls it has imported."""
    return special.rule_of(function)


def user_rule(function: Any) -> Rule | None:
    """Return the rule that a user gave a function of NumPy's or SciPy's by `gradest.primitives`."""
    given = rules_of(function)
    return None if given is None else primitive_rule(given)


def primitive_rule(given: Primitive) -> Rule:
    """Return a user's rules in the form of this package's."""
    count = 1 + max((*given.vjps, *given.jvps), default=-1)

    def vjp(position: int) -> Entry | None:
        if position not in given.vjps:
            return None
        maker = given.vjps[position]
        if maker is None:
            return zero
        # Copied: what a user's rule returns may be an array that is kept elsewhere, and gradients are the caller's own.
        return lambda g, y, *arrays, **options: _own(_pullback(given.name, maker, (y, *arrays), options)(g))

    def jvp(position: int) -> Entry | None:
        if position not in given.jvps:
            return None
        entry = given.jvps[position]
        if entry is None:
            return zero
        return lambda *arrays, **options: _asked(given.name, entry, "jvp(g, ans, *args)", arrays, options)

    return Rule(
        given.name,
        lambda *arrays, **options: _as_arrays(given.function(*arrays, **options)),
        tuple(map(vjp, range(count))),
        tuple(map(jvp, range(count))),
    )


def _pullback(name: str, maker: MakeVjp, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Return what a user's rule of reverse mode makes of a value and its arguments: a function of the cotangent."""
    pull = _asked(name, maker, "maker(ans, *args), which returns a function of the cotangent g", arguments, options)
    if not callable(pull):
        raise InvalidTypeError(
            f"a rule that defvjp gives {name} returns a function of the cotangent g; found {type(pull).__name__}; "
            "write lambda ans, *args: lambda g: ..."
        )
    return pull


def _asked(name: str, rule: Callable[..., Any], form: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Return what a user's rule returns; one of another signature is told that of its kind."""
    try:
        return rule(*arguments, **options)
    except TypeError as error:
        if _takes(rule, arguments, options):  # it went wrong inside
            raise
        raise InvalidTypeError(f"a rule of {name} was to be {form}; it cannot be called so: {error}") from error


def _takes(rule: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    try:
        inspect.signature(rule).bind(*arguments, **options)
    except TypeError:
        return False
    except ValueError:  # compiled, without a signature
        return True
    return True


def _own(part: Any) -> Any:
    return part if hasattr(part, "primal") else np.array(part, copy=True)


def _as_arrays(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_as_arrays, value))
    if type(value) is np.ndarray:
        return value.copy(order="K")  # a routine may return one array at every call, with other values in it
    return value if hasattr(value, "dtype") else np.asarray(value)
