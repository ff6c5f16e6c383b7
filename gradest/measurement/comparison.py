"""The result of a comparison: what was found in each cell, as values that print, draw and store themselves.

Tables and figures are the harness's, which lies above the core and is looked up by name when one is asked for: nothing
here prints, writes a file, or needs more than NumPy.
"""

import importlib
import json
import math
import typing
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from os import PathLike
from typing import Any, TypeVar, overload

from gradest.errors import InvalidInputError
from gradest.estimate import Cost
from gradest.measurement.accuracy import Accuracy, ReplicateAccuracy, z_score
from gradest.measurement.outcome import Outcome
from gradest.measurement.timing import Timing
from gradest.theory import Prediction

SCHEMA = 1
"""Of what `Comparison.to_json` gives; it grows where a field is renamed, removed or means something else."""
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
Record = TypeVar("Record")


@dataclass(frozen=True)
class Combination:
    """Names one cell of a comparison: which estimator, on which backend, in which dtype and with which kernels.

    The kernels of a function that is no problem are its own: `kernel` is "own".
    """

    estimator: str
    backend: str
    dtype: str
    kernel: str = "portable"


@dataclass(frozen=True)
class CellResult:
    """What was found in one cell; None where it does not apply or did not come to it.

    Attributes
    ----------
    cell, outcome, reason
        Which combination, how it ended, and why if it did not run to the end. Of a cell that ran, the reason says
        what went wrong in its prediction, if anything did.
    path
        How the estimate was computed: "native", "gradest", "batched", "structured", ...
    cost
        Evaluations of one estimate as counted while it ran, not as declared.
    accuracy
        Of one estimate against the reference.
    replicates, predicted
        Of a stochastic estimator: how independent estimates scatter, and what theory predicts.
    timing
        Binding the estimator, its first call, which may compile, and its steady time, beside that of one loss
        evaluation on the same backend and dtype.
    reference_uncertainty, reference_method
        Relative error that the reference may have itself, and how it was found.
    """

    cell: Combination
    outcome: Outcome
    reason: str = ""
    path: str = ""
    stochastic: bool = False
    cost: Cost | None = None
    accuracy: Accuracy | None = None
    replicates: ReplicateAccuracy | None = None
    predicted: Prediction | None = None
    timing: Timing | None = None
    reference_uncertainty: float = math.nan
    reference_method: str = ""

    @property
    def loss_units(self) -> float:
        """The steady time in units of one loss evaluation."""
        return math.nan if self.timing is None or self.timing.loss_units is None else self.timing.loss_units

    @property
    def error_is_bound(self) -> bool:
        """Whether the error of one estimate is below what the reference may be off: then only a bound of it is known.

        The bound is `reference_uncertainty`.
        """
        return self.accuracy is not None and self.accuracy.relative_error < self.reference_uncertainty

    @property
    def relative_error(self) -> float:
        """The relative L2 error of one estimate, or the bound that is known of it; NaN where nothing was measured."""
        if self.accuracy is None:
            return math.nan
        return self.reference_uncertainty if self.error_is_bound else self.accuracy.relative_error

    @property
    def z(self) -> float:
        """How many standard errors the measured relative MSE lies above the predicted one; NaN without either.

        NaN too where theory says that no error is left: what is left is rounding.
        """
        scatter = self.replicates
        if scatter is None or self.predicted is None or self.predicted.relative_mse is None:
            return math.nan
        return z_score(
            scatter.relative_mse,
            scatter.relative_mse_error,
            self.predicted.relative_mse,
            dtype=self.cell.dtype,
        )


@dataclass(frozen=True)
class Compared:
    """Says what a comparison was made on.

    Attributes
    ----------
    name, description
        What it is called, and what is known of it, in words.
    num_parameters
        P.
    notes
        What has to be known of the loss to read the numbers: that it draws random numbers, or is noisy.
    """

    name: str
    description: str
    num_parameters: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Comparison(Sequence[CellResult]):
    """Holds the cells of a comparison in the order of its table; a sequence of `CellResult`.

    `print` shows the table, as a notebook does.

    Attributes
    ----------
    loss
        What it was made on.
    cells
        One for each estimator, backend and dtype.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> found = gradest.compare(
    ...     lambda p: (p**4).sum(), np.array([1.0, 2.0]), estimators=["reverse", "fd-central"], budget_seconds=0.01
    ... )
    >>> len(found), found[1].cell.estimator, found[1].relative_error < 1e-8
    (2, 'fd-central', True)
    >>> gradest.Comparison.from_json(found.to_json()) == found
    True
    """

    loss: Compared
    cells: tuple[CellResult, ...]

    @overload
    def __getitem__(self, place: int) -> CellResult: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[CellResult]: ...
    def __getitem__(self, place: int | slice) -> CellResult | Sequence[CellResult]:
        """Return the cell of a row, or those of several."""
        return self.cells[place]

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.cells)

    def __iter__(self) -> Iterator[CellResult]:
        """Yield the cells in the order of the table."""
        return iter(self.cells)

    def named(self, name: str) -> "Comparison":
        """Return the same comparison with another name for the loss."""
        return replace(self, loss=replace(self.loss, name=name))

    # -- as plain data ------------------------------------------------------------------------------------
    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data: numbers, texts, lists and dicts; numbers that are not finite are texts."""
        loss = asdict(self.loss)
        whole = {
            "problem": {"name": loss["name"], "repr": loss["description"], "num_parameters": loss["num_parameters"]},
            "notes": list(loss["notes"]),
            "cells": [_plain_cell(result) for result in self.cells],
        }
        found: dict[str, Any] = _as_plain(whole)
        return found

    def to_json(self) -> str:
        """Return it as JSON text, from which `from_json` makes it again."""
        return json.dumps({"schema": SCHEMA, **self.to_dict()}, allow_nan=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Comparison":
        """Return the comparison that `to_json` wrote, or `gradest compare --json`.

        Raises
        ------
        InvalidInputError
            The text is no JSON, or not of a comparison, or of a later schema.
        """
        try:
            found = json.loads(text)
            if found["schema"] != SCHEMA:
                raise InvalidInputError(f"a comparison of schema {SCHEMA} was asked for; found {found['schema']!r}")
            problem = found["problem"]
            loss = Compared(problem["name"], problem["repr"], problem["num_parameters"], tuple(found.get("notes", ())))
            return cls(loss, tuple(map(_cell_of, found["cells"])))
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InvalidInputError):  # the one from above, which is a ValueError as well
                raise
            what = f"{type(error).__name__}: {error}"
            raise InvalidInputError(f"the JSON of a comparison was asked for; found another text ({what})") from error

    # -- for people: by the harness, looked up by name ----------------------------------------------------
    def to_pandas(self) -> Any:
        """Return a data frame with a row for each cell; times in seconds, errors relative.

        Where the error of an estimate is below the reference's own uncertainty, `relative_error` is that bound, and
        `error_is_bound` says so.

        Raises
        ------
        MissingDependencyError
            pandas is not installed.
        """
        return _views().frame(self)

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Return a Matplotlib figure of error against time, and write it to a file where a path is given.

        Raises
        ------
        MissingDependencyError
            Matplotlib is not installed.
        InvalidInputError
            No cell ran, or the ending of the path names no format.
        """
        return _views().plot(self, path)

    def __repr__(self) -> str:
        """Return one line that says what there is."""
        ended = [str(result.outcome) for result in self.cells]
        counts = ", ".join(f"{ended.count(each)} {each}" for each in dict.fromkeys(ended))
        return f"<Comparison on {self.loss.name}: {len(self)} cells ({counts}); print shows the table>"

    def __str__(self) -> str:
        """Return the table as text."""
        found: str = _views().text(self)
        return found

    def _repr_html_(self) -> str:
        """Return the table as HTML, which notebooks show."""
        found: str = _views().html(self)
        return found


def _views() -> Any:
    # By its name, as the core imports nothing that lies above it, and NumPy alone is needed to compare.
    return importlib.import_module("gradest_bench.report.comparison")


def _plain_cell(result: CellResult) -> dict[str, Any]:
    found = asdict(result)
    more = {name: getattr(result, name) for name in ("loss_units", "relative_error", "error_is_bound", "z")}
    return {**found.pop("cell"), **found, "outcome": str(result.outcome), **more}


def _cell_of(found: dict[str, Any]) -> CellResult:
    parts: dict[str, type[Any]] = {
        "cost": Cost,
        "accuracy": Accuracy,
        "replicates": ReplicateAccuracy,
        "predicted": Prediction,
        "timing": Timing,
    }
    whole = {name: None if found[name] is None else _record(kind, found[name]) for name, kind in parts.items()}
    # the fields alone: `z` and the like are in the text for its readers, and are properties here
    cell, outcome = _record(Combination, found), Outcome(found["outcome"])
    return replace(_record(CellResult, {**found, **whole, "cell": cell}), outcome=outcome)


def _record(kind: type[Record], found: dict[str, Any]) -> Record:
    """Return a dataclass of plain fields, those that an earlier version did not write left out."""
    values = {}
    for each in fields(kind):  # type: ignore[arg-type]  # every kind here is a dataclass
        if each.name in found:
            # A text stays one: an estimator may have been labelled "inf".
            value = found[each.name] if each.type is str else _from_plain(found[each.name])
            # JSON has lists alone, and a comparison that is read is equal to the one that was written.
            values[each.name] = tuple(value) if typing.get_origin(each.type) is tuple else value
    return kind(**values)


def _as_plain(value: Any) -> Any:
    """Return nested data with texts for numbers that are not finite, of which JSON has none."""
    if isinstance(value, dict):
        return {name: _as_plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    return value


def _from_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _from_plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_from_plain(item) for item in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value
