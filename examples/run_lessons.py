"""Runs lessons to their end, in full, and keeps their figures: what `make examples` does.

    python examples/run_lessons.py [NAME ...] [--short] [--figures DIR]

Without names all lessons of examples/lessons are run, each in a process of its own. What a lesson prints is printed;
its figures go to DIR, build/lessons by default, as NAME_1.png, NAME_2.png, ... A lesson that fails is told at the end.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

LESSONS = Path(__file__).resolve().parent / "lessons"
KEEPING = """
import runpy, sys
import matplotlib.pyplot as plt
path, figures, *arguments = sys.argv[1:]
sys.argv = [path, *arguments]
plt.show = lambda: None
runpy.run_path(path, run_name="__main__")
for number in plt.get_fignums():
    plt.figure(number).savefig(f"{figures}_{number}.png", dpi=110)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=sorted(path.stem for path in LESSONS.glob("*.py")))
    parser.add_argument("--short", action="store_true", help="as in the tests and the documentation")
    parser.add_argument("--figures", type=Path, default=Path("build/lessons"))
    options = parser.parse_args()
    options.figures.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in options.names:
        print(f"== {name}", flush=True)
        begun = time.perf_counter()
        command = [sys.executable, "-c", KEEPING, str(LESSONS / f"{name}.py"), str(options.figures / name)]
        done = subprocess.run(
            [*command, *([] if options.short else ["--full"])], check=False, env={**os.environ, "MPLBACKEND": "agg"}
        )
        print(f"-- {name}: {time.perf_counter() - begun:.0f} s\n", flush=True)
        failed += [name] if done.returncode else []
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
