"""The wings of the harness keep to their work: imports run one way, `command` prints, `worker` starts processes."""

import ast
from collections.abc import Iterable, Iterator, Mapping

import pytest
from support.imports import circles, graph, imported, imported_by_name, modules
from support.many import of_each

HARNESS = {module: path.read_text(encoding="utf-8") for module, path in modules("gradest_bench").items()}
WINGS = {  # each may import those named, and the core
    "suite": set(),
    "results": {"suite"},
    "worker": {"suite", "results"},
    "report": {"suite", "results"},
    "run": {"suite", "results", "worker"},
    "audit": set(),
    "command": {"suite", "results", "worker", "report", "run", "audit"},
}
TERMINAL = {"rich", "click"}
PROCESSES = {"subprocess", "multiprocessing", "concurrent.futures.process", "pty"}
STARTERS = {"system", "fork", "forkpty", "popen", "posix_spawn", "posix_spawnp", "execv", "execve", "execvp"}
"""Names in `os` that start a process."""


def wing(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def in_wing(*names: str) -> list[str]:
    return [module for module in HARNESS if wing(module) in names]


def upward(module: str, text: str) -> set[str]:
    """Return the wings that a module imports, in whatever way, and may not."""
    names = {*imported(text), *imported_by_name(text)}
    used = {name.split(".")[1] for name in names if name.startswith("gradest_bench.")}
    return (used & set(WINGS)) - WINGS[wing(module)] - {wing(module)}


def prints(text: str) -> Iterator[str]:
    """Yield each way in which a text prints: `print`, and the standard streams."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield "print"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
            yield from (f"sys.{node.attr}" for stream in ("stdout", "stderr") if node.attr.strip("_") == stream)


def starts_processes(text: str) -> set[str]:
    """Return the modules and functions that a text names and that start a process."""
    attributes = {f"os.{n.attr}" for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Attribute)
                  and isinstance(n.value, ast.Name) and n.value.id == "os" and n.attr in STARTERS}  # fmt: skip
    return attributes | {name for name in imported(text) if name in PROCESSES or name.split(".")[0] in PROCESSES}


def test_every_folder_is_a_wing() -> None:
    assert {wing(module) for module in HARNESS} == {"", *WINGS}


@of_each(in_wing(*WINGS))
def test_wings_import_one_way(module: str) -> None:
    assert upward(module, HARNESS[module]) == set()


def test_nothing_imports_the_front_door() -> None:
    """The package hands on what reads results; who imported it from inside would make a circle with it."""
    assert not [m for m in in_wing(*WINGS) if {"gradest_bench.load", "gradest_bench.Run"} & set(imported(HARNESS[m]))]


def test_there_is_no_circle() -> None:
    assert circles(graph(HARNESS)) == []


def reached_from(start: str, arrows: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the modules that importing one loads, itself included."""
    found, waiting = set(), [start]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(arrows[module])
    return found


def test_reading_results_needs_no_front_door_of_the_core() -> None:
    """`gradest.bench` looks this package up: what it reads results with must not import `gradest` back."""
    read = reached_from("gradest_bench", graph(HARNESS))
    assert "gradest_bench.results.loading" in read
    assert not [module for module in read if "gradest" in set(imported(HARNESS[module]))]


@of_each(in_wing("suite", "results", "report", "worker", "run"))
def test_only_the_command_knows_a_terminal(module: str) -> None:
    assert not TERMINAL & {name.split(".")[0] for name in imported(HARNESS[module])}


@of_each([m for m in HARNESS if wing(m) != "command" and m != "gradest_bench.worker.__main__"])
def test_only_the_command_prints(module: str) -> None:
    assert not list(prints(HARNESS[module]))


@of_each([m for m in HARNESS if wing(m) != "worker"])
def test_only_the_worker_wing_starts_processes(module: str) -> None:
    assert starts_processes(HARNESS[module]) == set()


def test_workers_are_started_somewhere() -> None:
    """Else the test above would hold of a harness that measures nothing."""
    assert [module for module in HARNESS if starts_processes(HARNESS[module])] == ["gradest_bench.worker.process"]


@pytest.mark.parametrize(
    "planted",
    [
        "from gradest_bench.run.sweep import Sweep",
        "def f():\n    import gradest_bench.run.sweep",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gradest_bench.run import sweep",
        "import importlib\nimportlib.import_module('gradest_bench.run.sweep')",
    ],
    ids=["plainly", "inside a function", "for types alone", "by name"],
)
def test_an_import_up_is_seen(planted: str) -> None:
    assert upward("gradest_bench.report.page", planted) == {"run"}
    assert upward("gradest_bench.command.bench", planted) == set()


def test_printing_and_starting_are_seen() -> None:
    assert list(prints("print(1)")) == ["print"]
    assert list(prints("import sys\nsys.stderr.write('x')")) == ["sys.stderr"]
    assert starts_processes("import os\nos.fork()") == {"os.fork"}
    assert "subprocess" in starts_processes("def f():\n    from subprocess import run")
