"""Every registered estimator on every loss of the gauntlet, in every dtype on every backend: docs/gauntlet.md.

    python benchmarks/scripts/gauntlet_table.py [--workers 2] [--only NAME ...] [--output docs/gauntlet.md]

The losses and what they should give stand in tests/gauntlet; this carries out the full product, judges it as the tests
do, and writes what was found. It exits with 1 where a cell is neither as expected nor on the list of what is pending.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "backends"), str(ROOT / "tests")]

from gauntlet import page, table  # noqa: E402  # found by the path set above
from gauntlet.page import Cell  # noqa: E402  # as above

Unit = tuple[str, str, str]
"""A loss, a backend and a dtype: what one worker carries out at a time."""


def units(only: Sequence[str]) -> list[Unit]:
    """Return all units whose backend is installed, JAX's first: they take longest."""
    found = [
        (loss.name, backend, dtype)
        for loss in table.LOSSES
        for backend in loss.backends
        for dtype in loss.dtypes
        if page.installed(backend) and (not only or loss.name in only)
    ]
    return sorted(found, key=lambda unit: unit[1] != "jax")


def main() -> None:
    """Carry out what the command line asks for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], help="names of losses")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "gauntlet.md")
    options = parser.parse_args()
    # Compiling is nearly all of the time on JAX, and the arrays have tens of entries: nothing is worth optimising.
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_backend_optimization_level=0".strip()
    cells: list[Cell] = []
    chosen = units(options.only)
    # spawned: a fork copies the locks of JAX and MXNet, and not the threads that hold them
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for count, found in enumerate(pool.map(page.carry_out_unit, chosen), start=1):
            cells += found
            if count % 20 == 0:
                print(f"{count} of {len(chosen)} losses, backends and dtypes", flush=True)
    options.output.write_text(page.written(cells), encoding="utf-8")
    surprising = [cell for cell in cells if cell.verdict == "unexpected"]
    print(f"{len(cells)} cells, {len(surprising)} of them unexpected; {options.output} is written")
    for cell in surprising:
        print(f"  {cell.loss} | {cell.name} | {cell.backend} | {cell.dtype}: {cell.text[:160]}")
    sys.exit(bool(surprising))


if __name__ == "__main__":
    main()
