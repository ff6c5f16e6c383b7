"""Settings of JAX under which gradest's own code runs, and a user's loss under those that its user chose.

`jax_numpy_rank_promotion="raise"` and `jax_numpy_dtype_promotion="strict"` are for finding mistakes in one's own code.
gradest's broadcasts on purpose: a population has an axis more than a single point.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax

_OWN = {"numpy_rank_promotion": "allow", "numpy_dtype_promotion": "standard"}
"""The settings that gradest's own code needs."""

_outside = threading.local()


def users_differ() -> bool:
    """Return whether a setting is another one now."""
    return any(getattr(jax.config, f"jax_{name}") != value for name, value in _OWN.items())


@contextmanager
def own_settings(*contexts: Any) -> Iterator[None]:
    """Run gradest's code under its own settings and further contexts; a loss inside runs under those of outside."""
    before = getattr(_outside, "settings", None)
    _outside.settings = {name: getattr(jax.config, f"jax_{name}") for name in _OWN}
    try:
        with ExitStack() as entered:
            for context in (*(getattr(jax, name)(value) for name, value in _OWN.items()), *contexts):
                entered.enter_context(context)
            yield
    finally:
        _outside.settings = before


def under_users_settings(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a user's loss that runs under the settings that were there before gradest's own."""

    def call(*args: Any, **kwargs: Any) -> Any:
        settings = getattr(_outside, "settings", None)
        if settings is None:
            return f(*args, **kwargs)
        with ExitStack() as entered:
            for name, value in settings.items():
                entered.enter_context(getattr(jax, name)(value))
            return f(*args, **kwargs)

    return call
