"""The data of a bound problem: as it was bound, and other data of the same form, such as the next batch.

It asks of data what is to be asked, and takes them to the framework. This module knows no framework by name.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from gradest.backend import Backend
from gradest.errors import InvalidTypeError, PreparationMismatchError
from gradest.operations import Array
from gradest.problem import Problem

_Entry = tuple[str, tuple[int, ...], "np.dtype[Any]", Callable[[np.ndarray[Any, Any]], Array]]
_Form = tuple[_Entry, ...]
_FORMS = 2
"""How many forms of data are known again: a run's batches, and the last one of an epoch, which may be short."""


class ProblemData:
    """What data of one problem look like on one backend: names, shapes, dtype, device.

    The number of examples may be another than the problem's own, as that of a last short batch is.
    """

    def __init__(self, problem: Problem, backend: Backend, *, dtype: str, device: str) -> None:
        self._problem = problem
        self._backend = backend
        self._dtype = dtype
        self._device = device
        self._asked: dict[str, tuple[int | None, ...]] | None = None
        self._forms: tuple[_Form, ...] = ()  # those of NumPy arrays that fitted lately, and how each array crosses

    def own(self) -> dict[str, Array]:
        """Return the problem's own data on the backend."""
        return self._crossed(self._problem.data(), self._backend.array)

    def again(self, data: object) -> dict[str, Array] | None:
        """Return other data on the backend if they are NumPy arrays of a form that fitted lately, else None.

        The next batch of a run is, by far the commonest, and its price is a part of each step of training. Here are as
        few steps as can be: what runs between two gradients finds the caches full of them, and takes three times as
        long as in a loop of its own.
        """
        if type(data) is not dict:
            return None
        for form in self._forms:
            if _has_form(data, form):
                return {name: crossed(data[name]) for name, _, _, crossed in form}
        return None

    def crossed(self, data: object, *, like: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """Return other data on the backend; arrays that are as those of `like` are taken as they are.

        Raises
        ------
        InvalidTypeError
            They are no mapping of names to arrays, or an array does not hold numbers of the right dtype.
        PreparationMismatchError
            Names or shapes are not those of the problem.
        """
        if not isinstance(data, Mapping):
            raise InvalidTypeError(
                f"data of problem {self._problem.name!r} must be a dict of arrays, as problem.batch_of(rows) gives; "
                f"found {type(data).__name__}"
            )
        if (
            like is not None
            and data.keys() == like.keys()
            and all(self._alike(data[name], x) for name, x in like.items())
        ):
            return {name: data[name] for name in like}
        asked = self._asked = self._asked or self._shapes()
        found = {name: np.shape(values) for name, values in data.items()}
        counts = {found[name][:1] for name in self._problem.per_example if name in found}
        fits = found.keys() == asked.keys() and len(counts) < 2
        if not fits or not all(_fits(found[name], shape) for name, shape in asked.items()):
            raise PreparationMismatchError(
                f"data of problem {self._problem.name!r} have the shapes {_listed(asked)} (N examples, the same "
                f"number in each); found {_listed(found)}"
            )
        crossed = self._crossed({name: data[name] for name in asked}, self._backend.argument)
        if all(type(values) is np.ndarray for values in data.values()):
            form = tuple(self._entry(name, data[name]) for name in asked)
            self._forms = (form, *self._forms[: _FORMS - 1])
        return crossed

    def _entry(self, name: str, values: np.ndarray[Any, Any]) -> _Entry:
        crossed = self._backend.argument_of(values, dtype=self._dtype, device=self._device)
        return name, values.shape, values.dtype, crossed

    def _alike(self, found: Array, array: Array) -> bool:
        return (
            type(found) is type(array)
            and found.dtype == array.dtype
            and found.shape == array.shape
            and self._backend.owns(found)  # where arrays of another kind are lent, each is copied first
        )

    def _shapes(self) -> dict[str, tuple[int | None, ...]]:
        whole, rows = self._problem.data(), self._problem.per_example
        return {name: (None, *x.shape[1:]) if name in rows else x.shape for name, x in whole.items()}

    def _crossed(self, data: Mapping[str, Array], convert: Callable[..., Array]) -> dict[str, Array]:
        with self._backend.scope(self._dtype) or nullcontext():
            return {name: self._array(name, values, convert) for name, values in data.items()}

    def _array(self, name: str, values: Array, convert: Callable[..., Array]) -> Array:
        backend = self._backend
        if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
            return convert(values, dtype=self._dtype, device=self._device)
        if not backend.owns(values) or backend.dtype(values) != self._dtype:
            found = f"{type(values).__name__} of {getattr(values, 'dtype', 'no dtype')}"
            raise InvalidTypeError(
                f"data {name!r} of problem {self._problem.name!r} must be a NumPy array of numbers, or an array of "
                f"backend {backend.name!r} of {self._dtype}; found {found}"
            )
        return values


def _has_form(data: dict[str, Array], form: _Form) -> bool:
    for name, shape, dtype, _ in form:
        values = data.get(name)
        if type(values) is not np.ndarray or values.shape != shape or values.dtype != dtype:
            return False
    return len(data) == len(form)


def _fits(found: tuple[int, ...], asked: tuple[int | None, ...]) -> bool:
    return (
        len(found) == len(asked) and all(m in (None, n) for n, m in zip(found, asked, strict=True)) and 0 not in found
    )


def _listed(shapes: Mapping[str, tuple[int | None, ...]]) -> str:
    words = (f"{name} ({', '.join('N' if n is None else str(n) for n in shape)})" for name, shape in shapes.items())
    return ", ".join(words) or "nothing"
