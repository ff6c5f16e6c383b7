"""`numpy.bool` is given back to MXNet alone, and what MXNet misses is named with the command that installs it."""

import importlib.util
import os
import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gradest

if find_spec("mxnet") is None:
    pytest.skip("MXNet is not installed (it needs NumPy 1)", allow_module_level=True)

gradest.get_backend("mxnet")

from gradest_mxnet import framework, numpy_alias  # noqa: E402  # MXNet is imported by the backend, or not at all

mx = framework.mx


def test_there_is_a_way_to_mxnet_that_works_before_anything_else() -> None:
    program = "from gradest_mxnet import mx; import mxnet; assert mx is mxnet; print(mx.np.ones(2).sum().item())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert (done.stdout.strip(), done.returncode) == ("2.0", 0), done.stderr


def test_numpy_itself_has_no_alias() -> None:
    assert "bool" not in vars(np)


def test_boolean_indexing_and_filling_work() -> None:
    x = mx.np.array([1.0, 2.0, 3.0])
    with mx.util.np_shape(True):
        x[mx.np.array([True, False, True], dtype="bool")] = 0.0
        np.testing.assert_array_equal(x.asnumpy(), [0.0, 2.0, 0.0])
        np.testing.assert_array_equal(x[x > 1].asnumpy(), [2.0])
        np.testing.assert_array_equal(mx.np.full((2,), True).asnumpy(), [True, True])
        assert x[True].shape == (1, 3)


def test_modules_of_mxnet_see_a_proxy_with_every_name_of_numpy() -> None:
    from mxnet.numpy import multiarray

    proxy = multiarray._np
    assert proxy is not np
    assert proxy.bool is bool
    assert all(getattr(proxy, name) is value for name, value in vars(np).items() if not name.startswith("__"))


def test_second_pass_finds_nothing_left() -> None:
    assert numpy_alias.alias_inside_mxnet() == 0


def test_alias_is_taken_away_after_a_failure() -> None:
    def fail() -> None:
        with numpy_alias.numpy_bool():
            assert vars(np)["bool"] is bool
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "bool" not in vars(np)


def test_someone_elses_alias_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(np), "bool", bool)
    with numpy_alias.numpy_bool():
        pass
    assert vars(np)["bool"] is bool


def failing(error: Exception) -> Any:
    def import_module(name: str) -> ModuleType:
        raise error

    return import_module


@pytest.mark.parametrize(
    ("error", "command"),
    [
        (OSError("libgomp.so.1: cannot open shared object file"), "apt-get install libgomp1 libquadmath0"),
        (ModuleNotFoundError("No module named 'distutils'", name="distutils"), "pip install setuptools"),
        (ModuleNotFoundError("No module named 'requests'", name="requests"), "pip install requests"),
    ],
    ids=["system library", "distutils", "package"],
)
def test_what_is_missing_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch, error: Exception, command: str
) -> None:
    monkeypatch.setattr(framework, "import_module", failing(error))
    with pytest.raises(gradest.MissingDependencyError, match=command) as caught:
        framework.import_mxnet()
    assert caught.value.__cause__ is error
    assert "bool" not in vars(np)


def test_missing_mxnet_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framework, "find_spec", lambda name: None)
    with pytest.raises(gradest.MissingDependencyError, match=r"pip install 'gradest\[mxnet\]'"):
        framework.import_mxnet()


def test_numpy_2_is_refused_before_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "__version__", "2.1.0")
    monkeypatch.setattr(framework, "import_module", failing(AssertionError("imported")))
    with pytest.raises(gradest.MissingDependencyError, match="numpy<2"):
        framework.import_mxnet()


def test_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import gradest_mxnet

    assert importlib.util.find_spec("gradest_mxnet") is not None
    assert "gradest_mxnet" in sys.modules
    with pytest.raises(AttributeError, match="TorchBackend"):
        _ = gradest_mxnet.TorchBackend
