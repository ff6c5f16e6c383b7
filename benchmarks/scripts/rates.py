"""How often comparisons and verdicts err, and what they find, beside what they promise: simulated, nothing is timed.

    python benchmarks/scripts/rates.py [--trials 250] [--runs 200]

Two tables. Of comparisons of two runs of 20 cells: how many of those of equal code report any change of a time (5 % is
promised), how many changed cells are found, and how many are called unchanged. Of runs of 24 calibrated stochastic
estimators: how many hold any "wrong" (1 % is promised), and how many estimators of twice the gradient, and of its
opposite, are called so. The simulations are those of `tests/support/comparison_rates.py`; the tests run them with fewer
trials.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "backends"), str(ROOT / "benchmarks"), str(ROOT / "tests")]

from support.comparison_rates import NOISES, SETTINGS, UNFAIR, rates, wrong_rates  # noqa: E402  # by the path set above

from gradest_bench.results.significance import FALSE_CHANGE  # noqa: E402  # as above
from gradest_bench.results.verdict import FALSE_WRONG  # noqa: E402  # as above


def comparisons(trials: int) -> None:
    """Print the table of comparisons."""
    print(f"comparisons of 20 cells, {trials} a line; a false change in {FALSE_CHANGE:.0%} of them is promised")
    print(f"{'noise':<32}{'':<9}{'starts':>7}{'false':>8}{'beside':>8}{'x1.10':>8}{'x1.25':>8}{'x10':>7}{'denied':>8}")
    for noise in NOISES:
        for paired, starts in ((True, 6), (True, 8), (False, 4), (False, 6), (False, 8)):
            found = rates(noise, starts=starts, paired=paired, trials=trials)
            each = "".join(f"{found.found[factor]:>{width}.2f}" for factor, width in ((1.10, 8), (1.25, 8), (10.0, 7)))
            note = "  (what runs apart cannot know)" if noise == UNFAIR and not paired else ""
            print(
                f"{noise:<32}{'paired' if paired else 'apart':<9}{starts:>7}{found.false:>8.3f}"
                f"{found.false_beside:>8.3f}{each}{found.denied:>8.3f}{note}",
                flush=True,
            )


def estimators(runs: int) -> None:
    """Print the table of verdicts on stochastic estimators."""
    print(
        f"\nruns of 24 stochastic estimators, {runs} a line; a false 'wrong' in {FALSE_WRONG:.0%} of them is promised"
    )
    print(f"{'variation':<11}{'N':>5}{'seeds':>7}{'false':>8}{'scale 2':>9}{'scale -1':>10}")
    for setting in SETTINGS:
        false, _ = wrong_rates(setting, runs=runs)
        # a tenth of the runs: what is that wrong is found nearly always, or not at all
        double, opposite = (wrong_rates(setting, runs=max(runs // 10, 1), scale=scale)[1] for scale in (2.0, -1.0))
        known = "by theory" if setting.known else "unknown"
        print(
            f"{known:<11}{setting.num_samples:>5}{setting.seeds:>7}{false:>8.3f}{double:>9.2f}{opposite:>10.2f}",
            flush=True,
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=250)
    parser.add_argument("--runs", type=int, default=200)
    asked = parser.parse_args()
    comparisons(asked.trials)
    estimators(asked.runs)


if __name__ == "__main__":
    main()
