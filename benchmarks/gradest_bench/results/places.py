"""Takes out of a text where its writer's files lie: what a run keeps may be shown to others.

Tracebacks and reasons name files by whole paths, with the home folder and so the user in them. This module writes
nothing.
"""

import os
import re
import sys
from pathlib import Path

_LIBRARIES = re.compile(r"/[^\s'\":,;()\[\]]*?(/lib(?:64)?/python3\.\d+/)")
"""Of any interpreter, as each worker may have its own."""


def without_places(text: str) -> str:
    """Return a text with `<env>`, `.` and `~` for an interpreter's folder, the working directory and the home folder.

    Examples
    --------
    >>> from gradest_bench.results.places import without_places
    >>> without_places('File "/home/ada/venv/lib/python3.11/site-packages/numpy/core.py", line 3')
    'File "<env>/lib/python3.11/site-packages/numpy/core.py", line 3'
    """
    found = _LIBRARIES.sub(r"<env>\1", text)
    places = {sys.prefix: "<env>", str(Path.cwd()): ".", os.path.realpath(Path.home()): "~", str(Path.home()): "~"}
    # the longest first: an environment may lie in the working directory, and that in the home folder
    for place in sorted(places, key=len, reverse=True):
        if len(Path(place).parts) > 1:  # the root of all files is nobody's
            found = re.sub(re.escape(place) + r"(?![\w.-])", places[place], found)
    return found
