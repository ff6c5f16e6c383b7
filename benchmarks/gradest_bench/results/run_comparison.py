"""Compares two runs cell by cell: times statistically, accuracy exactly or statistically, never across machines.

This module writes nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gradest.errors import InvalidInputError
from gradest.measurement.outcome import Outcome
from gradest_bench.results.loading import Run
from gradest_bench.results.records import COMPARABLE, Record, number, rounds_of
from gradest_bench.results.significance import Ratio, compare_samples, holm, normal_p_value

FALSE_ALARM = 0.05
"""The probability that any change at all is reported between two runs of the same thing."""
MINIMUM_EFFECT = 0.05
"""A change of the median time by less is not reported, however certain."""


@dataclass(frozen=True)
class TimeChange:
    """States how the time of one cell differs: B / A, and the p-value adjusted for all cells that were compared."""

    title: str
    ratio: Ratio
    adjusted_p: float
    disturbed: bool = False

    @property
    def verdict(self) -> str:
        """Return "slower", "faster", "same", or "disturbed" where the machine was busy with something else."""
        if self.disturbed:
            return "disturbed"
        if not self.adjusted_p < FALSE_ALARM or not self.seems_changed:
            return "same"
        return "slower" if self.ratio.low > 1 else "faster"

    @property
    def seems_changed(self) -> bool:
        """Whether the whole interval lies beyond the minimum effect; chance and disturbance are not considered here."""
        return self.ratio.low > 1 + MINIMUM_EFFECT or self.ratio.high < 1 / (1 + MINIMUM_EFFECT)


@dataclass(frozen=True)
class AccuracyChange:
    """States how the error of one cell differs; `measure` names the number that is compared."""

    title: str
    measure: str
    before: float
    after: float
    adjusted_p: float

    @property
    def verdict(self) -> str:
        """Return "worse", "better" or "same"."""
        if not self.adjusted_p < FALSE_ALARM:
            return "same"
        return "better" if self.after < self.before else "worse"


@dataclass(frozen=True)
class RunComparison:
    """Holds what became of each cell that both runs have, and what only one of them has."""

    times: tuple[TimeChange, ...]
    accuracies: tuple[AccuracyChange, ...]
    outcomes: tuple[tuple[str, str, str], ...]
    only_before: int
    only_after: int
    versions: tuple[str, ...]

    @property
    def worse(self) -> bool:
        """Whether anything became slower, less accurate, or stopped working."""
        return (
            any(change.verdict == "slower" for change in self.times)
            or any(change.verdict == "worse" for change in self.accuracies)
            or any(before == Outcome.OK for _, before, _ in self.outcomes)
        )


def compare_runs(before: Run, after: Run) -> RunComparison:
    """Return how run B differs from run A, paired by what was asked of each cell.

    Raises
    ------
    InvalidInputError
        The runs are of different machines or thread settings, or have no cell in common; the message names the key.
    """
    versions = _require_comparable(before, after)
    known = {record.key: record for record in before.records}
    pairs = [(known[record.key], record) for record in after.records if record.key in known]
    if not pairs:
        raise InvalidInputError(f"{before.folder} and {after.folder} have no cell in common; compare runs of one suite")
    measured = [(a, b) for a, b in pairs if a.outcome == b.outcome == Outcome.OK]
    return RunComparison(
        times=_time_changes(measured),
        accuracies=_accuracy_changes(measured),
        outcomes=tuple((b.cell.title, a.outcome, b.outcome) for a, b in pairs if a.outcome != b.outcome),
        only_before=len(before.records) - len(pairs),
        only_after=len(after.records) - len(pairs),
        versions=versions,
    )


def _require_comparable(before: Run, after: Run) -> tuple[str, ...]:
    """Refuse runs whose times cannot be compared; return how the versions of what both ran on differ."""
    a, b = before.environment, after.environment
    machines = (a.get("machine", {}), b.get("machine", {}))
    differing = [(key, *(machine.get(key) for machine in machines)) for key in COMPARABLE]
    versions = []
    for worker, found in b.get("workers", {}).items():
        earlier = a.get("workers", {}).get(worker)
        if earlier is None:
            continue
        names = sorted({*earlier["variables"], *found["variables"]})
        differing += [(f"{worker}: {n}", earlier["variables"].get(n), found["variables"].get(n)) for n in names]
        differing.append((f"{worker}: machine", earlier.get("machine"), found.get("machine")))
        versions += _differences(worker, earlier["versions"], found["versions"])
    wrong = [f"{key} is {x!r} in {before.folder}, {y!r} in {after.folder}" for key, x, y in differing if x != y]
    if wrong:
        raise InvalidInputError(f"these runs cannot be compared: {'; '.join(wrong)}; run both in one environment")
    return tuple(versions)


def _differences(worker: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    names = sorted({*before, *after})
    return [f"{worker}: {n} {before.get(n)} -> {after.get(n)}" for n in names if before.get(n) != after.get(n)]


def _time_changes(pairs: Sequence[tuple[Record, Record]]) -> tuple[TimeChange, ...]:
    found: list[TimeChange] = []
    for a, b in pairs:
        if a.timing is not None and b.timing is not None and a.timing.wall_seconds and b.timing.wall_seconds:
            ratio = compare_samples(rounds_of(a.timing), rounds_of(b.timing))
            disturbed = a.timing.disturbed or b.timing.disturbed
            found.append(TimeChange(b.cell.title, ratio, ratio.p_value, disturbed))
    # what is not judged must not take part in the correction either: each test more makes the others less sharp
    judged = [change for change in found if not change.disturbed]
    adjusted = dict(zip(map(id, judged), holm([change.adjusted_p for change in judged]), strict=True))
    return tuple(replace(change, adjusted_p=adjusted.get(id(change), 1.0)) for change in found)


def _accuracy_changes(pairs: Sequence[tuple[Record, Record]]) -> tuple[AccuracyChange, ...]:
    """Compare errors: of deterministic estimators exactly, of stochastic ones by a normal test of the relative MSE."""
    found: list[AccuracyChange] = []
    for a, b in pairs:
        if not (a.accuracy and b.accuracy):
            continue
        scatters = [r.accuracy["replicates"] for r in (a, b) if r.accuracy.get("replicates")]
        if len(scatters) == 2:
            x, y = (number(scatter["relative_mse"]) for scatter in scatters)
            error = math.hypot(*(number(scatter["relative_mse_error"]) for scatter in scatters))
            found.append(AccuracyChange(b.cell.title, "relative MSE", x, y, normal_p_value(y - x, error)))
        elif not b.facts.get("stochastic"):  # any other number is a change: there is no chance in it
            x, y = (number(record.accuracy["single"]["relative_error"]) for record in (a, b))
            found.append(AccuracyChange(b.cell.title, "relative error", x, y, 1.0 if x == y else 0.0))
    adjusted = holm([change.adjusted_p for change in found])
    return tuple(replace(change, adjusted_p=p) for change, p in zip(found, adjusted, strict=True))
