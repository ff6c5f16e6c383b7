"""The array that a user's NumPy function is called with while it is differentiated.

NumPy hands every function of such an array to it (`__array_ufunc__`, NEP 13; `__array_function__`, NEP 18). It looks
the function up in the tables, computes the value with NumPy, and lets its trace note how derivatives go through. What
has no rule is refused by name: nothing is ever computed on as if it were constant.

What a function decides from values (comparisons, `argmax`, `len`, `shape`) is plain: `if`, `while` and indexing by it
work as ever, and the derivative is that of the branch taken.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from gradest.errors import UnsupportedError
from gradest.primitives import Primitive
from gradest_numpy.differentiation import calls
from gradest_numpy.differentiation.indexing import ASTYPE, GETITEM
from gradest_numpy.differentiation.rules import COMPOSED, PLAIN, RULES, Rule, name_of
from gradest_numpy.differentiation.trace import Trace, owner

INSTEAD = (
    "write it in NumPy functions that have a rule, or give it one by gradest.primitive; or use an estimator that "
    "evaluates the loss as it is: 'fd-central', 'es', 'spsa'"
)
OVERWRITTEN = (
    "an array was written into by +=, -= or the like, and is used again under another name or as a view, where it "
    "would have to show what was written; write y = y + x in place of y += x; or use an estimator that evaluates the "
    "loss as it is: 'fd-central', 'es', 'spsa'"
)


class MissingAttributeError(UnsupportedError, AttributeError):
    """An array has an attribute that a value which is being differentiated has not."""


class TracedArray:
    """A value of the evaluation that is being differentiated; behaves as an array.

    To `isinstance` it is what its value is, a `numpy.ndarray` or a `numpy.float64`, as it has to be to pass where
    people ask; to compiled code it is neither, so that no values are ever taken from it unnoticed. `x += y` binds a new
    value to the name; what else shows the same memory, other names or views, is then refused. Entries cannot be
    assigned to. Once the evaluation has ended, it is a constant: whoever kept it can read its value. Its operators, and
    the methods that are NumPy functions of the same name, are in `operators`.

    Attributes
    ----------
    tracer
        What follows it.
    primal
        Its value.
    carried
        Its cotangent (reverse mode, once known) or its tangents `(K, *shape)` (forward mode).
    """

    __slots__ = ("carried", "own", "primal", "tracer")
    __hash__ = None  # type: ignore[assignment]  # as an array's: `==` compares entries

    def __init__(self, trace: Trace, primal: Any, carried: Any = None) -> None:
        self.tracer = trace
        self.primal = primal
        self.carried = carried
        self.own = False

    # What `isinstance` asks. As in a plain evaluation an entry is a number: whoever asks, `np.isscalar` too, would go
    # another way otherwise. `type` and compiled code are not told so.
    __class__ = property(lambda self: self.primal.__class__)

    @property
    def live(self) -> bool:
        """Whether the evaluation that made it is still under way."""
        return self.tracer.level > 0

    # -- NumPy's protocols ------------------------------------------------------------------------------------
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        try:
            if method == "__call__" and not options:
                return call(ufunc, inputs, options)
            if ufunc in PLAIN and method != "at":  # which writes into its first array
                calls.require_untraced_out(ufunc, inputs, options)
                return getattr(ufunc, method)(*plain(inputs), **plain(options))
            return calls.ufunc_method(ufunc, method, inputs, options)
        except UnsupportedError as error:
            self.tracer.refused(error)
            raise

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        try:
            return call(function, args, kwargs)
        except UnsupportedError as error:
            self.tracer.refused(error)
            raise

    def __gradest_call__(self, primitive: Primitive, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Carry out a function made by `gradest.primitives.primitive`, which NumPy does not know."""
        return apply(calls.primitive_rule(primitive), args, kwargs)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.live:
            return np.array(plain(self), *args[:1])
        raise self._refused(
            "a plain array was to be made of a value that is being differentiated, by np.array, np.asarray, "
            "np.float64, an assignment into a plain array, a method of one (write a @ x for a.dot(x)), or a function "
            "that NumPy does not let us intercept (sparse matrices of SciPy, its compiled routines, draws of a "
            "Generator, np.r_, scipy.special.softmax); its derivative would be lost. Join values by np.stack or "
            "np.concatenate, choose them by np.where, leave np.asarray and np.float64 out, draw standard numbers and "
            f"scale them (m + s * rng.standard_normal()); {INSTEAD}"
        )

    def __float__(self) -> float:
        if not self.live:
            return float(plain(self))
        raise self._refused(
            "float() was asked of a value that is being differentiated, by float, math.*, item(), or an assignment "
            "`a[i] = value` into a plain array; its derivative would be lost. Keep it an array: use np.exp for "
            f"math.exp, and np.stack, np.concatenate or np.where in place of the assignment; {INSTEAD}"
        )

    def __complex__(self) -> complex:
        return complex(self.__float__())

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise self._refused(
            "an entry of a value that is being differentiated was to be written; such values are read-only: build a "
            f"new one by np.where, np.concatenate or np.stack; {INSTEAD}"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if hasattr(np.ndarray, name) and not name.startswith("_"):
            raise MissingAttributeError(f"a value that is being differentiated has no {name!r} of an array; {INSTEAD}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _refused(self, message: str) -> UnsupportedError:
        return self.tracer.refused(UnsupportedError(message))

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:  # not of the evaluation, which the copy would then be no part of
        return self.copy()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise self._refused(
            "a value that is being differentiated was to be pickled, or sent to another process, where its derivative "
            f"would be lost; compute in this process; {INSTEAD}"
        )

    # -- what it is --------------------------------------------------------------------------------------------
    shape = property(lambda self: self.primal.shape)
    ndim = property(lambda self: self.primal.ndim)
    size = property(lambda self: self.primal.size)
    dtype = property(lambda self: self.primal.dtype)
    itemsize = property(lambda self: self.primal.dtype.itemsize)
    nbytes = property(lambda self: self.primal.nbytes)
    T = property(np.transpose)
    mT = property(lambda self: np.swapaxes(self, -1, -2))  # noqa: N815  # NumPy's name
    real = property(lambda self: self)
    imag = property(lambda self: np.zeros_like(plain(self)))
    flat = property(np.ravel)

    def __len__(self) -> int:
        return len(self.primal)

    def __iter__(self) -> Iterator[Any]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[k] for k in range(len(self)))

    def __bool__(self) -> bool:
        return bool(plain(self))

    def __int__(self) -> int:  # locally constant, as np.trunc is
        return int(plain(self))

    def __round__(self, digits: int | None = None) -> Any:
        return round(float(plain(self))) if digits is None else np.round(self, digits)

    def __contains__(self, item: Any) -> bool:
        return bool(np.any(plain(self) == plain(item)))

    def __repr__(self) -> str:
        return f"TracedArray({plain(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(plain(self), spec)

    # -- indexing ------------------------------------------------------------------------------------------------
    def __getitem__(self, key: Any) -> Any:
        return apply(GETITEM, (self,), {"key": plain(key)})

    # -- methods that are no function of the same name and order -----------------------------------------------------
    def reshape(self, *shape: Any, order: Any = "C") -> Any:
        """Return it in another shape."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, order)

    def transpose(self, *axes: Any) -> Any:
        """Return it with its axes in another order."""
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) if axes else None)

    def flatten(self, order: Any = "C") -> Any:
        """Return its entries along one axis."""
        return np.ravel(self, order).copy()

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """Return it in another floating dtype, or as plain integers or booleans, which have no derivative."""
        if np.dtype(dtype).kind in "biu":
            return plain(self).astype(dtype, *args, **options)
        if (args or options) and plain(self).astype(dtype, *args, **options) is plain(self):
            return self  # with copy=False: what is then written into the one is seen in the other
        return apply(ASTYPE, (self,), {"dtype": np.dtype(dtype)})

    def conj(self) -> Any:
        """Return a copy: it is real."""
        return np.conjugate(self)

    conjugate = conj

    def clip(self, min: Any = None, max: Any = None, **options: Any) -> Any:  # noqa: A002  # NumPy's names
        """Return it with its entries limited."""
        return np.clip(self, min, max, **options)

    def compress(self, condition: Any, axis: Any = None, **options: Any) -> Any:
        """Return its entries or rows where the condition holds."""
        return np.compress(condition, self, axis, **options)

    def sort(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: it would be sorted in place."""
        raise self._refused(
            "x.sort() sorts in place, and a value that is being differentiated is read-only: use np.sort"
        )

    def item(self, *args: int) -> float:
        """Refuse: a Python number carries no derivative."""
        return self.__float__()

    def tolist(self) -> Any:
        """Refuse: Python numbers carry no derivative."""
        return values_of(self).tolist() if not self.live else self.__float__()

    def copy(self, order: str = "C") -> Any:
        """Return it in memory of its own."""
        return call(np.copy, (self, order), {})


def values_of(x: Any) -> Any:
    """Return the values of an array that may be traced."""
    return plain(x)


def plain(x: Any) -> Any:
    """Return values in place of what is traced, at every level, inside tuples, lists and dicts too."""
    while type(x) is TracedArray:
        if x.tracer.watched:
            _require_current(x)
        x = x.primal
    if type(x) in (tuple, list):
        return type(x)(map(plain, x))
    if isinstance(x, tuple):  # a named one, as `eigh` returns
        return type(x)(*map(plain, x))
    if type(x) is dict:
        return {name: plain(item) for name, item in x.items()}
    if type(x) is slice:
        return slice(plain(x.start), plain(x.stop), plain(x.step))
    return x


USUAL = frozenset({np.ndarray, float, int, np.float64, np.float32, bool, type(None)})
"""What other arguments a function has as a rule."""


def apply(rule: Rule, arrays: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """Return the value of a function with a rule, followed by the innermost trace among its arrays."""
    trace, unusual = None, False
    for x in arrays:
        if type(x) is TracedArray:
            unusual = unusual or x.tracer.watched
            if trace is None or x.tracer.level > trace.level:
                trace = x.tracer
        elif type(x) not in USUAL:
            unusual = True
    if unusual:
        arrays = tuple(map(_usable, arrays))
        trace = max((x.tracer for x in arrays if type(x) is TracedArray), key=lambda t: t.level, default=None)
    if trace is None:
        return rule.function(*arrays, **options)
    # What an outer trace follows is a constant to the inner one, and followed on by the call that computes the value.
    values = tuple([x.primal if type(x) is TracedArray and x.tracer is trace else x for x in arrays])
    try:
        value = rule.function(*values, **options)
        require_real(rule.name, value)
        return trace.record(rule, value, arrays, values, options)
    except UnsupportedError as error:
        trace.refused(error)
        raise


def _usable(x: Any) -> Any:
    """Return an argument as an array: of a list of numbers, a series with labels, a value that is followed no more.

    The arithmetic of a series of pandas has labels, that of another library its own laws; neither knows tangents.
    """
    if type(x) is TracedArray:
        if not x.live:
            return plain(x)
        _require_current(x)
        return x
    if type(x) is list or type(x) is tuple:
        return np.asarray(x)
    if hasattr(x, "to_numpy"):
        return x.to_numpy()
    return np.asarray(x) if hasattr(x, "__array__") and not isinstance(x, np.ndarray | np.generic) else x


def _require_current(x: TracedArray) -> None:
    if x.tracer.is_overwritten(_memory(x)):
        raise x.tracer.refused(UnsupportedError(OVERWRITTEN))


def _memory(x: Any) -> Any:
    while type(x) is TracedArray:
        x = x.primal
    return owner(x)


def in_place(x: TracedArray, result: Any) -> Any:
    """Return what `x += y` binds to the name x, and refuse from now on whatever else shows the memory of x."""
    memory = _memory(x)
    if memory is None:  # a number, which NumPy cannot write into either
        return result
    # Compared as NumPy does it, in its words: a loss that only evaluates raises the same.
    if not plain(x).flags.writeable:
        raise ValueError("output array is read-only")
    if result.shape != x.shape:
        raise ValueError(f"non-broadcastable output operand with shape {x.shape} doesn't match {result.shape}")
    if result.dtype != x.dtype:
        result = result.astype(x.dtype)
    x.tracer.overwrite(memory)
    return result


_OBJECT = np.dtype(object)


def require_real(name: str, value: Any) -> None:
    """Refuse a function's value that is not of real numbers and plain arrays."""
    for part in value if isinstance(value, tuple) else (value,):
        kind = getattr(part, "dtype", _OBJECT).kind  # a product of objects may be one, and no array
        if kind not in "fbiuc":  # which would pass for locally constant
            raise UnsupportedError(
                f"{name} gave Python objects, of an array of dtype object (a table with columns of several types?), a "
                "fraction or the like, through which no derivative goes; make numbers of it by "
                f"np.asarray(x, dtype=float); {INSTEAD}"
            )
        if kind == "c":
            raise UnsupportedError(
                f"{name} gave complex numbers; values are differentiated as real ones: compute with real and imaginary "
                "parts apart, or use another method than 'reverse' and 'forward'"
            )
        if isinstance(part, np.ma.MaskedArray | np.matrix):
            raise UnsupportedError(
                f"{name} was called with a {type(part).__name__}, whose arithmetic is not that of arrays and has no "
                f"rules; pass plain arrays, a mask as weights of 0 and 1; {INSTEAD}"
            )


def call(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return a NumPy function of arrays of which some are traced."""
    rule = RULES.get(function)
    if rule is not None:
        if kwargs or len(args) != len(rule.vjps):
            args, kwargs = calls.arranged(function, rule, args, kwargs)
        return apply(rule, args, kwargs)
    text = COMPOSED.get(function)
    if text is not None:
        return text(*args, **calls.accepted(function, text, kwargs))
    if function in PLAIN:
        calls.require_untraced_out(function, args, kwargs)
        return function(*plain(args), **plain(dict(kwargs)))
    rule = calls.special_rule(function) or calls.user_rule(function)
    if rule is None:
        raise UnsupportedError(
            f"{_full_name(function)} was called with a value that is being differentiated, and has no rule; {INSTEAD}"
        )
    return apply(rule, *calls.arranged(function, rule, args, kwargs))


def _full_name(function: Any) -> str:
    special = sys.modules.get("scipy.special")
    name = getattr(function, "__name__", "")
    return f"scipy.special.{name}" if getattr(special, name, None) is function else name_of(function)
