"""What is no seed is refused with how to make one of it, and what the message advises works."""

import random
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import InvalidInputError, InvalidTypeError
from gradest.directions import root_key


def estimate(rng: Any) -> Any:
    return gradest.grad(lambda x: (x * x).sum(), method="es", num_samples=2)(np.ones(3), rng=rng)


WRONG: dict[str, tuple[Any, str]] = {
    "text": ("a", r"'a' of type str; try rng=0"),
    "digits": ("12", r"'12' of type str; try rng=12$"),
    "whole float": (3.0, r"3\.0 of type float; try rng=3$"),
    "float": (0.5, r"0\.5 of type float; try rng=0"),
    "truth": (True, r"True of type bool"),
    "mapping": ({}, "found dict"),
    "object": (object(), "found object"),
    "floats": (np.array([1.5]), r"1\.5 of type float"),
    "matrix": (np.zeros((2, 2), int), "found list"),
    "RandomState": (
        np.random.RandomState(0),
        r"RandomState; draw a seed from it: rng=int\(state\.randint\(2\*\*31\)\)",
    ),
    "random.Random": (random.Random(0), r"Random; draw a seed from it: rng=generator\.getrandbits\(64\)"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_seed_is_refused_with_what_is_one(kind: str) -> None:
    rng, message = WRONG[kind]
    with pytest.raises(InvalidTypeError, match=r"rng must be a nonnegative integer.*SeedSequence, Generator") as caught:
        estimate(rng)
    assert caught.match(message)
    assert "\n" not in str(caught.value)


def test_a_negative_seed_is_out_of_range() -> None:
    with pytest.raises(InvalidInputError, match="rng=1"):
        estimate(-1)


def test_a_typed_key_of_jax_is_told_of_its_words_which_are_a_seed() -> None:
    jax = pytest.importorskip("jax", reason="the key is JAX's")
    with pytest.raises(InvalidTypeError, match=r"rng=jax\.random\.key_data\(key\)"):
        estimate(jax.random.key(7))
    words = jax.random.key_data(jax.random.key(7))
    assert root_key(words) == root_key([int(word) for word in words])
    assert np.array_equal(estimate(words), estimate(jax.random.PRNGKey(7)))


def test_a_generator_of_torch_is_told_how_to_draw_a_seed_from_it() -> None:
    torch = pytest.importorskip("torch", reason="the generator is PyTorch's")
    generator = torch.Generator().manual_seed(3)
    with pytest.raises(InvalidTypeError, match=r"rng=int\(torch\.randint\(2\*\*62, \(\), generator=generator\)\)"):
        estimate(generator)
    estimate(int(torch.randint(2**62, (), generator=generator)))


def test_what_other_messages_advise_is_a_seed() -> None:
    state, generator = np.random.RandomState(0), random.Random(0)
    for seed in (int(state.randint(2**31)), generator.getrandbits(64), np.random.default_rng(0)):
        estimate(seed)
