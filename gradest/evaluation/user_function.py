"""A user's function of leaves and data: what it is given, and what becomes of its answer."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from gradest.arguments import Arguments
from gradest.backend import Backend, Leaves
from gradest.errors import GradestError
from gradest.evaluation.draws import Draws, has_drawn
from gradest.evaluation.results import as_losses, as_scalar, kind_of, mean_of
from gradest.form import Form
from gradest.operations import Array, Data
from gradest.refusals import writes


class UserFunction:
    """A user's function `f(params, *args, **kwargs)` of one backend's leaves and data.

    Called, it is what a transformation of the framework (reverse mode, vmap, jit) is given: the structure restored,
    the answer judged by its shape and dtype. `alone` makes one plain evaluation, outside any transformation.

    Attributes
    ----------
    trusted
        Whether a first evaluation has shown that the function does not write into what it is given. Until then it is
        given private copies; from then on the user's own arrays, watched.
    per_example
        Whether it returns one loss for each example, `(B,)`; called, it gives their mean.
    draws
        Whether it draws random numbers from the framework's own generator: None until an evaluation has shown it.
    differentiates
        Whether it takes derivatives itself, as a gradient penalty or the residual of a differential equation does:
        its evaluations may then record what they do.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        *,
        backend: Backend,
        form: Form,
        arguments: Arguments,
        per_example: bool = False,
    ) -> None:
        self.backend = backend
        self.per_example = per_example
        self.trusted = False
        self.draws: bool | None = None
        self.differentiates = False
        self._f = f
        self._form = form
        self._arguments = arguments
        self._estimate = threading.local()

    def __call__(self, leaves: Leaves, data: Data) -> Any:
        """Return the loss where a transformation of the framework is under way.

        Raises
        ------
        UnsupportedError, InvalidInputError
            The function does what the framework cannot do there, whose own error is the cause. Errors of the function's
            own pass as they are.
        """
        if self.per_example:
            return mean_of(self.losses(leaves, data))
        return as_scalar(self.backend.result(self._answer(leaves, data)), complex_parameters=self._are_complex(leaves))

    def losses(self, leaves: Leaves, data: Data) -> Any:
        """Return the loss of each example, `(B,)`, where the function returns those; raises likewise."""
        losses = self.backend.results(self._answer(leaves, data))
        return as_losses(losses, complex_parameters=self._are_complex(leaves))

    def _are_complex(self, leaves: Leaves) -> bool:
        # Not asked of a framework without complex numbers: MXNet takes ten microseconds to say that these are not.
        return "complex" in self.backend.native and any(kind_of(leaf.dtype) == "complex" for leaf in leaves)

    def _answer(self, leaves: Leaves, data: Data) -> Any:
        args, kwargs = self._arguments.rebuild(data)
        try:
            return self._f(self._form.user_tree_of(leaves), *args, **kwargs)
        except Exception as error:
            told = self.backend.translated(error)
            if told is None:
                raise
            raise told from error

    def alone(self, leaves: Leaves, data: Data, *, apart: bool = False, looks: bool = False) -> Array:
        """Return the loss of one plain evaluation, as an answer of its own that no later evaluation changes.

        With `apart` it is the loss of each example, `(B,)`. With `looks` a loss is refused that takes parameters from
        elsewhere too, where the framework can tell.

        Raises
        ------
        InvalidInputError
            The function writes into its parameters or arguments, or does not return one real number.
        """
        backend = self.backend
        private, value = not self.trusted, None
        with self.evaluating(), self.common_random_numbers():
            lent, given = backend.lend(leaves, private=private), backend.lend(tuple(data), private=private)
            if self.differentiates:
                lent, given = backend.recorded(lent, given)
            marks = backend.marks((*lent, *given))
            evaluation = partial(self.losses if apart else self, lent, given)
            try:
                value = backend.looked_at(evaluation) if looks else evaluation()
            except GradestError:
                raise
            except Exception as error:
                if backend.refused_writing(error):
                    raise writes(backend) from error
                if self.differentiates or not any(words in str(error) for words in backend.unrecorded):
                    raise  # the function's own error is the user's to see as it is
                self.differentiates = True
        if value is None:  # refused above: once more, and from then on, with a record
            return self.alone(leaves, data, apart=apart, looks=looks)
        if backend.marks((*lent, *given)) != marks or (private and self._changed((*leaves, *data), (*lent, *given))):
            raise writes(backend)
        answer: Array = backend.kept(value, like=leaves[0])
        return answer

    def _changed(self, arrays: Leaves, copies: Leaves) -> bool:
        """Return whether copies have other values than what they were made of: not every framework counts writing."""
        return any(
            copy is not array and not self.backend.same(copy, array)
            for array, copy in zip(arrays, copies, strict=True)
            if self.backend.owns(copy)
        )

    def batched(self, population: Leaves, data: Data, *, apart: bool = False) -> Array:
        """Return the losses `(K,)` of leaves with a leading axis K by the framework's vmap; with `apart` `(K, B)`."""
        with self.evaluating(), self.common_random_numbers():
            return self.backend.vmap(self.losses if apart else self)(population, data)

    def batched_in(self, leaves: Leaves, moved: Mapping[int, Array], data: Data) -> Array:
        """Return the losses `(K,)` with some leaves replaced by K values each, by vmap over those alone."""
        places = tuple(moved)

        def at(values: Leaves, given: Data) -> Any:
            replaced = dict(zip(places, values, strict=True))
            return self(tuple(replaced.get(k, leaf) for k, leaf in enumerate(leaves)), given)

        with self.evaluating(), self.common_random_numbers():
            return self.backend.vmap(at)(tuple(moved.values()), data)

    @contextmanager
    def one_estimate(self) -> Iterator[None]:
        """Within the context all evaluations draw the same random numbers; after it, one evaluation has drawn."""
        outer = getattr(self._estimate, "draws", None)
        draws = self._estimate.draws = Draws(self.backend)
        try:
            yield
        finally:
            self._estimate.draws, self._estimate.last = outer, draws
            draws.leave()

    @contextmanager
    def last_estimate(self) -> Iterator[None]:
        """Within the context evaluations draw what the last estimate of this thread drew; after it, nothing has moved.

        For what belongs to an estimate and is evaluated after it: the value at the point itself.
        """
        outer, last = getattr(self._estimate, "draws", None), getattr(self._estimate, "last", None)
        if last is None or outer is not None:
            yield
            return
        self._estimate.draws = last
        try:
            yield
        finally:
            self._estimate.draws = outer
            last.leave()

    def evaluating(self) -> Any:
        """Return a context for evaluations that no derivative is asked of; one that records where the loss needs it."""
        return (self.backend.recording() if self.differentiates else self.backend.evaluating()) or nullcontext()

    def undrawn_state(self) -> Any:
        """Return where the framework's generator stands, for a function that was seen to draw nothing; else None."""
        watched = self.draws is False and self.backend.reads_random_state
        return self.backend.random_state() if watched else None

    def has_come_to_draw(self, before: Any) -> bool:
        """Return whether it has drawn since that state after all, which is remembered."""
        if before is None or not has_drawn(self.backend, before, self.backend.random_state()):
            return False
        self.draws = True
        return True

    def common_random_numbers(self) -> AbstractContextManager[None]:
        """Return a context in which evaluations draw what the first one of this estimate drew."""
        draws: Draws | None = getattr(self._estimate, "draws", None)
        return nullcontext() if draws is None or self.draws is False else draws.evaluation()
