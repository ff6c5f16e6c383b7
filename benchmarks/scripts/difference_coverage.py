"""How often the errors that differences state hold, over the closed forms of the literature; nothing is timed.

    python benchmarks/scripts/difference_coverage.py

Over the closed forms of `tests/support/closed_forms.py`, sines at 30 to 1e6 and networks
of relu and max-pool, and over those of `further_closed_forms.py`: the
share of entries whose error is within the stated one or that are flagged (99 % at least), the share of well-scaled
smooth entries that are flagged (2 % at most), and the median of stated / true error (100 at most).
"""

import sys
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "backends"), str(ROOT / "tests")]

from support.difference_coverage import ESTIMATORS, GROUPS, coverage  # noqa: E402  # found by the path set above

DRAWS = (31, 977)
"""Seeds of points that are moved by up to five parts in a hundred."""


def main() -> None:
    """Print the table."""
    print(f"{'':<36} {'entries':>7} {'covered, flagged':>18} {'smooth flagged':>15} {'stated / true':>14}")
    for name, estimator in ESTIMATORS.items():
        for dtype, group, draws in product(("float64", "float32"), GROUPS, ((), DRAWS)):
            found = coverage(estimator, dtype, group=group, draws=draws)
            print(
                f"{name:<14} {dtype:<7} {group:<8.8} {'moved' if draws else '':<5} {found.entries:>6} "
                f"{found.covered:>18.1%} {found.flagged:>15.1%} {found.generosity:>14.3g}",
                flush=True,
            )
    print(f"{'asked':<44} {0.99:>18.1%} {0.02:>15.1%} {100:>14}")


if __name__ == "__main__":
    main()
