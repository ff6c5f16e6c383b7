"""A convolution by im2col is written in operations, and is the same on every backend and by every way to a gradient."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

import gradest
from gradest.operations import Array, NumpyArray, Operations
from gradest.testing import check_problem, raise_on_failure

SIDE, KERNEL, CHANNELS, EXAMPLES = 6, 3, 2, 4


@dataclass(frozen=True, eq=False)
class Convolution(gradest.EmpiricalRisk):
    """Mean over images of the mean of `tanh(image * kernels + b) cos(map)`, a small convolutional layer."""

    name = "test-convolution"

    def parameters(self) -> dict[str, NumpyArray]:
        generator = np.random.default_rng(1)
        kernels = generator.standard_normal((KERNEL * KERNEL, CHANNELS))
        return {"kernels": kernels, "b": 0.1 * generator.standard_normal(CHANNELS)}

    def data(self) -> dict[str, NumpyArray]:
        return {"images": np.random.default_rng(2).standard_normal((EXAMPLES, SIDE, SIDE))}

    def losses(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        # im2col: the image shifted by each place of the kernel becomes one column, (B, 4, 4, 9).
        reach = SIDE - KERNEL + 1
        columns = []
        for row in range(KERNEL):
            rows = ops.slice_axis(data["images"], row, row + reach, axis=-2)
            for column in range(KERNEL):
                shifted = ops.slice_axis(rows, column, column + reach, axis=-1)
                columns.append(ops.expand_dims(shifted, axis=-1))
        patches = ops.concat(*columns, axis=-1)
        # The kernels' axes (9, C) stand behind those of rows and examples; a population's stand before all.
        weights = ops.expand_dims(ops.expand_dims(params["kernels"], axis=-3), axis=-3)
        shift = ops.expand_dims(ops.expand_dims(ops.expand_dims(params["b"], axis=-2), axis=-2), axis=-2)
        maps = ops.matmul(patches, weights) + shift
        return ops.mean(ops.tanh(maps) * ops.cos(maps), axis=(-1, -2, -3))


def by_hand() -> tuple[float, NumpyArray, NumpyArray]:
    """Return the loss and its gradient, one pixel at a time."""
    problem = Convolution()
    kernels, b = problem.parameters().values()
    reach, value = SIDE - KERNEL + 1, 0.0
    by_kernels, by_b = np.zeros_like(kernels), np.zeros_like(b)
    share = 1.0 / (EXAMPLES * reach * reach * CHANNELS)
    for image in problem.data()["images"]:
        for i in range(reach):
            for j in range(reach):
                patch = image[i : i + KERNEL, j : j + KERNEL].ravel()
                z = patch @ kernels + b
                value += share * float(np.sum(np.tanh(z) * np.cos(z)))
                slope = share * ((1 - np.tanh(z) ** 2) * np.cos(z) - np.tanh(z) * np.sin(z))
                by_kernels += np.outer(patch, slope)
                by_b += slope
    return value, by_kernels, by_b


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
@pytest.mark.parametrize(
    "method", ["reverse", "reverse-checkpointed", "forward", "forward-structured", "fd-exact", "fd-central"]
)
def test_its_gradient_is_that_by_hand(method: str, backend: str) -> None:
    value, by_kernels, by_b = by_hand()
    objective = gradest.bind(Convolution(), backend=backend)
    numpy = objective.backend.numpy
    assert float(numpy(objective.prepare_value()(objective.start))) == pytest.approx(value, rel=1e-12)
    found = gradest.get_estimator(method)(objective).gradient
    allowed = 1e-8 if method == "fd-central" else 1e-12
    np.testing.assert_allclose(numpy(found["kernels"]), by_kernels, rtol=0, atol=allowed)
    np.testing.assert_allclose(numpy(found["b"]), by_b, rtol=0, atol=allowed)


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
def test_it_passes_the_checks_of_a_problem(backend: str) -> None:
    raise_on_failure(check_problem(Convolution(), backends=["numpy", backend]))
