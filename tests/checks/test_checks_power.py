"""`check_estimator` has power or says so: inconclusive where it sees too little, a reason where it does not apply."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from support.mutants_of_scale import MissingSigma
from support.turns import shared_by_two, with_numpy

from gradest import Cost, Estimator, Layout, Situation, Target, get_estimator, names
from gradest.testing import CheckFailedError, CheckResult, check_backend, check_estimator, raise_on_failure, subject
from gradest.testing.known_problems import Cubic
from gradest.testing.plain_estimators import Plain, PlainDifference, PlainEvolution
from gradest.testing.statistics import deviations_allowed
from gradest.testing.subject import MOST_REPLICATES, REPLICATES
from gradest.theory import Prediction
from gradest_bench.command.check import EXIT_INCONCLUSIVE
from gradest_bench.command.main import main


@dataclass(frozen=True)
class Noisy(PlainEvolution):
    """Right on average, with noise of its own beside that of its directions."""

    noise: float = 0.0
    factor: float = 1.0

    def combine(self, parts: list[tuple[Any, Any]]) -> Any:
        found = super().combine(parts)
        seed = int.from_bytes(found.tobytes()[:8], "little")  # as random as the directions, and the same for each seed
        return self.factor * found + self.noise * np.random.default_rng(seed).standard_normal(found.shape)

    def predict(self, at: Any) -> Any:
        return None


def scale_of(estimator: Estimator) -> CheckResult:
    (result,) = check_estimator(estimator, checks=["scale"])
    return result


@pytest.fixture
def no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a check make no more than a thousand estimates: what is beyond sixteen thousand takes its time."""
    monkeypatch.setattr(subject, "MOST_REPLICATES", REPLICATES)


@pytest.mark.usefixtures("no_more")
def test_a_scale_that_is_hardly_known_is_inconclusive_and_not_passed() -> None:
    result = scale_of(Noisy(noise=2000.0))
    assert result.applies
    assert (result.passed, result.failed, result.inconclusive) == (False, False, True)
    assert result.bound > 0.35
    assert "inconclusive" in str(result)
    assert "it would not see a fault below" in result.detail


@with_numpy(1)
def test_more_estimates_are_made_before_a_check_gives_up() -> None:
    """Noise in which a thousand estimates leave the scale open to +- 0.68 is overcome by sixteen thousand."""
    middling = Noisy(noise=21.0)
    one_estimate = middling.noise / float(np.linalg.norm(Cubic().gradient_at_start))
    assert deviations_allowed(1e-6 / 7) * one_estimate / REPLICATES**0.5 > 0.6
    assert deviations_allowed(1e-6 / 7) * one_estimate / MOST_REPLICATES**0.5 < 0.2
    assert scale_of(middling).passed
    assert scale_of(replace(middling, factor=2.0)).failed
    assert scale_of(replace(middling, factor=0.5)).failed


def test_what_is_inconclusive_raises_only_where_that_is_asked() -> None:
    results = [CheckResult("scale", False, "found 1 +- 0.68", inconclusive=True)]
    raise_on_failure(results)
    with pytest.raises(CheckFailedError, match="scale: inconclusive"):
        raise_on_failure(results, strict=True)


@pytest.mark.usefixtures("no_more")
def test_the_command_tells_inconclusive_from_failed(tmp_path: Any) -> None:
    file = tmp_path / "noisy_of_power.py"
    file.write_text(_SOURCE, encoding="utf-8")
    found = CliRunner().invoke(main, ["check", f"{file}:Loud", "--checks", "scale,cost"])
    assert found.exit_code == EXIT_INCONCLUSIVE, found.output
    assert "? scale" in found.output
    assert "0 failed, 1 inconclusive" in found.output


_SOURCE = """
from dataclasses import dataclass
import numpy as np
from gradest.testing.plain_estimators import PlainEvolution

@dataclass(frozen=True)
class Loud(PlainEvolution):
    def combine(self, parts):
        found = super().combine(parts)
        seed = int.from_bytes(found.tobytes()[:8], "little")
        return found + 2000.0 * np.random.default_rng(seed).standard_normal(found.shape)
"""


@with_numpy(2)
def test_every_check_that_does_not_apply_says_why_and_what_would_make_it_apply() -> None:
    seen = set()
    subjects = [get_estimator(name) for name in ("reverse", "fd-central", "es", "es-rank", "forward-gradient", "null")]
    for estimator in [*subjects, PlainDifference(), get_estimator("guided-es")]:
        for result in check_estimator(estimator):
            if not result.applies:
                seen.add(result.name)
                why, _, then = result.detail.partition("; ")
                assert why, result
                assert then, result
    assert len(seen) > 12
    for result in check_backend("numpy"):
        assert result.applies or "; " in result.detail


def test_the_command_prints_the_reasons() -> None:
    found = CliRunner().invoke(main, ["check", "reverse", "--set", "engine=gradest"])
    assert found.exit_code == 0
    assert "- order " in found.output
    assert "name its fields scheme, order and step" in found.output


# -- diagnoses ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ByChance(PlainEvolution):
    """Multiplied by a number that is one of the usual factors at the sigma, N and P of the checks, and by chance."""

    factor: float = 1.0

    def slopes(self, f: Any, x: Any, v: Any) -> Any:
        return self.factor * super().slopes(f, x, v)


CHANCES = {"sigma": 0.3, "N": 5.0, "1/P": 1 / 8, "sqrt(P)": 8**0.5}
"""The factors are those of 0.3, 5 directions and 8 parameters; none depends on any of these."""


@pytest.mark.parametrize("what", shared_by_two(CHANCES))
def test_a_cause_is_not_named_where_only_one_number_fits(what: str) -> None:
    result = scale_of(ByChance(factor=CHANCES[what]))
    assert result.failed
    assert result.detail.endswith("expected 1"), result.detail


@pytest.mark.parametrize(
    ("factor", "cause"), [(2.0, "a factor 1/2 is missing"), (-1.0, "the sign is wrong"), (0.0, "the estimate is zero")]
)
def test_a_cause_that_depends_on_nothing_is_named_where_it_holds_everywhere(factor: float, cause: str) -> None:
    assert cause in scale_of(ByChance(factor=factor)).detail


def test_a_cause_that_holds_elsewhere_too_is_named() -> None:
    assert "a division by sigma is missing" in scale_of(MissingSigma()).detail


@dataclass(frozen=True)
class Bent(PlainDifference):
    """Twice as long as the gradient, and another vector."""

    def quotients(self, f: Any, x: Any, h: float) -> Any:
        found = super().quotients(f, x, h)
        other = np.roll(found, 1)
        return 2 * np.linalg.norm(found) / np.linalg.norm(found + other) * (found + other)


def test_a_length_alone_is_no_factor() -> None:
    (result,) = check_estimator(Bent(), checks=["accuracy"])
    assert result.failed
    assert "a factor 1/2 is missing" not in result.detail


# -- no false alarm -------------------------------------------------------------------------------------------
SLOW = {"guided-es", "smoothed"}  # the one runs with guides alone; the other takes a gradient for each direction
RANDOM = [name for name in names("estimators") if get_estimator(name).stochastic and name not in SLOW]
LOOSE = 7 * 5e-4
"""Each of the seven statistical checks may then fail with probability 5e-4: over all tests below, 1 % at most."""


@pytest.mark.parametrize("name", shared_by_two(RANDOM))
def test_an_estimator_at_its_own_number_passes_with_a_loose_bound(name: str) -> None:
    (result,) = check_estimator(get_estimator(name), checks=["own number"], false_alarm=LOOSE, seed=77)
    assert result.passed, str(result)


@dataclass(frozen=True)
class OneDirection(Plain):
    """A right estimator that has a law and a prediction, and no field for the number of its directions."""

    name = "one-direction"
    source, formula = "an example", "(f(x + s v) - f(x - s v)) v / 2 s"
    target = Target.SMOOTHED
    stochastic = True

    distribution: str = "normal"
    sigma: float = 0.1

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=2)

    def predict(self, at: Situation) -> Prediction:
        return PlainEvolution(num_samples=1, sigma=self.sigma).predict(at)

    def estimate(self, f: Any, x: Any, rng: Any, executor: Any) -> Any:
        return PlainEvolution(num_samples=1, sigma=self.sigma).estimate(f, x, rng, executor)


def test_an_estimator_without_a_number_of_directions_is_not_failed_for_it() -> None:
    """The check "covariance" ended in KeyError: 'num_samples', as if the estimator had raised it."""
    found = {result.name: result for result in check_estimator(OneDirection())}
    assert [name for name, result in found.items() if result.failed] == []
    assert not found["covariance"].applies
    assert "in a field num_samples" in found["covariance"].detail
    assert found["variance"].applies
