"""A warning's file and line are the user's, whichever door it came through."""

import types
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import KinkWarning, NoiseWarning
from gradest.estimators import FiniteDifference
from gradest.user_warnings import warn_user

START = np.ones(3, dtype=np.float32)
GENERATOR = np.random.default_rng(0)


def flat(x: Any) -> Any:
    return 1e6 + (x * x).sum()


def noisy(x: Any) -> Any:
    return float((x * x).sum() + GENERATOR.standard_normal())


def kinked() -> gradest.Problem:
    return gradest.get_problem("mlp", dataset="iris", widths=(4,), batch=None, activation="relu")


ES: dict[str, Any] = {"sigma": 1e-6, "num_samples": 4}
DOORS: dict[str, tuple[type[Warning], Callable[[], Any]]] = {
    "grad": (NoiseWarning, lambda: gradest.grad(flat, method="es", **ES)(START, rng=0)),
    "value_and_grad": (NoiseWarning, lambda: gradest.value_and_grad(flat, method="es", **ES)(START, rng=0)),
    "estimator": (NoiseWarning, lambda: gradest.get_estimator("es", **ES)(flat, START, rng=0)),
    "prepared": (NoiseWarning, lambda: gradest.get_estimator("es", **ES).prepare(gradest.bind(flat, START))(rng=0)),
    "ranks": (NoiseWarning, lambda: gradest.get_estimator("spsa", **ES)(flat, START, rng=0)),
    "noise, differences": (NoiseWarning, lambda: gradest.grad(noisy, method="fd-central")(np.ones(2))),
    "noise, prepared": (NoiseWarning, lambda: gradest.get_estimator("es").prepare(gradest.bind(noisy, np.ones(2)))),
    "kinks": (KinkWarning, lambda: FiniteDifference(step=1.0, kinks="warn")(kinked())),
    "kinks, grad": (KinkWarning, lambda: gradest.grad(kinked(), method="fd-central", step=1.0, kinks="warn")(None)),
    "compare": (
        NoiseWarning,
        lambda: gradest.compare(
            gradest.get_problem("quadratic", size=3, offset=1e6),
            estimators={"tiny": gradest.get_estimator("es", **ES)},
            backends=["numpy"],
            dtypes=["float32"],
            replicates=2,
            budget_seconds=0.01,
        ),
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_warning_is_given_at_the_line_that_asked(door: str) -> None:
    category, call = DOORS[door]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    found = [w for w in caught if w.category is category]
    assert found, [str(w.message) for w in caught]
    for warned in found:
        assert warned.filename == __file__
        first = call.__code__.co_firstlineno
        assert first <= warned.lineno <= first + 10


@pytest.mark.parametrize("backend", ["jax", "torch", "mxnet"])
def test_it_is_so_on_every_backend(backend: str) -> None:
    params = gradest.get_backend(backend).array(START, dtype="float32")
    with pytest.warns(NoiseWarning) as caught:
        gradest.grad(flat, method="es", **ES)(params, rng=0)
    assert {warned.filename for warned in caught if warned.category is NoiseWarning} == {__file__}


def test_the_line_of_a_loss_that_asks_for_a_gradient_itself_is_that_loss() -> None:
    def outer(x: Any) -> Any:
        return float(gradest.grad(flat, method="es", **ES)(START, rng=0)[0]) * x.sum()

    with pytest.warns(NoiseWarning) as caught:
        gradest.grad(outer, method="fd-forward")(np.ones(1))
    inner = [w for w in caught if "sigma=1e-06" in str(w.message)]
    assert {w.lineno for w in inner} == {outer.__code__.co_firstlineno + 1}


def test_in_a_thread_without_a_line_of_the_users_it_is_given_all_the_same() -> None:
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(1) as threads:
        warnings.simplefilter("always")
        threads.submit(warn_user, "said", UserWarning).result()
    assert [str(w.message) for w in caught] == ["said"]


def test_a_module_of_the_users_that_is_named_alike_is_the_users() -> None:
    module = types.ModuleType("gradest_experiments")
    code = compile(
        "from gradest.user_warnings import warn_user\nwarn_user('said', UserWarning)", "experiment.py", "exec"
    )
    with pytest.warns(UserWarning, match="said") as caught:
        exec(code, module.__dict__)
    assert (caught[0].filename, caught[0].lineno) == ("experiment.py", 2)
