"""A loss of one's own is compared as a problem is: same rows, an honest reference, errors no better than it knows."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import Case, Comparison
from gradest.measurement.comparison import CellResult
from gradest.measurement.outcome import Outcome

QUICK: dict[str, Any] = {"budget_seconds": 1e-3, "replicates": 4}
POINT = {"w": np.array([0.4, -1.2, 0.7]), "b": np.array(0.3)}
X = np.linspace(-1.0, 1.0, 15).reshape(5, 3)


def loss(params: Any, x: Any) -> Any:
    return np.mean(np.tanh(x @ params["w"] + params["b"]) ** 2)


def exact() -> np.ndarray:
    """Return the gradient of `loss` at `POINT` by hand, in extended precision, w before b."""
    x, w, b = X.astype(np.longdouble), POINT["w"].astype(np.longdouble), np.longdouble(POINT["b"])
    t = np.tanh(x @ w + b)
    outer = 2 * t * (1 - t * t) / len(x)
    return np.concatenate([outer @ x, [outer.sum()]])


def compared(f: Any, *args: Any, names: Any = ("reverse", "fd-central"), **options: Any) -> dict[str, CellResult]:
    found = gradest.compare(f, *args, estimators=names, **{**QUICK, **options})
    return {result.cell.estimator: result for result in found}


def test_errors_are_those_of_a_gradient_by_hand() -> None:
    for result in compared(loss, POINT, X, names=("reverse", "forward", "fd-forward", "complex-step")).values():
        single = gradest.get_estimator(result.cell.estimator)(loss, POINT, X).gradient
        found = np.concatenate([single["w"], [single["b"]]]).astype(np.longdouble)
        error = float(np.sqrt(np.sum((found - exact()) ** 2) / np.sum(exact() ** 2)))
        assert abs(result.relative_error - error) <= 2 * result.reference_uncertainty + 1e-9 * error
        assert result.outcome is Outcome.OK
        assert (result.cell.backend, result.cell.dtype, result.cell.kernel) == ("numpy", "float64", "own")
        assert result.timing is not None
        assert result.cost == gradest.get_estimator(result.cell.estimator).cost(gradest.bind(loss, POINT, X).layout)
        assert "extended" in result.reference_method or "longdouble" in result.reference_method


@pytest.mark.parametrize(
    "asked",
    [
        lambda: gradest.compare(loss, POINT, X, estimators=["fd-central"], **QUICK),
        lambda: gradest.compare(Case(loss, POINT, (X,)), estimators=["fd-central"], **QUICK),
        lambda: gradest.compare(Case(loss, POINT, (), {"x": X}), estimators=["fd-central"], **QUICK),
        lambda: gradest.compare(loss, POINT, x=X, estimators=["fd-central"], **QUICK),
        lambda: gradest.compare(gradest.bind(loss, POINT, X), estimators=["fd-central"], **QUICK),
    ],
    ids=["function", "case", "case by keyword", "keyword", "objective"],
)
def test_however_it_is_given_the_errors_are_the_same(asked: Callable[[], Comparison]) -> None:
    (result,) = asked()
    (other,) = gradest.compare(loss, POINT, X, estimators=["fd-central"], **QUICK)
    assert result.accuracy == other.accuracy
    assert (result.reference_method, result.path, result.cost) == (other.reference_method, other.path, other.cost)


def test_what_evaluates_for_each_of_many_parameters_is_left_out_unless_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A default comparison of a module of thousands spent nearly all its time in exact forward mode."""
    monkeypatch.setattr("gradest.measurement.compare._LONGEST_SECONDS", 0.0)
    few, many = (
        {
            each.cell.estimator: each
            for each in gradest.compare(lambda p: np.sum(p**2), np.ones(size), replicates=2, budget_seconds=0.0)
        }
        for size in (20, 100)
    )
    assert {each.outcome for each in few.values()} == {Outcome.OK}
    left = {name for name, each in many.items() if each.outcome is Outcome.TIMEOUT}
    assert left == {"forward", "fd-central"}
    assert "takes 100 JVPs" in many["forward"].reason
    assert "name it to have it, as by estimators=['forward']" in many["forward"].reason
    assert compared(lambda p: np.sum(p**2), np.ones(100), names=["forward", "es"])["forward"].outcome is Outcome.OK


def test_progress_counts_to_its_end() -> None:
    seen: list[tuple[int, int]] = []
    compared(loss, POINT, X, progress=lambda what, done, total: seen.append((done, total)))
    assert seen == [(k, 5) for k in range(5)]


# -- what the reference knows -----------------------------------------------------------------------------
def test_an_error_below_the_reference_is_a_bound_and_no_number() -> None:
    point = {name: value.astype(np.longdouble) for name, value in POINT.items()}
    found = gradest.compare(loss, point, X, estimators=["reverse", "fd-forward"], **QUICK)
    reverse, forward = found
    assert reverse.error_is_bound
    assert reverse.relative_error == reverse.reference_uncertainty > 0
    assert not forward.error_is_bound
    assert reverse.accuracy.relative_error < reverse.reference_uncertainty < forward.relative_error
    assert f"< {reverse.reference_uncertainty:.0e}"[:3] in str(found)
    assert f"{reverse.accuracy.relative_error:.1e}" not in str(found)
    assert found.to_dict()["cells"][0]["error_is_bound"] is True


def test_the_bound_that_is_shown_is_no_smaller_than_the_one_that_is_known() -> None:
    from gradest_bench.report.units import at_most

    for value in np.geomspace(1e-19, 1.0, 400):
        assert value <= float(at_most(value)) * (1 + 1e-6)
        assert float(at_most(value)) <= 2 * value * (1 + 1e-6)


def test_noise_of_its_own_is_told_and_the_reference_is_a_mean() -> None:
    generator = np.random.default_rng(0)

    def noisy(p: Any) -> float:
        return float(np.sum(p**2) + 1e-4 * generator.standard_normal())

    with pytest.warns(gradest.NoiseWarning):
        found = gradest.compare(noisy, np.ones(3), estimators=["es"], **QUICK)
    assert "noisy" in found.loss.notes[0]
    assert "mean of 16 gradients" in found[0].reference_method
    assert 1e-6 < found[0].reference_uncertainty < 0.1
    assert "Note: the loss is noisy" in str(found)
    assert "theory leaves it out" in str(found)


@pytest.mark.filterwarnings("ignore:two evaluations")
def test_noise_that_no_gradient_has_does_not_spoil_the_reference() -> None:
    generator = np.random.default_rng(0)
    result = compared(lambda p: np.sum(p**2) + 1e-3 * generator.standard_normal(), np.ones(3))["reverse"]
    assert result.relative_error < 1e-14  # reverse mode of each draw is exact


def test_what_is_exact_by_design_is_not_far_from_theory() -> None:
    """Orthogonal directions, as many as parameters, on a quadratic loss: theory says 0, and rounding is no chance."""
    es = gradest.get_estimator("es", num_samples=4, distribution="orthogonal")
    quadratic = gradest.get_problem("quadratic", size=4)
    found = gradest.compare(
        quadratic, estimators={"es": es}, backends=["numpy"], dtypes=["float64"], budget_seconds=1e-3
    )
    assert found[0].replicates is not None
    assert 0 < found[0].replicates.relative_mse < 1e-20
    assert math.isnan(found[0].z)
    assert "Far from theory" not in str(found)


def test_a_row_far_from_theory_says_what_the_loss_may_do() -> None:
    """A jump of 1 at distance 0.05: no derivative knows of it, es crosses it; without it the loss is quadratic."""

    def jumping(p: Any) -> float:
        return float(p @ p / 2) + float(p[0] > 1.05)

    options: dict[str, Any] = {"estimators": {"es": gradest.get_estimator("es", sigma=0.1)}, "budget_seconds": 1e-3}
    # Normal directions: the smoothed loss climbs by the jump times the density of the normal law at it.
    slope = np.exp(-0.5 * 0.5**2) / np.sqrt(2 * np.pi) / 0.1
    found = gradest.compare(jumping, np.ones(3), **options)
    assert found[0].z > 5
    assert found[0].replicates is not None
    assert found[0].replicates.relative_mse > 0.8 * slope**2 / 3
    assert "Far from theory: es. Within the reach of sigma" in str(found)
    assert "Far from theory" not in str(gradest.compare(lambda p: p @ p / 2, np.ones(3), **options))


@pytest.mark.parametrize(("part", "told"), [(0.5, False), (0.05, True), (1.0, False), (1.5, True)])
def test_a_row_below_theory_is_told_where_the_skew_of_squares_cannot_make_it_so(part: float, told: bool) -> None:
    options: dict[str, Any] = {"estimators": ["es"], "budget_seconds": 1e-3}
    found = gradest.compare(lambda p: p @ p / 2, np.ones(3), **options)
    [row] = found
    assert row.replicates is not None
    assert row.predicted is not None
    assert row.predicted.relative_mse is not None
    measured = part * row.predicted.relative_mse
    replicates = replace(row.replicates, relative_mse=measured, relative_mse_error=0.05 * measured)
    changed = replace(found, cells=(replace(row, replicates=replicates),))
    assert ("Far from theory" in str(changed)) is told


# -- rows that cannot be ----------------------------------------------------------------------------------
def test_what_cannot_carry_the_loss_is_a_row_with_its_reason() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        names = ("fd-central", "reverse", "analytic", "node-perturbation", "complex-step")
        found = compared(lambda p: float(np.sum(p**2)), np.ones(3), names=names)
    assert found["fd-central"].outcome is Outcome.OK
    for name in names[1:]:
        assert found[name].outcome is Outcome.UNSUPPORTED
        assert "use " in found[name].reason
        assert found[name].accuracy is None


WRONG: dict[str, tuple[type[Exception], str, Callable[[], Any]]] = {
    "a vector": (
        gradest.InvalidInputError,
        r"found an array of shape \(3,\); reduce it",
        lambda: (lambda p: p, np.ones(3)),
    ),
    "integers": (
        gradest.InvalidTypeError,
        "must be floating-point; found dtype int",
        lambda: (np.sum, np.ones(3, int)),
    ),
    "no arrays": (gradest.InvalidTypeError, "no arrays in it", lambda: (loss, {"activation": np.tanh}, X)),
    "no params": (gradest.InvalidInputError, "needs params", lambda: (loss,)),
    "no loss": (gradest.InvalidTypeError, "a function was asked for; found dict", lambda: (POINT, X)),
    "a mixture": (gradest.InvalidTypeError, "pass arrays of one framework", lambda: (loss, {"a": object()})),
    "not finite": (gradest.NonFiniteError, "must be finite", lambda: (np.sum, np.array([1.0, np.nan]))),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_loss_says_what_was_asked_and_found(kind: str) -> None:
    error, words, made = WRONG[kind]
    f, *rest = made()
    with pytest.raises(error, match=words):
        gradest.compare(f, *rest, estimators=["fd-central"], **QUICK)


def test_no_estimators_at_all_are_no_comparison() -> None:
    """It was a table without a row."""
    with pytest.raises(gradest.InvalidInputError, match="found none; leave estimators= out"):
        gradest.compare(loss, POINT, X, estimators=[], **QUICK)


@pytest.mark.parametrize("option", [{"backends": ["torch"]}, {"dtypes": ["float32"]}, {"kernel": "native"}])
def test_what_is_for_problems_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(gradest.InvalidInputError, match=r"with a loss of your own, .* \(here numpy, float64\); leave"):
        gradest.compare(loss, POINT, X, **option)


def test_what_is_for_losses_is_refused_with_a_problem() -> None:
    quadratic = gradest.get_problem("quadratic", size=3)
    for given in ((POINT,), (None, X)):
        with pytest.raises(gradest.InvalidInputError, match="'quadratic', which has its own"):
            gradest.compare(quadratic, *given, estimators=["reverse"])


def test_a_slip_of_the_pen_is_no_argument_of_the_loss() -> None:
    with pytest.raises(gradest.InvalidInputError, match=r"'replicate' is neither an option of compare .*replicates"):
        gradest.compare(loss, POINT, X, replicate=3)


def test_what_the_loss_raises_is_the_users_to_see() -> None:
    def broken(p: Any) -> Any:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        gradest.compare(broken, np.ones(2), **QUICK)


# -- the result -------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def found() -> Comparison:
    return gradest.compare(loss, POINT, X, estimators=["reverse", "es", "analytic"], **QUICK)


def test_a_comparison_is_a_sequence_that_says_what_it_is(found: Comparison) -> None:
    assert len(found) == 3
    assert [result.cell.estimator for result in found] == ["reverse", "es", "analytic"]
    assert found[-1].outcome is Outcome.UNSUPPORTED
    assert found[:1] == (found[0],)
    assert repr(found) == "<Comparison on loss: 3 cells (2 ok, 1 unsupported); print shows the table>"
    assert found.loss.num_parameters == 4
    assert "numpy float64 on cpu: w (3,), b ()" in found.loss.description


def test_json_makes_the_same_comparison_again(found: Comparison) -> None:
    again = Comparison.from_json(found.to_json())
    assert again.to_json() == found.to_json()
    assert again[:2] == found[:2]  # the third has NaN in it, which equals nothing
    for wrong in ("", "[]", "{}", '{"schema": 1}', '{"schema": 99}'):
        with pytest.raises(gradest.InvalidInputError, match="was asked for; found"):
            Comparison.from_json(wrong)


def test_a_data_frame_has_a_row_for_each_cell(found: Comparison) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed: pip install 'gradest[report]'")
    frame = found.to_pandas()
    assert list(frame["estimator"]) == ["reverse", "es", "analytic"]
    assert list(frame["outcome"]) == ["ok", "ok", "unsupported"]
    assert frame["relative_error"][0] == found[0].relative_error
    assert frame["relative_mse_z"][1] == pytest.approx(found[1].z)
    assert frame["values"][1] == 200
    assert not frame["error_is_bound"].any()


def test_without_pandas_or_matplotlib_it_says_how_to_get_them(
    found: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in ("pandas", "matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (found.to_pandas, found.plot):
        with pytest.raises(gradest.MissingDependencyError, match=r"pip install 'gradest\[report\]'"):
            call()


def test_a_plot_has_a_mark_for_each_cell_that_ran(found: Comparison, tmp_path: Any) -> None:
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed: pip install 'gradest[report]'")
    figure = found.plot(tmp_path / "errors.svg")
    assert (tmp_path / "errors.svg").read_text(encoding="utf-8").startswith("<?xml")
    (axes,) = figure.axes
    marks = [line.get_xydata().tolist() for line in axes.lines if len(line.get_xydata())]
    drawn = {tuple(point) for line in marks for point in line}
    times: list[Any] = [r.timing.median_seconds for r in found[:2]]
    assert drawn == {(t * 1e3, r.relative_error) for t, r in zip(times, found[:2], strict=True)}
    with pytest.raises(gradest.InvalidInputError, match="names no format"):
        found.plot("errors.nothing")


def test_html_and_text_hold_the_same_rows(found: Comparison) -> None:
    from gradest_bench.report.comparison import row

    html, text = found._repr_html_(), str(found)
    assert "<script" not in html
    for result in found[:2]:
        for cell in row(result):
            assert cell in text
            assert f"<td>{cell}</td>" in html
    assert found[2].reason.split("'")[0] in text
    hostile = gradest.compare(loss, POINT, X, estimators={"<b>": gradest.get_estimator("reverse")}, **QUICK)
    assert "<td>&lt;b&gt;</td>" in hostile._repr_html_()


def test_a_problem_has_the_same_result() -> None:
    quadratic = gradest.get_problem("quadratic", size=3)
    found = gradest.compare(
        quadratic, estimators=["es", "reverse"], backends=["numpy"], dtypes=["float64", "float32"], **QUICK
    )
    assert Comparison.from_json(found.to_json()).to_json() == found.to_json()
    assert [r.cell.dtype for r in found] == ["float64", "float64", "float32", "float32"]
    assert "closed form" in found[0].reference_method
    assert math.isfinite(found[0].z)
    assert math.isnan(found[1].z)
    assert found._repr_html_().count("<table>") == 2


def test_names_that_can_be_read_once_are_all_compared() -> None:
    """Those of a generator were gone before they were used: "found none"."""
    quadratic = gradest.get_problem("quadratic", size=2)
    once: Any = {
        "estimators": iter(["reverse", "fd-central"]),
        "backends": iter(["numpy"]),
        "dtypes": iter(["float64"]),
    }
    found = gradest.compare(quadratic, budget_seconds=0.0, **once)
    assert [each.cell.estimator for each in found] == ["reverse", "fd-central"]
    empty: Any
    for empty in ({"backends": []}, {"dtypes": ()}):  # both were all that there are, without a word
        with pytest.raises(gradest.InvalidInputError, match="found none; leave"):
            gradest.compare(quadratic, estimators=["reverse"], **empty)


@pytest.mark.parametrize("ask", [gradest.compare, gradest.applicable])
@pytest.mark.parametrize("wrong", [gradest.estimators.Reverse, "reverse", None], ids=["a class", "a name", "nothing"])
def test_a_label_is_of_an_estimator(ask: Any, wrong: Any) -> None:
    with pytest.raises(gradest.InvalidTypeError, match=r"found .* under 'mine'; make one"):
        ask(lambda p: (p * p).sum(), np.ones(2), estimators={"mine": wrong})


@pytest.mark.parametrize("option", ["backends", "dtypes"])
@pytest.mark.parametrize(("wrong", "message"), [("numpy", "found a string: write"), ([np.float32], "must be names")])
def test_where_a_problem_runs_is_said_by_names(option: str, wrong: Any, message: str) -> None:
    with pytest.raises(gradest.InvalidTypeError, match=f"{option} must be .*{message}|{option} {message}"):
        gradest.compare(gradest.get_problem("quadratic", size=3), **{option: wrong})


def test_estimators_of_ones_own_are_asked_for_by_a_label_each() -> None:
    spsa: Any = gradest.get_estimator("spsa", num_samples=3)
    told = r"estimators must be names, or a mapping from labels to estimators; .*write \{'spsa': estimator, ...\}"
    with pytest.raises(gradest.InvalidTypeError, match=told):
        gradest.compare(gradest.get_problem("quadratic", size=3), estimators=["reverse", spsa])


def test_where_the_gradient_is_zero_errors_are_lengths() -> None:
    """Rows of sampled estimates ended in an error, those of others had their number."""
    start = np.zeros(3)
    names = ("reverse", "es", "forward-gradient", "fd-forward")
    found = gradest.compare(lambda p: np.sum(p**2 + p**3), start, estimators=names, **QUICK)
    rows = {result.cell.estimator: result for result in found}
    assert {result.outcome for result in rows.values()} == {Outcome.OK}
    errors = {name: row.accuracy.relative_error for name, row in rows.items() if row.accuracy is not None}
    assert errors["reverse"] == errors["forward-gradient"] == 0.0
    single = gradest.get_estimator("es")(lambda p: np.sum(p**2 + p**3), start, rng=0).gradient
    assert errors["es"] == pytest.approx(np.linalg.norm(single), rel=1e-9)
    assert "errors are lengths" in str(found)
    assert "errors are lengths" not in str(gradest.compare(loss, POINT, X, estimators=("reverse",), **QUICK))


def test_a_label_that_reads_as_a_number_stays_a_label() -> None:
    """`from_json` made the number infinity of an estimator labelled "inf"."""
    labels = {name: gradest.get_estimator("reverse") for name in ("inf", "nan")}
    found = gradest.compare(lambda p: (p * p).sum(), np.ones(2), estimators=labels, budget_seconds=0.0)
    assert [each.cell.estimator for each in Comparison.from_json(found.to_json())] == ["inf", "nan"]
