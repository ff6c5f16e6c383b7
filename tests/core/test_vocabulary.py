"""Words of other libraries and papers lead to the names that mean them here, and to nothing that is not there."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import gradest
from gradest import InvalidInputError, InvalidTypeError, UnknownNameError, vocabulary
from gradest.problems.mlp import ACTIVATIONS
from gradest.sampling.shaping import BASELINES
from gradest.theory.direction_only import SHAPINGS
from gradest.training import OPTIMIZERS, get_optimizer
from gradest_bench.command.main import main

ESTIMATORS = {
    "reverse": "backprop backpropagation autograd autodiff grad vjp jacrev Reverse REVERSE_MODE bakcprop revers exact",
    "forward": "jvp jacfwd autodiff forward_mode forwardmode dual-numbers",
    "fd-central": "numeric numerical Numerical_Gradient finite-difference finite-differences fd FD_Central "
    "central fdcentral fd-cental zeroth-order 3-point finite_diff",
    "fd-forward": "2-point one-sided approx_fprime",
    "fd-richardson": "richardson Richardson-extrapolation",
    "fd-five-point": "five-point five_point_stencil",
    "complex-step": "complex cs complex_step_derivative",
    "es": "evolution evolution-search evolution-strategy evolution-strategies openai-es nes antithetic zeroth-order "
    "ES es_",
    "es-forward": "directional-difference directional_finite_difference",
    "es-rank": "openai-es centered_rank",
    "es-low-rank": "lowrank eggroll",
    "spsa": "simultaneous-perturbation mezo MeZO zeroth-order SPSA spsa-gradient",
    "guided-es": "guided guided_evolution_strategies",
    "analytic": "manual hand closed-form exact symbolic analitic",
    "null": "zeros none",
}
BACKENDS = {
    "torch": "pytorch PyTorch Torch",
    "numpy": "np NumPy nunpy",
    "mxnet": "gluon mx",
    "jax": "jnp jax.numpy flax",
}
PROBLEMS = {
    "mlp": "neural-network MLP multilayer_perceptron mnist",
    "softmax-regression": "softmax logistic-regression mnist",
    "least-squares": "linear-regression least_squares",
    "rosenbrock": "banana Rosenbrock rosenbrok",
}
FIELDS = {
    ("es", "num_samples"): "n_samples samples population_size n N num_sample popsize",
    ("es", "sigma"): "std noise-scale eps smoothing Sigma sigmma step",
    ("fd-central", "step"): "eps h epsilon delta step_size stepsize sigma dx",
    ("fd-central", "coordinates"): "num_samples indices",
    ("forward", "chunk_size"): "batch_size chunksize",
}
OPTIONS = {
    "distribution": {"normal": "gaussian", "rademacher": "bernoulli", "low-rank": "lowrank low_rank"},
    "baseline": {"leave-one-out": "loo leave_one_out", "mean": "average"},
    "shaping": {"centered-rank": "rank centered_rank", "z-score": "zscore normalize"},
}


def refused(look_up: Any, *args: Any, **fields: Any) -> str:
    with pytest.raises(UnknownNameError) as caught:
        look_up(*args, **fields)
    return str(caught.value).partition("Known: ")[0]


def rows(table: dict[Any, str]) -> list[tuple[Any, str]]:
    return [(name, word) for name, words in table.items() for word in words.split()]


@pytest.mark.parametrize(("name", "word"), rows(ESTIMATORS), ids=str)
def test_words_lead_to_estimators_by_every_door(name: str, word: str) -> None:
    for message in (refused(gradest.get_estimator, word), refused(gradest.grad, abs, method=word)):
        assert repr(name) in message, message
    said = CliRunner().invoke(main, ["check", word])
    assert said.exit_code == 2
    assert repr(name) in said.output


@pytest.mark.parametrize(
    "word", ["cma", "CMA-ES", "reinforce", "score_function", "adam", "hessian", "straight-through"]
)
def test_what_is_not_there_is_said_not_to_be(word: str) -> None:
    assert re.search(r"there is none|no estimator of one", refused(gradest.get_estimator, word))


def test_brackets_of_the_command_line_are_told_how_python_gives_fields() -> None:
    told = "in Python fields are given apart, as by gradest.get_estimator('es', FIELD=VALUE). "
    for ask in (gradest.get_estimator, lambda name: gradest.compare(abs, 1.0, estimators=[name])):
        assert refused(ask, "es(sigma=0.1)") == f"no estimator is named 'es(sigma=0.1)'; {told}"
    assert "gradest.get_problem('mlp', FIELD=VALUE)" in refused(gradest.get_problem, "mlp(dataset='iris')")


@pytest.mark.parametrize(("name", "word"), rows(BACKENDS), ids=str)
def test_words_lead_to_backends(name: str, word: str) -> None:
    assert repr(name) in refused(gradest.get_backend, word)
    assert repr(name) in refused(gradest.bind, gradest.get_problem("quadratic"), backend=word)


def test_a_framework_without_a_backend_and_a_device_are_told_apart() -> None:
    assert "there is none" in refused(gradest.get_backend, "tensorflow")
    assert "device=" in refused(gradest.get_backend, "cuda")


@pytest.mark.parametrize(("name", "word"), rows(PROBLEMS), ids=str)
def test_words_lead_to_problems(name: str, word: str) -> None:
    assert repr(name) in refused(gradest.get_problem, word)


@pytest.mark.parametrize(("name", "word"), [
    ("sgd", "gd"), ("heavy-ball", "momentum"), ("nesterov", "nag"), ("adam", "AdamW"), ("random-search", "random"),
])  # fmt: skip
def test_words_lead_to_optimizers(name: str, word: str) -> None:
    assert repr(name) in refused(get_optimizer, word)


def test_misnamed_options_lead_to_the_field_of_that_optimizer() -> None:
    """What a class says of itself (its formula, its source) stood among the fields, and could not be given."""
    assert "did you mean 'step_size'" in refused(get_optimizer, "adam", lr=0.1)
    assert "did you mean 'scale'" in refused(get_optimizer, "random-search", sigma=0.1)
    with pytest.raises(UnknownNameError, match=r"named 'formula'; known: step_size$"):
        get_optimizer("sgd", formula="x")


@pytest.mark.parametrize(("place", "word"), rows(FIELDS), ids=str)
def test_misnamed_options_lead_to_the_field_of_that_estimator(place: tuple[str, str], word: str) -> None:
    estimator, field = place
    assert f"did you mean {field!r}" in refused(gradest.grad, abs, method=estimator, **{word: 1})


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("rng", r"grad\(f, method='es'\)\(params, rng=0\)"),
        ("seed", r"\(params, rng=0\)"),
        ("lr", "optimiser"),
        ("n_jobs", r"prepare\(objective, executor="),
        ("wrt", "argnums="),
    ],
)
def test_options_that_belong_elsewhere_are_sent_there(word: str, place: str) -> None:
    assert re.search(place, refused(gradest.grad, abs, method="es", **{word: 0}))


def test_backend_is_an_option_of_the_call_and_not_of_the_estimator() -> None:
    assert "gradest.bind" in refused(gradest.get_estimator, "es", backend="jax")


@pytest.mark.parametrize("option", OPTIONS)
def test_values_of_options_are_found_likewise(option: str) -> None:
    for name, word in rows(OPTIONS[option]):
        fields = {"antithetic": False} if option == "baseline" else {}
        assert repr(name) in refused(gradest.get_estimator, "es", **{option: word}, **fields)


def test_an_option_that_a_name_fixes_is_said_to_be_fixed() -> None:
    assert re.search(r"'fd-central' means FiniteDifference with scheme='central'", refused(
        gradest.get_estimator, "fd-central", scheme="forward"
    ))  # fmt: skip
    assert "distribution='rademacher'" in refused(gradest.get_estimator, "spsa", distribution="normal")


def test_what_is_no_name_is_an_error_of_its_type() -> None:
    with pytest.raises(InvalidTypeError, match=r"name of a registered estimator.*found int"):
        gradest.get_estimator(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="one already: use it as it is"):
        gradest.get_estimator(gradest.get_estimator("es"))  # type: ignore[arg-type]


def test_a_file_without_its_class_is_told_the_classes_in_it() -> None:
    place = str(Path(__file__).parents[1] / "support" / "mutants_of_scale.py")
    with pytest.raises(InvalidInputError, match=r"mutants_of_scale\.py:MissingSigma"):
        gradest.get_estimator(place)
    said = CliRunner().invoke(main, ["check", place])
    assert said.exit_code == 2
    assert "mutants_of_scale.py:WrongSign" in said.output
    assert "gradest.estimators.reverse:Class" in refused(gradest.get_estimator, "gradest.estimators.reverse")


def registered() -> dict[str, set[str]]:
    """Return the names that there are of each kind that has words."""
    estimators = {type(gradest.get_estimator(name)) for name in gradest.names("estimators")}
    problems = {type(gradest.get_problem(name)) for name in gradest.names("problems")}
    fields = {field for found in estimators | problems for field in getattr(found, "__dataclass_fields__", {})}
    return {
        "estimator": set(gradest.names("estimators")),
        "backend": set(gradest.names("backends")),
        "problem": set(gradest.names("problems")),
        "field of estimator": fields,
        "field of problem": fields,
        "optimizer": set(OPTIMIZERS),
        "field of optimizer": {field.name for made in OPTIMIZERS.values() for field in dataclasses.fields(made())},
        "distribution of directions": set(gradest.directions.LAWS),
        "baseline": set(BASELINES),
        "fitness shaping": set(SHAPINGS),
        "difference scheme": {"central", "forward", "backward"},
        "activation": set(ACTIVATIONS),
    }


def test_tables_name_what_is_registered_in_words_as_they_are_looked_up() -> None:
    there = registered()
    assert set(vocabulary.TABLES) == set(there)
    for kind, table in vocabulary.TABLES.items():
        for row in table:
            assert set(row.names) <= there[kind], (kind, row.names)
            assert row.names or row.remark, row
            assert kind.startswith("field of") or not set(row.words) & there[kind], row  # a name is found before words
            assert all(vocabulary.normal(word) == word for word in row.words), row


def test_a_word_that_means_nothing_here_gets_no_hint() -> None:
    assert refused(gradest.get_estimator, "xyzzy").startswith("no estimator is named 'xyzzy'; known: analytic, ")
