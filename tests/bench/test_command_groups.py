"""A command imports its own module and not those of the others: what they need takes longer than most of them do."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from gradest_bench.command.group import Commands, Group, Place, import_named
from gradest_bench.command.main import main

GROUPS = {"gradest": main, "gradest bench": main.commands["bench"]}


def _commands_of(group: click.Command) -> Commands:
    assert isinstance(group, click.Group)
    assert isinstance(group.commands, Commands)
    return group.commands


def _imported(*words: str) -> set[str]:
    """Return the modules of commands that are imported in a process that was given these words."""
    code = (
        "import sys; from gradest_bench.command import start\ntry: start.start()\nexcept SystemExit: pass\n"
        "print(*(m for m in sys.modules if m.startswith('gradest_bench.command.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return {module.rpartition(".")[2] for module in done.stderr.splitlines()[-1].split()}


def _modules() -> Iterator[str]:
    for group in GROUPS.values():
        yield from (command.callback.__module__ for command in _commands_of(group).values() if command.callback)


@pytest.mark.parametrize("group", GROUPS)
def test_a_command_is_told_in_the_table_as_it_tells_itself(group: str) -> None:
    for name, command in _commands_of(GROUPS[group]).items():
        assert command.name == name
        first = " ".join((command.help or "").split("\n\n")[0].split()).split(". ")[0].removesuffix(".") + "."
        assert _commands_of(GROUPS[group]).told(name) == first


@pytest.mark.parametrize(
    ("words", "own"),
    [((), ()), (("--help",), ()), (("new", "--help"), ("new",)), (("bench", "list"), ("bench", "suites"))],
    ids=" ".join,
)
def test_the_module_of_no_other_command_is_imported(words: tuple[str, ...], own: tuple[str, ...]) -> None:
    of_commands = {module.rpartition(".")[2] for module in _modules()}
    assert {"run", "suites", "train"} <= of_commands  # else nothing is looked for below
    assert _imported(*words) & of_commands == set(own)


def test_words_that_name_no_command_are_left_to_the_group() -> None:
    places = Commands({"broken": Place("no_such_module:it", "Is not there.")})
    group = Group("group", commands=places)
    import_named(group, ["--help", "brok", "broken"])  # the second word is an argument of a command that is not there
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import_named(group, ["--help", "broken"])
    import_named(main, ["new", "broken"])


def test_commands_can_be_added_and_taken_out_as_in_any_group_of_click() -> None:
    group = Group("group", commands=Commands({"absent": Place("no_such_module:it", "Is not there.")}))

    @group.command()
    def here() -> None:
        """Say hello. And more."""

    assert list(group.commands) == ["absent", "here"]
    assert group.commands["here"] is here
    assert _commands_of(group).told("here") == "Say hello."
    del group.commands["absent"]
    assert (len(group.commands), "absent" in group.commands) == (1, False)
