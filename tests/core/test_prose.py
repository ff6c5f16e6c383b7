"""The house writes with one hand: one form of docstrings, one wording of errors, and checks that say what they mean."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.many import of_each

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for root in ("gradest", "backends", "benchmarks/gradest_bench") for path in (ROOT / root).rglob("*.py")
)
CHECKS = sorted((ROOT / "gradest" / "testing").glob("*_checks.py"))

ONE_LINE_ENTRY = re.compile(r"^\s*\w+(, \w+)* : \S", re.MULTILINE)
"""`name : text`, where the house has the name on a line of its own and the text below it."""


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def one_line_entries(tree: ast.Module) -> list[str]:
    """Return entries of sections, such as Parameters or Raises, whose text stands beside the name."""
    sections = (text.partition("\n---")[2] for text in docstrings(tree))
    return [found.group().strip() for section in sections for found in ONE_LINE_ENTRY.finditer(section)]


def raised_texts(tree: ast.Module) -> Iterator[str]:
    for raised in ast.walk(tree):
        if isinstance(raised, ast.Raise):
            for node in ast.walk(raised):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


@of_each(SOURCES)
def test_sections_of_docstrings_have_the_name_on_a_line_of_its_own(path: Path) -> None:
    assert not one_line_entries(parsed(path))


@of_each(SOURCES)
def test_errors_say_what_was_found(path: Path) -> None:
    assert not [text for text in raised_texts(parsed(path)) if re.search(r"\b[Gg]ot\b", text)]


@pytest.mark.parametrize("path", CHECKS, ids=lambda p: p.name)
def test_every_check_says_what_its_failure_means(path: Path) -> None:
    checks = {
        node.name: ast.get_docstring(node) or ""
        for node in parsed(path).body
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("check_")
        and isinstance(node.returns, ast.Name)
        and node.returns.id == "CheckResult"
    }
    assert checks or path.name == "estimator_checks.py"  # which has no check of its own, and runs those of the others
    assert not [name for name, text in checks.items() if "A failure means" not in text]


def test_another_hand_is_seen() -> None:
    docstring = '"""Do.\n\n    Raises\n    ------\n    ValueError : if so.\n    """'
    faulty = ast.parse(f'def f(x):\n    {docstring}\n    raise ValueError(f"1 was asked for; got {{x}}")')
    assert one_line_entries(faulty) == ["ValueError : i"]
    assert any(re.search(r"\bgot\b", text) for text in raised_texts(faulty))
