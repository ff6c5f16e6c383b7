"""Reads lists and FIELD=VALUE pairs from the command line."""

import ast
from typing import Any

import click

from gradest.errors import InvalidInputError


class CsvOption(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click alone
    """Names separated by commas, as a tuple."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names; a tuple passes unchanged."""
        if isinstance(value, tuple):
            return value
        found = tuple(part.strip() for part in str(value).split(",") if part.strip())
        if not found:
            self.fail("at least one name is needed", param, ctx)
        return found


def parse_fields(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return FIELD=VALUE pairs as a dict; values are Python literals, else strings; lists become tuples.

    Raises
    ------
    InvalidInputError
        A pair has no `=`.
    """
    fields: dict[str, Any] = {}
    for pair in pairs:
        name, found, text = pair.partition("=")
        if not found or not name:
            raise InvalidInputError(f"--set asks for FIELD=VALUE; found {pair!r}")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        # fields of frozen dataclasses must be hashable
        fields[name] = tuple(value) if isinstance(value, list) else value
    return fields
