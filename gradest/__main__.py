"""`python -m gradest`: the command line of the interpreter that is asked, where several have one."""

import importlib

if __name__ == "__main__":  # a worker that is spawned imports this file too, under another name
    importlib.import_module("gradest_bench.command.start").start()
