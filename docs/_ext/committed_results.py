"""Reads the results that are committed beside the documentation's sources; `make results` measures them anew.

A page states no figure that was measured elsewhere: what it shows stands in `results/choose.json`, which it links.
"""

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

RECORD = Path(__file__).resolve().parents[1] / "results" / "choose.json"
AUDIT = RECORD.with_name("audit.json")
DEMO = RECORD.with_name("demo.json")
LINK = "{download}`record </results/choose.json>`"
DEMO_LINK = "{download}`record </results/demo.json>`"
PROBLEMS = {
    "small": "MLP 4-4-3, iris, batch of 16",
    "middle": "MLP 64-32-10, digits, batch of 64",
    "large": "MLP 784-512-10, MNIST, batch of 100",
}
"""What the labels of the record's problems stand for, in the order in which pages show them."""


@dataclass(frozen=True)
class Found:
    """Holds what the record says of one estimator on one problem."""

    num_parameters: int
    path: str
    evaluations: str
    relative_error: float
    cosine: float
    predicted_cosine: float | None
    loss_units: float
    disturbed: bool
    relative_mse: float | None
    relative_mse_error: float | None
    predicted_mse: float | None

    @property
    def typical_error(self) -> float:
        """The relative error, of a random estimate the root mean square over seeds: one draw ranks nothing."""
        return self.relative_error if self.relative_mse is None else math.sqrt(self.relative_mse)

    @property
    def error_text(self) -> str:
        """The typical error as tables to choose by show it."""
        return f"{self.typical_error:{'.0e' if self.typical_error < 0.1 else '.2g'}}"


@cache
def record() -> dict[str, Any]:
    """Return the whole record."""
    found: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


@cache
def measured() -> dict[tuple[str, str], Found]:
    """Return what was found of each problem's label and estimator's name; cells that did not run are left out."""
    return {
        (each["cell"]["problem"]["label"], each["cell"]["estimator"]["name"]): _found(each)
        for each in record()["records"]
        if each["outcome"] == "ok"
    }


@cache
def measured_in_float32() -> dict[str, Found]:
    """Return what the demo found of each estimator's name, in float32 on NumPy."""
    kept = json.loads(DEMO.read_text(encoding="utf-8"))
    return {
        each["estimator"]: Found(
            num_parameters=kept["problem"]["num_parameters"],
            path=each["path"],
            evaluations=each["cost"],
            relative_error=each["accuracy"]["relative_error"],
            cosine=(each["replicates"] or each["accuracy"])["cosine"],
            predicted_cosine=(each["predicted"] or {}).get("cosine"),
            loss_units=each["loss_units"],
            disturbed=each["timing"]["disturbed"],
            relative_mse=(each["replicates"] or {}).get("relative_mse"),
            relative_mse_error=(each["replicates"] or {}).get("relative_mse_error"),
            predicted_mse=(each["predicted"] or {}).get("relative_mse"),
        )
        for each in kept["cells"]
        if (each["backend"], each["dtype"]) == ("numpy", "float32")
    }


def origin() -> str:
    """Return when, with what and on which machine it was measured."""
    days = sorted(each["finished"][:10] for each in record()["records"] if each["finished"])
    machine, worker = record()["environment"]["machine"], record()["environment"]["workers"]["numpy"]
    return (
        f"gradest {machine['gradest']}, NumPy {worker['versions']['numpy']} on Python {worker['python']}, float64, one "
        f"thread of {machine['processor']}, {days[-1]}"
    )


def _found(each: dict[str, Any]) -> Found:
    accuracy, timing, counted = each["accuracy"], each["timing"], each["counts"]["counted"]
    scatter, predicted = accuracy.get("replicates") or {}, accuracy.get("predicted") or {}
    kinds = {"values": "value", "jvps": "JVP", "vjps": "VJP"}
    return Found(
        num_parameters=each["facts"]["num_parameters"],
        path=each["facts"]["path"],
        evaluations=" + ".join(
            f"{counted[name]:,} {kind}{'s' if counted[name] > 1 else ''}"
            for name, kind in kinds.items()
            if counted[name]
        ),
        relative_error=float(accuracy["single"]["relative_error"]),
        cosine=float(scatter.get("cosine", accuracy["single"]["cosine"])),  # "nan", of no direction, is a text
        predicted_cosine=predicted.get("cosine"),
        loss_units=float(timing["loss_units"]),
        disturbed=timing["disturbed"],
        relative_mse=scatter.get("relative_mse"),
        relative_mse_error=scatter.get("relative_mse_error"),
        predicted_mse=predicted.get("relative_mse"),
    )


def audit_table() -> str:
    """Return what `make audit` found of other packages' estimators, a row each, with the versions."""
    kept = json.loads(AUDIT.read_text(encoding="utf-8"))
    lines = ["| estimator | promises | verdict | scale | relative MSE / theory | versions |", f"|{' --- |' * 6}"]
    for each in kept["audits"]:
        found = each["findings"]
        scales = [one["scale"] for one in found]
        # Theory is of an estimate of the right length; of another the ratio would say nothing.
        ratios = [
            one["relative_mse"] / one["predicted"] for one in found if one["predicted"] and each["verdict"] == "right"
        ]
        versions = ", ".join(f"{name} {version}" for name, version in each["versions"].items())
        verdict = f"{each['verdict']}: {each['reason']}"
        cells = (each["name"], each["claim"], verdict, _between(scales), _between(ratios), versions)
        lines.append(f"| {' | '.join(cells)} |")
    made = f"gradest {kept['gradest']}, Python {kept['python']}, {kept['date']}; N = {kept['samples']}"
    return "\n".join([*lines, "", f"{made} ({{download}}`record </results/audit.json>`)."]) + "\n"


def _between(values: list[float]) -> str:
    return f"{min(values):.3g} to {max(values):.3g}" if values else ""
