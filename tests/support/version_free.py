"""Which files of tests need not be tried with every version of NumPy and of the frameworks, and why."""

from pathlib import Path

from support import turns

VERSION_FREE: dict[str, tuple[str, ...]] = {
    "bench": (
        # Processes: what starts, ends, kills, forks, hangs and resumes, around one small closed form in NumPy.
        "test_bench_appendix test_bench_compare_now test_bench_executors test_bench_families test_bench_faults",
        "test_bench_invocations test_bench_plugins test_bench_resume test_bench_schedule test_bench_workers",
        # Files, texts and the sources themselves.
        "test_bench_anonymity test_bench_architecture test_bench_damaged test_bench_durations test_bench_files",
        "test_bench_store test_bench_suite test_bench_suite_limits test_bench_versions test_command_border",
        "test_command_groups",
        # Rates of simulated times and slopes, whose random numbers are the same with every version.
        "test_bench_rates test_bench_scale",
    ),
    "core": (
        "test_architecture test_committed_results test_importing test_packaging test_prose test_site_links test_types",
        "test_vocabulary",
    ),
}
"""Files by their folder. They are about processes, files, texts and sources, in which neither a version of NumPy nor a
framework has a part; what prints or keeps a figure is none of them, for NumPy 2 writes its numbers otherwise.

`make test` and `make test2` try them between them, by `pytest --in-turn`, and `make test3` none.
"""
WITH_NUMPY_2 = frozenset({"test_bench_executors", "test_bench_rates", "test_bench_resume", "test_bench_scale"})
"""What of these `make test2` tries, about half of their time; `make test` tries the others."""


def version_free_files() -> frozenset[Path]:
    """Return the paths of these files."""
    tests = Path(__file__).resolve().parents[1]
    return frozenset(
        tests / folder / f"{name}.py" for folder, lines in VERSION_FREE.items() for name in " ".join(lines).split()
    )


def left_to_others() -> frozenset[Path]:
    """Return those that another environment tries."""
    every = version_free_files()
    second = frozenset(file for file in every if file.stem in WITH_NUMPY_2)
    return every - {1: every - second, 2: second}.get(turns.ENVIRONMENT, frozenset())
