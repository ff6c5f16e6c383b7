"""A test of many cases tries all of them, and says which of them fail."""

import pytest
from support.many import of_each


def test_each_case_that_fails_is_raised_with_its_name() -> None:
    tried = []

    @of_each([1, 2, 3], lambda number: f"number {number}")
    def even(number: int) -> None:
        tried.append(number)
        assert number == 2

    with pytest.raises(ExceptionGroup, match="2 of 3 cases failed") as found:
        even()
    assert tried == [1, 2, 3]
    notes = [failure.__notes__ for failure in found.value.exceptions]
    assert notes == [["This was the case 'number 1'."], ["This was the case 'number 3'."]]


def test_all_cases_that_hold_raise_nothing_and_no_case_at_all_does() -> None:
    of_each([1])(lambda number: None)()
    with pytest.raises(AssertionError, match="nothing to state"):
        of_each([])(lambda number: None)()
