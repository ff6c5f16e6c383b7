"""States the three source roots; everything else about the package is in setup.cfg.

``backends/`` and ``benchmarks/`` hold packages without being packages themselves, so that a directory's
name is its import name. The suites are data beside the harness in a checkout and inside it in a wheel.
"""

from setuptools import find_packages, setup

CORE = find_packages(include=["gradest", "gradest.*"])
BACKENDS = find_packages("backends")
HARNESS = find_packages("benchmarks", include=["gradest_bench", "gradest_bench.*", "gradest_pytest"])
SUITES = "gradest_bench.suites"


def located(packages: list[str], root: str) -> dict[str, str]:
    """Return the folder of each package that has its sources below ``root``."""
    return {package: f"{root}/{package.replace('.', '/')}" for package in packages}


setup(
    packages=[*CORE, *BACKENDS, *HARNESS, SUITES],
    package_dir={
        "": ".",
        **located(BACKENDS, "backends"),
        **located(HARNESS, "benchmarks"),
        SUITES: "benchmarks/suites",
    },
)
