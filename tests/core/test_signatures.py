"""The function as its user wrote it: keyword arguments, any argument differentiated, more returned than the loss."""

import collections
import functools
import pickle
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import InvalidInputError, InvalidTypeError

FRAMEWORKS = ["numpy", "jax", "torch", "mxnet"]


def array(framework: str, values: Any) -> Any:
    return gradest.get_backend(framework).array(np.asarray(values), dtype="float32")


def numbers(framework: str, value: Any) -> Any:
    return gradest.get_backend(framework).numpy(value)


def methods(framework: str) -> list[str]:
    return ["fd-central", "es"] if framework == "numpy" else ["reverse", "fd-central", "es"]


CASES = [(framework, method) for framework in FRAMEWORKS for method in methods(framework)]
cases = pytest.mark.parametrize(("backend", "method"), CASES)


def loss(p: Any, x: Any, *, scale: float = 1.0) -> Any:
    return (scale * x * p).sum()


# A linear loss: central differences are right to rounding, and 800 samples give 1 +- 5 sqrt(3 / 800) = 0.31 of it,
# where an argument that is lost gives half of it or another vector.
BARS = {"reverse": 1e-6, "fd-central": 1e-3, "es": 0.31}
OPTIONS: dict[str, dict[str, Any]] = {"es": {"num_samples": 800}}


@cases
def test_keyword_arguments_reach_the_function_from_every_door(backend: str, method: str) -> None:
    params, x, exact = array(backend, [1.0, 2.0]), array(backend, [3.0, -1.0]), np.array([6.0, -2.0])
    estimator = gradest.get_estimator(method, **OPTIONS.get(method, {}))
    case = gradest.Case(loss, params, (x,), {"scale": 2.0})
    bar = BARS[method] * np.linalg.norm(exact)
    for found in (
        gradest.grad(loss, method=estimator)(params, x, scale=2.0, rng=0),
        gradest.grad(loss, method=estimator)(params, x=x, scale=2.0, rng=0),
        estimator(loss, params, x, scale=2.0, rng=0).gradient,
        estimator(case, rng=0).gradient,
        estimator.prepare(gradest.bind(loss, params, x, scale=2.0))(rng=0).gradient,
    ):
        assert np.linalg.norm(numbers(backend, found) - exact) <= bar


def test_keyword_arguments_have_no_order() -> None:
    prepared = gradest.get_estimator("fd-central").prepare(
        gradest.bind(lambda p, a, b: float((a * p + b).sum()), np.ones(2), a=np.ones(2), b=np.zeros(2))
    )
    assert prepared(np.ones(2), b=np.zeros(2), a=3.0 * np.ones(2)).gradient == pytest.approx(3.0 * np.ones(2))
    with pytest.raises(gradest.PreparationMismatchError):
        prepared(np.ones(2), a=np.ones(2))


def loss_and_sum(p: Any, x: Any) -> Any:
    return (x * p).sum(), p.sum()


def test_gradient_functions_can_be_sent_to_another_process() -> None:
    """They were closures, which multiprocessing refused: "Can't pickle local object"."""
    params, x = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    for make in (gradest.grad, gradest.value_and_grad):
        for options in ({"method": "es", "num_samples": 3}, {"method": "reverse", "argnums": (0, 1)}):
            ours = make(loss, **options)
            before = ours(params, x, scale=2.0, rng=0)
            there = pickle.loads(pickle.dumps(ours))(params, x, scale=2.0, rng=0)
            assert str(there) == str(before) == str(ours(params, x, scale=2.0, rng=0))
    with_sum = pickle.loads(pickle.dumps(gradest.grad(loss_and_sum, has_aux=True)))
    assert [value.tolist() for value in with_sum(params, x)] == [[3.0, -1.0], 3.0]


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_each_call_stands_for_itself(backend: str) -> None:
    def own(p: Any, x: Any = None, scale: float = 1.0) -> Any:
        return scale * (p.sum() if x is None else (x * p).sum())

    params, x = array(backend, [1.0, 2.0]), array(backend, [3.0, -1.0])
    gradient = gradest.grad(own, method="fd-central")
    calls = [
        ((), {}, [1, 1]),
        ((x,), {}, [3, -1]),
        ((), {}, [1, 1]),
        ((x,), {"scale": 2.0}, [6, -2]),
        ((x,), {}, [3, -1]),
    ]
    for args, kwargs, exact in calls:
        assert np.allclose(numbers(backend, gradient(params, *args, **kwargs)), exact, rtol=1e-3)


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_the_next_batch_by_keyword_is_not_prepared_again(backend: str) -> None:
    prepared = gradest.get_estimator("fd-central").prepare(
        gradest.bind(loss, array(backend, [1.0, 2.0]), x=array(backend, [3.0, -1.0]))
    )
    again = prepared(x=array(backend, [5.0, 7.0])).gradient
    assert np.allclose(numbers(backend, again), [5.0, 7.0], rtol=1e-3)
    with pytest.raises(gradest.PreparationMismatchError, match=r"named in another way.*bind it again"):
        prepared(array(backend, [1.0, 2.0]), array(backend, [5.0, 7.0]))  # by position now
    with pytest.raises(gradest.PreparationMismatchError, match=r"\(2,\)\); found arguments \(\w+\(2,\), 3\)"):
        prepared(array(backend, [1.0, 2.0]), x=array(backend, [5.0, 7.0]), scale=3)


@cases
def test_any_argument_is_differentiated(backend: str, method: str) -> None:
    x, params = array(backend, [3.0, -1.0]), array(backend, [1.0, 2.0])
    estimator = gradest.get_estimator(method, **OPTIONS.get(method, {}))
    for argnums in (1, -1):
        found = gradest.grad(lambda x, p: (x * p).sum(), method=estimator, argnums=argnums)(x, params, rng=0)
        assert np.linalg.norm(numbers(backend, found) - [3.0, -1.0]) <= BARS[method] * np.sqrt(10)
    both = gradest.grad(lambda x, p: (x * p).sum(), method=estimator, argnums=(1, 0))(x, params, rng=0)
    assert type(both) is tuple
    found = np.concatenate([numbers(backend, block) for block in both])
    # P = 4: theory's standard error is |g| sqrt(5 / 800).
    assert np.linalg.norm(found - [3.0, -1.0, 1.0, 2.0]) <= {**BARS, "es": 0.4}[method] * np.sqrt(15)


def test_a_model_may_be_any_argument() -> None:
    torch = pytest.importorskip("torch", reason="a model of PyTorch")
    torch.manual_seed(0)
    model, x = torch.nn.Linear(3, 1), torch.randn(5, 3)
    found = gradest.grad(lambda x, m: m(x).square().mean(), argnums=1)(x, model)
    model(x).square().mean().backward()
    assert all(torch.equal(found[name], p.grad) for name, p in model.named_parameters())


def test_argnums_are_checked() -> None:
    with pytest.raises(InvalidTypeError, match="an int or a tuple of ints; found 'p'"):
        gradest.grad(loss, argnums="p")  # type: ignore[arg-type]  # what is tested
    for argnums in (2, -3, (0, 0), (0, -2)):
        with pytest.raises(InvalidInputError, match="found 2 positional"):
            gradest.grad(loss, method="fd-central", argnums=argnums)(np.ones(2), np.ones(2))
    with pytest.raises(InvalidInputError, match="argnums=1 is for a function"):
        gradest.grad(gradest.get_problem("quadratic"), method="fd-central", argnums=1)


def with_auxiliary(p: Any, x: Any) -> Any:
    return (p * p * x).sum(), {"prediction": p * x, "epoch": 3}


@cases
def test_what_comes_with_the_loss_is_given_back(backend: str, method: str) -> None:
    params, x = array(backend, [1.0, 2.0]), array(backend, [3.0, -1.0])
    (value, auxiliary), gradient = gradest.value_and_grad(with_auxiliary, method=method, has_aux=True)(params, x, rng=0)
    assert float(value) == -1.0
    assert auxiliary["epoch"] == 3
    assert numbers(backend, auxiliary["prediction"]).tolist() == [3.0, -2.0]
    again, other = gradest.grad(with_auxiliary, method=method, has_aux=True)(params, x, rng=0)
    assert np.array_equal(numbers(backend, again), numbers(backend, gradient))
    assert set(other) == {"prediction", "epoch"}


@pytest.mark.parametrize("backend", ["torch", "mxnet"])  # which have a generator of their own
def test_what_comes_with_the_loss_is_of_the_numbers_that_the_gradient_is_of(backend: str) -> None:
    if backend == "torch":
        draw = pytest.importorskip("torch", reason="PyTorch draws").rand
    else:
        draw = pytest.importorskip("gradest_mxnet", reason="MXNet draws").mx.np.random.rand

    def drawn(p: Any) -> Any:
        weights = draw(3)
        return (p * weights).sum(), weights

    (_, weights), gradient = gradest.value_and_grad(drawn, has_aux=True)(array(backend, [1.0, 2.0, 3.0]))
    assert numbers(backend, gradient).tolist() == numbers(backend, weights).tolist()


def test_what_comes_with_the_loss_comes_out_of_a_compiled_call() -> None:
    jax = pytest.importorskip("jax", reason="JAX compiles the call")
    compiled = jax.jit(gradest.value_and_grad(lambda p, x: ((p * x).sum(), p * x), has_aux=True))
    (value, auxiliary), gradient = compiled(jax.numpy.ones(2), jax.numpy.array([3.0, 4.0]))
    assert (float(value), auxiliary.tolist(), gradient.tolist()) == (7.0, [3.0, 4.0], [3.0, 4.0])


def test_a_missing_second_result_is_told() -> None:
    with pytest.raises(InvalidInputError, match=r"returns \(loss, auxiliary\); found float"):
        gradest.grad(lambda p: float(p.sum()), method="fd-central", has_aux=True)(np.ones(2))
    with pytest.raises(InvalidInputError, match="has_aux=True"):  # the way out is named where a pair is found
        gradest.grad(lambda p: (p.sum(), 1), method="fd-central")(np.ones(2))


# -- parameters as they are --------------------------------------------------------------------------------------------
def squares(p: Any) -> Any:
    return (p["w"] ** 2).sum()


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_containers_come_back_as_they_were(backend: str) -> None:
    pair = collections.namedtuple("pair", ["w", "b"])
    w = array(backend, [1.0, 2.0])
    kinds: list[Any] = [collections.OrderedDict(w=w), collections.defaultdict(list, w=w), {"w": w}]
    for params in kinds:
        found = gradest.grad(squares, method="fd-central")(params)
        assert type(found) is type(params)
        assert getattr(found, "default_factory", None) is getattr(params, "default_factory", None)
        assert np.allclose(numbers(backend, found["w"]), [2.0, 4.0], rtol=1e-3)
    given = pair(w, [array(backend, 1.0)])
    found = gradest.grad(lambda p: (p.w**2).sum() + p.b[0], method="fd-central")(given)
    assert type(found) is pair
    assert isinstance(found.b, list)


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_settings_among_the_parameters_are_handed_on(backend: str) -> None:
    settings = {"activation": "square", "bias": True, "made by": np.tanh, "options": functools.partial(int, base=2)}
    params = {"w": array(backend, [1.0, 2.0]), **settings}

    def own(p: Any) -> Any:
        assert {name: p[name] for name in settings} == settings
        return squares(p)

    for method in methods(backend):
        gradient = gradest.grad(own, method=method)
        for _ in range(2):  # prepared, and then again
            found = gradient(params, rng=0)
            assert {name: found[name] for name in settings} == dict.fromkeys(settings)
    assert np.allclose(numbers(backend, gradest.grad(own, method="fd-central")(params)["w"]), [2.0, 4.0], rtol=1e-3)


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_a_number_of_pythons_goes_with_the_arrays_of_a_framework(backend: str) -> None:
    for method in methods(backend):
        gradient = gradest.grad(lambda p: p["scale"] * p["w"].sum(), method=method)
        for _ in range(2):
            found = gradient({"scale": 2.0, "w": array(backend, [1.0, 2.0])}, rng=0)
            own = gradest.get_backend(backend)
            assert own.dtype(found["w"]) == "float32"
            assert found["scale"].shape == ()
            if method != "es":
                assert np.allclose(numbers(backend, found["scale"]), 3.0, rtol=1e-3)


def test_what_is_no_array_is_refused_with_a_way_out() -> None:
    torch = pytest.importorskip("torch", reason="a model of PyTorch")
    pandas = pytest.importorskip("pandas", reason="a series of pandas")
    model = torch.nn.Linear(2, 1)
    for params, words in (
        (model.parameters(), "pass the model itself"),
        ((model,), "not in a container"),
        ({"net": model, "w": torch.ones(2)}, "not in a container"),
        (pandas.Series([1.0, 2.0]), "to_numpy"),
        ({"a": torch.ones(2), "b": np.ones(2)}, "arrays of one framework, or backend='torch', which takes NumPy's"),
    ):
        with pytest.raises(InvalidTypeError, match=words):
            gradest.grad(lambda p: 0.0, method="fd-central")(params)


def test_a_gradient_with_settings_left_out_is_a_guide() -> None:
    params = {"w": np.array([1.0, 2.0]), "kind": "square"}
    past = gradest.grad(squares, method="fd-central")(params)
    for guide in (past, params):
        found = gradest.get_estimator("guided-es", guides=[guide], num_samples=2000)(squares, params, rng=0).gradient
        assert found["kind"] is None
        cosine = found["w"] @ [1.0, 2.0] / np.linalg.norm(found["w"]) / np.sqrt(5)
        assert cosine > 0.95


def test_another_setting_is_prepared_for() -> None:
    def own(p: Any) -> Any:
        return (p["w"] ** 2).sum() if p["kind"] == "square" else p["w"].sum()

    gradient = gradest.grad(own, method="fd-central")
    assert np.allclose(gradient({"w": np.ones(2), "kind": "square"})["w"], 2.0)
    assert np.allclose(gradient({"w": np.ones(2), "kind": "sum"})["w"], 1.0)
    with pytest.raises(InvalidTypeError, match="no arrays in it"):
        gradient({"kind": "sum"})


def test_a_network_whose_activation_is_a_leaf_is_differentiated() -> None:
    jax = pytest.importorskip("jax", reason="a network of JAX's functions")
    network = {"layers": [jax.numpy.ones((2, 3)), jax.numpy.ones((3, 1))], "activation": jax.nn.tanh}

    def own(net: Any, x: Any) -> Any:
        return (net["activation"](x @ net["layers"][0]) @ net["layers"][1]).sum()

    x = jax.numpy.arange(4.0).reshape(2, 2)
    found = gradest.grad(own)(network, x)
    exact = jax.grad(lambda layers: own({"layers": layers, "activation": jax.nn.tanh}, x))(network["layers"])
    assert found["activation"] is None
    assert all(np.allclose(a, b, rtol=1e-6) for a, b in zip(found["layers"], exact, strict=True))


@pytest.mark.parametrize("backend", ["numpy", "torch", "mxnet"])
def test_arguments_are_copied_when_they_are_bound(backend: str) -> None:
    x = array(backend, [3.0, -1.0])
    objective = gradest.bind(lambda p, x: (p * x).sum(), array(backend, [1.0, 2.0]), x)
    x[:] = 100.0
    found = gradest.get_estimator("fd-central")(objective).gradient
    assert np.allclose(numbers(backend, found), [3.0, -1.0], rtol=1e-3)


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_an_objective_has_a_plain_value(backend: str) -> None:
    objective = gradest.bind(lambda p, x: (p * x).sum(), array(backend, [1.0, 2.0]), array(backend, [3.0, -1.0]))
    assert float(objective.value()) == 1.0
    assert float(objective.value(array(backend, [0.0, 2.0]))) == -2.0
    assert objective.counts.values == 2


def test_a_bound_call_with_keyword_arguments_survives_pickling() -> None:
    objective = pickle.loads(pickle.dumps(gradest.bind(loss, np.array([1.0, 2.0]), np.array([3.0, -1.0]), scale=2.0)))
    assert np.allclose(gradest.get_estimator("fd-central")(objective).gradient, [6.0, -2.0])


# -- what a framework says is told in gradest's words ---------------------------------------------------------------
def test_a_loss_that_reads_values_is_refused_by_reverse_mode_of_jax_with_a_way_out() -> None:
    jnp = pytest.importorskip("jax.numpy", reason="JAX traces")
    losses = (
        lambda p: p.sum() if p[0] > 0 else (p * p).sum(),
        lambda p: float(p.sum()),
        lambda p: np.sum(np.asarray(p)),
        lambda p: p[p > 0].sum(),
        lambda p: sum(p[k] for k in range(int(p[0]))),
    )
    for own in losses:
        for method in ("reverse", "forward", "forward-gradient"):
            with pytest.raises(gradest.UnsupportedError, match="'fd-central', 'es', 'spsa'") as caught:
                gradest.grad(own, method=method)(jnp.ones(2), rng=0)
            assert type(caught.value.__cause__).__module__.startswith("jax")


def test_what_pytorch_cannot_do_is_told_with_a_way_out() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch's own errors")

    def overwrites(p: Any) -> Any:
        held = torch.exp(p)
        value = (held**2).sum()
        held.add_(1)
        return value

    refusals = {
        "keep to PyTorch operations": lambda p: torch.tensor(np.sum(p.numpy() ** 2)),
        "writes into its parameters": lambda p: (p.mul_(2) ** 2).sum(),
        "overwrites in place": overwrites,
    }
    for words, own in refusals.items():
        with pytest.raises((gradest.UnsupportedError, InvalidInputError), match=words) as caught:
            gradest.grad(own)(torch.ones(2))
        assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(gradest.UnsupportedError, match="inside a transformation of torch"):
        torch.func.vmap(gradest.grad(lambda p: (p**2).sum()))(torch.ones(2, 2))


@cases
def test_errors_of_the_functions_own_pass_as_they_are(backend: str, method: str) -> None:
    with pytest.raises(KeyError, match="absent"):
        gradest.grad(lambda p: dict[str, float]()["absent"], method=method)(array(backend, [1.0, 2.0]), rng=0)
