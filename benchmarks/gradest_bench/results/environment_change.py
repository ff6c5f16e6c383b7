"""Says how what two runs ran on differs: what forbids to compare their times, and what may be why they changed.

Each pair of cells is compared with the environments that its own records name. This module writes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gradest.errors import InvalidInputError
from gradest_bench.results.loading import Run
from gradest_bench.results.records import COMPARABLE, Record

_CODE = ("gradest", "python", "implementation")

Environment = dict[str, Any]
Difference = tuple[str, Any, Any]
"""A key, and its value in either run."""


def differences_of_environments(before: Run, after: Run, pairs: Sequence[tuple[Record, Record]]) -> tuple[str, ...]:
    """Return in words how the code that the pairs of cells ran on differs: versions, kernels, kept form.

    Raises
    ------
    InvalidInputError
        They ran on other machines, threads or settings, or one by one and side by side; or nobody kept what they ran
        on. The message names what differs.
    """
    found: dict[str, None] = {}
    wrong: dict[str, None] = {}
    for (first, second), timed in _environments(pairs).items():
        a, b = _environment_of(before, first), _environment_of(after, second)
        # errors do not depend on who else runs: only times forbid another executor
        settings = [*_settings(a, b), *(_executors(a, b) if timed else ())]
        differing = _differing(settings)
        wrong.update(
            (f"{second}: {key} is {x!r} in {before.folder}, {y!r} in {after.folder}", None) for key, x, y in differing
        )
        # other versions may be what the comparison is about: they are told, and forbid nothing
        found.update((f"{second}: {key} {x} -> {y}", None) for key, x, y in _differing(_code(a, b)))
        if timed and a.get("executor"):
            found[f"{second}: both were timed side by side ({a['executor']}); their groups disturbed each other"] = None
    if wrong:
        raise InvalidInputError(f"these runs cannot be compared: {'; '.join(wrong)}; run both in one environment")
    found.update((f"records: schema {a.schema} -> {b.schema}", None) for a, b in pairs if a.schema != b.schema)
    return tuple(found)


def _environments(pairs: Iterable[tuple[Record, Record]]) -> dict[tuple[str, str], bool]:
    """Return the pairs of environments that cells ran in, and whether any of those cells was timed."""
    found: dict[tuple[str, str], bool] = {}
    for a, b in pairs:
        names = (a.environment, b.environment)
        timed = a.timing is not None and bool(a.timing.wall_seconds)
        found[names] = found.get(names, False) or timed
    return found


def _environment_of(run: Run, name: str) -> Environment:
    libraries = run.environment.get("workers", {}).get(name)
    machine = run.environment.get("machine")
    # who does not know must not be taken for alike: two unknowns are equal to Python
    if libraries is None or not machine:
        raise InvalidInputError(
            f"what the cells of {run.folder} ran on is not known: its environment.json has no machine or no worker "
            f"{name!r}; nothing says that their times may be compared; run it anew"
        )
    # an executor may have run the worker on another machine, which then stands with it
    return {"gradest": machine.get("gradest"), "machine": machine, **libraries}


def _settings(a: Environment, b: Environment) -> Iterator[Difference]:
    for key in COMPARABLE:
        yield key, a["machine"].get(key), b["machine"].get(key)
    for name in sorted({*a.get("variables", {}), *b.get("variables", {})}):
        yield name, a.get("variables", {}).get(name), b.get("variables", {}).get(name)
    # a variable asks for threads; a pool says how many there are
    first, second = (_pools(side, "num_threads") for side in (a, b))
    for name in sorted({*first} & {*second}):
        yield f"threads of {name}", first[name], second[name]


def _executors(a: Environment, b: Environment) -> Iterator[Difference]:
    yield "executor", a.get("executor", ""), b.get("executor", "")


def _code(a: Environment, b: Environment) -> Iterator[Difference]:
    for key in _CODE:
        yield key, a.get(key), b.get(key)
    first, second = a.get("versions", {}), b.get("versions", {})
    for name in sorted({*first, *second}):
        yield name, first.get(name), second.get(name)
    for field, what in (("version", ""), ("architecture", " kernels")):
        kernels, others = _pools(a, field), _pools(b, field)
        for name in sorted({*kernels, *others}):
            yield f"{name}{what}", kernels.get(name), others.get(name)


def _pools(environment: Environment, field: str) -> dict[str, Any]:
    """Return a field of each pool of threads, by the library's name; of two copies of one library, in one text."""
    found: dict[str, list[Any]] = {}
    for pool in environment.get("pools", ()):
        found.setdefault(str(pool.get("prefix")), []).append(pool.get(field))
    return {
        name: values[0] if len(values) == 1 else ", ".join(sorted(map(str, values))) for name, values in found.items()
    }


def _differing(found: Iterable[Difference]) -> list[Difference]:
    return [each for each in found if each[1] != each[2]]
