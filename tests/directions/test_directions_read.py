"""A direction read part by part is the one that is drawn whole, bit for bit."""

import numpy as np
import pytest

from gradest.directions import DISTRIBUTIONS, Directions, root_key
from gradest.directions.independent import PART_ENTRIES
from gradest.layout import Layout

TOGETHER = ("orthogonal", "orthogonal-chi")  # drawn with as many others as there are: small sizes alone
MATRIX = 12  # entries of a matrix after those that are counted
# Below, at and beyond a part, with boundaries of parameters inside parts and inside words of bits; one leaves a last
# part of less than a byte of bits.
SIZES = (5, 63, 64, 65, PART_ENTRIES - MATRIX + 3, PART_ENTRIES - 1, PART_ENTRIES, 2 * PART_ENTRIES + 37)


def directions(size: int, distribution: str, dtype: str) -> Directions:
    layout = Layout(("a", "b", "W"), ((size // 2,), (size - size // 2,), (3, 4)))
    return Directions(
        root_key(1), layout, distribution, num_samples=4, dtype=dtype, rank=2, memory_budget_bytes=1 << 28
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_what_is_read_is_what_is_drawn(distribution: str, dtype: str) -> None:
    for size in SIZES[:4] if distribution in TOGETHER else SIZES:
        drawn = directions(size, distribution, dtype)
        # The second direction: a stream that goes on where another ended would not begin where it does.
        for found, expected in zip(drawn.read(1, drawn.scratch()), drawn.block(1, 2), strict=True):
            if isinstance(expected, tuple):
                assert isinstance(found, tuple)
                assert all(np.array_equal(one, other[0]) for one, other in zip(found, expected, strict=True))
                continue
            assert not isinstance(found, tuple)
            pieces = [piece.copy() for piece in found]
            assert max((piece.size for piece in pieces), default=0) <= PART_ENTRIES
            assert np.array_equal(np.concatenate(pieces), expected.ravel())


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_direction_of_a_few_entries_is_read_too(distribution: str) -> None:
    for size in range(1, 10):
        layout = Layout(("a",), ((size,),))
        drawn = Directions(root_key(1), layout, distribution, num_samples=2, memory_budget_bytes=1 << 20)
        (whole,) = drawn.block(1, 2)
        assert np.array_equal(np.concatenate(list(drawn.parts(1, drawn.scratch()))), whole[0])


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_several_directions_can_be_read_in_turns(distribution: str) -> None:
    size = SIZES[3] if distribution in TOGETHER else SIZES[-1]
    drawn = directions(size, distribution, "float32")
    scratch = drawn.scratch()
    alone = [np.concatenate([part.copy() for part in drawn.parts(k, scratch)]) for k in range(3)]
    turns = [drawn.parts(k, scratch) for k in range(3)]
    start = 0
    while start < alone[0].size:
        for k, reader in enumerate(turns):
            part = next(reader)
            assert np.array_equal(part, alone[k][start : start + part.size])
            part *= 0.0  # the caller's to change
        start += PART_ENTRIES


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_what_is_read_with_a_radius_is_so_many_times_as_long(distribution: str) -> None:
    """Radii whose squares are no float32: those of parameters near 1e-20, or of 1e25."""
    size = SIZES[1] if distribution in TOGETHER else SIZES[3]
    for dtype, radius in (("float32", 1e-25), ("float32", 1e22), ("float64", 0.3)):
        drawn = directions(size, distribution, dtype)
        for found, alone in zip(drawn.read(1, drawn.scratch(), radius=radius), drawn.block(1, 2), strict=True):
            if isinstance(found, tuple):
                product, expected = found[0] @ found[1].T, alone[0][0] @ alone[1][0].T
            else:
                product, expected = np.concatenate([piece.copy() for piece in found]), alone.ravel()
            np.testing.assert_allclose(product / radius, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_a_scratch_with_room_for_all_holds_the_direction_afterwards() -> None:
    for distribution in DISTRIBUTIONS:
        if distribution in TOGETHER or distribution == "low-rank":  # whose numbers are factors, of another size
            continue
        drawn = directions(SIZES[-1], distribution, "float64")
        whole = drawn.scratch(whole=True)
        parts = list(drawn.parts(2, whole))
        assert np.array_equal(np.concatenate(parts), whole)
        assert np.array_equal(whole, np.concatenate([block.ravel() for block in drawn.block(2, 3)]))
