"""JAX is sent the same arrays, to the same place, before and after their transfer is compiled, and compiles once."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from support.turns import shared_out

import gradest
from gradest.problems.mlp import MLP

pytest.importorskip("jax", reason="pip install 'gradest[jax]'")
SENT = 260
"""More than twice the arrays of one form after which a transfer is compiled."""


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("copy", [True, False])
def test_a_form_that_comes_again_is_sent_as_before(dtype: str, copy: bool) -> None:
    backend = gradest.get_backend("jax")
    place = backend.devices()[0]
    generator = np.random.default_rng(0)
    for number in range(SENT):
        host = generator.standard_normal((3, 5)).astype(dtype)
        if number % 2:
            host = np.asfortranarray(host)
        array: Any = backend.array(host, dtype=dtype, device=place, copy=copy)
        assert backend.dtype(array) == dtype
        assert backend.device(array) == place
        assert not array.committed  # as users' arrays are: what is compiled for these is compiled for those
        assert np.array_equal(backend.numpy(array), host)


def test_what_is_sent_again_and_again_keeps_its_values() -> None:
    """Whatever the alignment of the array that is sent, to which XLA's sharing of memory looks."""
    backend = gradest.get_backend("jax")
    memory = np.zeros(64 + 7 * 11)
    for number in range(SENT):
        host = memory[number % 64 :][:77].reshape(7, 11)
        host[...] = number
        array = backend.array(host, dtype="float64", device="cpu")
        host[...] = -1.0
        assert np.all(backend.numpy(array) == number)


def test_a_device_that_is_not_there_is_refused() -> None:
    for _ in range(2):
        with pytest.raises(gradest.UnsupportedError, match="JAX has here: "):
            gradest.get_backend("jax").array(np.ones(3), dtype="float32", device="cuda:77")


def test_arrays_for_another_device_than_the_default_one_are_committed_to_it() -> None:
    """Else what they are combined with would decide where it is computed."""
    script = """
import jax, numpy as np, gradest
backend = gradest.get_backend("jax")
for _ in range(260):
    array = backend.array(np.ones(3), dtype="float32", device="cpu:1")
    assert array.committed and backend.device(array) == "cpu:1"
with jax.default_device(jax.local_devices()[1]):
    first, second = (backend.array(np.ones(3), dtype="float32", device=name) for name in ("cpu", "cpu:1"))
    assert first.committed and backend.device(first) == "cpu"
    assert not second.committed and backend.device(second) == "cpu:1"
"""
    flags = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", script], env=flags, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


METHODS = ["reverse", "forward", "forward-gradient", "fd-central", "fd-forward", "fd-richardson", "es", "spsa"]


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """A list that has one entry more for each program that XLA compiles."""
    import jax

    seen: list[str] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if "backend_compile" in event:
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.clear_event_listeners()


@pytest.mark.parametrize("method", METHODS)
def test_a_second_call_compiles_nothing(method: str, compilations: list[str]) -> None:
    """The first is at the user's own arrays too, and so must be what it is compiled for."""
    import jax.numpy as jnp

    def loss(p: dict[str, Any], x: Any) -> Any:
        return jnp.sum(jnp.tanh(x @ p["w"] + p["b"]) ** 2)

    generator = np.random.default_rng(0)
    draw = generator.standard_normal
    params = [{"w": jnp.asarray(draw((3, 2)), "float32"), "b": jnp.asarray(draw(2), "float32")} for _ in range(3)]
    x = jnp.asarray(draw((5, 3)), "float32")
    gradient = gradest.grad(loss, method=method)
    gradient(params[0], x, rng=0)
    assert compilations
    compilations.clear()
    for at in params[1:]:
        gradient(at, x, rng=1)
    assert compilations == []


@pytest.mark.parametrize("method", shared_out(["fd-central", "fd-richardson", "es", "complex-step"]))
def test_a_loop_of_jax_is_compiled_a_few_times_and_not_at_each_evaluation(method: str, compilations: list[str]) -> None:
    """A body that is made anew at each call of the loss is compiled anew by a plain evaluation."""
    import jax
    import jax.numpy as jnp

    def loss(p: Any) -> Any:
        return jnp.sum(jax.lax.scan(lambda h, _: (jnp.tanh(p * h + 0.1), None), jnp.ones_like(p), None, 5)[0])

    params = jnp.asarray([0.3, -0.7, 1.1, 0.2], "float32")
    found = gradest.grad(loss, method=method)(params, rng=0)
    assert np.isfinite(np.asarray(found)).all()
    assert len(compilations) < 40  # 76 where each look about the point was one program more


@pytest.mark.parametrize("method", shared_out(["fd-central", "fd-richardson", "complex-step"]))
def test_a_deep_network_is_compiled_for_each_form_of_its_blocks_and_not_for_each_block(
    method: str, compilations: list[str]
) -> None:
    import jax.numpy as jnp

    generator = np.random.default_rng(0)
    layers = [
        {"w": jnp.asarray(generator.standard_normal((3, 3)) / 2, "float32"), "b": jnp.zeros(3)} for _ in range(12)
    ]

    def loss(p: Any) -> Any:
        h = jnp.ones((2, 3)) / 3
        for layer in p:
            h = jnp.tanh(h @ layer["w"] + layer["b"])
        return jnp.sum(h * jnp.arange(3.0))

    counts = []
    for depth in (2, 12):
        compilations.clear()
        found = gradest.grad(loss, method=method)(layers[:depth])
        counts.append(len(compilations))
        wanted = gradest.grad(loss, method="reverse")(layers[:depth])
        for one, other in zip(found, wanted, strict=True):
            for name, block in one.items():
                np.testing.assert_allclose(block, other[name], rtol=0, atol=1e-3)
    assert counts[1] <= counts[0], counts  # the primitives of the first are there already


@pytest.mark.parametrize("method", ["fd-central", "complex-step"])
def test_a_block_without_influence_has_zeros_beside_others_of_its_form_and_of_none(method: str) -> None:
    import jax.numpy as jnp

    def loss(p: dict[str, Any]) -> Any:
        return jnp.sum(p["a"] ** 2 * jnp.asarray([1.0, 2.0]))

    params = {"a": jnp.ones(2), "idle": jnp.ones(2), "alone": jnp.ones((2, 2))}
    found = gradest.grad(loss, method=method)(params)
    np.testing.assert_allclose(found["a"], [2.0, 4.0], rtol=1e-3)
    for name in ("idle", "alone"):
        np.testing.assert_array_equal(found[name], np.zeros(params[name].shape))


@pytest.mark.filterwarnings("ignore::gradest.NoiseWarning")  # the entry that jumps has one, rightly
def test_a_block_that_does_not_move_keeps_the_sign_of_its_zeros() -> None:
    """At -0 and at 0 the angle differs by a whole turn, which a difference on one side would divide by the step."""
    import jax.numpy as jnp

    def loss(p: dict[str, Any]) -> Any:
        return jnp.sum(p["a"]) + jnp.arctan2(p["turn"][0], -1.0)

    found = gradest.grad(loss, method="fd-forward")({"a": jnp.ones(1), "turn": jnp.asarray([-0.0])})
    np.testing.assert_allclose(found["a"], [1.0], rtol=1e-2)


@dataclass(frozen=True, eq=False)
class Joined(gradest.Problem):
    """`sum of squares of (a, b) joined`, gradient (2 a, 2 b): blocks of two forms in one operation."""

    name = "test-joined"

    def parameters(self) -> dict[str, Any]:
        return {"a": np.array([0.5, -1.0]), "b": np.array([2.0, 0.25, -0.75])}

    def data(self) -> dict[str, Any]:
        return {}

    def loss(self, ops: Any, params: Any, data: Any) -> Any:
        joined = ops.concat(params["a"], params["b"], axis=-1)
        return ops.sum(joined * joined, axis=-1)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize(
    ("name", "options"),
    [("fd-forward", {"path": "black-box"}), ("fd-central", {"kinks": "warn"}), ("complex-step", {})],
)
def test_a_problem_may_join_a_block_that_moves_and_one_that_does_not(
    name: str, options: dict[str, str], backend: str
) -> None:
    found = gradest.get_estimator(name, **options)(Joined(), backend=backend, dtype="float64").gradient
    for block, at in Joined().parameters().items():
        np.testing.assert_allclose(np.asarray(found[block]), 2 * at, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sent", [1, SENT])
def test_what_is_sent_is_jaxs_own_without_jit_too(sent: int) -> None:
    """Under `jax.disable_jit` a compiled identity returns NumPy's array, of which JAX's own were asked next."""
    import jax

    backend = gradest.get_backend("jax")
    host = np.array([0.5, -1.5, 0.25, 2.0, 1.0, 3.0, 7.0], dtype=np.float32)
    for _ in range(sent):
        backend.array(host, dtype="float32")
    with jax.disable_jit():
        assert isinstance(backend.array(host, dtype="float32"), jax.Array)
        found = gradest.grad(lambda p: jax.numpy.sum(p**3), method="fd-central")(jax.numpy.asarray(host))
    np.testing.assert_allclose(found, 3.0 * host**2, rtol=1e-3, atol=0.01)


def test_an_array_on_two_devices_is_told_how_to_lie_on_one() -> None:
    script = """
import jax, gradest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
mesh = Mesh(jax.devices(), ("d",))
spread = jax.device_put(jax.numpy.ones(4), NamedSharding(mesh, PartitionSpec("d")))
try:
    gradest.grad(lambda p: (p["w"] ** 2).sum())({"w": spread})
except gradest.InvalidTypeError as error:
    assert "'w'" in str(error) and "on 2 devices" in str(error) and "device_put" in str(error), error
else:
    raise AssertionError("not refused")
"""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, env={**os.environ, **flags}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def _noting(sends: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    def send(*args: Any, **kwargs: Any) -> Any:
        calls.append(sends.__name__)
        return sends(*args, **kwargs)

    return send


@pytest.mark.parametrize("options", shared_out([{"path": "black-box"}, {}, {"differences": "exact"}]), ids=str)
def test_a_sweep_sends_nothing_for_each_of_its_chunks(options: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a chunk needs are arguments of a compiled step: sent beforehand, they took as long as its computing."""
    import jax.numpy as jnp

    from gradest_jax.backend import JaxBackend

    problem = MLP(widths=(128,), batch=4)
    sent = {}
    for chunk_size in (512, 256):
        objective = gradest.bind(problem, backend="jax", dtype="float32", kernel="native")
        prepared = gradest.get_estimator("fd-forward", step=1e-3, chunk_size=chunk_size, **options).prepare(objective)
        prepared()  # compiles
        calls: list[str] = []
        with monkeypatch.context() as patch:
            for owner, name in ((JaxBackend, "array"), (jnp, "asarray")):
                patch.setattr(owner, name, _noting(getattr(owner, name), calls))
            prepared()
        sent[chunk_size] = len(calls)
    assert sent[512] == sent[256]
