"""How a population of parameters is evaluated: by the framework's vmap, or one evaluation after another.

Batching is taken only where it is seen to give what single evaluations give. A framework may refuse it (a value read,
a random layer, an operation without a rule), or carry it out and be wrong: a number drawn by NumPy inside the loss is
drawn once for the whole population.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from gradest.backend import Backend, Leaves
from gradest.dtypes import HALF
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.evaluation.user_function import UserFunction
from gradest.evaluation.verification import Verification, number_of, verify
from gradest.operations import Array, Data

POPULATIONS = ("auto", "vmap", "loop")
"""What may be asked for; "auto" compares one batched pair with single evaluations when it prepares."""

_ROUNDING = 1024
"""Units of rounding by which a batched value may differ from a single one: other kernels sum in another order."""


def require_population(population: str) -> None:
    """Refuse a way to evaluate a population that does not exist."""
    if population not in POPULATIONS:
        raise InvalidInputError(f"population must be one of {', '.join(POPULATIONS)}; found {population!r}")


def take_first_look(function: UserFunction, leaves: Leaves, data: Data, *, tells_noise: bool) -> Verification:
    """Return what a few single evaluations show; see `verify`. The random state is left as it was found."""
    with _random_state_kept(function.backend):
        return verify(function, leaves, data, tells_noise=tells_noise)


def choose_population(
    function: UserFunction, leaves: Leaves, data: Data, *, asked: str, found: Verification | None
) -> tuple[str, int]:
    """Return "vmap" or "loop" for a user's function, and how many evaluations it took to find out.

    Parameters
    ----------
    asked
        One of `POPULATIONS`. "vmap" is taken without a comparison; "auto" compares.
    found
        What a first look has shown. Without one, no evaluations may be spent: "auto" is then the loop, which is right
        for any function.

    Raises
    ------
    UnsupportedError
        "vmap" was asked for, and the framework has none, or cannot batch this function.
    """
    backend, noisy = function.backend, found is not None and found.noise > 0.0
    if asked == "vmap" and "vmap" not in backend.native:
        raise UnsupportedError(f"population='vmap' was asked for; backend {backend.name!r} has no vmap; use 'loop'")
    if asked == "loop" or "vmap" not in backend.native or (asked == "auto" and (noisy or found is None)):
        return "loop", 0
    if asked == "auto" and function.draws:
        # Batched layers may lie otherwise in memory, in whose order PyTorch fills a mask of dropout: another mask than
        # that of a single evaluation, which in float32 a pair of values need not show.
        return "loop", 0
    with _random_state_kept(backend), function.one_estimate():
        batched, why = _batches(function, leaves, data, compares=asked == "auto")
    if not batched and asked == "vmap":
        raise UnsupportedError(
            f"population='vmap' was asked for; backend {backend.name!r} cannot batch this function ({why}); use "
            "population='loop', or 'auto'"
        )
    return ("vmap" if batched else "loop"), 4 if asked == "auto" else 2


@contextmanager
def _random_state_kept(backend: Backend) -> Iterator[None]:
    """Leave the random state as it was: preparation draws nothing that the user would have drawn."""
    entry = backend.random_state() if backend.reads_random_state else None
    try:
        yield
    finally:
        if entry is not None:
            backend.set_random_state(entry)


def one_by_one(
    function: UserFunction, population: Leaves, data: Data, *, dtype: str, device: str, apart: bool = False
) -> Array:
    """Return the losses `(K,)` of leaves with a leading axis K, one evaluation after another; with `apart` `(K, B)`.

    They are kept in the dtype of the parameters: a number of Python's, in double precision, must not meet float32
    directions. Half precision has too few digits for losses, which are float32 then.
    """
    values = [
        function.alone(tuple(leaf[k, ...] for leaf in population), data, apart=apart)
        for k in range(int(population[0].shape[0]))
    ]
    kept = "float32" if dtype in HALF else dtype
    losses: Array = stacked(function.backend, values, dtype=kept, device=device)
    return losses


def stacked(backend: Backend, values: Sequence[Any], *, dtype: str, device: str) -> Any:
    """Return K values of single evaluations as one array with a leading axis K.

    In NumPy, which mixes dtypes, it is of their own dtype.
    """
    rows = np.stack([backend.numpy(value) for value in values])
    kept = rows.dtype.name if np.iscomplexobj(rows) or backend.name == "numpy" else dtype
    return rows if backend.name == "numpy" else backend.array(rows, dtype=kept, device=device)


def _batches(function: UserFunction, leaves: Leaves, data: Data, *, compares: bool) -> tuple[bool, str]:
    """Return whether the framework's vmap gives for a pair what two single evaluations give; else why not.

    A pair of points is tried: the start, and one a little apart. Costs two single evaluations and one batched pair.
    """
    backend, points = function.backend, (leaves, displaced(leaves))
    pair = tuple(
        stacked(backend, both, dtype=backend.dtype(both[0]), device=backend.device(both[0]))
        for both in zip(*points, strict=True)
    )
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            batched = np.asarray(backend.numpy(function.batched(pair, data)), dtype=np.float64)
    except Exception as error:  # noqa: BLE001  # whatever a framework raises, it has refused to batch
        return False, backend.explain(error.__cause__ if isinstance(error.__cause__, Exception) else error)
    if not compares:
        return True, ""
    slow = next((str(w.message) for w in warned if "performance" in str(w.message)), "")
    if slow:  # PyTorch batches an operation without a rule by a loop of its own, slower than ours
        return False, slow.splitlines()[0]
    values = [function.alone(at, data) for at in points]
    single = np.array([number_of(function, value) for value in values])
    if not agree(batched, single, backend.epsilon(values[0])):
        return False, f"a batched pair gives {batched.tolist()}, two single evaluations give {single.tolist()}"
    return True, ""


def displaced(leaves: Leaves) -> Leaves:
    """Return leaves moved a little, each entry by about a part in eight: another point for the pair.

    Far enough that the two values of a pair can be told apart, near enough that the loss is still defined there.
    """
    with np.errstate(over="ignore"):  # infinite next to the largest number, where both ways give the same
        return tuple(leaf * 1.125 for leaf in leaves)


def agree(batched: Any, single: Any, epsilon: float) -> bool:
    """Return whether two sets of values, NumPy arrays `(2,)`, are equal but for rounding; NaN agrees with NaN.

    The size of the terms that a loss sums is not known, so their rounding is judged beside the larger value and 1e-3
    of unit size: a small loss that is a difference of large terms goes one evaluation at a time, which is only slower.
    """
    scale = np.maximum(np.abs(single).max(initial=0.0, where=np.isfinite(single)), 1e-3)
    return bool(np.allclose(batched, single, rtol=0.0, atol=_ROUNDING * epsilon * scale, equal_nan=True))


def compiles(function: UserFunction, leaves: Leaves, data: Data) -> bool:
    """Return whether the framework's compiled function gives what a plain evaluation gives; costs one of each."""
    backend = function.backend
    with _random_state_kept(backend), function.one_estimate():
        try:
            compiled = number_of(function, backend.compile(function)(leaves, data))
        except Exception:  # noqa: BLE001  # whatever a framework raises, it has refused to compile
            return False
        plain = function.alone(leaves, data)
        return agree(np.array([compiled]), np.array([number_of(function, plain)]), backend.epsilon(plain))
