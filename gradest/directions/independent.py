"""Directions with independent components: normal, Rademacher, uniform. Knows no shapes of parameters.

A function `fill_...` fills `out`, C-contiguous `(K, n)` of float32 or float64, with the K directions from start on; row
k depends on the key and start + k alone. A function `read_...` yields the same numbers of one direction, bit for bit,
`PART_ENTRIES` at a time, for those who have no memory for all of it; or radius times them, which may be cheaper while
they are drawn.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradest.directions.streams import Streams
from gradest.operations import NumpyArray

_BLOCK_WORDS = 1 << 14  # 128 KiB of bits and as much of normals: stays in a second-level cache
_WORD_BITS = 64
_BYTE_BITS = 8
PART_ENTRIES = 2 * _BLOCK_WORDS
"""How many numbers of a direction are read at once: what the words of one block make (32,768)."""

_LONG_ROW = 1 << 12  # entries from which a row is worth a call of its own
_ANGLE = np.float32(math.pi * 2.0**-31)  # a signed 32-bit integer to an angle in [-pi, pi)
_SIGNS = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")


def fill_normal(streams: Streams, start: int, out: NumpyArray) -> None:
    """Fill with N(0, 1): ziggurat in float64, Box-Muller of 32-bit uniforms in float32 (|v| < 6.8).

    Source: Marsaglia & Tsang 2000, doi:10.18637/jss.v005.i08; Box & Muller 1958, doi:10.1214/aoms/1177706645.
    """
    if out.dtype == np.float32:
        _fill_box_muller(streams, start, out)
        return
    # The ziggurat takes a varying number of words, so a row cannot be drawn with its neighbours: each is one call.
    for k in streams.seek(start, start + len(out)):
        streams.generator.standard_normal(out=out[k])


def fill_rademacher(streams: Streams, start: int, out: NumpyArray) -> None:
    """Fill with +1 and -1, equally likely, one random bit each."""
    count, size = out.shape
    words = streams.words(start, start + count, -(-size // _WORD_BITS)).astype("<u8", copy=False)
    table = _SIGNS.astype(out.dtype)  # a byte of random bits to eight signs at once
    used = words.view(np.uint8)[:, : -(-size // _BYTE_BITS)]
    if size < _LONG_ROW:
        out[:] = np.take(table, used, axis=0).reshape(count, -1)[:, :size]
        return
    whole = size // _BYTE_BITS
    for k in range(count):  # straight into place, without a copy in between
        np.take(table, used[k, :whole], axis=0, out=out[k, : whole * _BYTE_BITS].reshape(whole, -1), mode="clip")
        if size % _BYTE_BITS:
            out[k, whole * _BYTE_BITS :] = table[used[k, whole], : size % _BYTE_BITS]


def packed_signs(streams: Streams, start: int, count: int, size: int) -> NDArray[np.uint32]:
    """Return `fill_rademacher` as bits `(K, W)`: entry j is -1 where bit j % 32 of word j // 32 is set."""
    words = streams.words(start, start + count, -(-size // _WORD_BITS)).astype("<u8", copy=False)
    return words.view("<u4").astype(np.uint32, copy=False)


def fill_uniform(streams: Streams, start: int, out: NumpyArray) -> None:
    """Fill with the uniform law on [-sqrt 3, sqrt 3), of variance 1."""
    for k in streams.seek(start, start + len(out)):
        streams.generator.random(out=out[k], dtype=out.dtype)
    out *= 2 * math.sqrt(3)
    out -= math.sqrt(3)


def fill_sphere(streams: Streams, start: int, out: NumpyArray) -> None:
    """Fill with sqrt(n) times the uniform law on the unit sphere: normal directions, made equally long.

    Source: Muller 1959, doi:10.1145/377939.377946.
    """
    fill_normal(streams, start, out)
    for row in out:
        row *= _to_the_sphere(row[first : first + PART_ENTRIES] for first in range(0, row.size, PART_ENTRIES))


def fill_coordinates(streams: Streams, start: int, out: NumpyArray) -> None:
    """Fill with sqrt(n) e_j, j uniform, drawn anew for each direction (with replacement)."""
    count, size = out.shape
    drawn = streams.words(start, start + count, 1)[:, 0].tolist()
    out.fill(0.0)
    # The high half of a 128-bit product; its bias is below n / 2^64.
    out[np.arange(count), [word * size >> _WORD_BITS for word in drawn]] = math.sqrt(size)


def read_normal(
    streams: Streams, index: int, size: int, scratch: NumpyArray, radius: float = 1.0
) -> Iterator[NumpyArray]:
    """Yield direction `index` of `fill_normal`, `(n,)`, in parts that lie in the scratch one after another."""
    for _ in streams.seek(index, index + 1):
        for part in _parts(size, scratch):
            if part.dtype == np.float32:  # a part is a block of `_fill_box_muller`
                _box_muller(streams.bits.random_raw(-(-part.size // 2))[None, :], part[None, :], radius)
            else:  # one word after another: where a call ends, the next goes on
                streams.generator.standard_normal(out=part)
                if radius != 1.0:
                    part *= radius
            yield part


def read_rademacher(
    streams: Streams, index: int, size: int, scratch: NumpyArray, radius: float = 1.0
) -> Iterator[NumpyArray]:
    """Yield direction `index` of `fill_rademacher`, likewise."""
    table = (radius * _SIGNS).astype(scratch.dtype)
    for _ in streams.seek(index, index + 1):
        for part in _parts(size, scratch):
            used = streams.bits.random_raw(-(-part.size // _WORD_BITS)).astype("<u8", copy=False).view(np.uint8)
            whole = part.size // _BYTE_BITS
            np.take(table, used[:whole], axis=0, out=part[: whole * _BYTE_BITS].reshape(whole, _BYTE_BITS), mode="clip")
            if part.size % _BYTE_BITS:
                part[whole * _BYTE_BITS :] = table[used[whole], : part.size % _BYTE_BITS]
            yield part


def read_uniform(
    streams: Streams, index: int, size: int, scratch: NumpyArray, radius: float = 1.0
) -> Iterator[NumpyArray]:
    """Yield direction `index` of `fill_uniform`, likewise."""
    for _ in streams.seek(index, index + 1):
        for part in _parts(size, scratch):
            streams.generator.random(out=part, dtype=part.dtype)
            part *= 2 * math.sqrt(3) * radius
            part -= math.sqrt(3) * radius
            yield part


def read_sphere(
    streams: Streams, index: int, size: int, scratch: NumpyArray, radius: float = 1.0
) -> Iterator[NumpyArray]:
    """Yield direction `index` of `fill_sphere`, likewise; it is drawn twice, the first time for its length alone."""
    factor = radius * _to_the_sphere(read_normal(streams, index, size, scratch))
    for part in read_normal(streams, index, size, scratch):
        part *= factor
        yield part


def read_coordinates(
    streams: Streams, index: int, size: int, scratch: NumpyArray, radius: float = 1.0
) -> Iterator[NumpyArray]:
    """Yield direction `index` of `fill_coordinates`, likewise."""
    place = int(streams.words(index, index + 1, 1)[0, 0]) * size >> _WORD_BITS
    for part in _parts(size, scratch):
        part.fill(0.0)
        if 0 <= place < part.size:
            part[place] = math.sqrt(size) * radius
        place -= part.size
        yield part


def _parts(size: int, scratch: NumpyArray) -> Iterator[NumpyArray]:
    """Yield views of the scratch for `size` numbers, each over the last one, or side by side where there is room."""
    room = scratch.size >= size
    for first in range(0, size, PART_ENTRIES):
        start = first if room else 0
        yield scratch[start : start + min(PART_ENTRIES, size - first)]


def _to_the_sphere(parts: Iterator[NumpyArray]) -> float:
    """Return sqrt(n) / |v| of a direction given in parts: their squares are added up in double precision."""
    size, squares = 0, 0.0
    for part in parts:
        size += part.size
        squares += float(np.sum(np.square(part), dtype=np.float64))
    return math.sqrt(size / squares)


def _fill_box_muller(streams: Streams, start: int, out: NDArray[np.float32]) -> None:
    """Fill rows from words of two 32-bit numbers, in blocks that stay in cache; a row's blocks depend on n alone."""
    count, size = out.shape
    # A fixed number of words for each row, unlike the ziggurat's: many short rows go through NumPy at once.
    words = -(-size // 2)
    if words > _BLOCK_WORDS:
        for k in streams.seek(start, start + count):
            for first in range(0, size, 2 * _BLOCK_WORDS):
                part = out[k : k + 1, first : first + 2 * _BLOCK_WORDS]
                _box_muller(streams.bits.random_raw(-(-part.shape[1] // 2))[None, :], part)
        return
    rows = max(1, _BLOCK_WORDS // words)
    for first in range(0, count, rows):
        part = out[first : first + rows]
        _box_muller(streams.words(start + first, start + first + len(part), words), part)


def _box_muller(words: NDArray[np.uint64], out: NDArray[np.float32], radius: float = 1.0) -> None:
    """Fill `(K, n)` with sqrt(-2 log u) cos(a), then sqrt(-2 log u) sin(a), for words `(K, ceil(n / 2))`.

    Both are multiplied by the radius. The words are overwritten.
    """
    # All in memory that is there, which is in cache: a temporary array for each step took a third longer.
    bits, numbers = words.astype("<u8", copy=False).view(np.uint32), words.view(np.float32)
    half = words.shape[1]
    length, angle, rest = numbers[:, :half], numbers[:, half:], out.shape[1] - half
    length[:] = bits[:, :half]
    length += np.float32(0.5)  # never log 0: the least uniform is 2^-33, hence |v| < 6.8
    length *= np.float32(2.0**-32)
    np.log(length, out=length)
    length *= np.float32(-2.0)
    np.sqrt(length, out=length)
    if radius != 1.0:
        length *= np.float32(radius)  # half as many numbers as there are in the end
    angle[:] = bits[:, half:].view(np.int32)
    angle *= _ANGLE
    first, second = out[:, :half], out[:, half:]
    np.cos(angle, out=first)
    first *= length
    np.sin(angle[:, :rest], out=second)
    second *= length[:, :rest]
