"""Shows a comparison of estimators: its table as text, HTML or a data frame, and its figure.

One place decides what a column says, for the terminal, a notebook and `print` alike. Text and HTML need the standard
library alone, so that a result prints wherever it was made; pandas and Matplotlib are imported when they are asked for.
"""

import importlib
import math
from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from gradest.errors import MissingDependencyError
from gradest.measurement.comparison import CellResult, Comparison
from gradest.measurement.outcome import Outcome
from gradest.theory import Prediction
from gradest_bench.report.printable import escape
from gradest_bench.report.units import DISTURBED, DISTURBED_MEANS, at_most, mark, seconds

NAMES = ("estimator", "backend")
FIGURES = (
    "rel. error", "cosine", "theory", "evaluations", "time", "x loss", "prepare", "MSE measured", "theory", "z"
)  # fmt: skip
HEADINGS = (*NAMES, *FIGURES, "path")
"""Of the columns; those of `FIGURES` are set to the right."""
_FRAME_ERRORS = ("cosine", "norm_ratio", "max_abs_error", "sign_agreement", "nonfinite")
_FRAME_SCATTER = ("replicates", "relative_mse", "relative_mse_error", "bias", "bias_noise", "scale", "scale_half_width")
_FRAME_TIMES = ("median_seconds", "iqr_seconds", "preparation_seconds", "first_call_seconds", "value_seconds")

_PATHS = {
    "native": "differentiated by the framework itself (of NumPy, by gradest's rules for its functions)",
    "gradest": "differentiated by gradest",
    "closed form": "the problem's own gradient",
    "loop": "one evaluation after another",
    "vmap": "many evaluations at once, by the framework",
    "batched": "many evaluations at once, by gradest",
    "structured": "of each evaluation only what has changed",
    "in place": "one evaluation after another, in one copy of the parameters",
}
"""What the commonest ways to compute an estimate are, in the words of `Estimate.path`."""

_FAR, _BELOW, _TELLING = 5.0, 0.1, 16
"""Standard errors of a measured MSE beyond which it is told, and the replicates without which so many are no rarity.

Squared errors are skewed: where few of them happen to be large, so is no standard error, and a mean that is too small
seems far. Below theory it is told at a tenth of it alone. A row for which theory holds is told with a probability of
3e-6 at 16 replicates whose squares follow a chi-square law of one degree, the most skewed of an estimate's with normal
directions (11 of 4e6 simulated); for squares of products of two normal numbers (low rank) it is 2e-3, and 2e-5 at 32.
"""


def tables(comparison: Sequence[CellResult]) -> dict[str, list[CellResult]]:
    """Return the cells that ran, by dtype: one table each."""
    dtypes = dict.fromkeys(result.cell.dtype for result in comparison)
    # what did not run has no numbers: it stands below, with its reason
    return {d: [r for r in comparison if r.cell.dtype == d and r.accuracy is not None] for d in dtypes}


def row(result: CellResult) -> tuple[str, ...]:
    """Return the texts of one cell, in the order of `HEADINGS`."""
    accuracy, scatter, predicted = result.accuracy, result.replicates, result.predicted
    cosine = scatter.cosine if scatter else accuracy.cosine if accuracy else math.nan
    return (
        result.cell.estimator,
        result.cell.backend,
        error_text(result) if result.outcome is Outcome.OK else str(result.outcome),
        _figure(cosine, ".4f"),
        _figure(predicted.cosine if predicted else None, ".4f"),
        str(result.cost),
        *_times(result),
        f"{scatter.relative_mse:.4g} ± {scatter.relative_mse_error:.2g}" if scatter else "",
        _figure(predicted.relative_mse if predicted else None, ".4g"),
        _figure(result.z, "+.1f"),
        result.path,
    )


def error_text(result: CellResult) -> str:
    """Return the relative error, as a bound where it is below what the reference may be off itself.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> from gradest_bench.report.comparison import error_text
    >>> x = np.array([1.0, 2.0], dtype=np.longdouble)
    >>> (cell,) = gradest.compare(lambda p: np.exp(p).sum(), x, estimators=["reverse"], budget_seconds=0.01)
    >>> error_text(cell)
    '< 2e-18'
    """
    if not result.error_is_bound:
        return f"{result.relative_error:.1e}"
    return f"< {at_most(result.reference_uncertainty)}"


def _figure(value: float | None, form: str) -> str:
    return "" if value is None or math.isnan(value) else format(value, form)


def _times(result: CellResult) -> tuple[str, str, str]:
    """Return the steady time, the same in losses, and what preparation and the first call took beyond it."""
    timing = result.timing
    if timing is None or timing.median_seconds is None:
        return "", "", ""
    # the first call gives an estimate too: only what it takes beyond one was compiling
    once = timing.preparation_seconds + max(0.0, timing.first_call_seconds - timing.median_seconds)
    return (
        seconds(timing.median_seconds, disturbed=timing.disturbed),
        f"{result.loss_units:,.1f}{mark(disturbed=timing.disturbed)}",
        seconds(once),
    )


def reasons(results: Sequence[CellResult]) -> Iterator[tuple[str, Outcome, str]]:
    """Yield the cells that have something to say, those with the same words together: names, outcome, reason."""
    cells: dict[tuple[Outcome, str], list[str]] = {}
    for result in results:
        if result.reason:
            cell = result.cell
            cells.setdefault((result.outcome, result.reason), []).append(f"{cell.estimator} on {cell.backend}")
    for (outcome, reason), named in cells.items():
        yield ", ".join(named), outcome, reason


def legend(comparison: Comparison) -> Iterator[str]:
    """Yield what the columns mean, as far as they are there, and what has to be known of the loss."""
    results = [result for result in comparison if result.accuracy is not None]
    for note in comparison.loss.notes:
        yield f"Note: {note}."
    if not results:  # no row has a number: there are no columns to explain
        return
    yield from _columns(results)
    if any(r.accuracy is not None and math.isnan(r.accuracy.norm_ratio) and not r.accuracy.nonfinite for r in results):
        yield "The gradient is zero here, and nothing is relative to it: errors are lengths."
    for method in dict.fromkeys(result.reference_method for result in results if result.reference_method):
        yield f"Reference: {method}."
    said: dict[str, dict[str, None]] = {}
    for result in comparison:
        if result.predicted is not None:
            said.setdefault(_reach(result.predicted), {})[result.cell.estimator] = None
    for reach, named in said.items():
        yield f"Theory of {', '.join(named)}: {reach}."
    far = dict.fromkeys(result.cell.estimator for result in comparison if _far_from_theory(result))
    if far:
        yield (
            f"Far from theory: {', '.join(far)}. Within the reach of sigma the loss is another than theory's f: it "
            "bends, jumps or is noisy; at a smaller sigma bending vanishes, jumps and noise grow. Or the estimator is "
            "wrong: gradest check NAME."
        )
    if any(result.timing is not None and result.timing.disturbed for result in comparison):
        yield f"{DISTURBED} {DISTURBED_MEANS}."


def _columns(results: Sequence[CellResult]) -> Iterator[str]:
    """Yield what the columns of cells that ran mean."""
    # the worst of all: one sentence has to hold for each row
    uncertainty = max(r.reference_uncertainty for r in results)
    yield (
        f"rel. error: L2, of one estimate, against a reference that may be off by {at_most(uncertainty)} itself. "
        "evaluations: what one estimate took, with what fills up a last batch. x loss: time in evaluations of the "
        "loss. prepare: what came once, compilation included."
    )
    if any(result.replicates is not None for result in results):
        # Simulated of 32 seeds, P from 3 to 51, N from 2 to 100, signs and normal directions: 0.6 to 3.6 % of the z lie
        # below -3, and at most 0.1 % above 3.
        yield (
            "Of a random estimate, cosine and MSE (the squared relative error) are means over seeds, each beside what "
            "theory predicts; z: by how many standard errors the MSE is above it. Squares are skewed: with some 30 "
            "seeds one cell in 30 to 200 has a z below -3 by chance."
        )
    known = [path for path in dict.fromkeys(result.path for result in results) if path in _PATHS]
    if known:
        yield "path: " + "; ".join(f"{path} = {_PATHS[path]}" for path in known) + "."


def _far_from_theory(result: CellResult) -> bool:
    found, predicted = result.replicates, result.predicted
    if found is None or predicted is None or predicted.relative_mse is None or found.replicates < _TELLING:
        return False
    # on the low side by a factor as well: means of few skewed squares lie below, and their errors are small then
    return result.z > _FAR or (result.z < -_FAR and found.relative_mse < _BELOW * predicted.relative_mse)


def _reach(predicted: Prediction) -> str:
    """Return for which losses f a prediction is exact, and how far the mean estimate is from the gradient."""
    order = predicted.bias_order
    vanishing = f"of order sigma^{order}" if order else "that stays as sigma vanishes"
    return f"exact for {predicted.exact_for}; {'no bias' if order is None else f'a bias {vanishing}'}"


def title(comparison: Comparison) -> str:
    """Return what a comparison was made on, in one line."""
    loss = comparison.loss
    return f"{loss.name}: {loss.num_parameters:,} parameters   {loss.description}"


def text(comparison: Comparison) -> str:
    """Return the whole as lines of text: tables, what did not run and why, what the columns mean."""
    lines = [title(comparison)]
    for dtype, results in tables(comparison).items():
        lines += ["", dtype, *_text_table([HEADINGS, *map(row, results)])]
        for named, outcome, reason in reasons([r for r in comparison if r.cell.dtype == dtype]):
            lines += [f"  {named}", f"    {outcome}: {reason}"]
    return "\n".join([*lines, "", *legend(comparison)])


def _text_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(each[k]) for each in rows) for k in range(len(HEADINGS))]
    rule = "  " + "  ".join("-" * width for width in widths)
    for number, each in enumerate(rows):
        cells = [
            cell.rjust(width) if len(NAMES) <= k < len(NAMES) + len(FIGURES) else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(each, widths, strict=True))
        ]
        yield ("  " + "  ".join(cells)).rstrip()
        if number == 0:
            yield rule


def html(comparison: Comparison) -> str:
    """Return the whole as HTML for a notebook: plain tables, no script and no style sheet."""
    parts = [f"<p><b>{escape(title(comparison))}</b></p>"]
    head = "".join(f"<th>{escape(heading)}</th>" for heading in HEADINGS)
    for dtype, results in tables(comparison).items():
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row(r))}</tr>" for r in results)
        parts.append(f"<table><caption>{escape(dtype)}</caption><thead><tr>{head}</tr></thead>")
        parts.append(f"<tbody>{body}</tbody></table>")
        said = reasons([r for r in comparison if r.cell.dtype == dtype])
        items = "".join(f"<li>{escape(named)}: {outcome}: {escape(reason)}</li>" for named, outcome, reason in said)
        parts.append(f"<ul>{items}</ul>" if items else "")
    parts.append("".join(f"<p><small>{escape(line)}</small></p>" for line in legend(comparison)))
    return "".join(parts)


def frame(comparison: Comparison) -> Any:
    """Return a pandas data frame with a row for each cell. Raises as `Comparison.to_pandas` does."""
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise MissingDependencyError(
            "a data frame needs the package 'pandas', which is not installed; "
            "install it with: pip install 'gradest[report]'"
        ) from error
    return pandas.DataFrame([_frame_row(result) for result in comparison])


def _frame_row(result: CellResult) -> dict[str, Any]:
    cell, cost, predicted = result.cell, result.cost, result.predicted
    return {
        **{name: getattr(cell, name) for name in ("estimator", "backend", "dtype", "kernel")},
        "outcome": str(result.outcome),
        **{name: getattr(result, name) for name in ("reason", "path", "stochastic")},
        **{name: getattr(result, name) for name in ("relative_error", "error_is_bound", "reference_uncertainty")},
        "reference_method": result.reference_method,
        **{name: getattr(result.accuracy, name, None) for name in _FRAME_ERRORS},
        **{name: getattr(result.replicates, name, None) for name in _FRAME_SCATTER},
        "predicted_relative_mse": None if predicted is None else predicted.relative_mse,
        "relative_mse_z": result.z,
        **{name: getattr(cost, name, None) for name in ("values", "jvps", "vjps")},
        **{name: getattr(result.timing, name, None) for name in _FRAME_TIMES},
        "loss_units": result.loss_units,
        "disturbed": result.timing is not None and result.timing.disturbed,
    }


def plot(comparison: Comparison, path: str | PathLike[str] | None = None) -> Any:
    """Return the figure of a comparison, and write it where a path is given. Raises as `Comparison.plot` does."""
    try:
        from gradest_bench.report import compare_figure, paper
    except ImportError as error:  # of the harness's own packages, which writing files needs
        raise MissingDependencyError(
            f"a plot needs the packages of the harness, of which {error.name!r} is not installed; "
            "install them with: pip install 'gradest[report]'"
        ) from error
    target = None if path is None else Path(fspath(path))
    paper.require_drawing(target)
    drawn = paper.draw_panels(compare_figure.comparison_figures(comparison), title=compare_figure.TITLE)
    if target is not None:
        paper.write_drawn(drawn, target)
    return drawn
