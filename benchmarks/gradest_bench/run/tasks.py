"""Packs a group of cells as plain data, which any executor can carry, and measures it where it is unpacked.

What is large stays where it is: problems and data are built again from the cells. This module knows no results folder.
"""

import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gradest_bench.results.records import Record
from gradest_bench.run.group import measure_group
from gradest_bench.run.schedule import PlannedCell
from gradest_bench.suite.cells import Cell
from gradest_bench.worker.launch import Launch
from gradest_bench.worker.pool import WorkerPool


def task(
    planned: Sequence[PlannedCell], launch: Launch, plugins: Sequence[str], *, suite: str, seed: int
) -> dict[str, Any]:
    """Return a group as plain data."""
    return {
        "cells": [
            {
                "cell": msgspec.to_builtins(plan.cell),
                "identity": plan.identity,
                "facts": plan.facts,
                "attempts": plan.attempts,
                "begun": None if plan.begun is None else msgspec.to_builtins(plan.begun),
            }
            for plan in planned
        ],
        "pythons": dict(launch.pythons),
        "threads": launch.threads,
        "folder": None if launch.folder is None else str(launch.folder),
        "plugins": list(plugins),
        "suite": suite,
        "seed": seed,
    }


_RUNNING: "weakref.WeakSet[WorkerPool]" = weakref.WeakSet()
"""The pools of the tasks that run in this process now, so that a stopped sweep can end them."""


def stop_tasks() -> None:
    """End the workers of every task that runs in this process; the tasks then return."""
    for pool in list(_RUNNING):
        pool.kill()


def run_task(request: dict[str, Any]) -> dict[str, Any]:
    """Return the records of a group, as plain data, and the environments of the workers that measured it."""
    planned = [
        PlannedCell(
            cell=msgspec.convert(found["cell"], Cell),
            identity=found["identity"],
            facts=found["facts"],
            attempts=found["attempts"],
            begun=None if found["begun"] is None else msgspec.convert(found["begun"], Record),
        )
        for found in request["cells"]
    ]
    with tempfile.TemporaryDirectory(prefix="gradest-bench-") as logs:
        folder = None if request["folder"] is None else Path(request["folder"])
        # without checkouts: compare-now alone has them, and hands no group to an executor
        launch = Launch(pythons=request["pythons"], logs=Path(logs), threads=request["threads"], folder=folder)
        pool = WorkerPool(launch, plugins=request["plugins"])
        _RUNNING.add(pool)
        try:
            records = list(measure_group(planned, pool, suite=request["suite"], seed=request["seed"]))
        finally:
            pool.kill()  # workers belong to one task: a task that is run elsewhere must leave no process there
        return {"records": [msgspec.to_builtins(record) for record in records], "environments": pool.environments}
