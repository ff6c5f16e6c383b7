"""Training and predicting: MXNet goes backward in the mode in which the loss was computed.

The mode of a backward pass is an argument of MXNet's own, one for the whole graph, and another than the forward pass's
gives the gradient of neither (BatchNorm's formulas differ, and so do Dropout's). A loss is computed in the mode that
the caller is in, and may set it inside, by `train_mode()`, `record()` or `set_training`; MXNet 1.9.1 tells of no mode
but the present one, so a loss is watched as it sets one. Where two modes occur in one loss, which of them its layers
ran in is found out once, by values; if it is both, no backward pass of MXNet's is right, and it is refused.
"""

import threading
from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.errors import UnsupportedError
from gradest_mxnet.framework import Array, mx
from gradest_mxnet.right_kernels import RightKernels

Evaluate = Callable[[Sequence[Array]], Array]
"""From leaves to a loss, an array of one number; it, or its attribute `head`, is in autograd's graph."""

_here = threading.local()
"""Its `watched` is the innermost `Watched` of a thread, None where there is none."""


class Watched:
    """A context that lists the modes which recorded code of this thread sets, by a scope of its own or `set_training`.

    What runs in scopes of the mode `muted` is not recorded.
    """

    def __init__(self, muted: bool | None = None) -> None:
        self.muted = muted
        self.found: list[bool] = []
        self._by_scope = False  # whether MXNet's own scope calls `set_training`, not the loss

    def __enter__(self) -> list[bool]:
        _watch_modes()
        self._outer = getattr(_here, "watched", None)
        _here.watched = self
        return self.found

    def __exit__(self, *exception: object) -> None:
        _here.watched = self._outer

    def entering(self, scope: Any, enter: Callable[..., Any]) -> Any:
        """Enter a scope of MXNet's by its own function."""
        # What runs in pause() is no part of the backward pass.
        if scope._enter_is_record is not False and scope._enter_train_mode is not None:
            self.found.append(bool(scope._enter_train_mode))
        entered = self._unlisted(enter, scope)
        if self.muted is not None:
            scope.recording_before = mx.autograd.is_recording()
            if scope._enter_train_mode == self.muted:
                mx.autograd.set_recording(False)
        return entered

    def leaving(self, scope: Any, leave: Callable[..., Any], *exception: Any) -> Any:
        """Leave a scope by MXNet's own function."""
        if self.muted is not None:
            mx.autograd.set_recording(scope.recording_before)
        return self._unlisted(leave, scope, *exception)

    def setting(self, mode: bool) -> None:
        """See `set_training` called."""
        if not self._by_scope and mx.autograd.is_recording():
            self.found.append(bool(mode))

    def _unlisted(self, call: Callable[..., Any], *args: Any) -> Any:
        before, self._by_scope = self._by_scope, True
        try:
            return call(*args)
        finally:
            self._by_scope = before


@cache
def _watch_modes() -> None:
    """Have MXNet's scopes tell the context that they are in, from the first time on; elsewhere they do as they did.

    To change their class at each gradient takes longer than to ask: the interpreter forgets what it knows of it.
    """
    autograd = mx.autograd
    scope, set_training = autograd._RecordingStateScope, autograd.set_training
    enter, leave = scope.__enter__, scope.__exit__

    @wraps(enter)
    def entering(self: Any) -> Any:
        watched = getattr(_here, "watched", None)
        return enter(self) if watched is None else watched.entering(self, enter)

    @wraps(leave)
    def leaving(self: Any, *exception: Any) -> Any:
        watched = getattr(_here, "watched", None)
        return leave(self, *exception) if watched is None else watched.leaving(self, leave, *exception)

    @wraps(set_training)
    def setting(train_mode: bool) -> Any:
        watched = getattr(_here, "watched", None)
        if watched is not None:
            watched.setting(train_mode)
        return set_training(train_mode)

    scope.__enter__, scope.__exit__, autograd.set_training = entering, leaving, setting


class BackwardMode:
    """Says in which mode to go backward; what has to be found out is kept for each set of modes that a loss sets."""

    def __init__(self) -> None:
        self._found: dict[tuple[bool, frozenset[bool]], bool] = {}

    def known(self, outer: bool, inner: Sequence[bool]) -> bool | None:
        """Return whether it is the training mode, for a loss called in the mode `outer` that sets those of `inner`.

        None where that has to be found out.
        """
        return outer if all(mode == outer for mode in inner) else self._found.get((outer, frozenset(inner)))

    def find_out(self, outer: bool, inner: Sequence[bool], evaluate: Evaluate, leaves: Sequence[Array]) -> None:
        """Find out by values in which mode the layers of a loss ran.

        Raises
        ------
        UnsupportedError
            Layers that depend on the mode ran in both.
        """
        key = outer, frozenset(inner)
        # The trials draw the same random numbers (Dropout). Where MXNet's generator stands it does not tell, so the
        # numbers are those of a seed that is drawn from it.
        seed = int(mx.nd.random.randint(0, 2**31 - 1, shape=(1,)).asscalar())
        self._found[key] = _Trial(evaluate, [leaf.detach() for leaf in leaves], outer, seed).mode(key[1])


_APART = 0.25
"""How near a measured slope must be to a mode's, in units of the distance of the two modes' slopes."""


class _Trial:
    """Evaluations of one loss at one point with the same random numbers, in one mode or another."""

    def __init__(self, evaluate: Evaluate, leaves: list[Array], outer: bool, seed: int) -> None:
        self.evaluate = evaluate
        self.leaves = leaves
        self.outer = outer
        self.seed = seed

    def mode(self, inner: frozenset[bool]) -> bool:
        """Return the mode that the layers ran in."""
        # Usual: `with train_mode():` around the network, and a loss outside that has no mode; and what else is inside,
        # in predict mode, has no part in the gradient (it is detached, or another network).
        free = self.value(self.outer) == self.value(not self.outer)
        for mode in sorted(inner, reverse=True):
            if (free or mode == self.outer) and (len(inner) == 1 or self._alone(mode)):
                return mode
        return self._by_slopes(preferred=True in inner)

    def _alone(self, mode: bool) -> bool:
        """Return whether the gradient stays the same where what is in the other mode is not recorded."""
        try:
            return bool(np.array_equal(self.gradient(mode), self.gradient(mode, muted=not mode)))
        except mx.MXNetError:  # nothing is left of the graph
            return False

    def _by_slopes(self, preferred: bool) -> bool:
        """Return the mode whose gradient the values have, along the direction in which the two modes differ most."""
        gradients = {mode: self.gradient(mode) for mode in (True, False)}
        apart = gradients[True] - gradients[False]
        distance = float(np.linalg.norm(apart))
        if not distance > 0:
            return preferred
        direction = apart / distance
        eps = max(float(np.finfo(np.dtype(leaf.dtype)).eps) for leaf in self.leaves)
        step = eps ** (1 / 3) * max(1.0, *(float(abs(leaf).max()) for leaf in self.leaves if leaf.size))
        slope, coarse = (self._slope(direction, h) for h in (step, 2 * step))
        doubt = abs(slope - coarse) + 16 * eps * abs(self.value(self.outer)) / step
        if doubt > _APART * distance:  # the two are too much alike to be told apart by values
            return preferred
        misses = {mode: abs(slope - float(gradient @ direction)) for mode, gradient in gradients.items()}
        nearest = min(misses, key=lambda mode: misses[mode])
        if not misses[nearest] <= _APART * distance:
            raise UnsupportedError(
                "reverse mode was asked for of a loss that runs layers in training mode and others in predict mode; "
                "MXNet goes backward in one mode for all of them, which would give the gradient of neither; run the "
                "loss in one mode, take the gradients of its parts apart, or use finite differences"
            )
        return nearest

    def value(self, mode: bool, leaves: Sequence[Array] | None = None) -> float:
        """Return the loss where the caller is in a mode, outside any graph."""
        mx.random.seed(self.seed)
        with mx.autograd.pause(train_mode=mode):
            return float(self.evaluate(self.leaves if leaves is None else leaves).asnumpy())

    def gradient(self, mode: bool, muted: bool | None = None) -> NDArray[np.float64]:
        """Return the gradient of the backward pass in a mode, all leaves in one vector; `muted` as in `Watched`."""
        leaves = [leaf.detach() for leaf in self.leaves]
        buffers = [mx.np.zeros_like(leaf) for leaf in leaves]
        mx.random.seed(self.seed)
        mx.autograd.mark_variables(leaves, buffers)
        with mx.autograd.record(train_mode=self.outer), Watched(muted), RightKernels():
            value = self.evaluate(leaves)
        mx.autograd.backward(getattr(value, "head", value), train_mode=mode)
        return np.concatenate([buffer.asnumpy().astype(np.float64).ravel() for buffer in buffers])

    def _slope(self, direction: NDArray[np.float64], step: float) -> float:
        above, below = (self.value(self.outer, self._displaced(direction * h)) for h in (step, -step))
        return (above - below) / (2 * step)

    def _displaced(self, displacement: NDArray[np.float64]) -> list[Array]:
        ends = np.cumsum([leaf.size for leaf in self.leaves])[:-1]
        parts = zip(self.leaves, np.split(displacement, ends), strict=True)
        return [x + mx.np.array(d.reshape(x.shape), dtype=x.dtype, ctx=x.ctx) for x, d in parts]
