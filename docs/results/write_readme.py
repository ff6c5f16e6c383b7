"""Writes the figures of the committed results into README.md, between the marks that say from which record they are.

`make results` runs it after the measurements. A test holds that README.md says what this makes of the records.
"""

import io
from pathlib import Path

from rich.console import Console

import gradest
from gradest_bench.command.compare_view import show_comparison
from gradest_bench.report.units import DISTURBED

HERE = Path(__file__).resolve().parent
README = HERE.parents[1] / "README.md"
SHOWN_DTYPE = "float32"


def demo_table() -> str:
    """Return the table of one dtype as `gradest compare --demo` prints it, without what the columns mean."""
    found = gradest.Comparison.from_json((HERE / "demo.json").read_text(encoding="utf-8"))
    cells = tuple(cell for cell in found if cell.cell.dtype == SHOWN_DTYPE)
    file = io.StringIO()
    show_comparison(Console(file=file, width=200), gradest.Comparison(found.loss, cells))
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    end = next(number for number, line in enumerate(lines) if line.startswith("rel. error: "))
    # Empty lines stand between the groups of a terminal's table; the text of a page needs none.
    marks = [line for line in lines[end:] if line.startswith(DISTURBED)]
    return "\n".join(["```text", *(line for line in lines[:end] if line), *marks, "```"])


BLOCKS = {"demo": demo_table}


def written(text: str) -> str:
    """Return a text with each marked block made anew.

    Raises
    ------
    ValueError
        A block has no place in the text: its two marks are not there.
    """
    for name, make in BLOCKS.items():
        begin, end = f"<!-- {name}: made by `make results` -->", f"<!-- end of {name} -->"
        before, mark, rest = text.partition(begin)
        _, closing, after = rest.partition(end)
        if not (mark and closing):
            raise ValueError(f"README.md should hold {begin!r} ... {end!r}, and does not; put them back")
        text = f"{before}{begin}\n{make()}\n{end}{after}"
    return text


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
