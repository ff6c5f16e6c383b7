"""A law of directions is added in one place: a row of the table, and the function that draws it."""

import math
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import Situation, laws
from gradest.estimators import EvolutionStrategy
from gradest.measurement.accuracy import accuracy_of_replicates
from gradest.measurement.session import flat

SIX = 6


def fill_sparse(streams: Any, start: int, out: Any) -> None:
    """Fill with 0, or +-sqrt 3 with probability 1/6 each: variance 1, kurtosis 3, sixth moment 9."""
    for k in streams.seek(start, start + len(out)):
        drawn = streams.generator.integers(0, SIX, size=out.shape[1])
        out[k] = math.sqrt(3) * ((drawn == 0).astype(float) - (drawn == 1))


SPARSE = laws.Law(
    drawn_by=f"{__name__}:fill_sparse",
    wording="sparse, of three values",
    source="Achlioptas 2003, doi:10.1016/S0022-0000(03)00025-4",
    kurtosis=3.0,
    sixth_moment=9.0,
)


@pytest.fixture
def sparse(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(laws.LAWS, "sparse", SPARSE)
    return "sparse"


def test_a_new_row_is_all_that_an_estimator_needs(sparse: str) -> None:
    estimator = EvolutionStrategy(num_samples=20, distribution=sparse)
    assert SPARSE.wording in estimator.formula
    assert SPARSE.source is not None
    assert SPARSE.source in estimator.source
    objective = gradest.bind(gradest.get_problem("quadratic", size=5))
    gradient = np.asarray(gradest.get_estimator("analytic")(objective).gradient["x"])
    prediction = estimator.predict(Situation(objective.layout, gradient))
    assert prediction is not None
    assert prediction.relative_mse is not None
    assert prediction.relative_mse == pytest.approx((5 - 1 + 2) / 20)  # (P - 1 + c) / N with c = kurtosis - 1
    prepared = estimator.prepare(objective)
    found = accuracy_of_replicates((flat(objective, prepared(rng=k)) for k in range(2000)), gradient)
    # 5.5 standard errors: 4e-8 by the normal law, of a mean over 2,000 replicates
    assert abs(found.relative_mse - prediction.relative_mse) <= 5.5 * found.relative_mse_error
    assert abs(found.relative_mse - (5 - 1) / 20) > 5.5 * found.relative_mse_error  # what Rademacher's kurtosis gives


def test_a_law_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(gradest.UnknownNameError, match="normal"):
        EvolutionStrategy(distribution="sparse")


@pytest.mark.parametrize("name", sorted(laws.LAWS))
def test_every_row_says_what_draws_it(name: str) -> None:
    directions = gradest.directions.Directions(
        (0, 0), gradest.Layout(("x",), ((4,),)), name, num_samples=3, memory_budget_bytes=1 << 20
    )
    assert np.asarray(directions.block(0, 3)[0]).shape == (3, 4)
