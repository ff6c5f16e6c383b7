"""Reads what the command line's arguments say: lists of names, FIELD=VALUE pairs, numbers in range, places to write.

Each kind refuses what cannot be used when it is read, before anything is computed, and says to a shell what may stand
there. This module computes nothing.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from gradest.errors import GradestError, InvalidInputError, unknown_name
from gradest.registry import find_class
from gradest_bench.results.folders import runs
from gradest_bench.results.store import RESULTS
from gradest_bench.suite.spec_text import literal, split_names

_MOST_BUDGET = 1000.0
"""The most that a suite can be scaled by: more is a slip of the keyboard, and its seeds would fill the memory."""

Known = Callable[[], Iterable[str]]

anonymous_option = click.option(
    "--anonymous", "blind", is_flag=True, help="Without any path, printed text or kernel; no run names user or host."
)


class CsvOption(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click alone
    """Names separated by commas, as a tuple; a comma between brackets belongs to a name. `known` completes them."""

    name = "names"

    def __init__(self, known: Known = tuple, *, closed: str = "") -> None:
        """Take names from `known`; where `closed` says what they are ("dtype"), no others."""
        self._known = known
        self._closed = closed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names; a tuple passes unchanged."""
        if isinstance(value, tuple):
            return value
        found = split_names(str(value))
        if not found:
            self.fail("at least one name is needed", param, ctx)
        known = tuple(self._known())
        for name in found:
            if self._closed and name not in known:
                raise unknown_name(self._closed, name, known)
        return found

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return every name that the last one begins; those before it stay."""
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{name}") for name in self._known() if name.startswith(last)]


class Suggested(click.ParamType):  # type: ignore[type-arg]  # as above
    """One name, for which some are known; `paths` says whether a file or a folder may stand there too."""

    name = "name"

    def __init__(self, known: Known, *, paths: str = "") -> None:
        self._known = known
        self._paths = paths

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name as it is: the command says what is near, where it is unknown."""
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return every name that was begun; then the shell's own files or folders, where they may stand there."""
        names = [CompletionItem(name) for name in self._known() if name.startswith(incomplete)]
        return [*names, CompletionItem(incomplete, type=self._paths)] if self._paths else names


class PositiveNumber(click.ParamType):  # type: ignore[type-arg]  # as above
    """A number above zero and finite: click's own range lets nan and inf through."""

    name = "number"

    def __init__(self, *, most: float = math.inf) -> None:
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        # NaN is in no order, and so refused by the first
        if not 0 < found <= self._most or math.isinf(found):
            what = "the number" if param is None else param.opts[-1]
            limit = "finite" if math.isinf(self._most) else f"at most {self._most:g}"
            self.fail(f"{what} must be positive and {limit}; found {value}; try {min(1, self._most / 2):g}", param, ctx)
        return found


SCALE = PositiveNumber(most=_MOST_BUDGET)
SECONDS = PositiveNumber()


class OutputFile(click.Path):
    """A file to write; that it can be is found out when the argument is read, and not after the work."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = Path(value)
        if path.is_dir():
            self.fail(f"a file to write was asked for; {path} is a folder; write {path / 'NAME'}", param, ctx)
        if not path.parent.is_dir():
            there = "is no folder" if path.parent.exists() else "does not exist; make it first"
            self.fail(f"{path} cannot be written: {path.parent} {there}", param, ctx)
        # asked, and not tried: opening a file to write would empty what it holds
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            self.fail(f"{path} may not be written; choose another place", param, ctx)
        return path


class ExportFile(OutputFile):
    """A file to write a run to; a run in its place, where other commands of runs take one, is told its option."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if (Path(value) / RESULTS).is_file():
            self.fail(f"a file to write was asked for; {value} is a run; write FILE --run {value}", param, ctx)
        return super().convert(value, param, ctx)


class OutputFolder(click.Path):
    """A folder to write into, made where it is missing; that it can be is found out when the argument is read."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = Path(value)
        # the folders between are made when they are needed, in the nearest that is there
        nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
        if not nearest.is_dir():
            self.fail(f"{path} cannot be a folder: {nearest} is a file; choose another place", param, ctx)
        if not os.access(nearest, os.W_OK):
            self.fail(f"{path} may not be written; choose another place", param, ctx)
        return path


class RunFolder(click.Path):
    """The folder of a run; those below results/ are what a shell offers."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the runs, the latest first, then the shell's own folders."""
        known = [str(folder) for folder in runs()]
        return [
            *(CompletionItem(folder) for folder in known if folder.startswith(incomplete)),
            CompletionItem(incomplete, type="dir"),
        ]


Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_field(group: str, chosen: str) -> Completer:
    """Return what completes FIELD=VALUE: the fields of the class that the argument `chosen` names in a group."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        # while an option still lacks its value, click gives no argument a name: what was typed is among the rest
        named = ctx.params.get(chosen) or next(iter(ctx.args), "")
        try:
            found, fixed = find_class(group, named, object)
        except (GradestError, ImportError):  # what was typed so far names nothing: there is nothing to add
            return []
        declared = dataclasses.fields(found) if dataclasses.is_dataclass(found) else ()
        free = (field.name for field in declared if field.init and field.name not in fixed)
        return [CompletionItem(f"{name}=") for name in free if name.startswith(incomplete)]

    return complete


def parse_fields(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return FIELD=VALUE pairs as a dict; values are Python literals, else strings; lists become tuples.

    Raises
    ------
    InvalidInputError
        A pair has no `=`, or two are of one field.
    """
    fields: dict[str, Any] = {}
    for pair in pairs:
        name, found, text = pair.partition("=")
        if not found or not name:
            raise InvalidInputError(f"--set asks for FIELD=VALUE; found {pair!r}")
        if name in fields:
            raise InvalidInputError(f"--set gives {name!r} twice: {fields[name]!r} and {text!r}; keep one")
        fields[name] = literal(text)
    return fields
