"""The protocol between a sweep and its workers: one JSON object a line, requests in, replies out. Versioned.

History: 1, the first. A reply is either `{"id", "ok": true, "result"}` or `{"id", "ok": false, "outcome", "reason",
"traceback"}`. This module knows nothing of what the requests mean.
"""

import json
from typing import Any

VERSION = 1


class ProtocolError(Exception):
    """A line is not of this protocol, or of another version of it."""


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as one line, with the version."""
    return json.dumps({"protocol": VERSION, **message}, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the message of a line.

    Raises
    ------
    ProtocolError
        It is not one JSON object, or of another version.
    """
    try:
        message = json.loads(line)
    except ValueError as error:
        raise ProtocolError(f"a line of JSON was asked for; found {line[:80]!r}") from error
    if not isinstance(message, dict) or message.get("protocol") != VERSION:
        found = message.get("protocol") if isinstance(message, dict) else None
        raise ProtocolError(
            f"protocol {VERSION} was asked for; the other side speaks {found!r}; install one gradest on both sides"
        )
    return message
