"""From what a user passes as `rng` (SPEC 7) to the key of one estimate's directions. Knows no distribution."""

from collections.abc import Sequence

import numpy as np

from gradest.errors import InvalidInputError, InvalidTypeError

Rng = int | Sequence[int] | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | None
"""What a user may pass as `rng`, by SPEC 7; `root_key` says what each means."""

Key = tuple[int, int]
"""128 bits, as two unsigned 64-bit numbers."""


def root_key(rng: Rng) -> Key:
    """Return the key of `rng`; all of a seed decides, nothing is reduced modulo 2^32 or 2^64.

    Parameters
    ----------
    rng
        A nonnegative integer of any size, a sequence or 1-D array of such (the words of a JAX key, for instance),
        a `numpy.random.SeedSequence` (left as it is), a `Generator` or `BitGenerator` (advanced by 128 bits), or
        None for fresh entropy.

    Raises
    ------
    InvalidTypeError
        It is none of these; booleans and floats are refused.
    InvalidInputError
        A seed is negative.

    Source: Scientific Python Ecosystem Coordination 7; Salmon et al. 2011, doi:10.1145/2063384.2063405 (keys).

    Examples
    --------
    >>> from gradest.directions import root_key
    >>> root_key(0) == root_key(0), root_key(0) == root_key(1)
    (True, False)
    """
    # A generator has a state that moves on, so that a second estimate differs; seeds and sequences are values.
    if isinstance(rng, np.random.Generator):
        rng = rng.bit_generator
    if isinstance(rng, np.random.BitGenerator):
        return _drawn(rng)
    if not (rng is None or isinstance(rng, np.random.SeedSequence)):
        rng = np.random.SeedSequence(_entropy(rng))
    sequence = np.random.SeedSequence() if rng is None else rng
    # `generate_state` hashes and does not spawn: the caller's sequence is as it was.
    first, second = sequence.generate_state(2, np.uint64)
    return int(first), int(second)


def generator_of(rng: Rng) -> np.random.Generator:
    """Return NumPy's generator of `rng`: a given one itself, which moves on; raises as `root_key`.

    Examples
    --------
    >>> from gradest.directions.keys import generator_of
    >>> bool(generator_of(3).integers(100) == generator_of(3).integers(100))
    True
    """
    if rng is None or isinstance(rng, np.random.SeedSequence | np.random.BitGenerator | np.random.Generator):
        return np.random.default_rng(rng)
    return np.random.default_rng(_entropy(rng))


def whole_seed(seed: object) -> int:
    """Return a seed that runs are counted from, which is one number.

    Raises
    ------
    InvalidTypeError, InvalidInputError
        It is no integer, or negative.
    """
    if isinstance(seed, bool | np.bool_) or not isinstance(seed, int | np.integer):
        raise InvalidTypeError(f"seed must be a nonnegative integer; found {seed!r}; try seed=0")
    if seed < 0:
        raise InvalidInputError(f"seed must not be negative; found {seed}; try seed={-int(seed)}")
    return int(seed)


def _drawn(bit_generator: np.random.BitGenerator) -> Key:
    """Return a key of 128 bits drawn from a generator, through calls that every bit generator has."""
    first, second = np.random.Generator(bit_generator).integers(0, 2**64, size=2, dtype=np.uint64)
    return int(first), int(second)


def _entropy(rng: object) -> int | list[int]:
    if isinstance(rng, np.ndarray) or hasattr(rng, "__array__"):
        try:
            rng = np.asarray(rng).tolist()
        except Exception as error:  # a typed key of JAX's is no array of numbers, one of a device is not at hand
            raise _no_seed(rng) from error
    if isinstance(rng, Sequence) and not isinstance(rng, str | bytes) and rng:
        return [_seed(word) for word in rng]
    return _seed(rng)


def _seed(rng: object) -> int:
    # True is an int to Python; as a seed it is a mistake, and 1.0 may be a rounded one.
    if isinstance(rng, bool | np.bool_) or not isinstance(rng, int | np.integer):
        raise _no_seed(rng)
    if rng < 0:
        raise InvalidInputError(f"a seed must not be negative; found {rng}; try rng={-int(rng)}")
    return int(rng)


def _no_seed(rng: object) -> InvalidTypeError:
    found = f"{type(rng).__module__}.{type(rng).__qualname__}".removeprefix("builtins.")
    if isinstance(rng, str | bytes | float | bool):
        found = f"{rng!r} of type {found}"
    return InvalidTypeError(
        "rng must be a nonnegative integer, a sequence of such, a SeedSequence, Generator or BitGenerator of NumPy's, "
        f"or None; found {found}; {_from_theirs(rng)}"
    )


def _from_theirs(rng: object) -> str:
    """Return how to make a seed of what was given: other libraries' generators are known by what they can do."""
    if str(getattr(rng, "dtype", "")).startswith("key<"):
        return "pass the words of the key: rng=jax.random.key_data(key)"
    if hasattr(rng, "initial_seed"):
        return "draw a seed from it: rng=int(torch.randint(2**62, (), generator=generator))"
    if isinstance(rng, np.random.RandomState):
        return "draw a seed from it: rng=int(state.randint(2**31)), or use numpy.random.default_rng(0)"
    if hasattr(rng, "getrandbits"):
        return "draw a seed from it: rng=generator.getrandbits(64)"
    if isinstance(rng, float | np.floating) and float(rng).is_integer() and rng >= 0:
        return f"try rng={int(rng)}"
    if isinstance(rng, str) and rng.strip().isdecimal():
        return f"try rng={int(rng)}"
    return "try rng=0, or rng=numpy.random.default_rng(0)"
