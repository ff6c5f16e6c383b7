"""`check_problem` passes the problems that checks are made on, and rejects problems that break one law each."""

from typing import Any

import numpy as np
import pytest

from gradest.errors import GradestError
from gradest.estimator import get_estimator
from gradest.problem import EmpiricalRisk, Problem, get_problem
from gradest.problems.mlp import MLP
from gradest.problems.quadratic import Quadratic
from gradest.registry import names
from gradest.testing import check_estimator, check_problem, raise_on_failure
from gradest.testing.known_problems import Cubic, accuracy_problems


@pytest.mark.parametrize("problem", accuracy_problems(), ids=repr)
def test_a_correct_problem_passes_every_check(problem: Problem) -> None:
    raise_on_failure(check_problem(problem))


@pytest.mark.parametrize("name", sorted(names("problems")))
def test_every_problem_that_is_registered_passes_every_check(name: str) -> None:
    """The error rate had the cross-entropies of its examples for their losses."""
    raise_on_failure(check_problem(get_problem(name)))


class HalvedBias(MLP):
    def loss_and_gradient(self, ops: Any, params: Any, data: Any) -> Any:
        value, gradient = super().loss_and_gradient(ops, params, data)
        return value, {**gradient, "b1": 0.5 * gradient["b1"]}


class SumsThePopulation(Quadratic):
    def loss(self, ops: Any, params: Any, data: Any) -> Any:
        return ops.sum(params["x"] * params["x"])


class SharesItsParameters(Quadratic):
    _kept = np.ones(20)

    def parameters(self) -> Any:
        return {"x": self._kept}


class LeavesTheVocabulary(Quadratic):
    def loss(self, ops: Any, params: Any, data: Any) -> Any:
        return np.sum(np.asarray(params["x"]) ** 2, axis=-1)


class SinglePrecisionData(Cubic):
    def data(self) -> Any:
        return {name: values.astype(np.float32) for name, values in super().data().items()}


class NewDataEachTime(Quadratic):
    def data(self) -> Any:
        return {**super().data(), "b": np.random.default_rng().standard_normal(self.size)}


class SumsTheExamples(MLP):
    def losses(self, ops: Any, params: Any, data: Any) -> Any:
        return super().losses(ops, params, data) * 64.0


class SumsTinyExamples(MLP):
    """Judged against 1, the loss of a problem of this size was right to rounding whatever it was."""

    def loss(self, ops: Any, params: Any, data: Any) -> Any:
        return super().loss(ops, params, data) * 1e-20

    def losses(self, ops: Any, params: Any, data: Any) -> Any:
        return super().losses(ops, params, data) * 2e-20


class KeepsAnAxis(MLP):
    def losses(self, ops: Any, params: Any, data: Any) -> Any:
        return ops.expand_dims(super().losses(ops, params, data), axis=-1)


@pytest.mark.parametrize(
    ("problem", "check"),
    [
        (SumsTheExamples(), "examples"),
        (SumsTinyExamples(), "examples"),
        (KeepsAnAxis(), "examples"),
        (HalvedBias(), "closed form"),
        (SumsThePopulation(), "population"),
        (SharesItsParameters(), "arrays"),
        (LeavesTheVocabulary(), "interpreters"),
        (SinglePrecisionData(), "arrays"),
        (NewDataEachTime(), "arrays"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, Problem) else x,
)
def test_a_problem_that_breaks_a_law_is_rejected(problem: Problem, check: str) -> None:
    failed = {result.name for result in check_problem(problem) if not result.passed}
    assert check in failed


def test_a_loss_that_mixes_a_population_is_told_which_axes_to_reduce_over() -> None:
    (result,) = [each for each in check_problem(SumsThePopulation()) if each.name == "population"]
    assert "a loss of shape (), not (3,); reduce over the axes of one set alone" in result.detail


class ReturnsNothing(Quadratic):
    def loss(self, ops: Any, params: Any, data: Any) -> Any:
        super().loss(ops, params, data)


class ForgetsABlock(MLP):
    def loss_and_gradient(self, ops: Any, params: Any, data: Any) -> Any:
        value, gradient = super().loss_and_gradient(ops, params, data)
        return value, {name: block for name, block in gradient.items() if name != "b1"}


class TurnsABlock(MLP):
    def loss_and_gradient(self, ops: Any, params: Any, data: Any) -> Any:
        value, gradient = super().loss_and_gradient(ops, params, data)
        return value, {**gradient, "W1": np.asarray(gradient["W1"]).T}


class ReturnsTheGradientAlone(Quadratic):
    def loss_and_gradient(self, ops: Any, params: Any, data: Any) -> Any:
        return super().loss_and_gradient(ops, params, data)[1]


class ListsItsParameters(Quadratic):
    def parameters(self) -> Any:
        return list(super().parameters().values())


class NumbersItsParameters(Quadratic):
    def parameters(self) -> Any:
        return {"x": 1.0}


class StartsWhereItIsInfinite(Quadratic):
    def loss(self, ops: Any, params: Any, data: Any) -> Any:
        return super().loss(ops, params, data) + ops.log(ops.sum(0.0 * params["x"]))


class KeepsTheAxes(Quadratic):
    def loss(self, ops: Any, params: Any, data: Any) -> Any:
        return params["x"] * params["x"]


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (ReturnsNothing(), "loss returned None: is a `return` missing?"),
        (ForgetsABlock(), "gradient 'b1' of loss_and_gradient: shape (32,) asked, none found"),
        (TurnsABlock(), "gradient 'W1' of loss_and_gradient: shape (64, 32) asked, shape (32, 64) found"),
        (ReturnsTheGradientAlone(), "(loss, dict of arrays by name); found dict"),
        (ListsItsParameters(), "parameters must return a dict of arrays by name; found list"),
        (NumbersItsParameters(), "parameters 'x' must be a NumPy array; found float"),
        (StartsWhereItIsInfinite(), "the loss is -inf at the start point"),
        (KeepsTheAxes(), "one number for one set of parameters; found shape (20,)"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, Problem) else "",
)
def test_what_is_no_problem_is_told_in_words_and_once(problem: Problem, told: str) -> None:
    (result,) = check_problem(problem)
    assert result.failed
    assert told in result.detail


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (ReturnsNothing(), "ReturnsNothing.loss returned None: is a `return` missing?"),
        (ForgetsABlock(), "of each parameter; there is none of b1"),
        (ReturnsTheGradientAlone(), r"must return \(loss, dict of arrays by name\); found dict"),
        (ListsItsParameters(), "must be a dict of NumPy arrays by name"),
        (NumbersItsParameters(), "must be a dict of NumPy arrays by name"),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, Problem) else "",
)
def test_what_is_no_problem_is_told_where_it_is_used_too(problem: Problem, told: str) -> None:
    """A loss that returned None had zero derivatives, which were compared with a closed form as if they were some."""
    for name in ("reverse", "fd-central") if "returned None" in told else ("analytic",):
        with pytest.raises(GradestError, match=told):
            get_estimator(name)(problem)


class NaNElsewhere(EmpiricalRisk):
    """Losses of the examples that are NaN a little off the start point, where the loss itself is not."""

    name = "nan-elsewhere"

    def parameters(self) -> Any:
        return {"x": np.array([1.0])}

    def data(self) -> Any:
        return {"a": np.array([1.0, 2.0])}

    def losses(self, ops: Any, params: Any, data: Any) -> Any:
        x = params["x"]
        return ops.where(ops.greater(x, 1.05), x * np.nan, x * data["a"])

    def loss(self, ops: Any, params: Any, data: Any) -> Any:
        return ops.mean(params["x"] * data["a"], axis=-1)


def test_losses_that_are_nan_away_from_the_start_are_not_passed_over() -> None:
    """Python's max of 0 and NaN is 0."""
    found = {result.name: result for result in check_problem(NaNElsewhere())}
    assert found["examples"].failed
    assert "is nan from the loss" in found["examples"].detail


@pytest.mark.parametrize("backend", ["torch"])
def test_the_losses_on_all_backends_are_told(backend: str) -> None:
    """The worst alone was named: of three that agreed it said nothing of two."""
    losses = check_problem(Quadratic(size=2), backends=("numpy", backend))[-1]
    assert losses.detail == f"the loss differs from NumPy's by 0 on numpy, 0 on {backend}"


@pytest.mark.parametrize(
    "check",
    [
        lambda b: check_problem(Quadratic(size=2), backends=b),
        lambda b: check_estimator(get_estimator("reverse"), backends=b, checks=["cost"]),
    ],
)
def test_backends_are_names_and_there_is_one(check: Any) -> None:
    """Of "numpy" the letter "n" was looked up, and of none the check of the losses raised a ValueError."""
    for wrong, told in (("numpy", "a sequence of names; found 'numpy'"), (None, "found None"), ((), "found none")):
        with pytest.raises(GradestError, match=f"backends .*{told}"):
            check(wrong)
