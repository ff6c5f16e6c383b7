"""A problem's data can be replaced by a batch of the same form, which every estimator follows on every backend."""

import pickle
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.turns import shared_out

import gradest
from gradest import InvalidInputError, InvalidTypeError, PreparationMismatchError, UnsupportedError
from gradest.example_order import batches_per_epoch, epoch_of_batches, epoch_order
from gradest.theory import chi2_sf

BACKENDS = ("numpy", "jax", "torch", "mxnet")
PROBLEM = gradest.get_problem("mlp", dataset="iris", widths=(3,), batch=None)
ORDER = [0, 2, 1, 5, 4, 3, 6, 7]
ESTIMATORS = ["analytic", "reverse", "es", "es-row-space", "node-perturbation"]


def made(name: str) -> gradest.Estimator:
    few = {"num_samples": 3} if gradest.get_estimator(name).stochastic else {}
    return gradest.get_estimator(name, **few)


def flat(gradient: Any) -> np.ndarray:
    return np.concatenate([np.asarray(block).ravel() for block in gradient.values()])


@pytest.mark.parametrize(
    ("name", "backend"),
    # each of JAX is compiled once for each form of the batch, and anew for the evidence
    [*product(ESTIMATORS, ("numpy", "torch", "mxnet")), *((name, "jax") for name in shared_out(ESTIMATORS))],
)
def test_a_new_batch_gives_what_binding_anew_gives(backend: str, name: str) -> None:
    """Batches of one size and a last short one, through one preparation; a preparation of its own is the evidence."""
    params = PROBLEM.parameters()
    first, second, short = PROBLEM.batch_of(range(20)), PROBLEM.batch_of(range(40, 60)), PROBLEM.batch_of(range(7))
    prepared = made(name).prepare(gradest.bind(PROBLEM, params, backend=backend, data=first))
    for batch in (second, short, second, first):
        found = flat(prepared(params, data=batch, rng=1).gradient)
        anew = made(name)(gradest.bind(PROBLEM, params, backend=backend, data=batch), rng=1)
        np.testing.assert_allclose(found, flat(anew.gradient), rtol=1e-9, atol=1e-12)
    assert np.array_equal(flat(prepared(params, rng=1).gradient), found)  # the last batch stays


def test_the_batches_differ() -> None:
    """Without this the test above could not fail: data that were ignored would pass it."""
    params = PROBLEM.parameters()
    both = [made("analytic")(PROBLEM, params, data=PROBLEM.batch_of(range(k, k + 20))) for k in (0, 40)]
    assert np.linalg.norm(flat(both[0].gradient) - flat(both[1].gradient)) > 0.1


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_mean_of_gradients_of_batches_is_that_of_all(backend: str) -> None:
    params, gradient = PROBLEM.parameters(), gradest.grad(PROBLEM, backend=backend)
    whole = flat(gradient(params))
    parts = [flat(gradient(params, data=batch)) for batch in PROBLEM.batches(50, seed=2)]
    np.testing.assert_allclose(np.mean(parts, axis=0), whole, rtol=1e-11, atol=1e-14)


def test_nothing_is_compiled_again_for_a_batch_of_the_same_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[int] = []
    original = type(PROBLEM).predict

    def counted(self: Any, ops: Any, params: Any, features: Any) -> Any:
        traced.append(1)
        return original(self, ops, params, features)

    monkeypatch.setattr(type(PROBLEM), "predict", counted)
    prepared = made("reverse").prepare(gradest.bind(PROBLEM, backend="jax", data=PROBLEM.batch_of(range(20))))
    params = prepared.objective.start_tree
    prepared(params)
    once = len(traced)
    for start in range(0, 100, 20):
        prepared(params, data=PROBLEM.batch_of(range(start, start + 20)))
    assert len(traced) == once
    prepared(params, data=PROBLEM.batch_of(range(7)))  # other shapes: compiled, which the count above would show
    assert len(traced) > once


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", ["jax", "torch", "mxnet"])
def test_a_batch_of_numpy_arrays_is_copied_and_they_stay_as_they_were(backend: str, dtype: str) -> None:
    """Compiled functions may read the memory of a NumPy array that they are given, and after the call has returned."""
    objective = gradest.bind(PROBLEM, backend=backend, dtype=dtype)
    prepared = made("reverse").prepare(objective)
    batch = {name: np.array(x, dtype=dtype, order="C") for name, x in PROBLEM.batch_of(range(20)).items()}
    for _ in range(2):  # a form that has been seen goes another way
        found = prepared(data=batch).gradient
        before = {name: x.copy() for name, x in batch.items()}
        for x in batch.values():
            assert x.flags.writeable
            x[...] = np.nan
        again = prepared().gradient
        for name, block in found.items():
            assert np.isfinite(objective.backend.numpy(block)).all()
            np.testing.assert_array_equal(objective.backend.numpy(again[name]), objective.backend.numpy(block))
        for name, x in batch.items():
            x[...] = before[name]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_of_a_known_form_may_lie_in_memory_in_any_way(backend: str, tmp_path: Path) -> None:
    """What has fitted is known again by shapes and dtypes; neither order in memory, of bytes or of names may count."""
    params = {name: x.astype(np.float32) for name, x in PROBLEM.parameters().items()}
    prepared = made("reverse").prepare(gradest.bind(PROBLEM, params, backend=backend, dtype="float32"))
    plain = {name: x.astype(np.float32) for name, x in PROBLEM.batch_of(range(20)).items()}
    others = {name: x.astype(np.float32) for name, x in PROBLEM.batch_of(range(60, 80)).items()}
    asked = flat(prepared(params, data=plain).gradient)
    filed = np.memmap(tmp_path / "x", dtype=np.float32, mode="w+", shape=plain["x"].shape)
    filed[...] = plain["x"]
    ways: dict[str, dict[str, Any]] = {
        "the same arrays": plain,
        "names in another order": dict(reversed(plain.items())),
        "order of Fortran": {name: np.asfortranarray(x) for name, x in plain.items()},
        "every second entry": {name: np.repeat(x, 2, axis=0)[::2] for name, x in plain.items()},
        "backwards": {name: x[::-1].copy()[::-1] for name, x in plain.items()},
        "read-only": {name: np.broadcast_to(x, x.shape) for name, x in plain.items()},
        "float64": {name: x.astype(np.float64) for name, x in plain.items()},
        "bytes in the other order": {name: x.astype(x.dtype.newbyteorder("S")) for name, x in plain.items()},
        "on the disk": {**plain, "x": filed},
    }
    for name, way in ways.items():
        for _ in range(2):  # a form that has been seen goes another way
            assert not np.array_equal(flat(prepared(params, data=others).gradient), asked)
            np.testing.assert_array_equal(flat(prepared(params, data=way).gradient), asked, err_msg=name)
    for spoil, error, words in BAD:  # known forms or not
        with pytest.raises(error, match=words):
            prepared(params, data=spoil(plain))


def test_value_and_pickling_follow_the_batch() -> None:
    batch = PROBLEM.batch_of(range(20))
    objective = gradest.bind(PROBLEM)
    whole = float(objective.value())
    objective.take_arguments((), {"data": batch})
    assert float(objective.value()) != whole
    assert float(pickle.loads(pickle.dumps(objective)).value()) == float(objective.value())


def test_a_call_without_data_after_one_with_is_at_the_problems_own() -> None:
    gradient, params = gradest.grad(PROBLEM), PROBLEM.parameters()
    whole = flat(gradient(params))
    gradient(params, data=PROBLEM.batch_of([0, 1]))
    assert np.array_equal(flat(gradient(params)), whole)


BAD: list[tuple[Callable[[dict[str, Any]], Any], type[Exception], str]] = [
    (lambda data: {**data, "x": data["x"][:, :2]}, PreparationMismatchError, r"x \(N, 4\)"),
    (lambda data: {**data, "x": data["x"][:3]}, PreparationMismatchError, "same number"),
    (lambda data: {"x": data["x"]}, PreparationMismatchError, "targets"),
    (lambda data: {**data, "y": data["x"]}, PreparationMismatchError, "found x"),
    (lambda data: {name: values[:0] for name, values in data.items()}, PreparationMismatchError, "found x"),
    (lambda data: {**data, "x": data["x"].astype(str)}, InvalidTypeError, "'x'"),
    (lambda data: list(data.values()), InvalidTypeError, "dict of arrays"),
]


@pytest.mark.parametrize(("spoil", "error", "words"), BAD)
def test_data_of_another_form_are_refused(spoil: Any, error: type[Exception], words: str) -> None:
    prepared = made("reverse").prepare(gradest.bind(PROBLEM))
    with pytest.raises(error, match=words):
        prepared(data=spoil(PROBLEM.batch_of(range(20))))
    with pytest.raises(error, match=words):
        gradest.bind(PROBLEM, data=spoil(PROBLEM.batch_of(range(20))))


def test_what_is_no_data_is_refused() -> None:
    prepared = made("reverse").prepare(gradest.bind(PROBLEM))
    with pytest.raises(InvalidInputError, match="by name"):
        prepared(None, np.zeros(3))
    with pytest.raises(InvalidInputError, match="found data, x"):
        prepared(data=PROBLEM.data(), x=1)
    with ThreadPoolExecutor(1) as pool:
        beside = made("es").prepare(gradest.bind(PROBLEM), executor=pool)
        with pytest.raises(UnsupportedError, match="executor"):
            beside(data=PROBLEM.data())


def test_batches_of_what_has_no_examples_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="per_example"):
        gradest.get_problem("quadratic").batch_of([0])


@pytest.mark.parametrize("rows", [[], [150], [-1], [0.5], [[0]], "0"])
def test_rows_that_are_not_there_are_refused(rows: Any) -> None:
    with pytest.raises(InvalidInputError, match="rows"):
        PROBLEM.batch_of(rows)


@pytest.mark.parametrize("size", [0, 151, True, 2.0])
def test_sizes_that_cannot_be_are_refused_at_once(size: Any) -> None:
    with pytest.raises((InvalidInputError, InvalidTypeError), match="size"):
        PROBLEM.batches(size)


def test_an_epoch_has_each_example_once_and_keeps_or_drops_the_last() -> None:
    kept = [rows.tolist() for rows in epoch_of_batches(10, 4, seed=3, epoch=5)]
    assert [len(rows) for rows in kept] == [4, 4, 2]
    assert sorted(row for rows in kept for row in rows) == list(range(10))
    dropped = [rows.tolist() for rows in epoch_of_batches(10, 4, seed=3, epoch=5, drop_last=True)]
    assert dropped == kept[:2]
    assert batches_per_epoch(10, 4) == 3


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    """Written down once: the order of a run must not change with a release of NumPy or of gradest."""
    assert epoch_order(8, seed=0, epoch=0).tolist() == ORDER
    assert epoch_order(8, seed=0, epoch=1).tolist() != ORDER
    assert epoch_order(8, seed=1, epoch=0).tolist() != ORDER


def test_with_replacement_every_example_is_as_likely() -> None:
    """20,000 draws of 10 examples by the chi-square test; the false alarm is 1e-6, the seed fixed."""
    epochs = (epoch_of_batches(10, 10, seed=1, epoch=epoch, replace=True) for epoch in range(2000))
    drawn = [int(row) for batches in epochs for rows in batches for row in rows]
    counts = Counter(drawn)
    expected = len(drawn) / 10
    statistic = sum((counts[k] - expected) ** 2 / expected for k in range(10))
    assert chi2_sf(statistic, degrees_of_freedom=9) > 1e-6
    without = Counter([k for k in drawn if k != 3])  # a mutant that never draws one of them
    assert chi2_sf(sum((without[k] - expected) ** 2 / expected for k in range(10)), degrees_of_freedom=9) < 1e-6
    assert any(len(set(rows.tolist())) < 10 for rows in epoch_of_batches(10, 10, seed=1, epoch=0, replace=True))


def test_first_places_of_an_order_are_uniform() -> None:
    """3,000 epochs of 6 examples: which comes first, by the chi-square test; false alarm 1e-6, seed fixed."""
    first = Counter(int(epoch_order(6, seed=9, epoch=epoch)[0]) for epoch in range(3000))
    assert chi2_sf(sum((first[k] - 500) ** 2 / 500 for k in range(6)), degrees_of_freedom=5) > 1e-6
