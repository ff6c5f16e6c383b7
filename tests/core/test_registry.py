"""Names lead to classes on first use; plug-ins come by entry point, take no built-in name and break nothing."""

import importlib.metadata
import os
import pickle
import sys
from collections.abc import Callable, Iterator

import pytest

import gradest
from gradest import MissingDependencyError, UnknownNameError, errors, registry

Install = Callable[..., None]
"""Installs entry points of problems for one test: name -> "module:Class"."""


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Give a function that installs entry points for the test."""

    def install(**points: str) -> None:
        def find(group: str) -> list[importlib.metadata.EntryPoint]:
            found = [importlib.metadata.EntryPoint(n.replace("_", "-"), v, group) for n, v in points.items()]
            return found if group == "gradest.problems" else []

        monkeypatch.setattr(registry, "entry_points", find)
        registry._plugins.cache_clear()

    yield install
    monkeypatch.undo()
    registry._plugins.cache_clear()


@pytest.mark.parametrize("group", ["estimators", "problems"])
def test_every_built_in_name_leads_to_its_class(group: str) -> None:
    assert all(isinstance(registry.load_class(group, name), type) for name in gradest.names(group))


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'numpy'") as caught:
        gradest.get_backend("nunpy")
    assert isinstance(caught.value, ValueError)
    with pytest.raises(UnknownNameError, match="activation"):
        gradest.get_problem("mlp", activaton="relu")


def test_a_missing_framework_is_an_import_error_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        registry.BACKENDS, "absent", registry.Entry("gradest_absent:B", package="gradest_absent", extra="jax")
    )
    with pytest.raises(MissingDependencyError, match=r"pip install 'gradest\[jax\]'") as caught:
        registry.load_class("backends", "absent")
    assert isinstance(caught.value, ImportError)
    assert caught.value.__cause__ is not None


def test_a_plugin_is_found_by_its_entry_point(entry_points: Install) -> None:
    entry_points(mine="gradest.problems.quadratic:Quadratic")
    assert "mine" in gradest.names("problems")
    assert gradest.get_problem("mine", size=3).layout.num_parameters == 3


def test_a_plugin_may_not_take_a_built_in_name(entry_points: Install) -> None:
    entry_points(mlp="gradest.problems.quadratic:Quadratic")
    assert type(gradest.get_problem("mlp")).__name__ == "MLP"
    assert "built-in name" in registry.broken_plugins()["problems/mlp"]


def test_a_broken_plugin_is_reported_and_disturbs_nothing(entry_points: Install) -> None:
    entry_points(broken="no_such_module_anywhere:Thing")
    assert "ModuleNotFoundError" in registry.broken_plugins()["problems/broken"]
    assert gradest.get_problem("quadratic").layout.num_parameters == 20


def test_names_do_not_import_what_they_name() -> None:
    assert "gradest_absent" not in sys.modules
    assert set(gradest.names("backends")) >= {"numpy", "jax", "torch", "mxnet"}


ERRORS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: e.__name__)
def test_errors_survive_pickling(error: type[Exception]) -> None:
    again = pickle.loads(pickle.dumps(error("what was asked")))
    assert type(again) is error
    assert str(again) == "what was asked"


@pytest.mark.parametrize("name", sorted(filter(None, os.environ.get("GRADEST_REQUIRED_BACKENDS", "").split(","))))
def test_backends_that_the_environment_is_said_to_have_are_there(name: str) -> None:
    assert gradest.get_backend(name).versions()
