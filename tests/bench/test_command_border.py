"""The border of the command line: what cannot be done is one line and an exit code, whatever it is that goes wrong."""

import ast
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from gradest_bench.command import run as run_module
from gradest_bench.command import start
from gradest_bench.command.group import Group
from gradest_bench.command.main import main
from gradest_bench.results.outcomes import EXIT_STORAGE

ROOT = Path(__file__).parents[2]
SOURCES = [path for root in ("gradest", "backends", "benchmarks") for path in (ROOT / root).rglob("*.py")]
SMALL = ("--problem", "quadratic", "--set", "size=3", "--backends", "numpy", "--dtypes", "float64", "--budget", "0.01")


def gradest(*arguments: object, **options: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], **options)  # type: ignore[arg-type]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **changes}


def commands(
    group: click.Group = main, before: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command with its path, groups included."""
    for name, command in group.commands.items():
        yield (*before, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))


COMMANDS = {(): main, **dict(commands())}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", "--problem", "quadratic", "--set", "size=abc"), "size of Quadratic must be an integer"),
        (("compare", "--problem", "quadratic", "--set", "size=3", "--set", "size=4"), "twice"),
        (("compare", *SMALL, "--budget", "inf"), "positive and finite"),
        (("compare", *SMALL, "--budget", "nan"), "positive and finite"),
        (("compare", *SMALL, "--budget", "-1"), "positive and finite"),
        (("compare", *SMALL, "--budget", "0"), "positive and finite"),
        (("compare", *SMALL, "--dtypes", "float63"), "did you mean 'float64'"),
        (("compare", *SMALL, "--seed", "-1"), "x>=0"),
        (("compare", *SMALL, "--estimators", "es(sigmma=0.1)"), "did you mean 'sigma'"),
        (("compare", *SMALL, "--estimators", "es(0.1)"), "FIELD=VALUE was asked for"),
        (("compare", *SMALL, "--plot", "plot.xyz"), "names no format"),
        (("compare", *SMALL, "--plot", "no/plot.png"), "does not exist; make it first"),
        (("compare", *SMALL, "--plot", "."), "is a folder"),
        (("bench", "run", "quick", "--budget", "inf"), "must be positive"),
        (("bench", "run", "quick", "--budget", "1e9"), "at most 1000"),
        (("bench", "run", "quick", "--threads", "0"), "x>=1"),
        (("bench", "run", "quick", "--threads", "-2"), "x>=1"),
        (("bench", "run", "x" * 300), "name"),
        (("bench", "run", "."), "suite"),
        (("graph", "no_such.py:case", "--out", "no/x.svg"), "does not exist; make it first"),
        (("bench", "report", "--out", "no/x.html"), "does not exist; make it first"),
        (("bench", "report", "--figures", "file/below"), "is a file"),
        (("bench", "export", "csv", "no/x.csv"), "does not exist; make it first"),
        (("bench", "show", "file"), "file"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_computed(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "gradest_bench.command.compare.compare_gradients", None
    )  # would be a TypeError if it came to it
    monkeypatch.setattr(run_module, "Sweep", None)
    (tmp_path / "file").write_text("", encoding="utf-8")
    found = gradest(*arguments)
    assert isinstance(found.exception, SystemExit), found.exception
    assert found.exit_code in (2, EXIT_STORAGE)
    assert message in found.output


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory", "/no/x.html"),
        PermissionError(13, "Permission denied", "here"),
        OSError(28, "No space left on device"),
        OSError(30, "Read-only file system", "there"),
        OSError("without a number"),
    ],
    ids=str,
)
def test_every_error_of_the_file_system_is_one_line(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.group(cls=Group)
    def group() -> None: ...

    @group.command()
    def fails() -> None:
        raise error

    # This file stands for a module of gradest's: what a user's own code raises is told at the user's line.
    monkeypatch.setitem(globals(), "__name__", "gradest_bench.command.fails")
    found = CliRunner().invoke(group, ["fails"])
    assert found.exit_code == EXIT_STORAGE
    assert found.output.startswith("gradest: ")
    assert found.output.count("\n") == 1
    assert "; " in found.output  # what to try
    assert error.filename is None or error.filename in found.output


def test_a_full_disk_under_export_is_one_line(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full, the disk that is always full")
    suite = tmp_path / "suite.toml"
    suite.write_text(
        'name = "one"\n[[grid]]\nbackends = ["numpy"]\nmeasure = ["accuracy"]\n'
        'problems = [{ name = "quadratic", fields = { size = 3 } }]\nestimators = [{ name = "analytic" }]\n',
        encoding="utf-8",
    )
    assert gradest("bench", "run", suite, "--out", tmp_path / "run").exit_code == 0
    for form in ("csv", "json"):
        found = gradest("bench", "export", form, "/dev/full", "--run", tmp_path / "run")
        assert (found.exit_code, found.output.count("\n")) == (EXIT_STORAGE, 1), found.output
        assert Path("/dev/full").is_char_device()  # written into, and not replaced by a file


def test_the_keyboard_ends_a_command_with_130_and_one_line() -> None:
    @click.group(cls=Group)
    def group() -> None: ...

    @group.command()
    def waits() -> None:
        raise KeyboardInterrupt

    found = CliRunner().invoke(group, ["waits"])
    assert (found.exit_code, found.output) == (130, "gradest: interrupted\n")


def test_the_keyboard_ends_it_alike_while_it_is_still_being_imported(tmp_path: Path) -> None:
    """A module that is slow to import stands for all: it says when it has begun, and is interrupted there."""
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text(
        "import time\nprint('importing', flush=True)\ntry:\n    time.sleep(60)\nexcept BaseException:\n    pass\n",
        encoding="utf-8",
    )
    code = (
        f"import signal, sys; sys.path.insert(0, {str(tmp_path)!r}); "
        # a shell that runs the tests in the background has it ignored
        f"signal.signal(signal.SIGINT, signal.default_int_handler); from {start.__name__} import start; start()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "doctor"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, said) == (130, "gradest: interrupted\n")


def test_the_interpreter_that_is_asked_runs_the_command_line_too() -> None:
    """`python -m gradest`, where several environments have a `gradest` or none of them is on the path."""
    command = [sys.executable, "-m", "gradest", "compare", "--problem", "no-such"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    asked = gradest("compare", "--problem", "no-such")
    assert (done.returncode, done.stdout, done.stderr) == (asked.exit_code, asked.stdout, asked.stderr)
    assert done.returncode == 2
    assert done.stderr.startswith("gradest: no problem is named")


def test_a_warning_is_told_at_no_line_of_the_reader_of_the_command_line(tmp_path: Path) -> None:
    flat = "import numpy as np, gradest\ncase = gradest.Case(lambda p: float(np.round(p.sum())), np.ones(3))\n"
    (tmp_path / "flat.py").write_text(flat, encoding="utf-8")
    command = [sys.executable, "-m", "gradest", "compare", "flat.py:case", "--estimators", "fd-central"]
    done = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "gradest: FlatLossWarning: the loss is 3 at all" in done.stderr
    assert str(Path(click.__file__).parent) not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("list", "problems"), ("check", "reverse", "--set", "engine=gradest"), ("compare", *SMALL), ("--help",)],
)
def test_an_ascii_terminal_gets_every_line(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "gradest_bench.command.main", *arguments]
    done = subprocess.run(
        command, env=environment(PYTHONIOENCODING="ascii", LC_ALL="C"), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.isascii()
    if arguments[0] == "compare":
        assert b"+-" in done.stdout


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_help_has_examples_and_each_of_them_parses(
    path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # places to write are looked at when an argument is read
    lines = re.findall(r"^ +(gradest .*)$", gradest(*path, "--help").output, re.MULTILINE)
    assert lines
    for line in lines:
        words = shlex.split(re.split(r" {2,}", line)[0])[1:]
        command: click.Command = main
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        context = command.make_context(" ".join(path), words)
        assert not context.args, line


def named_commands(text: str) -> Iterator[str]:
    """Yield each command that a text of a program names: `gradest bench run`, without what follows."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"(?<![\w./-])gradest (?:bench )?[a-z][a-z-]*", node.value)


def exists(line: str) -> bool:
    return tuple(line.split()[1:]) in COMMANDS


def test_every_command_that_a_message_names_exists() -> None:
    named = {(path.name, line) for path in SOURCES for line in named_commands(path.read_text(encoding="utf-8"))}
    candidates = {(name, line) for name, line in named if line.split()[1] in {path[0] for path in COMMANDS if path}}
    assert len(candidates) > 10
    assert not [pair for pair in candidates if not exists(pair[1]) and pair[1] != "gradest bench"]


def test_a_command_that_does_not_exist_is_seen() -> None:
    (line,) = named_commands("raise ValueError('see: gradest bench lisst runs')")
    assert not exists(line)
    assert exists("gradest bench list")


def test_no_message_follows_a_list_with_what_it_does_not_take(tmp_path: Path) -> None:
    found = gradest("bench", "show", tmp_path)
    assert found.exit_code == 2
    (line,) = re.findall(r"see: gradest (.*)", found.output)
    assert gradest(*shlex.split(line)).exit_code == 0


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["my dir/s.toml", "--out=o 3"], "gradest bench run 'my dir/s.toml' '--out=o 3' --resume"),
        (["s.toml", "--out", "o 3", "--resume"], "gradest bench run s.toml --out 'o 3' --resume"),
        (["s.toml"], "gradest bench run s.toml --out 'new run' --resume"),
        (["s", "--estimators", "es(k=1)"], "gradest bench run s --estimators 'es(k=1)' --out 'new run' --resume"),
    ],
)
def test_the_line_to_go_on_with_can_be_pasted(typed: list[str], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gradest", "bench", "run", *typed])
    assert run_module._resume_line(Path("new run")) == line


def test_help_cuts_no_sentence() -> None:
    for path, command in COMMANDS.items():
        if isinstance(command, click.Group):
            text = " ".join(gradest(*path, "--help").output.split())
            assert "..." not in text.partition("Commands:")[2].partition("Examples:")[0]
            assert all(name in text for name in command.commands)


def test_the_command_that_installs_a_backend_keeps_its_brackets(tmp_path: Path) -> None:
    """In a process where no framework but NumPy can be imported, as where none is installed."""
    code = (
        "import sys; sys.modules.update(jax=None, torch=None, mxnet=None); "
        "from gradest_bench.command.main import main; main(prog_name='gradest', args=sys.argv[1:])"
    )
    for arguments in (
        ("list", "backends"),
        ("doctor",),
        ("compare", *SMALL, "--backends", "numpy,jax", "--estimators", "analytic"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], env=environment(), capture_output=True, text=True, check=False
        )
        assert "pip install 'gradest[jax]'" in " ".join(done.stdout.split()), done.stdout + done.stderr


USERS = """
import collections

import numpy as np

def loss(params, x):
    return np.sum((params - x) ** 2)

def broken(params):
    raise KeyError("banana")

def absent(params):
    return open("no/such/file").read()

case = loss, np.ones(2), 1.0
lacks = loss, np.ones(2)
raises = broken, np.ones(2)
reads = absent, np.ones(2)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file of a user's, whose name nothing that is imported has."""
    path = tmp_path / f"users_{tmp_path.name.replace('-', '_')}.py"
    path.write_text(USERS, encoding="utf-8")
    return path


@pytest.mark.parametrize("command", [("compare",), ("check",), ("graph",), ("train", "--steps", "1")])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises", "line 10, in broken: the code there raised KeyError: 'banana'; mend it"),
        ("reads", "line 13, in absent: the code there raised FileNotFoundError: [Errno 2]"),
        ("lacks", "its loss takes (params, x) and is given params: missing a required argument: 'x'; give all"),
        ("cas", "it has: case, loss, broken, absent, lacks, raises, reads"),
    ],
)
def test_what_a_users_code_raises_is_one_line_of_theirs(
    command: tuple[str, ...], name: str, message: str, file: Path
) -> None:
    result = gradest(*command, f"{file}:{name}")
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(: pass\n", "SyntaxError: invalid syntax (users.py, line 1); mend that line"),
        ("import a_package_of_nobody\n", "imports 'a_package_of_nobody', which is not installed; install the package"),
        ("\nvalue = 1 / 0\n", "ZeroDivisionError: division by zero; mend it at users.py, line 2, in <module>"),
    ],
)
@pytest.mark.parametrize("command", ["compare", "check", "graph"])
def test_a_file_that_does_not_load_says_which_line_of_it_to_mend(
    command: str, text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "users.py").write_text(text, encoding="utf-8")
    result = gradest(command, f"{tmp_path / 'users.py'}:case")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_file_named_as_a_module_is_guessed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert f"did you mean the file '{file.name}'?" in gradest("compare", f"{file.stem}:case").stderr
    assert "it has: loss, broken, absent, case" in gradest("compare", file.name).stderr
    assert f"seen from {file.parent}" in gradest("compare", "elsewhere.py:case").stderr


def test_a_fault_of_our_own_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Else the border would hide what is to be mended."""
    monkeypatch.setattr("gradest_bench.command.graph.Case", None)
    assert isinstance(gradest("graph", f"{file}:case").exception, AttributeError)
