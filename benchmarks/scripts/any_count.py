"""How often the core says `Any`: uses of the name for each 100 lines of code, file by file and in all.

A line of code is neither blank, nor a comment, nor part of a docstring. Imports of the name do not count. A test holds
the figure of the whole core below `MOST`; this prints where it comes from.
"""

import argparse
import ast
import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST = 2.5
"""Uses for each 100 lines that the core may have."""


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(text: str) -> int:
    """Return how many lines of a text hold code."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            documented.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    kept: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.NUMBER, tokenize.STRING, tokenize.OP):
            kept.update(range(token.start[0], token.end[0] + 1))
    return len(kept - documented)


def uses(text: str) -> int:
    """Return how often a text uses the name `Any`, quoted annotations included; imports do not count."""
    count = 0
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            count += node.id == "Any"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # quoted annotations are texts to the parser
            count += len(re.findall(r"[\[ ]Any[\], ]", node.value))
    return count


def measured(folder: Path) -> dict[str, tuple[int, int]]:
    """Return for each file below a folder how often it says `Any`, and how many lines of code it has."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}
    return {path.relative_to(folder.parent).as_posix(): (uses(text), code_lines(text)) for path, text in texts.items()}


def rate(found: dict[str, tuple[int, int]]) -> float:
    """Return uses for each 100 lines of code, over all files."""
    return 100.0 * sum(n for n, _ in found.values()) / sum(lines for _, lines in found.values())


def main() -> None:
    """Print the files that use it most, and the rate of the whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "gradest")
    parser.add_argument("--most", type=int, default=20, help="how many files to print")
    options = parser.parse_args()
    found = measured(options.folder)
    for name, (count, lines) in sorted(found.items(), key=lambda item: -item[1][0])[: options.most]:
        print(f"{count:4d} in {lines:4d} lines  {name}")
    print(f"{rate(found):.2f} for each 100 lines of code; at most {MOST}")


if __name__ == "__main__":
    main()
