"""What a function computes with beside its arguments: what it closes over, and what it finds in its module.

A compiled function holds such values as constants. Whoever keeps one asks here whether they are still the same.
"""

from collections.abc import Callable, Iterator, Mapping
from dis import get_instructions
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

_MOST = 256
"""How many values of one container are looked at: beyond it, looking would take longer than the loss."""
_ABSENT = object()


class ClosedOver:
    """The values that a function of Python's names and that are not its arguments.

    Looked at are the cells of its closure, its module's variables, the attributes that it names of objects among them,
    and what other functions of its module, or its closure, name in turn. Arrays are told apart by identity: one
    that is written to in place is the same one.

    Examples
    --------
    >>> from gradest.closed_over import ClosedOver
    >>> scale = [2.0]
    >>> looked = ClosedOver(lambda x: scale[0] * x)
    >>> before = looked.values()
    >>> scale[0] = 3.0
    >>> before == looked.values()
    False
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self._cells: list[CellType] = []
        self._variables: list[tuple[Mapping[str, Any], str]] = []
        self._fixed: list[object] = []
        self._attributes: set[str] = set()
        self._visited: set[int] = set()
        self._visit(f, None)

    def values(self) -> tuple["_Held", ...]:
        """Return what the function would compute with now."""
        looked: set[int] = set()  # a container may hold itself
        return tuple(_Held(each) for value in self._now() for each in self._parts(value, looked))

    def _now(self) -> Iterator[object]:
        yield from self._fixed
        for cell in self._cells:
            yield _content(cell)
        for namespace, name in self._variables:
            yield namespace.get(name, _ABSENT)

    def _visit(self, f: object, module: object) -> None:
        """Note where the values of a function are; those of a library's functions do not change."""
        if id(f) in self._visited:
            return
        self._visited.add(id(f))
        if isinstance(f, partial):
            self._fixed += [*f.args, *f.keywords.values()]
            self._visit(f.func, module)
        elif isinstance(f, MethodType):
            self._fixed.append(f.__self__)
            self._visit(f.__func__, module)
        elif isinstance(f, FunctionType):
            if module is None or f.__globals__ is module:
                self._visit_function(f)
        elif hasattr(f, "__wrapped__"):  # what a framework compiles, a cache
            self._visit(f.__wrapped__, module)
        elif module is None:  # an object that can be called
            self._fixed.append(f)
            for method in _methods(f, set()):
                self._visit(method, None)

    def _visit_function(self, f: FunctionType) -> None:
        self._fixed += [*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()]
        self._cells += f.__closure__ or ()
        globally, named = _named(f.__code__)
        self._attributes |= named
        for fixed in list(self._fixed):
            for method in _methods(fixed, named):
                self._visit(method, f.__globals__)
        variables = [(f.__globals__, name) for name in sorted(globally) if name in f.__globals__]
        self._variables += variables
        for value in (*map(_content, f.__closure__ or ()), *(space[name] for space, name in variables)):
            self._visit(value, f.__globals__)
            for method in _methods(value, named):
                self._visit(method, f.__globals__)

    def _parts(self, value: object, looked: set[int], deep: bool = True) -> Iterator[object]:
        """Yield a value, or what a container or an object holds that the function can name."""
        if isinstance(value, ModuleType | type):
            return
        yield value
        if isinstance(value, dict | list | tuple):
            if len(value) > _MOST or id(value) in looked:
                return
            looked.add(id(value))
            for each in list(value.values() if isinstance(value, dict) else value):
                yield from self._parts(each, looked, deep)
        elif deep and not isinstance(value, FunctionType) and isinstance(getattr(value, "__dict__", None), dict):
            for name, each in vars(value).items():
                if name in self._attributes:
                    yield from self._parts(each, looked, deep=False)


class _Held:
    """A value that is held, so that no other takes its place in memory; equal to the same one, or an equal number."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Held):
            return NotImplemented
        plain = isinstance(self.value, int | float | complex | str) and type(self.value) is type(other.value)
        return self.value is other.value or (plain and self.value == other.value)

    __hash__ = None  # type: ignore[assignment]  # told apart by identity or by value


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # a variable that has no value yet
        return _ABSENT


def _methods(value: object, named: set[str]) -> Iterator[object]:
    """Yield the functions of an object's class that are named, or called with the object."""
    if not isinstance(value, ModuleType | type | FunctionType):
        for kind in type(value).__mro__:
            yield from (found for name, found in vars(kind).items() if name in named or name == "__call__")


def _named(code: CodeType) -> tuple[set[str], set[str]]:
    """Return the variables of its module and the attributes that a function names, and those it defines."""
    variables: set[str] = set()
    attributes: set[str] = set()
    for step in get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            variables.add(step.argval)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add(step.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found = _named(inner)
            variables, attributes = variables | found[0], attributes | found[1]
    return variables, attributes
