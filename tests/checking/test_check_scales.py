"""`gradest.check` judges losses of any size alike: squares of theirs may lie beyond the range of float64."""

import warnings
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.checking.result import GradientCheck, Verdict

SCALES = [2.0**1000, 2.0**660, 2.0**-660, 2.0**-1000]
START = np.array([0.4, -1.2, 0.7])


def checked(scale: float, wrong: Any = None, **options: Any) -> GradientCheck:
    claim = None if wrong is None else scale * wrong(np.cos(START))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy's, of what overflows
        return gradest.check(lambda p: scale * np.sum(np.sin(p)), START, claim, **options)


@pytest.mark.parametrize("scale", SCALES, ids="{:.0e}".format)
def test_a_loss_of_any_size_is_judged(scale: float) -> None:
    """Near 1e200 nothing could be told, within "nan"; near 1e-200 a factor of 2 was called a wrong sign."""
    usual = checked(1.0)
    found = checked(scale)
    assert found.verdict is usual.verdict is Verdict.RIGHT
    assert found.resolution < 1e-8
    wrong = checked(scale, lambda right: 2.0 * right)
    assert wrong.verdict is Verdict.WRONG
    defect = wrong.defects[0]
    assert defect.cause == "a factor of 2"
    assert defect.relative_size == pytest.approx(1.0)
    assert (defect.claimed / scale, defect.expected / scale) == pytest.approx(
        (2.0 * np.cos(START[defect.index]), np.cos(START[defect.index])), rel=1e-6
    )
    shifted = checked(scale, lambda right: right + 0.5)
    assert shifted.defects[0].cause == f"a constant {0.5 * scale:.3g} added to every entry"


@pytest.mark.parametrize("scale", SCALES[1:3], ids="{:.0e}".format)
def test_products_with_the_hessian_are_judged_at_any_size(scale: float) -> None:
    torch: Any = pytest.importorskip("torch", reason="pip install 'gradest[torch]'")
    found = gradest.check(lambda p: scale * torch.sum(torch.sin(p)), torch.tensor(START), order=2)
    assert found.verdict is Verdict.RIGHT
    assert found.resolution < 1e-7


def test_parameters_of_any_size_have_a_scale() -> None:
    """The squares of parameters near 1e-200 are zero, as if there were no size to step by."""
    start = START * 2.0**-660
    found = gradest.check(lambda p: np.sum(np.sin(p * 2.0**660)), start, 2.0**660 * np.cos(START))
    assert found.verdict is Verdict.RIGHT
    assert found.resolution < 1e-8


@pytest.mark.parametrize("size", [1e200, 1e300, 1e-300], ids="{:.0e}".format)
def test_parameters_near_the_ends_of_the_range_are_judged(size: float) -> None:
    """Near 1e-300 the number of steps was infinite, an error; near 1e200 squares of the parameters overflowed."""
    right = np.cos(START) / size
    for claim, verdict in ((right, Verdict.RIGHT), (right * np.array([1.0, 1.0, 1.3]), Verdict.WRONG)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = gradest.check(lambda p: np.sum(np.sin(p / size)), START * size, claim)
        assert found.verdict is verdict
        assert found.resolution < 1e-7


def test_weight_decay_is_named_at_parameters_of_any_size() -> None:
    for size in (1.0, 1e100, 1e-100):
        claim = (np.cos(START) + 0.01 * START) / size
        found = gradest.check(lambda p, size=size: np.sum(np.sin(p / size)), START * size, claim)
        assert found.defects[0].cause.startswith("a term too many: ")
        assert float(found.defects[0].cause.split()[4]) == pytest.approx(0.01 / size / size, rel=0.01)


@pytest.mark.parametrize("size", [1e-12, 1e-30, 1e-100, 1e-6, 1.0, 1e6, 1e100], ids="{:.0e}".format)
def test_a_bounded_loss_of_parameters_of_any_size_is_judged_where_it_varies(size: float) -> None:
    """Quotients at steps of 1 agree on 0, where the loss varies over 1e-12: a right gradient was called wrong."""

    def loss(p: Any) -> Any:
        return np.sum(np.sin(p / size))

    found = gradest.check(loss, size * START, np.cos(START) / size)
    assert found.verdict is Verdict.RIGHT
    assert found.resolution < 1e-7
    wrong = gradest.check(loss, size * START, 1.5 * np.cos(START) / size)
    assert wrong.verdict is Verdict.WRONG
    assert wrong.defects[0].cause == "a factor of 3/2"


def of_single_precision(p: Any) -> Any:
    single = p.astype(np.float32) if isinstance(p, np.ndarray) else p.float()
    return (single**2).sum()


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_a_loss_coarser_than_its_parameters_is_judged_by_its_own_rounding(framework: str) -> None:
    """Points beside the start are one point to it: what two exact methods differ by there was called wrong."""
    if framework == "torch":
        torch: Any = pytest.importorskip("torch", reason="pip install 'gradest[torch]'")
    for seed in range(6):
        start = np.random.default_rng(seed).standard_normal(3)
        at = start if framework == "numpy" else torch.tensor(start)
        found = gradest.check(of_single_precision, at)
        assert found.verdict is Verdict.RIGHT, found
        wrong = gradest.check(of_single_precision, at, 2.02 * start)
        assert wrong.verdict is Verdict.WRONG, wrong
