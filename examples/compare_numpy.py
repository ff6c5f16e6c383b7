"""A simulator in NumPy, an ODE with a branch, under several estimators: which gradient, how right, at what cost.

    python examples/compare_numpy.py
    gradest compare examples/compare_numpy.py:case
    gradest compare examples/compare_numpy.py:black_box

A mass on a spring: slow motion is braked by a drag proportional to its speed, fast motion by one proportional to the
square. The parameters are stiffness, drag and the first speed; the loss is the distance from where the mass should be.

`case` stays in NumPy's arithmetic, which gradest follows step by step: reverse and forward mode are exact, and the
reference is reverse mode in extended precision. `black_box` converts its result to a Python float, as simulators that
call other programs do: derivatives end there, and the reference is extrapolated from differences, with its error.
"""

from typing import Any

import numpy as np

import gradest

ESTIMATORS = ("reverse", "forward", "complex-step", "fd-central", "es", "spsa")
START = np.array([2.0, 0.4, 1.5])
"""Stiffness, drag and the first speed."""


def distance(params: Any, target: float, *, steps: int = 60, dt: float = 0.05) -> Any:
    """Return the squared distance of the mass from its target after some steps."""
    stiffness, drag, speed = params[0], params[1], params[2]
    place = 0.0 * speed
    for _ in range(steps):
        if -1.0 < speed.real < 1.0:  # the two laws meet at speed 1: no jump, but a bend
            braking = drag * speed
        else:
            braking = drag * speed * speed * np.sign(speed.real)
        place, speed = place + dt * speed, speed - dt * (stiffness * place + braking)
    return (place - target) ** 2


def black_box() -> gradest.Case:
    """Return the same case as a simulator of which gradest sees values alone."""
    return gradest.Case(lambda p, t: float(distance(p, t)), START, (0.5,))


case = gradest.Case(distance, START, (0.5,))

if __name__ == "__main__":
    for each in (case, black_box()):
        print(gradest.compare(each, estimators=ESTIMATORS, budget_seconds=0.02), end="\n\n")
