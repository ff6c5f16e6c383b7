"""One test of many small cases: a test for each would take longer than what it states, where that is a millisecond."""

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def of_each(cases: Iterable[T], name: Callable[[T], str] = str) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Make one test of what a function states of a case: all are tried, and those that fail are told by their names."""
    every = list(cases)

    def one_test(state: Callable[[T], None]) -> Callable[[], None]:
        def test() -> None:
            assert every, "there is nothing to state it of"
            failed = []
            for case in every:
                try:
                    state(case)
                except Exception as failure:  # noqa: BLE001  # all of them are raised below
                    failure.add_note(f"This was the case {name(case)!r}.")
                    failed.append(failure)
            if failed:
                raise ExceptionGroup(f"{len(failed)} of {len(every)} cases failed", failed)

        # not functools.wraps: pytest would look for a fixture of the name of the argument
        test.__name__, test.__doc__, test.__module__ = state.__name__, state.__doc__, state.__module__
        return test

    return one_test
