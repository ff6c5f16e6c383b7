"""Turns a suite into its cells, and says when two cells are the same.

A cell is one estimator on one problem, backend, dtype, kernel and device. Its `key` is the hash of what is asked; its
identity, computed where it runs, is the hash of the key and of all that decides the answer: code, versions, data. This
module knows no file and no process.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gradest_bench.suite.schema import Budget, Grid, Named, Suite, Training

NULL = Named(name="null", label="null")


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """Names one problem or one estimator with the values of its fields."""

    name: str
    fields: dict[str, Any] = {}
    label: str = ""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """States one thing to measure, how, and what ends it.

    `worker` names the process that runs it: the backend, or "backend:variant" where two interpreters hold two versions
    of one framework. `plugins` are imported there first.
    """

    problem: Spec
    estimator: Spec
    backend: str
    worker: str
    dtype: str
    kernel: str = "portable"
    device: str = "default"
    seeds: tuple[int, ...] = (0,)
    measure: tuple[str, ...] = ("time", "accuracy")
    plugins: tuple[str, ...] = ()
    budget: Budget = Budget()
    expect: tuple[str, ...] = ()
    training: Training | None = None

    @property
    def key(self) -> str:
        """The hash of what is asked; limits and labels are not part of it."""
        return digest(self.asked)

    @property
    def asked(self) -> dict[str, Any]:
        """What is asked, as plain data: two cells that agree in it are one."""
        # whoever gives a cell more time or another name keeps its result; whoever asks for more samples does not
        asked: dict[str, Any] = {
            "problem": [self.problem.name, self.problem.fields],
            "estimator": [self.estimator.name, self.estimator.fields],
            "worker": self.worker,
            "backend": self.backend,
            "dtype": self.dtype,
            "kernel": self.kernel,
            "device": self.device,
            "seeds": self.seeds,
            # in whatever order a suite names them, the same is measured
            "measure": sorted(self.measure),
            # comparisons judge the least of the samples, which depends on how many there are
            "effort": [self.budget.repetitions, self.budget.minimum_samples, self.budget.minimum_seconds],
        }
        # left out of one start: so keys are those of results from before there were several
        if self.budget.starts > 1:
            asked["starts"] = self.budget.starts
        if self.training is not None:
            asked["training"] = msgspec.to_builtins(self.training)
        return asked

    @property
    def shared_key(self) -> str:
        """The key that this cell would have in the worker that is called as its backend: equal for all its variants."""
        return self.for_worker(self.backend).key

    def for_worker(self, worker: str) -> "Cell":
        """Return the same cell for another worker, such as "numpy:new"."""
        return msgspec.structs.replace(self, worker=worker)

    @property
    def title(self) -> str:
        """The name of the cell where people read it."""
        # what nearly all cells have goes without saying; `distinct_titles` tells apart what is left
        kernel = "" if self.kernel == "portable" else f" {self.kernel}"
        device = "" if self.device == "default" else f" on {self.device}"
        return f"{self.estimator.label} on {self.worker}{kernel} {self.dtype}{device}, {self.problem.label}"


def digest(value: Any) -> str:
    """Return the SHA-256, in hexadecimal, of the canonical JSON of plain data."""
    # sorted keys: the order of fields in a TOML file says nothing; no NaN: it is not JSON, and each writer has its own
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def distinct_titles(cells: Mapping[str, Cell]) -> dict[str, str]:
    """Return a title of its own for each cell, by the same key: those that share one are told apart by what is asked.

    They may differ in seeds, in what is measured, or in fields that their labels do not name.

    Examples
    --------
    >>> import msgspec
    >>> from gradest_bench.suite.cells import Cell, Spec, distinct_titles
    >>> cell = Cell(problem=Spec(name="p", label="p"), estimator=Spec(name="e", label="e"), backend="b", worker="b",
    ...             dtype="float64", measure=("time",))
    >>> distinct_titles({"1": cell, "2": msgspec.structs.replace(cell, measure=("accuracy",))})
    {'1': 'e on b float64, p (time)', '2': 'e on b float64, p (accuracy)'}
    """
    alike: dict[str, dict[str, Cell]] = {}
    for key, cell in cells.items():
        alike.setdefault(cell.title, {})[key] = cell
    found: dict[str, str] = {}
    for title, group in alike.items():
        told = [_words(cell) for cell in group.values()]
        # what all of them share tells none of them apart
        common = set(told[0]).intersection(*told[1:])
        taken: dict[str, int] = {}
        for key, words in zip(group, told, strict=True):
            apart = ", ".join(word for word in words if word not in common)
            name = f"{title} ({apart})" if apart else title
            # numbers of many digits may be shortened alike: those are counted
            taken[name] = taken.get(name, 0) + 1
            found[key] = name if taken[name] == 1 else f"{name} #{taken[name]}"
    return found


def _words(cell: Cell) -> list[str]:
    """Return what is asked of a cell and not in its title, in words."""
    fields = [*cell.problem.fields.items(), *cell.estimator.fields.items()]
    return [
        *(f"{name}={_short(value)}" for name, value in fields),
        " and ".join(cell.measure),
        f"{len(cell.seeds)} seed{'s' * (len(cell.seeds) != 1)}",
    ]


def expand(suite: Suite) -> tuple[Cell, ...]:
    """Return every cell of a suite once, null estimators included, in the order in which the suite states them."""
    cells: dict[str, Cell] = {}
    for grid in suite.grid:
        for cell in _grid_cells(suite, grid):
            # two grids may name one cell: it is measured once, and may end as either of them expects
            first = cells.setdefault(cell.key, cell)
            if not set(cell.expect) <= set(first.expect):
                expected = tuple(dict.fromkeys((*first.expect, *cell.expect)))
                cells[cell.key] = msgspec.structs.replace(first, expect=expected)
    return tuple(cells.values())


def _grid_cells(suite: Suite, grid: Grid) -> Iterator[Cell]:
    measure = tuple(grid.measure or suite.measure)
    # the null estimator computes nothing: its time is what the harness itself adds to every other
    estimators = [*grid.estimators, NULL] if "time" in measure else grid.estimators
    problems = [spec for named in grid.problems for spec in specs(named)]
    choices = (
        problems,
        grid.dtypes,
        grid.kernels,
        grid.devices,
        grid.backends,
        [spec for named in estimators for spec in specs(named)],
    )
    for problem, dtype, kernel, device, backend, estimator in itertools.product(*choices):
        # training may cost so many losses, and the null estimator's steps cost none: its training would never end
        asked = tuple(each for each in measure if each != "training" or estimator.name != NULL.name) or measure
        yield Cell(
            problem=problem,
            estimator=estimator,
            backend=backend,
            worker=backend,
            dtype=dtype,
            kernel=kernel,
            device=device,
            seeds=tuple(suite.seeds if grid.seeds is None else grid.seeds),
            measure=asked,
            plugins=tuple(suite.plugins),
            budget=suite.budget,
            expect=tuple(grid.expect),
            training=suite.training if "training" in asked else None,
        )


def specs(named: Named) -> list[Spec]:
    """Return one spec for each combination of the values that a named thing varies."""
    names = tuple(named.vary)
    found = []
    for values in itertools.product(*named.vary.values()):
        varied = dict(zip(names, values, strict=True))
        # a field in both is refused by `name_errors`, before anything runs
        fields = {**named.fields, **varied}
        if named.label:
            label = named.label
            for field, value in fields.items():
                label = label.replace("{" + field + "}", _short(value))
        else:
            label = " ".join((named.name, *(f"{field}={_short(value)}" for field, value in fields.items())))
        found.append(Spec(name=named.name, fields=fields, label=label))
    return found


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return "-".join(_short(item) for item in value)
    return str(value)
