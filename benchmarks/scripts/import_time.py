"""What `import gradest` costs beyond `import numpy`, and which frameworks it loads: none.

    python benchmarks/scripts/import_time.py [--rounds 15]

Each import happens in a fresh process, the two in turn, so that a drift of the machine falls on both. The process
itself measures. The first round, which compiles bytecode and warms the disk's cache, is thrown away.
"""

import argparse
import statistics
import subprocess
import sys

BAR_SECONDS = 0.15
FRAMEWORKS = ("jax", "torch", "mxnet", "scipy", "matplotlib")
CHILD = """
import sys, time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start, *(name for name in {frameworks} if name in sys.modules))
"""


def measure(module: str) -> tuple[float, list[str]]:
    """Return the seconds that an import takes in a fresh process, and the frameworks that it loads."""
    code = CHILD.format(module=module, frameworks=FRAMEWORKS)
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    return float(found[0]), found[1:]


def main() -> None:
    """Print bar 14."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    differences, seconds, loaded = [], [], set[str]()
    for turn in range(rounds + 1):
        (without, _), (whole, found) = measure("numpy"), measure("gradest")
        loaded.update(found)
        # the first round compiles, and reads from a cold disk
        if turn:
            seconds.append(whole)
            differences.append(whole - without)
    extra = statistics.median(differences)
    print(
        f"import gradest: {statistics.median(seconds):.3f} s, {extra:.3f} s beyond NumPy "
        f"({min(differences):.3f} to {max(differences):.3f}); frameworks loaded: {', '.join(sorted(loaded)) or 'none'}"
        f"  bar {BAR_SECONDS:g} and none: {'met' if extra <= BAR_SECONDS and not loaded else 'NOT met'}"
    )


if __name__ == "__main__":
    main()
