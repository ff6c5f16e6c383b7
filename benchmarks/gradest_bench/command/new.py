"""Runs `gradest new`: writes a small, complete package of an estimator, a backend or a problem, to be changed."""

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

import click

from gradest import InvalidInputError, names
from gradest_bench.results.files import StorageError

KINDS = ("backend", "estimator", "problem")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@click.command(
    epilog="""\b
Examples:
  gradest new estimator random-quotients
  gradest new backend tinygrad --out ../plugins
  gradest check estimator random-quotients/gradest_random_quotients.py:RandomQuotients"""
)
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=".", help="The folder to write it in.")
def new(kind: str, name: str, out: Path) -> None:
    """Write a package of an estimator, a backend or a problem: it works, passes its checks, and says what to change."""
    folder = out / name
    for file, text in package(kind, name).items():
        _write(folder / file, text)
        click.echo(folder / file)
    module, cls = identifiers(name)
    click.echo(f"\nnext:\n  gradest check {kind} {folder / module}.py:{cls}")


def package(kind: str, name: str) -> dict[str, str]:
    """Return the files of a package: path -> text.

    Raises
    ------
    InvalidInputError
        The name is none that a registered thing can have, or is taken.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"a name in lower case with dashes between words was asked for; found {name!r}; try 'my-{kind}'"
        )
    if name in names(f"{kind}s"):
        raise InvalidInputError(f"a new name was asked for; {name!r} is a registered {kind}; choose another")
    module, cls = identifiers(name)
    words = {
        "kind": kind,
        "name": name,
        "module": module,
        "cls": cls,
        "package": module.replace("_", "-"),
        "title": name.replace("-", " ").capitalize(),
    }
    written = {
        f"{module}.py": f"{kind}.py.txt",
        "pyproject.toml": "pyproject.toml.txt",
        "README.md": "readme.md.txt",
        f"test_{module}.py": "test.py.txt",
    }
    return {file: _template(template).substitute(words) for file, template in written.items()}


def identifiers(name: str) -> tuple[str, str]:
    """Return the module and the class of a name: "two-sided" -> "gradest_two_sided", "TwoSided"."""
    cls = "".join(word.capitalize() for word in name.split("-"))
    # "none" and "true" would make classes whose names Python keeps for itself
    return f"gradest_{name.replace('-', '_')}", f"{cls}_" if keyword.iskeyword(cls) else cls


def _template(name: str) -> Template:
    return Template((files("gradest_bench") / "templates" / name).read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:  # what is there is somebody's work
            file.write(text)
    except FileExistsError as error:
        raise StorageError(f"a new file was to be written; {path} is there already; choose another --out") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error
