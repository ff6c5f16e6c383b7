"""Trees come apart and together unchanged; layouts flatten and unflatten without loss."""

from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradest import InvalidInputError, Layout
from gradest.tree import flatten_tree

Pair = namedtuple("Pair", "left right")

leaves = st.integers(min_value=0, max_value=10**6).map(np.float64)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.lists(inner, min_size=1, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, min_size=1, max_size=3),
        st.tuples(inner, inner).map(lambda pair: Pair(*pair)),
    ),
    max_leaves=12,
)


@given(trees)
def test_rebuilding_gives_the_tree_back(tree: object) -> None:
    found, paths, structure = flatten_tree(tree)
    again = structure.rebuild(found)
    assert again == tree
    assert type(again) is type(tree)
    assert len(paths) == len(found)


def test_paths_name_the_leaves_in_declared_order() -> None:
    tree = {"W2": 1.0, "W1": [2.0, (3.0, None)]}
    assert flatten_tree(tree)[:2] == ((1.0, 2.0, 3.0), ("W2", "W1.0", "W1.1.0"))
    assert flatten_tree(5.0)[1] == ("params",)


@pytest.mark.parametrize(
    "tree", [{"a": {"b": 1.0}, "a.b": 2.0}, {1: 1.0, "1": 2.0}, {"0": 1.0, "x": [3.0], "x.0": 2.0}]
)
def test_leaves_that_would_have_one_name_have_two(tree: dict[Any, Any]) -> None:
    """By one name, parameters whose dict came in another order were swapped without a word."""
    leaves, names, _ = flatten_tree(tree)
    assert len(set(names)) == len(names)
    others, again, _ = flatten_tree(dict(reversed(tree.items())))
    assert dict(zip(again, others, strict=True)) == dict(zip(names, leaves, strict=True))


def test_an_ordered_dict_becomes_a_dict_of_the_same_order() -> None:
    found, _, structure = flatten_tree(OrderedDict(b=1.0, a=2.0))
    assert list(structure.rebuild(found)) == ["b", "a"]


@pytest.mark.parametrize("tree", [{}, [], None, {"a": []}])
def test_a_tree_without_leaves_is_refused(tree: object) -> None:
    with pytest.raises(InvalidInputError):
        flatten_tree(tree)


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_leaves_is_refused(count: int) -> None:
    structure = flatten_tree([1.0, 2.0])[2]
    with pytest.raises(InvalidInputError):
        structure.rebuild([0.0] * count)


def test_flattening_keeps_c_order_whatever_the_strides() -> None:
    layout = Layout(("W", "s", "b"), ((2, 3), (), (2,)))
    matrix = np.arange(6.0).reshape(2, 3)
    for given_matrix in (matrix, np.asfortranarray(matrix), matrix[:, ::-1][:, ::-1]):
        flat = layout.flatten([given_matrix, np.array(9.0), np.array([7.0, 8.0])])
        np.testing.assert_array_equal(flat, [0, 1, 2, 3, 4, 5, 9, 7, 8])
    blocks = layout.unflatten(flat)
    assert [block.shape for block in blocks] == [(2, 3), (), (2,)]
    population = layout.unflatten(np.stack([flat, flat]))
    assert [block.shape for block in population] == [(2, 2, 3), (2,), (2, 2)]
    np.testing.assert_array_equal(layout.flatten(population, leading=1), [flat, flat])


def test_sizes_are_python_integers_that_do_not_wrap() -> None:
    layout = Layout(("W",), ((50_000, 50_000),))
    assert layout.num_parameters * 50_000 * 8 == 10**15


@pytest.mark.parametrize("blocks", [[np.zeros(3)], [np.zeros((3, 2))], [np.zeros((2, 3)), np.zeros(1)]])
def test_blocks_of_other_shapes_are_refused(blocks: list[np.ndarray]) -> None:
    with pytest.raises(InvalidInputError):
        Layout(("W",), ((2, 3),)).flatten(blocks)
