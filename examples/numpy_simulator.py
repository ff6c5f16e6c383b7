"""A simulator in NumPy: a queue with branches on values, by four estimators, for two losses.

    python examples/numpy_simulator.py

Customers arrive at one server. The parameters are logarithms of the mean gap between arrivals and of the mean service
time. Reverse and forward mode cannot see into such a function, and say so; what only evaluates can take any function
that returns a number. The random numbers of the simulation are made from a seed in each run, so that all evaluations
see the same customers: common random numbers, without which a difference would be mostly noise.

Which estimator for which loss:

- The mean wait is continuous, with kinks where a queue runs empty. Central differences are right but at a kink itself,
  for 2 P runs: the first choice for a few parameters.
- The share of customers who wait longer than a limit is a step function: its derivative is zero wherever there is
  one, and every difference with a short step says so. Evolution strategies estimate the slope of the loss *smoothed*
  over a radius sigma, which is what a search needs; choose sigma as long as the distance that should be seen.
- SPSA is the same idea with directions of random signs. With ranks (`es-rank`) the direction alone is kept: the right
  choice where runs have outliers, and the wrong one where the length of a slope is asked for.
"""

import warnings

import numpy as np

import gradest

ESTIMATORS: dict[str, dict[str, int]] = {
    "fd-central": {},
    "es": {"num_samples": 300},
    "spsa": {"num_samples": 300},
    "es-rank": {"num_samples": 300},
}
POINT = np.array([0.0, -0.2])
"""The logarithms of the mean gap and of the mean service time."""


def waits(params: np.ndarray, *, seed: int = 0, customers: int = 200) -> np.ndarray:
    """Return each customer's wait `(N,)`: what is left of the work before them when they come."""
    generator = np.random.default_rng(seed)
    gaps, services = generator.exponential(size=(2, customers)) * np.exp(params)[:, None]
    found, wait = [], 0.0
    for gap, service in zip(gaps, services, strict=True):
        wait = wait + service - gap
        if wait < 0.0:  # the server stood idle
            wait = 0.0
        found.append(wait)
    return np.array(found)


def mean_wait(params: np.ndarray) -> float:
    """Return the mean wait: continuous, with kinks."""
    return float(waits(params).mean())


def share_of_long_waits(params: np.ndarray) -> float:
    """Return the share of customers who wait longer than 2: a step function."""
    return float((waits(params) > 2.0).mean())


RADII = {mean_wait: 0.01, share_of_long_waits: 0.1}
"""How far each loss is smoothed: little where it bends, and over some of its steps where it has steps."""


def main() -> None:
    """Print each estimator's slope of both losses, and what reverse mode answers."""
    try:
        gradest.grad(mean_wait, method="reverse")(POINT)
    except gradest.UnsupportedError as error:
        print(f"reverse: {error}")
    for loss, sigma in RADII.items():
        print(f"\n{loss.__name__}, {loss(POINT):.3f} at {POINT}, smoothed over {sigma}")
        print(f"{'estimator':<12} {'cost':>12}   slope by the logarithms of gap and service")
        for name, options in ESTIMATORS.items():
            with warnings.catch_warnings(record=True) as said:  # a slope of zero everywhere may be warned of
                warnings.simplefilter("always")
                radius = {} if name == "fd-central" else {"sigma": sigma}
                estimate = gradest.get_estimator(name, **options, **radius)(loss, POINT, rng=0)
            gap, service = estimate.gradient
            print(f"{name:<12} {estimate.cost!s:>12}   {gap:8.3f} {service:8.3f}")
            for warning in said:
                print(f"{'':<12} warned: {warning.message}")


if __name__ == "__main__":
    main()
