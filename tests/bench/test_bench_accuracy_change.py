"""The rate of false changes of errors is that of a whole comparison, which cells without chance and with it share."""

import math

import numpy as np
from scipy.stats import t
from support.bench_runs import faulty_suite

from gradest_bench.results.accuracy_change import FALSE_ACCURACY_CHANGE, SAME, WORSE, accuracy_changes, least_factor
from gradest_bench.results.records import Record
from gradest_bench.suite.cells import Cell, expand
from gradest_bench.suite.schema import parse_suite

FIXED, RANDOM = expand(parse_suite(faulty_suite("none", "double")))[:2]
SEEDS, PARAMETERS = 8, 5


def record(cell: Cell, *, error: float = 1.0, squares: "np.ndarray | None" = None) -> Record:
    accuracy: dict[str, object] = {"single": {"relative_error": error}}
    if squares is not None:
        accuracy["replicates"] = {"relative_mse": float(squares.mean()), "squared_errors": squares.tolist()}
    facts = {"stochastic": squares is not None, "num_parameters": PARAMETERS}
    return Record(key=cell.key, identity="", suite="", cell=cell, outcome="ok", accuracy=accuracy, facts=facts)


def test_cells_with_and_without_chance_share_one_rate_of_false_changes() -> None:
    # by chance alone so much is seen in more than half of the rate and in less than the whole of it
    factor = math.sqrt(least_factor(PARAMETERS, 1) * least_factor(PARAMETERS, 2))
    fixed = record(FIXED, error=1e-6), record(FIXED, error=factor * 1e-6)
    limit = sum(float(t.isf(FALSE_ACCURACY_CHANGE / (2 * family), SEEDS - 1)) for family in (1, 2)) / 2
    noise = np.tile([1.0, -1.0], SEEDS // 2)
    noise /= noise.std(ddof=1) / math.sqrt(SEEDS)
    random = record(RANDOM, squares=np.ones(SEEDS)), record(RANDOM, squares=np.exp(0.1 * (limit + noise)))
    titles = {FIXED.key: "fixed", RANDOM.key: "random"}
    alone = [accuracy_changes([pair], titles)[0].verdict for pair in (fixed, random)]
    assert alone == [WORSE, WORSE]
    assert [change.verdict for change in accuracy_changes([fixed, random], titles)] == [SAME, SAME]
