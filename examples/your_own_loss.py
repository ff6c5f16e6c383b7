"""Your own loss, your own arrays: any estimator on a function of a pytree, here in NumPy, PyTorch or JAX.

    python examples/your_own_loss.py

The gradient comes back in the structure, array type, dtype and device of the parameters. A function of one
framework is opaque: reverse mode is the framework's own, differences and evolution strategies evaluate it.
"""

import numpy as np

import gradest

METHODS = {
    "fd-central": {},
    "es": {"num_samples": 2000, "sigma": 1e-3},
}


def loss(params: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the mean squared error of a small network; plain NumPy, as it was before gradest."""
    hidden = np.tanh(x @ params["weights"] + params["bias"])
    return np.mean((hidden.sum(axis=1) - y) ** 2)


def main() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((50, 3)), generator.standard_normal(50)
    params = {"weights": generator.standard_normal((3, 4)), "bias": np.zeros(4)}
    exact = gradest.get_estimator("complex-step")(loss, params, x, y)
    print(f"complex step: {exact.cost}, |gradient| {np.linalg.norm(exact.gradient['weights']):.6f}")
    for name, options in METHODS.items():
        estimate = gradest.get_estimator(name, **options)(loss, params, x, y, rng=0)
        difference = np.linalg.norm(estimate.gradient["weights"] - exact.gradient["weights"])
        relative = difference / np.linalg.norm(exact.gradient["weights"])
        print(f"{name:>12}: {estimate.cost}, relative error {relative:.1e}, path {estimate.path!r}")


if __name__ == "__main__":
    main()
