"""Pickles what an objective is bound from, apart from what is around it; sees where that would never end."""

import pickle
import threading
from contextlib import nullcontext
from typing import Any

from gradest.errors import UnsupportedError

_under_way = threading.local()


def pickled(owner: object, content: Any) -> bytes:
    """Return what an owner is made of, pickled by itself: of an owner inside of it there would be no end.

    Raises
    ------
    UnsupportedError
        The content holds the owner, as a model does that keeps a gradient that was prepared for it.
    """
    owners = _under_way.__dict__.setdefault("owners", set())
    if id(owner) in owners:
        raise UnsupportedError(
            "pickling (or a copy) was asked for of what holds an objective or a prepared gradient of itself, such as "
            "model.g = estimator.prepare(...); keep gradest.grad(loss) there, which prepares for what it is called "
            "with, or leave it out by __getstate__ and prepare again afterwards; a state_dict has none of it"
        )
    owners.add(id(owner))
    try:
        return pickle.dumps(content)
    finally:
        owners.discard(id(owner))


def bound_again(backend: Any, dtype: str, content: bytes) -> Any:
    """Return the objective that was pickled; outside the backend's scope JAX would make float32 of float64."""
    with backend.scope(dtype) or nullcontext():
        again, given = pickle.loads(content)
    return again(*given)
