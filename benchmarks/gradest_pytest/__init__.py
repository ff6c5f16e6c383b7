"""A plug-in of pytest: the fixture `gradest_check`, by which a test asserts that a gradient is right.

pytest imports this at every start, of anybody's tests, so it imports gradest only when the fixture is called.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gradest.checking.result import GradientCheck


@pytest.fixture
def gradest_check() -> "Callable[..., GradientCheck]":
    """Return `gradest.check` as an assertion: a gradient that is wrong, or of which nothing can be told, fails."""

    def check(f: Any, params: Any = None, gradient: Any = None, *args: Any, **kwargs: Any) -> "GradientCheck":
        # the failure is shown at the line of the test, which is where its author looks
        __tracebackhide__ = True
        import gradest

        found = gradest.check(f, params, gradient, *args, **kwargs)
        if not found:
            pytest.fail(str(found))
        return found

    return check
