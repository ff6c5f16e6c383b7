"""The protocol between a sweep and its workers: one JSON object a line, requests in, replies out. Versioned.

History: 1, the first. A reply is either `{"id", "ok": true, "result"}` or `{"id", "ok": false, "outcome", "reason",
"traceback"}`, and has the id of the request that it answers. This module knows nothing of what the requests mean.
"""

import json
from typing import Any

from gradest.measurement.outcome import Outcome

VERSION = 1
_SUCCESS = (("result", dict),)
_FAILURE = (("outcome", str), ("reason", str))


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
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a line of JSON was asked for; found {line[:80]!r}") from error
    if not isinstance(message, dict) or message.get("protocol") != VERSION:
        found = message.get("protocol") if isinstance(message, dict) else None
        raise ProtocolError(
            f"protocol {VERSION} was asked for; the other side speaks {found!r}; install one gradest on both sides"
        )
    return message


def decode_reply(line: bytes, *, request: int) -> dict[str, Any]:
    """Return the reply of a line to the request of a number.

    Raises
    ------
    ProtocolError
        As `decode` does; or it answers another request, or lacks what a reply has.
    """
    reply = decode(line)
    # the type too: True equals 1
    if reply.get("id") != request or type(reply["id"]) is not int:
        # a reply too much would shift every later one to the next cell
        raise ProtocolError(
            f"a reply to request {request} was asked for; found one to {reply.get('id')!r}: another process, or a "
            "library, writes on the worker's line, and no reply on it can be believed"
        )
    ok = reply.get("ok")
    missing = [name for name, kind in (_SUCCESS if ok is True else _FAILURE) if not isinstance(reply.get(name), kind)]
    if type(ok) is not bool or missing:
        raise ProtocolError(f"a reply with {', '.join(missing) or 'ok'} was asked for; found {line[:80]!r}")
    if not ok and reply["outcome"] not in set(Outcome):
        raise ProtocolError(f"an outcome was asked for; found {reply['outcome']!r}; install one gradest on both sides")
    return reply
