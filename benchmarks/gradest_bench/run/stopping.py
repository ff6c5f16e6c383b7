"""Stops a sweep in order: Ctrl-C, and the signal by which batch systems end a job, mean the same."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let both signals raise KeyboardInterrupt, even where a shell started the process with them ignored."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    # a shell starts what runs in its background with SIGINT ignored; a batch job has to stop all the same
    before = {number: signal.signal(number, signal.default_int_handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
