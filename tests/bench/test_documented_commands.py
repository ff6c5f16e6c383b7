"""Commands that pages show can be typed as they stand: they and their options exist, and no shell reads into them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gradest_bench.command.main import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def shown(text: str) -> Iterator[str]:
    """Yield each command line of the blocks `sh` of a page, several in one line apart, without remarks."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            yield from (each.strip() for each in re.split(r"\s#.*$|&&", line) if each.strip().startswith("gradest "))


def fault(line: str) -> str:
    """Return what keeps a line from being run as it stands; empty where nothing does."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", line)
    if re.search(r"[\[\](){}*?<>;$]", bare):
        return "a shell reads what is not in quotes"
    command: click.Command = main
    words = shlex.split(line)[1:]
    while words and isinstance(command, click.Group):
        name = words.pop(0)
        if name not in command.commands:
            return f"there is no {name}"
        command = command.commands[name]
    context = click.Context(command)
    options = {option for parameter in command.get_params(context) for option in parameter.opts}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in options]
    return f"{line.split()[1]} has no {unknown[0]}" if unknown else ""


LINES = [(page.name, line) for page in PAGES for line in shown(page.read_text(encoding="utf-8"))]


def test_pages_show_commands() -> None:
    assert {page for page, _ in LINES} >= {"README.md", "CONTRIBUTING.md", "five-minutes.md", "bench.md"}


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_command_of_a_page_can_be_typed_as_it_stands(page: str, line: str) -> None:
    assert not fault(line), page


def examples(command: click.Command) -> Iterator[str]:
    """Yield the commands that the epilogs of a command and of those below it show."""
    yield from (
        re.split(r" {2,}", line)[0] for line in re.findall(r"^ *(gradest .*)$", command.epilog or "", re.MULTILINE)
    )
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from examples(below)


@pytest.mark.parametrize("line", sorted(set(examples(main))))
def test_an_example_of_help_can_be_typed_as_it_stands(line: str) -> None:
    assert not fault(line)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("gradest compare --set widths=[8]", "a shell reads"),  # zsh looks for a file of that name, and refuses
        ("gradest compare --estimators es(sigma=0.1)", "a shell reads"),
        ("gradest bench runn quick", "there is no runn"),
        ("gradest compare --estimator es", "compare has no --estimator"),
    ],
)
def test_what_cannot_be_typed_is_seen(line: str, found: str) -> None:
    assert fault(line).startswith(found)
