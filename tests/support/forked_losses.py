"""A loss at the top of a module, which a process of a pool can import; a matrix product wakes a framework's threads."""

from typing import Any


def quadratic(matrix: Any) -> Any:
    return (matrix @ matrix).sum()
