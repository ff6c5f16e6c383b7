"""Directions: a function of (seed, index) alone, of the law they are named after, scaled so that E v v^T = I."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from gradest.directions import DISTRIBUTIONS, LAWS, Directions, root_key
from gradest.errors import InvalidInputError, InvalidTypeError, MemoryBudgetError, UnknownNameError
from gradest.layout import Layout

BUDGET = 1 << 26
LAYOUT = Layout(("W", "b"), ((3, 4), (5,)))
SIZE = LAYOUT.num_parameters
BLOCKWISE = ("orthogonal", "orthogonal-chi", "coordinates-without-replacement")
FALSE_ALARM = 1e-6


def drawn(
    seed: int,
    start: int,
    stop: int,
    distribution: str = "normal",
    *,
    layout: Layout = LAYOUT,
    num_samples: int | None = None,
    dtype: str = "float64",
    rank: Any = 1,
) -> np.ndarray:
    """Return directions start, ..., stop - 1 as `(K, P)`."""
    directions = Directions(
        root_key(seed),
        layout,
        distribution,
        num_samples=num_samples or stop,
        dtype=dtype,
        rank=rank,
        memory_budget_bytes=BUDGET,
    )
    blocks = directions.block(start, stop)
    dense = [b[0] @ np.swapaxes(b[1], 1, 2) if isinstance(b, tuple) else b for b in blocks]
    return layout.flatten(dense, leading=1)


def one_of_each_frame(distribution: str, count: int, seed: int = 11) -> np.ndarray:
    """Return independent directions: of laws that come in frames, one of each frame, in changing places."""
    if distribution not in BLOCKWISE:
        return drawn(seed, 0, count, distribution)
    whole = drawn(seed, 0, count * SIZE, distribution).reshape(count, SIZE, SIZE)
    return whole[np.arange(count), np.arange(count) % SIZE]


# -- a function of seed and index ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_chunks_change_no_bit(distribution: str, dtype: str) -> None:
    whole = drawn(4, 0, 40, distribution, dtype=dtype)
    assert whole.dtype == dtype
    for size in (1, 7, 16):
        parts = [drawn(4, a, min(a + size, 40), distribution, num_samples=40, dtype=dtype) for a in range(0, 40, size)]
        assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("size", [1, 2, 4095, 32768, 32769, 70001])
@pytest.mark.parametrize("distribution", ["normal", "rademacher"])
def test_long_directions_do_not_depend_on_their_neighbours(distribution: str, size: int) -> None:
    layout = Layout(("x",), ((size,),))
    whole = drawn(1, 0, 3, distribution, layout=layout, dtype="float32")
    alone = drawn(1, 2, 3, distribution, layout=layout, dtype="float32")
    assert np.array_equal(whole[2:], alone)
    assert np.isfinite(whole).all()
    if distribution == "rademacher":
        assert set(np.unique(whole)) <= {-1.0, 1.0}


@pytest.mark.parametrize("distribution", [d for d in DISTRIBUTIONS if d not in BLOCKWISE])
def test_the_number_of_directions_does_not_matter(distribution: str) -> None:
    assert np.array_equal(drawn(0, 3, 5, distribution, num_samples=5), drawn(0, 3, 5, distribution, num_samples=99))


def test_the_streams_stay_what_they_are() -> None:
    signs = drawn(0, 0, 1, "rademacher")[0]
    assert signs.tolist() == KNOWN_SIGNS
    assert np.allclose(drawn(0, 0, 1)[0, :4], KNOWN_NORMALS, rtol=1e-12)
    assert np.allclose(drawn(0, 0, 1, dtype="float32")[0, :4], KNOWN_NORMALS_FLOAT32, rtol=1e-5)


KNOWN_SIGNS = [-1.0, -1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0]
KNOWN_NORMALS = [-0.49754880603552437, 1.8327211924824223, 0.475304908864578, -0.11413813318447509]
KNOWN_NORMALS_FLOAT32 = [0.8579481, 0.1535368, 3.2155807, 0.8896885]


# -- seeds ------------------------------------------------------------------------------------------------------


def test_near_seeds_share_no_values() -> None:
    layout = Layout(("x",), ((200_000,),))
    first, second = (drawn(seed, 0, 1, layout=layout)[0] for seed in (0, 1))
    shared = np.intersect1d(first, second).size / first.size
    assert shared < 1e-3
    assert abs(np.corrcoef(first, second)[0, 1]) * np.sqrt(first.size) < stats.norm.isf(FALSE_ALARM / 2)


def test_neighbouring_directions_are_not_shifted_copies() -> None:
    layout = Layout(("x",), ((100_000,),))
    first, second = drawn(0, 0, 2, layout=layout)
    assert np.intersect1d(first, second).size < 100


@pytest.mark.parametrize("other", [2**32, 2**64, 2**128, 1])
def test_all_of_a_seed_decides(other: int) -> None:
    assert root_key(0) != root_key(other)
    assert not np.array_equal(drawn(0, 0, 1), drawn(other, 0, 1))


def test_equal_seeds_in_any_form_give_equal_keys() -> None:
    key = root_key(7)
    seeds: list[Any] = [np.int64(7), np.uint8(7), np.random.SeedSequence(7), [7]]
    assert [root_key(seed) for seed in seeds] == [key] * len(seeds)
    words: Any = np.array([1, 2], dtype=np.uint32)  # of a JAX key
    assert root_key([1, 2]) == root_key(words)
    assert root_key(None) != root_key(None)


def test_a_seed_sequence_is_left_and_a_generator_is_advanced() -> None:
    sequence = np.random.SeedSequence(5)
    assert root_key(sequence) == root_key(sequence)
    assert sequence.n_children_spawned == 0
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    assert root_key(one) == root_key(other.bit_generator)
    assert root_key(one) == root_key(other)  # and a second time, from where they are now
    assert root_key(np.random.default_rng(5)) != root_key(one)


@pytest.mark.parametrize("wrong", [True, np.True_, 1.0, "1", b"1", [], [0.5], {}, np.random.RandomState(0)])
def test_what_is_no_seed_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidTypeError, match="rng"):
        root_key(wrong)


@pytest.mark.parametrize("wrong", [-1, np.int64(-3), [1, -1]])
def test_negative_seeds_are_refused(wrong: int | list[int]) -> None:
    with pytest.raises(InvalidInputError, match="negative"):
        root_key(wrong)


# -- laws -------------------------------------------------------------------------------------------------------


def second_moment_scores(v: np.ndarray) -> np.ndarray:
    """Return standard scores of the entries of mean v v^T - I; 0 or infinite where they are the same for every v."""
    count, size = v.shape
    upper = np.triu_indices(size)
    products = (v[:, :, None] * v[:, None, :])[:, upper[0], upper[1]] - np.eye(size)[upper]
    spread = products.std(axis=0)
    mean = products.mean(axis=0)
    fixed = spread < 1e-12
    exact = np.where(np.abs(mean) < 1e-12, 0.0, np.inf)
    return np.where(fixed, exact, mean / np.where(fixed, 1.0, spread) * np.sqrt(count))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_second_moment_is_the_identity(distribution: str) -> None:
    v = one_of_each_frame(distribution, 1500)
    scores = second_moment_scores(v)
    bound = stats.norm.isf(FALSE_ALARM / 2 / SIZE**2)
    assert np.abs(scores).max() < bound
    assert np.abs(second_moment_scores(v * 2.0)).max() > bound  # a wrong scale must show


@pytest.mark.parametrize(
    ("distribution", "power", "moment"),
    [("orthogonal-chi", 4, 3.0)]  # the rest are what the rows themselves state: a new law is held to its own
    + [(name, 4, law.components.kurtosis) for name, law in LAWS.items() if law.components is not None]
    + [(name, 6, law.components.sixth) for name, law in LAWS.items() if law.components is not None],
)
def test_moments_are_those_of_the_law(distribution: str, power: int, moment: float) -> None:
    # Powers of heavy tails scatter: as many are drawn as it takes for a wrong moment to show, within reason.
    for frames in (1000, 8000, 32_000):
        powers = one_of_each_frame(distribution, frames).reshape(-1) ** power
        error = powers.std() / np.sqrt(powers.size)
        if 12 * error < 0.5 * moment:
            break
    assert abs(powers.mean() - moment) <= 6 * error + 1e-12
    assert abs(powers.mean() - 1.5 * moment) > 6 * error  # a wrong moment must show


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [17, 50_001])
def test_normal_directions_are_normal(size: int, dtype: str) -> None:
    layout = Layout(("x",), ((size,),))
    values = drawn(3, 0, -(-150_000 // size), layout=layout, dtype=dtype).reshape(-1).astype(np.float64)
    assert stats.kstest(values, "norm").pvalue > FALSE_ALARM
    assert stats.kstest(values * 1.05, "norm").pvalue < FALSE_ALARM
    half = values.size // 2  # Box-Muller makes pairs from one radius: their squares must not be tied together
    assert abs(stats.spearmanr(values[:half] ** 2, values[half : 2 * half] ** 2).statistic) < 6 / np.sqrt(half)


def test_pairs_of_one_radius_are_independent() -> None:
    layout = Layout(("x",), ((20_000,),))
    values = drawn(3, 0, 4, layout=layout, dtype="float32").astype(np.float64)
    first, second = values[:, :10_000].reshape(-1), values[:, 10_000:].reshape(-1)
    for power in (1, 2):
        assert abs(np.corrcoef(first**power, second**power)[0, 1]) < 6 / np.sqrt(first.size)


def test_uniform_directions_are_uniform() -> None:
    values = drawn(3, 0, 6000, "uniform").reshape(-1)
    assert stats.kstest(values, "uniform", args=(-np.sqrt(3), 2 * np.sqrt(3))).pvalue > FALSE_ALARM


@pytest.mark.parametrize("distribution", ["sphere", "orthogonal", "coordinates", "coordinates-without-replacement"])
def test_equally_long_laws_have_length_root_p(distribution: str) -> None:
    assert np.allclose(np.sum(drawn(0, 0, 50, distribution) ** 2, axis=1), SIZE, rtol=1e-12)


@pytest.mark.parametrize("distribution", ["sphere", "orthogonal"])
def test_spherical_entries_have_the_beta_law(distribution: str) -> None:
    squares = one_of_each_frame(distribution, 1000)[:, 4] ** 2 / SIZE
    assert stats.kstest(squares, "beta", args=(0.5, (SIZE - 1) / 2)).pvalue > FALSE_ALARM


def test_chi_lengths_have_the_chi_law() -> None:
    lengths = np.sum(drawn(0, 0, 3000, "orthogonal-chi") ** 2, axis=1)
    assert stats.kstest(lengths, "chi2", args=(SIZE,)).pvalue > FALSE_ALARM


@pytest.mark.parametrize("distribution", BLOCKWISE)
def test_frames_are_orthogonal_and_follow_each_other_independently(distribution: str) -> None:
    v = drawn(2, 0, 2 * SIZE + 5, distribution)
    for first in (0, SIZE, 2 * SIZE):
        gram = v[first : first + SIZE] @ v[first : first + SIZE].T
        assert np.allclose(gram - np.diag(np.diagonal(gram)), 0.0, atol=1e-12 * SIZE)
    assert not np.allclose(v[:SIZE], v[SIZE : 2 * SIZE])


def test_frames_have_no_preferred_sign() -> None:
    # Without the sign correction LAPACK's frames of normal matrices have a biased determinant or diagonal.
    layout = Layout(("x",), ((2,),))
    frames = drawn(8, 0, 2 * 1000, "orthogonal", layout=layout).reshape(-1, 2, 2)
    positive = int((np.linalg.det(frames) > 0).sum())
    assert stats.binomtest(positive, len(frames)).pvalue > FALSE_ALARM


def test_coordinates_are_drawn_with_and_without_replacement() -> None:
    with_replacement = np.argmax(drawn(0, 0, 3400, "coordinates"), axis=1)
    assert stats.chisquare(np.bincount(with_replacement, minlength=SIZE)).pvalue > FALSE_ALARM
    without = np.argmax(drawn(0, 0, 2 * SIZE, "coordinates-without-replacement"), axis=1)
    assert sorted(without[:SIZE]) == sorted(without[SIZE:]) == list(range(SIZE))


@pytest.mark.parametrize("rank", [1, 2])
def test_low_rank_directions_have_the_rank_and_are_never_materialised(rank: int) -> None:
    directions = Directions(root_key(0), LAYOUT, "low-rank", num_samples=3, rank=rank, memory_budget_bytes=BUDGET)
    (left, right), vector = directions.block(0, 3)
    assert (left.shape, right.shape, vector.shape) == ((3, 3, rank), (3, 4, rank), (3, 5))
    matrices = left @ np.swapaxes(right, 1, 2)
    assert (np.linalg.matrix_rank(matrices) == rank).all()


# -- refusals -----------------------------------------------------------------------------------------------------


def test_an_unknown_law_is_named_with_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="'rademacher'"):
        drawn(0, 0, 1, "rademacer")


@pytest.mark.parametrize("rank", [0, -1, 1.5, True])
def test_a_rank_must_be_a_positive_integer(rank: bool | float) -> None:
    with pytest.raises(InvalidInputError, match="rank"):
        drawn(0, 0, 1, "low-rank", rank=rank)


def test_frames_that_do_not_fit_the_budget_are_refused_before_they_are_drawn() -> None:
    layout = Layout(("x",), ((50_000,),))
    with pytest.raises(MemoryBudgetError, match="50000"):
        Directions(root_key(0), layout, "orthogonal", num_samples=50_000, memory_budget_bytes=BUDGET)
