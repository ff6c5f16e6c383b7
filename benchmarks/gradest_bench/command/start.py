"""Starts the command line as a process: what the installed program `gradest` calls.

It imports nothing but this before it listens to the keyboard: reading the rest takes tenths of a second, in which
Ctrl-C would end in a traceback out of whatever is being imported.
"""

import os
import signal
import sys
from types import FrameType

_INTERRUPTED = 130


def start() -> None:
    """Run `gradest`; Ctrl-C ends it with one line and exit code 130, from its first moment on."""
    # a shell that starts it in the background has the signal ignored, and it stays so
    listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if listens:
        signal.signal(signal.SIGINT, _leave)
    from gradest_bench.command.group import import_named
    from gradest_bench.command.main import main
    from gradest_bench.command.warning_lines import say_warnings_plainly

    import_named(main, sys.argv[1:])
    if listens:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    say_warnings_plainly()
    main(prog_name="gradest")


def _leave(number: int, frame: FrameType | None) -> None:
    # nothing is open yet, and an exception could be swallowed by the module that is being imported
    os.write(2, b"gradest: interrupted\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__":  # python -m gradest_bench.command.start, where no `gradest` is on the path
    start()
