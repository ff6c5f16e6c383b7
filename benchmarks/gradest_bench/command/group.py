"""Gives every group of commands the same border: what goes wrong on purpose is one line and an exit code.

So is what the code of a user raises, at the user's own line. Outside of these nothing is caught: any other exception is
a fault of gradest's, and keeps its traceback.
"""

import codecs
import errno
import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, NamedTuple

import click

from gradest import GradestError
from gradest.importing import users_line
from gradest_bench.report.printable import shown
from gradest_bench.results.files import StorageError
from gradest_bench.results.outcomes import EXIT_STORAGE

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
"""As shells have it: 128 and the number of the signal."""

_SPELLED = {"±": "+-", "✓": "ok", "✗": "FAIL", "∇": "grad ", "σ": "sigma", "µ": "u", "…": "...", "·": "*", "²": "^2"}
_HANDLER = "gradest-spelled"


class Place(NamedTuple):
    """Where a command is, "module:name", and the first sentence of its help, which the list of commands shows."""

    where: str
    told: str


class Commands(MutableMapping[str, click.Command]):
    """The commands of a group by name; the module of one is imported when that one is asked for.

    Importing all takes longer than what most of them do.
    """

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = dict(places)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            module, _, attribute = self._places[name].where.partition(":")
            self._loaded[name] = getattr(importlib.import_module(module), attribute)
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._places[name] = Place("", _first_sentence(command))
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._loaded.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def told(self, name: str) -> str:
        """Return the first sentence of a command's help, without importing it."""
        return self._places[name].told


def import_named(group: click.Group, words: Iterable[str]) -> None:
    """Import the command that the words of a command line name, in groups of groups; what they name else is ignored.

    The options of groups are flags: the first word that is none names a command.
    """
    command: click.Command = group
    for word in words:
        if not word.startswith("-"):
            if not isinstance(command, click.Group) or word not in command.commands:
                return
            command = command.commands[word]


class Group(click.Group):
    """A group whose commands end in one line where gradest, the file system or the keyboard ends them.

    The list of commands has the whole first sentence of each: click cuts it to what is left of a line.
    """

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line, on a terminal of any alphabet."""
        for stream in (sys.stdout, sys.stderr):
            _spell_out(stream)
        return super().main(*args, **extra)

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> click.Context:
        """Read the arguments: a file or folder among them may be one that cannot be used."""
        with _in_one_line():
            return super().make_context(info_name, args, *more, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        with _in_one_line():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names of the commands, each with the first sentence of its help, folded and not cut."""
        known = self.commands
        rows = [
            (name, known.told(name) if isinstance(known, Commands) else _first_sentence(known[name]))
            for name in self.list_commands(ctx)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _first_sentence(command: click.Command) -> str:
    paragraph = " ".join((command.help or "").split("\n\n")[0].split())
    return paragraph.split(". ")[0].removesuffix(".") + "."


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except GradestError as error:  # says itself what to try; a traceback would hide that
        # a damaged file is a storage error as well, and no fault of the disk: the cause tells
        failed_to_write = isinstance(error, StorageError) and isinstance(error.__cause__, OSError)
        _leave(str(error), EXIT_STORAGE if failed_to_write else EXIT_USAGE)
    except OSError as error:
        if users_line(error):  # of a file that the user's own code asks for
            _leave(_of_users(error), EXIT_USAGE)
        if error.errno == errno.EPIPE:  # `| head` has read enough: click ends in silence
            raise
        _leave(_file_error(error), EXIT_STORAGE)
    except KeyboardInterrupt:
        _leave("interrupted", EXIT_INTERRUPTED)
    except click.ClickException:  # says itself what is wrong with the arguments
        raise
    except Exception as error:  # a file that was named may raise anything
        if not users_line(error):
            raise
        _leave(_of_users(error), EXIT_USAGE)


def _leave(line: str, code: int) -> None:
    click.echo(f"gradest: {shown(line)}", err=True)
    raise SystemExit(code)


def _of_users(error: Exception) -> str:
    """Return what the user's own code raised, with the line of it."""
    told = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"{users_line(error)}: the code there raised {told}; mend it, or call it by itself to see all of it"


def _file_error(error: OSError) -> str:
    """Return an error of the file system with the file, what it says, and what may be done."""
    advice = {
        errno.ENOENT: "check the path, or make its folder first",
        errno.ENOSPC: "make room, or choose a place on another disk",
        errno.EDQUOT: "make room, or choose a place on another disk",
        errno.EACCES: "choose a place that may be read and written",
        errno.EPERM: "choose a place that may be read and written",
        errno.EROFS: "choose a place that may be written",
        errno.ENAMETOOLONG: "choose a shorter name",
    }.get(error.errno or 0, "choose another file or folder")
    where = f"{error.filename}: " if error.filename is not None else ""
    return f"{where}{error.strerror or error}; {advice}"


def _spell_out(stream: object) -> None:
    """Let a stream write what its encoding lacks in letters that it has; names of files may have such, too."""
    codecs.register_error(_HANDLER, _spelled)
    if isinstance(stream, TextIOWrapper):
        # not the encoding: who reads the output has chosen it
        stream.reconfigure(errors=_HANDLER)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost: Sequence[str] = error.object[error.start : error.end]
    found = (_SPELLED.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in lost)
    return "".join(found), error.end
