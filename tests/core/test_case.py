"""A case is a loss with where it is asked, bound like a function and found in a module or a file."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import Case, InvalidInputError


def loss(p: np.ndarray, x: np.ndarray) -> float:
    return float(np.sum((p - x) ** 2))


POINT, TARGET = np.zeros(2), np.array([1.0, 2.0])
CASE = Case(loss, POINT, (TARGET,))
RIGHT = [-2.0, -4.0]


def test_binding_and_every_way_to_ask_take_a_case() -> None:
    central = gradest.get_estimator("fd-central")
    assert central(CASE).gradient.round(6).tolist() == RIGHT
    assert central.prepare(gradest.bind(CASE))().gradient.round(6).tolist() == RIGHT
    assert gradest.grad(CASE, method="fd-central")().round(6).tolist() == RIGHT


def test_other_parameters_and_arguments_may_be_given_with_a_case() -> None:
    assert gradest.get_estimator("fd-central")(CASE, np.ones(2)).gradient.round(6).tolist() == [0.0, -2.0]
    assert gradest.get_estimator("fd-central")(CASE, np.ones(2), np.zeros(2)).gradient.round(6).tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    "text",
    [
        "from gradest import Case\ncase = Case(loss, np.zeros(2), (np.array([1.0, 2.0]),))",
        "case = (loss, np.zeros(2), np.array([1.0, 2.0]))",
        "def case():\n    return loss, np.zeros(2), np.array([1.0, 2.0])",
    ],
    ids=["a case", "a tuple", "a function"],
)
def test_a_case_is_found_in_a_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "my_loss.py"
    file.write_text(f"import numpy as np\n\ndef loss(p, x):\n    return np.sum((p - x) ** 2)\n\n{text}\n")
    found = Case.load(f"{file}:case")
    assert gradest.get_estimator("fd-central")(found).gradient.round(6).tolist() == RIGHT


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder, number in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "twin.py").write_text(f"import numpy as np\ncase = (abs, np.ones({number}))\n")
    assert [Case.load(f"{tmp_path / f / 'twin.py'}:case").params.size for f in "ab"] == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def case(p, x):\n    return p", "takes arguments as a loss does"),
        ("def case():\n    return 1 / 0", "ZeroDivisionError"),
        ("def case():\n    return [abs, 1.0]", "found list"),
        ("case = (abs,)", "found tuple"),
    ],
)
def test_what_makes_no_case_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "wrong.py").write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        Case.load(f"{tmp_path / 'wrong.py'}:case")


ANYTHING: Any = [3, TARGET]  # no function stands in it, and it is no tuple


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Case(ANYTHING[0], POINT), "takes a function"),
        (lambda: Case(loss, None), "params"),
        (lambda: Case(loss, POINT, ANYTHING), "tuple"),
        (lambda: Case.load("gradest.version"), "module:name"),
        (lambda: Case.load("no_such_module:case"), "no_such_module"),
        (lambda: Case.load("no_such_file.py:case"), "no Python file"),
        (lambda: Case.load("gradest.version:versoin"), r"it has: .*; a case is a line such as: case = gradest\.Case\("),
        (lambda: Case.load("gradest.version:__version__"), "found str"),
    ],
)
def test_what_is_no_case_is_refused_with_what_was_found(make: Callable[..., Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_arguments_that_the_loss_does_not_take_in_the_place_of_a_cases_own_are_told() -> None:
    """They ended in Python's own words, from deep inside: multiple values for argument 'x'."""

    def loss(p: Any, *, x: Any) -> Any:
        return np.sum((p - x) ** 2)

    case = gradest.Case(loss, np.ones(3), (), {"x": np.zeros(3)})
    with pytest.raises(gradest.InvalidInputError, match=r"takes .* given params and 1 by position: .* has them \(x=\)"):
        gradest.grad(case)(case.params, np.ones(3))
    with pytest.raises(gradest.InvalidInputError, match=r"batches of training take the place of those by position"):
        gradest.train(case, "reverse", budget=gradest.training.Budget(steps=2), batches=[(np.ones(3),)] * 2)
    np.testing.assert_array_equal(gradest.grad(case)(case.params, x=np.ones(3)), np.zeros(3))

    @functools.wraps(loss)
    def wrapped(p: Any, batch: Any) -> Any:  # says that it takes what the function inside takes
        return loss(p, x=batch[0])

    packed = gradest.Case(wrapped, np.ones(3), ((np.zeros(3),),))
    np.testing.assert_array_equal(gradest.grad(packed)(packed.params, (np.ones(3),)), np.zeros(3))
