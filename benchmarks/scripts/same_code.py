"""What `gradest bench compare` says of real runs of one code, and whether it finds slowdowns that are planted in one.

    python benchmarks/scripts/same_code.py [--pairs 10] [--tries 5] [--minutes 20]

The suite has four estimators on one quadratic, on NumPy. First, disjoint pairs of runs of unchanged code, each of them
compared: at most 3 of 10 should raise an alarm (as each does so with a probability of 5 %, more of them have one of
0.1 %). Then two sides beside each other, by `compare-now`, of which one is slower in one estimator: tenfold, which is
to be found in every try, and by a tenth, which is to be found as often as its power says. That the machine is too
disturbed to judge is an answer too; the load of the machine stands beside each line. What does not fit into the minutes
is left out, and that is said.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOTS = [str(ROOT), str(ROOT / "backends"), str(ROOT / "benchmarks")]
COMMAND = [sys.executable, "-m", "gradest_bench.command.main", "bench"]

PLUGIN = '''
import os
from dataclasses import dataclass

from gradest import Cost, Estimator, get_estimator
from gradest.estimator import PreparedKernel


@dataclass(frozen=True)
class Busy(Estimator):
    """The closed form after work that takes some milliseconds, multiplied by what the environment says."""

    name = "busy"
    source = "a control"
    formula = "closed form"
    cost_formula = "1 VJP"

    steps: int = 100_000

    def cost(self, layout):
        return Cost(vjps=1)

    def prepare_kernel(self, objective, *, executor=None):
        inner = get_estimator("analytic").prepare_kernel(objective)
        steps = int(self.steps * float(os.environ.get("SLOWER", "1")))

        def kernel(leaves, rng):
            sum(range(steps))  # in the interpreter alone: how long it takes hangs on no kernel and no cache
            return inner.call(leaves, rng)

        return PreparedKernel(kernel, "busy")
'''
SUITE = """
name = "same-code"
plugins = ["busy.py"]
measure = ["time"]
[budget]
starts = 4
repetitions = 5
minimum_samples = 15
minimum_seconds = 0.1
[[grid]]
backends = ["numpy"]
problems = [{ name = "quadratic", fields = { size = 100 } }]
estimators = [
    { name = "busy:Busy", label = "busy" },
    { name = "analytic" },
    { name = "reverse" },
    { name = "fd-central" },
    { name = "es", fields = { num_samples = 100 } },
]
"""
PLANTED = "busy on numpy"


class Work:
    """A folder with the suite, and what is said of commands that run there until the time is over."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self.folder = folder
        self.end = time.monotonic() + 60 * minutes
        self.suite = folder / "suite.toml"
        self.suite.write_text(SUITE, encoding="utf-8")
        (folder / "busy.py").write_text(PLUGIN, encoding="utf-8")

    @property
    def over(self) -> bool:
        """Whether the minutes are spent."""
        return time.monotonic() >= self.end

    def bench(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code of a command of `gradest bench`, and what it printed."""
        # by the path: an installed gradest would be another code than the one that is tried
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)}
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        # these are verdicts; any other is a fault of the command, and no answer
        if done.returncode not in (0, 1, 3, 4):
            raise SystemExit(f"gradest bench {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
        return done.returncode, done.stdout

    def slower(self, factor: float) -> str:
        """Return an interpreter in which the planted estimator does so many times the work."""
        # an interpreter of one side: a variable in the environment of the command would slow down both
        path = self.folder / f"python-{factor:g}"
        path.write_text(f'#!/bin/sh\nSLOWER={factor} exec "{sys.executable}" "$@"\n', encoding="utf-8")
        path.chmod(0o755)
        return str(path)


def told(printed: str) -> dict[str, dict[str, Any]]:
    """Return the times of a comparison by the titles of their cells."""
    return {row["title"]: row for row in json.loads(printed)["times"]}


def line(what: str, times: dict[str, dict[str, Any]]) -> str:
    """Return one line: the verdicts, counted, the change that would be seen, and the load of the machine."""
    counts = Counter(row["verdict"] for row in times.values())
    seen = [row["visible"] for row in times.values() if row["visible"] is not None]
    visible = f"; would see x{median(seen):.2f}" if seen else ""
    words = ", ".join(f"{count} {word}" for word, count in counts.items())
    return f"{what:<26} {words}{visible}   (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"


def unchanged(work: Work, pairs: int) -> None:
    """Print what is said of disjoint pairs of runs of one code, one after the other."""
    alarms = done = 0
    for pair in range(pairs):
        if work.over:
            break
        # new runs for each pair: pairs that share a run would raise their alarms together
        names = [f"run-{pair}-{side}" for side in "ab"]
        for name in names:
            work.bench("run", str(work.suite), "--out", name)
        _, printed = work.bench("compare", *names, "--json")
        times = told(printed)
        changed = [title for title, row in times.items() if row["verdict"] in ("slower", "faster")]
        alarms, done = alarms + bool(changed), done + 1
        said = "".join(f"\n    {title}: {times[title]['verdict']} x{times[title]['ratio']:.3f}" for title in changed)
        print(line(f"pair {pair + 1} of {pairs}", times) + said, flush=True)
    print(f"unchanged code: {alarms} of {done} pairs with an alarm; {pairs - done} left out\n", flush=True)


def planted(work: Work, tries: int, factor: float, starts: int) -> None:
    """Print whether one estimator that is slower by a factor is found, and what is said of the others."""
    found = unfit = beside = done = 0
    for number in range(tries):
        if work.over:
            break
        out = f"planted-{factor:g}-{number}"
        asked = ("--b", work.slower(factor), "--starts", str(starts), "--out", out, "--json")
        _, printed = work.bench("compare-now", str(work.suite), *asked)
        times = told(printed)
        row = next(row for title, row in times.items() if title.startswith(PLANTED))
        others = [row["verdict"] for title, row in times.items() if not title.startswith(PLANTED)]
        done += 1
        found += row["verdict"] == "slower"
        unfit += row["verdict"] == "machine too disturbed"
        beside += any(word in ("slower", "faster") for word in others)
        ratio = "" if row["ratio"] is None else f" x{row['ratio']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        print(line(f"x{factor:g}, try {number + 1} of {tries}", times), flush=True)
        print(f"    {row['title']}: {row['verdict']}{ratio}", flush=True)
    print(
        f"x{factor:g}, {starts} pairs of starts: found in {found} of {done} tries, machine too disturbed in {unfit}; a "
        f"false change beside it in {beside}; {tries - done} left out\n",
        flush=True,
    )


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=20.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gradest-same-code-") as folder:
        work = Work(Path(folder), asked.minutes)
        # first what has to be found in every try: what the minutes have no room for is what comes last
        planted(work, asked.tries, 10.0, starts=6)
        unchanged(work, asked.pairs)
        planted(work, asked.tries, 1.1, starts=8)


if __name__ == "__main__":
    main()
