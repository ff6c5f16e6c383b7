"""Takes out of a text where its writer's files lie, and who and on which host wrote it: a run may be shown to others.

Tracebacks, flags and reasons name files by whole paths, with the home folder and so the user in them. This module
writes nothing.
"""

import getpass
import os
import re
import socket
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

_LIBRARIES = re.compile(r"/[^\s'\":,;()\[\]]*?(/lib(?:64)?/python3\.\d+/)")
"""Of any interpreter, as each worker may have its own."""


_PATH = re.compile(r"(?<![\w.~/>-])(?:/[\w.+@~-]+){2,}/?")
"""An absolute path of two parts or more: one alone, as in a quotient, names nobody's file."""
_LEAST_NAME = 3
"""Shorter names of users and hosts are words of the language, and name nobody."""


def without_places(text: str) -> str:
    """Return a text with `<env>`, `.` and `~` for an interpreter's folder, the working directory and the home folder.

    The user's name in a path or an address becomes `<user>`, the host's name `<host>`.

    Examples
    --------
    >>> from gradest_bench.results.places import without_places
    >>> without_places('File "/home/ada/venv/lib/python3.11/site-packages/numpy/core.py", line 3')
    'File "<env>/lib/python3.11/site-packages/numpy/core.py", line 3'
    """
    found = _LIBRARIES.sub(r"<env>\1", text)
    # tracebacks have real paths, where the home folder of the environment variable may be a link
    places = {sys.prefix: "<env>", str(Path.cwd()): ".", os.path.realpath(Path.home()): "~", str(Path.home()): "~"}
    # the longest first: an environment may lie in the working directory, and that in the home folder
    for place in sorted(places, key=len, reverse=True):
        if len(Path(place).parts) > 1:  # the root of all files is nobody's
            # a whole name: /home/ada is no part of /home/adam
            found = re.sub(re.escape(place) + r"(?![\w.-])", places[place], found)
    return _names().sub(lambda match: "<user>" if match["user"] else "<host>", found)


@cache
def _names() -> re.Pattern[str]:
    """Return what finds the user's name, as part of a path or an address, and the host's as a word."""
    user, host = _user(), socket.gethostname()
    parts = [rf"(?P<user>(?<=/){re.escape(user)}(?=/)|(?<![\w.-]){re.escape(user)}(?=@))"]
    if len(host) >= _LEAST_NAME and host != "localhost":
        parts.append(rf"(?<![\w.-]){re.escape(host)}(?![\w-])")
    return re.compile("|".join(parts))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a process in a container may have a number and no name
        return "~"


def anonymous_text(text: str) -> str:
    """Return a text as `without_places` does, with `<path>` for every other absolute path too.

    Examples
    --------
    >>> from gradest_bench.results.places import anonymous_text
    >>> anonymous_text("/data/lab/model.npz has 3/4 of it; see /data/lab/a.txt, line 7")
    '<path> has 3/4 of it; see <path>, line 7'
    """
    return _PATH.sub("<path>", without_places(text))


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return nested plain data with every text changed, the keys of mappings left as they are.

    Examples
    --------
    >>> from gradest_bench.results.places import with_texts
    >>> with_texts({"a": ["x", 1]}, str.upper)
    {'a': ['X', 1]}
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: with_texts(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_texts(item, change) for item in value]
    return value
