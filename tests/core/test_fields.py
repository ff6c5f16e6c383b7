"""Hyper-parameters of a wrong type are refused by name, whichever estimator; NumPy's scalars are numbers."""

import pickle
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import pytest
from support.many import of_each

import gradest
from gradest import InvalidTypeError
from gradest.estimators import EvolutionStrategy, FiniteDifference, Forward
from gradest.fields import require_field_types

NAMES = [*gradest.names("estimators"), *gradest.names("problems")]
PLAIN = (bool, int, float, str)


def made(name: str, **given: Any) -> Any:
    group = "estimators" if name in gradest.names("estimators") else "problems"
    return (gradest.get_estimator if group == "estimators" else gradest.get_problem)(name, **given)


def plain_fields(name: str) -> list[str]:
    """Return the fields whose default says what they are, a truth value, a number or a word; a data set has a class."""
    thing = made(name)
    fixed = dict(gradest.registry.ESTIMATORS[name].arguments) if name in gradest.registry.ESTIMATORS else {}
    hints = get_type_hints(type(thing))
    return [
        f.name
        for f in fields(thing)
        if type(f.default) in PLAIN
        and f.name not in {*fixed, "dataset"}
        and set(get_args(hints[f.name])) <= {*PLAIN, type(None)}  # not sizes, one for all parameters or one for each
    ]


@of_each([(name, field) for name in NAMES for field in plain_fields(name)])
def test_every_plain_field_refuses_an_object_of_no_type(case: tuple[str, str]) -> None:
    name, field = case
    for wrong in (object(), [object()], {"a": 1}, 1j, np.zeros(2)):
        with pytest.raises(
            InvalidTypeError, match=rf"^{field} of \w+ must be .*; found .* of type {type(wrong).__name__}"
        ):
            made(name, **{field: wrong})


@pytest.mark.parametrize(
    ("name", "given", "asked"),
    [
        ("es", {"sigma": "a"}, "sigma of EvolutionStrategy must be a number; found 'a' of type str"),
        ("es", {"sigma": True}, "a number; found True of type bool"),
        ("es", {"sigma": None}, "a number; found None of type NoneType"),
        ("es", {"num_samples": 2.5}, "an integer; found 2.5 of type float"),
        ("es", {"num_samples": 10.0}, "an integer; found 10.0 of type float; pass 10"),
        ("es", {"num_samples": "10"}, "an integer; found '10' of type str"),
        ("es", {"num_samples": True}, "an integer; found True of type bool"),
        ("es", {"antithetic": "yes"}, "antithetic of EvolutionStrategy must be True or False; found 'yes'"),
        ("es", {"antithetic": 1}, "True or False; found 1 of type int"),
        ("es", {"shaping": 3}, "a string or None; found 3"),
        ("fd-central", {"step": None}, "step of FiniteDifference must be a string or a number; found None"),
        ("fd-central", {"scale": 1j}, "scale must be a number, .*; found 1j of type complex"),
        ("fd-richardson", {"scale": ["a"]}, "scale must be a number, .* of type list"),
        ("fd-central", {"order": 2.0}, "an integer or None; found 2.0 of type float; pass 2"),
        ("fd-central", {"coordinates": (0.5,)}, "a sequence, each an integer, an integer or None; found"),
        ("fd-central", {"coordinates": np.arange(2)}, "found array.* of type ndarray"),
        ("reverse", {"checkpoint": 1.5}, "checkpoint of Reverse must be True or False or an integer; found 1.5"),
        ("guided-es", {"guides": 3}, "guides of GuidedES must be a sequence or None"),
        ("mlp", {"widths": 5}, "widths of MLP must be a sequence, each an integer; found 5"),
        ("quadratic", {"size": "3"}, "size of Quadratic must be an integer; found '3'"),
    ],
    ids=str,
)
def test_the_message_says_what_was_asked_and_found(name: str, given: dict[str, Any], asked: str) -> None:
    with pytest.raises(InvalidTypeError, match=asked) as caught:
        made(name, **given)
    assert isinstance(caught.value, TypeError)


def test_numbers_of_any_library_are_numbers() -> None:
    count: Any
    sigma: Any
    for count in (np.int64(3), np.uint8(3), 3):
        assert EvolutionStrategy(num_samples=count).num_samples == 3
    for sigma in (np.float32(0.5), np.float64(0.5), np.int32(1), 1):
        assert EvolutionStrategy(sigma=sigma).sigma == sigma
    assert made("es", antithetic=np.bool_(True)).antithetic
    assert FiniteDifference(coordinates=[np.int64(1), 0]).coordinates == (1, 0)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match=r"pass float\(...\) of it"):
        EvolutionStrategy(sigma=np.array(0.5))  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match=r"a number; found Fraction\(1, 2\) .*; pass float\(...\) of it"):
        EvolutionStrategy(sigma=Fraction(1, 2))  # type: ignore[arg-type]  # arrays cannot be multiplied by it


def test_positional_arguments_copies_and_pickles_are_asked_alike() -> None:
    with pytest.raises(InvalidTypeError, match="path of Forward"):
        Forward("auto", 3)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="sigma"):
        replace(EvolutionStrategy(), sigma="wide")  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(Forward("gradest", "dense", 7))) == Forward("gradest", "dense", 7)


@dataclass(frozen=True)
class Plugin(gradest.Estimator):
    """An estimator of somebody else's, whose own `__post_init__` asks nothing."""

    family = "plugin"
    source = formula = cost_formula = "an example"

    mode: Literal["fast", "slow"] = "fast"
    weights: Sequence[float] = (1.0,)
    anything: Any = None
    sloppy: int = None  # type: ignore[assignment]
    other: "EvolutionStrategy | None" = None

    def cost(self, layout: gradest.Layout) -> gradest.Cost:
        return gradest.Cost()

    def prepare_kernel(
        self, objective: gradest.Objective, *, executor: Executor | None = None
    ) -> gradest.PreparedKernel:
        raise NotImplementedError


def test_a_plugin_is_asked_without_a_line_of_its_own() -> None:
    assert Plugin(weights=[1, 2.5], anything=object(), sloppy=None, other="left to the class")  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="mode of Plugin must be one of 'fast', 'slow'; found 'medium'"):
        Plugin(mode="medium")  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="weights of Plugin must be a sequence, each a number"):
        Plugin(weights=("1",))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword"):
        Plugin(unknown=3)  # type: ignore[call-arg]


@dataclass
class Unresolved:
    there: "NotImported" = 3  # type: ignore[name-defined]  # noqa: F821


def test_annotations_that_cannot_be_read_are_asked_nothing() -> None:
    require_field_types(Unresolved, (), {"there": "anything"})
    require_field_types(int, (3,), {})


def test_numbers_of_numpy_s_become_python_s() -> None:
    """NumPy 2 computes in a scalar's own dtype: twice a hundred of int8 is negative there."""
    sigma = np.float16(0.01)
    es = EvolutionStrategy(num_samples=np.int8(100), sigma=sigma, antithetic=np.bool_(True))  # type: ignore[arg-type]  # it converts
    assert [type(value) for value in (es.num_samples, es.sigma, es.antithetic)] == [int, float, bool]
    assert es == EvolutionStrategy(num_samples=100, sigma=float(sigma))
    assert es.cost(gradest.Layout(("x",), ((3,),))) == gradest.Cost(values=200)
    given: dict[str, dict[str, Any]] = {
        "fd-central": {"step": np.float32(1e-3)},
        "fd-richardson": {"levels": np.int8(3)},
        "complex-step": {"chunk_size": np.int8(2)},
        "forward": {"chunk_size": np.int64(2)},
        "reverse": {"checkpoint": np.int64(2)},
        "guided-es": {"scale": np.float32(2)},
    }
    for name, options in given.items():
        plain = {key: value.item() for key, value in options.items()}
        estimator = made(name, **options)
        assert estimator == made(name, **plain)
        assert all(type(getattr(estimator, key)) is type(value) for key, value in plain.items())


@pytest.mark.parametrize("name", ["forward", "fd-central", "fd-richardson"])
def test_a_chunk_of_no_direction_is_refused_of_whole_rows_too(name: str) -> None:
    problem = gradest.get_problem("mlp", dataset="iris", widths=(2,), batch=3)
    for chunk_size in (0, -1):
        with pytest.raises(gradest.InvalidInputError, match="chunk_size must be a positive integer"):
            made(name, path="structured", chunk_size=chunk_size)(problem)
