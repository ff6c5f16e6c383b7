"""Reads a suite: data that say which problems, estimators and backends are swept, and for how long.

A suite is a TOML file. Reading it checks its form and says where it is wrong; whether its names exist is checked by
`selection`. This module knows no cell, no worker and no result.
"""

import difflib
import math
import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from gradest.errors import InvalidInputError, unknown_name
from gradest_bench.suite.limits import (
    MOST_CHARACTERS,
    require_distinct,
    require_few,
    require_name,
    require_plain,
    require_short,
)

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Seed = Annotated[int, msgspec.Meta(ge=0)]
Measure = Literal["time", "accuracy", "memory", "training"]
Expected = Literal["unsupported", "missing", "invalid", "error", "timeout", "out_of_memory", "crashed", "wrong"]


def _default(*items: Any) -> Any:
    """Return a field whose default is a new list of the items; msgspec takes no list that is not empty as it stands."""
    return msgspec.field(default_factory=lambda: list(items))


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Names a problem or an estimator and its fields.

    Every list of `vary` is walked through: two fields with three values each make nine. `label` is what tables call
    it; `{field}` in it is replaced by the field's value.
    """

    name: str
    fields: dict[str, Any] = {}
    vary: dict[str, Annotated[list[Any], msgspec.Meta(min_length=1)]] = {}
    label: str = ""


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """States one full grid: every problem with every estimator on every backend, dtype, kernel and device.

    `seeds` and `measure` stand in for those of the suite where given. Outcomes listed in `expect` do not fail a run,
    nor does the verdict "wrong" where it is listed; a cell that two grids name may end as either of them lists.
    """

    problems: Annotated[list[Named], msgspec.Meta(min_length=1)]
    estimators: Annotated[list[Named], msgspec.Meta(min_length=1)]
    backends: Annotated[list[str], msgspec.Meta(min_length=1)]
    dtypes: Annotated[list[str], msgspec.Meta(min_length=1)] = _default("float64")
    kernels: Annotated[list[Literal["portable", "native"]], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["portable"]
    )
    devices: Annotated[list[str], msgspec.Meta(min_length=1)] = _default("default")
    seeds: list[Seed] | None = None
    measure: list[Measure] | None = None
    expect: list[Expected] = []


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """States how long each cell is measured, and what ends it.

    The workers are started `starts` times, and each time `repetitions` rounds go over all cells: runs whose times are
    to be compared need several, as a process may be slow as a whole. Over all rounds of a start a cell gets at least
    `minimum_samples` timed samples and `minimum_seconds`. The limits hold for one cell: its time in a worker, all told,
    for each start; and that worker's resident memory.
    """

    starts: Count = 1
    repetitions: Count = 5
    minimum_samples: Count = 5
    minimum_seconds: Positive = 0.25
    timeout_seconds: Positive = 60.0
    memory_limit_mb: Positive = 4096.0

    @property
    def samples_in_round(self) -> int:
        """The samples that each round has at least."""
        return -(-self.minimum_samples // self.repetitions)  # rounded up: no round goes without


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """States how cells are trained where "training" is measured: each at the best of the `step_sizes`.

    The best is that whose training loss ends lowest with the first seed; the other seeds train at it. A run may cost
    `losses` evaluations of the loss, a JVP and a VJP counting as `jvp_losses` and `vjp_losses` of them, on every
    machine. Without `batch_size` each step has all data; `held_out` is the share of a problem's data that is looked at
    and not trained on; `logs` is how many points a curve has, about.
    """

    optimizer: str = "sgd"
    step_sizes: Annotated[list[Positive], msgspec.Meta(min_length=1, max_length=32)]
    losses: Positive
    batch_size: Count | None = None
    held_out: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    logs: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    jvp_losses: Positive = 2.0
    vjp_losses: Positive = 3.0


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """States a whole suite; `question` is what its results answer, `plugins` are modules that workers import first.

    `tags` are words by which `gradest bench list --tag` finds it; `expected_minutes` is what a run of all of it takes,
    on two processor cores.
    """

    name: str
    grid: Annotated[list[Grid], msgspec.Meta(min_length=1)]
    title: str = ""
    question: str = ""
    tags: list[str] = []
    expected_minutes: Positive | None = None
    plugins: list[str] = []
    seed: Seed = 0
    seeds: Annotated[list[Seed], msgspec.Meta(min_length=1)] = _default(0)
    measure: Annotated[list[Measure], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["time", "accuracy"]
    )
    budget: Budget = Budget()
    training: Training | None = None


def shipped_folder() -> Traversable:
    """Return the folder of the shipped suites: inside the package in a wheel, beside it in a checkout."""
    package = files("gradest_bench")
    inside = package / "suites"
    return inside if inside.is_dir() else Path(str(package)).parent / "suites"


def shipped_suites() -> dict[str, Traversable]:
    """Return the shipped suites: name -> file."""
    found = [item for item in shipped_folder().iterdir() if item.name.endswith(".toml")]
    # the order of a folder is the file system's, and lists of suites are read by people
    return {item.name.removesuffix(".toml"): item for item in sorted(found, key=lambda item: item.name)}


def suite_text(name_or_path: str) -> str:
    """Return the TOML text of a shipped suite, or of a file.

    Raises
    ------
    UnknownNameError
        There is neither such a shipped suite nor such a file.
    InvalidInputError
        The file cannot be read.
    """
    shipped = shipped_suites()
    if name_or_path in shipped:
        # a file or folder of that name where one happens to stand does not take its place: write ./quick for it
        return shipped[name_or_path].read_text(encoding="utf-8")
    path = Path(name_or_path)
    try:
        if not path.is_file():
            raise unknown_name("suite or TOML file", name_or_path, shipped)
        with path.open(encoding="utf-8") as file:
            return file.read(MOST_CHARACTERS + 1)  # what is longer is refused, and need not be read for it
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"a suite was asked for; {name_or_path[:200]!r} cannot be read: {error}") from error


def suite_folder(name_or_path: str) -> Path | None:
    """Return the folder of a suite's file, where the files that it names are looked for; None for a shipped one."""
    return None if name_or_path in shipped_suites() else Path(name_or_path).resolve().parent


def parse_suite(text: str, *, origin: str = "suite") -> Suite:
    """Return the suite that a TOML text states, if it is one that can be run.

    Raises
    ------
    InvalidInputError
        It is no TOML, or a field is unknown, missing or of the wrong kind; the message has the path of the field
        and the nearest valid name. Or it is beyond one of the limits of `suite.limits`.
    """
    # parted in two, as runs of earlier versions are read that could not be run any more
    suite = parse_form(text, origin=origin)
    require_runnable(suite, origin=origin)
    return suite


def require_runnable(suite: Suite, *, origin: str) -> None:
    """Refuse a suite that can be read and not be run: by its name, or by a seed that it has twice.

    Raises
    ------
    InvalidInputError
        The message has what was found.
    """
    require_name(suite.name, origin=origin)
    require_distinct(suite.seeds, path="seeds", origin=origin)
    for number, grid in enumerate(suite.grid):
        require_distinct(grid.seeds or (), path=f"grid[{number}].seeds", origin=origin)


def parse_form(text: str, *, origin: str) -> Suite:
    """Return the suite that a TOML text states, also one that an earlier version ran. Raises as `parse_suite` does."""
    require_short(text, origin=origin)
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # its reader calls itself for each bracket; int() has its own limit
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInputError(f"{origin}: not valid TOML: {reason}") from error
    require_plain(found, origin=origin)
    try:
        suite = msgspec.convert(found, Suite)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"{origin}: {_explain(str(error))}") from error
    # by arithmetic, before any cell is made: two lines of TOML can ask for more than memory holds
    require_few(cells=num_cells(suite), seeds=most_seeds(suite), origin=origin)
    if suite.training is None and any("training" in (grid.measure or suite.measure) for grid in suite.grid):
        raise InvalidInputError(
            f"{origin}: measure has 'training', and there is no table [training]; it says how: step_sizes = [0.1, 1.0] "
            "and losses = 1000, at least"
        )
    return suite


def num_cells(suite: Suite) -> int:
    """Return how many cells a suite states, null estimators included, by arithmetic; one of two grids counts twice."""
    return sum(
        len(grid.dtypes)
        * len(grid.kernels)
        * len(grid.devices)
        * len(grid.backends)
        * _combinations(grid.problems)
        * (_combinations(grid.estimators) + ("time" in (grid.measure or suite.measure)))
        for grid in suite.grid
    )


def _combinations(named: Sequence[Named]) -> int:
    # of nothing that varies the product is 1: the thing itself
    return sum(math.prod(map(len, each.vary.values())) for each in named)


def most_seeds(suite: Suite) -> int:
    """Return the most seeds that a cell of a suite has."""
    return max(len(seeds) for seeds in (suite.seeds, *(grid.seeds or () for grid in suite.grid)))


def _explain(message: str) -> str:
    """Return msgspec's message with the field's path in front and the nearest names behind."""
    # msgspec has no fields in its errors: the path and the name are read off its English
    text, _, where = message.partition(" - at `$")
    path = where.rstrip("`").removeprefix(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", text)
    if unknown is None:
        return f"{path or 'top level'}: {text}"
    name = unknown.group(1)
    known = _fields_at(path)
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    field = f"{path}.{name}" if path else name
    return f"{field}: no field is named {name!r}; {hint}{'K' if hint else 'k'}nown: {', '.join(known)}"


def _fields_at(path: str) -> tuple[str, ...]:
    last = re.sub(r"\[[^\]]*\]", "", path).rpartition(".")[2]
    owners: dict[str, type[msgspec.Struct]] = {
        "grid": Grid,
        "problems": Named,
        "estimators": Named,
        "budget": Budget,
        "training": Training,
    }
    return owners.get(last, Suite).__struct_fields__
