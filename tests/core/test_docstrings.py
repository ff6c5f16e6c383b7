"""Every public name has an example in its docstring that prints something, and every example prints what it says."""

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest
from support.many import of_each

import gradest
from gradest import datasets, directions, estimators, registry, testing, theory, training

NAMESPACES = (gradest, datasets, directions, estimators, testing, theory, training)

SHOWN_ELSEWHERE = {
    "gradest.directional.DirectionalDerivative": "gradest.directional.directional_derivative",
    "gradest.stateful.PreparedRun": "gradest.stateful.StatefulEstimator",
}
"""A name that needs another to be shown, and the name whose example shows it."""


def modules() -> list[str]:
    return ["gradest", *(module.name for module in pkgutil.walk_packages(gradest.__path__, "gradest."))]


def public() -> Iterator[object]:
    """Yield the public functions and classes, but for errors, which nobody makes; and the classes of the problems."""
    for namespace in NAMESPACES:
        for name in namespace.__all__:
            found = getattr(namespace, name)
            ours = getattr(found, "__module__", "").startswith("gradest")
            if ours and (inspect.isfunction(found) or (inspect.isclass(found) and not issubclass(found, Exception))):
                yield found
    for name in registry.PROBLEMS:
        yield registry.load_class("problems", name)


def title(found: object) -> str:
    return f"{found.__module__}.{found.__qualname__}"  # type: ignore[attr-defined]  # a function or a class


PUBLIC = {title(found): found for found in public()}


def examples(found: object) -> list[doctest.Example]:
    """Return the examples below the heading "Examples" of a docstring of its own that print something."""
    text = vars(found).get("__doc__") if inspect.isclass(found) else found.__doc__
    _, heading, shown = inspect.cleandoc(text or "").partition("\nExamples\n--------\n")
    return [example for example in doctest.DocTestParser().get_examples(shown) if heading and example.want]


@of_each(PUBLIC)
def test_every_public_name_has_an_example(name: str) -> None:
    shown_by = PUBLIC[SHOWN_ELSEWHERE.get(name, name)]
    assert examples(shown_by), f"{name} needs a section Examples with a line `>>>` that prints something"


def test_a_name_shown_elsewhere_has_no_example_of_its_own() -> None:
    for name in SHOWN_ELSEWHERE:
        assert not examples(PUBLIC[name])


@pytest.mark.parametrize("name", modules())
def test_every_example_prints_what_it_says(name: str) -> None:
    """Each docstring by itself, with no name but those that it imports: it can be pasted as it stands."""
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(verbose=False)
    report: list[str] = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name, globs={"__name__": "__main__"}):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


# -- what is not seen by a helper that sees nothing -------------------------------------------------------------------


def without() -> int:
    """Return one."""
    return 1


def silent() -> int:
    """Return one.

    Examples
    --------
    >>> one = silent()
    """
    return 1


def elsewhere() -> int:
    """Return one.

    >>> 1
    1
    """
    return 1


class Child(gradest.Layout):
    __doc__ = None


def shown() -> int:
    """Return one.

    Examples
    --------
    >>> 1
    1
    """
    return 1


@pytest.mark.parametrize("mutant", [without, silent, elsewhere, Child], ids=lambda m: m.__name__)
def test_a_name_without_an_example_is_seen(mutant: object) -> None:
    assert not examples(mutant)
    assert examples(shown)


def test_a_wrong_example_is_seen() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1\n2\n", {}, "wrong", None, None)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda text: None).failed == 1
