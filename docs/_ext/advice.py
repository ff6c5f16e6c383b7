"""Says which estimator suits which loss, each row with what the committed record, or a figure of the gallery, shows."""

from dataclasses import dataclass

from committed_results import DEMO_LINK, LINK, Found, measured, measured_in_float32

from gradest_bench.report.units import mark


@dataclass(frozen=True)
class Advice:
    """One row: what a loss is like, what to take for it and why, and the cells of the records that show it.

    `shown` are labels of problems and estimators of the record, in float64; `coarse` are estimators of the demo's.
    """

    loss: str
    take: str
    because: str
    shown: tuple[tuple[str, str], ...] = ()
    coarse: tuple[str, ...] = ()
    elsewhere: str = ""


ROWS = (
    Advice(
        "is differentiable code of a framework, or NumPy",
        "`reverse`",
        "one pass costs a few losses, whatever P is",
        (("middle", "reverse"), ("large", "reverse")),
    ),
    Advice(
        "is written in gradest's operations",
        "`reverse`, or `analytic` where a closed form is there",
        "the same on every backend",
        (("middle", "analytic"),),
    ),
    Advice(
        "has few parameters and complex arithmetic works",
        "`complex-step`",
        "exact to rounding, P evaluations, nothing to differentiate",
        (("small", "complex-step"),),
    ),
    Advice(
        "has few parameters and can only be evaluated",
        "`fd-central`, or `fd-richardson` for more digits",
        "2 P evaluations, or 6 P + 1 and an error that is stated for each entry",
        (("small", "fd-central"), ("small", "fd-richardson")),
    ),
    Advice(
        "can only be evaluated, in float32",
        "`fd-central`, or `fd-richardson`; sum the loss in float64 where you can",
        "rounding of the loss sets the step: of its digits a central difference keeps two thirds",
        coarse=("fd-central",),
    ),
    Advice(
        "can only be evaluated, and is noisy",
        '`fd-central` with `step="noise"`, or where P is large `spsa` or `es` with a large `sigma`',
        "the step is chosen by the noise found; what `sigma` is large enough stands below",
        elsewhere="[figure](generated/figures/noisy_and_stepped.rst)",
    ),
    Advice(
        "can only be evaluated, and P is large",
        "`spsa`, `es`, `es-low-rank`",
        "N pairs, relative squared error about P / N",
        (("middle", "spsa"), ("large", "spsa"), ("large", "es-low-rank")),
    ),
    Advice(
        "has steps or plateaus (a classification error)",
        "`es` with a `sigma` that spans several steps",
        "it follows the smoothed loss, which has a gradient",
        elsewhere="[figure](generated/figures/noisy_and_stepped.rst)",
    ),
    Advice(
        "is a network whose layers are known",
        "`node-perturbation`, `es-row-space`",
        "nodes are fewer than weights, and examples are told apart",
        (("middle", "node-perturbation"), ("middle", "es-row-space")),
    ),
    Advice(
        "must fit beside its model alone",
        "`spsa`, `es-low-rank`",
        'one copy of the model at any N; on a GPU with `noise="native"`',
        (("large", "reverse"), ("large", "spsa"), ("large", "es-low-rank")),
    ),
    Advice(
        "needs one directional derivative",
        "`gradest.directional_derivative`",
        "one JVP, no tape",
        elsewhere="[reference](generated/reference/gradest.directional_derivative.rst)",
    ),
)


def advice_table() -> str:
    """Return the rows as a table."""
    lines = ["| your loss | take | because | measured: error, time |", "| --- | --- | --- | --- |"]
    for row in ROWS:
        found = [_shown(name, measured()[label, name]) for label, name in row.shown]
        found += [_shown(name, measured_in_float32()[name]) for name in row.coarse]
        shown = "<br>".join([*found, row.elsewhere or (DEMO_LINK if row.coarse else LINK)])
        lines.append(f"| {row.loss} | {row.take} | {row.because} | {shown} |")
    return "\n".join(lines) + "\n"


def _shown(name: str, cell: Found) -> str:
    time = f"{cell.loss_units:,.1f}{mark(disturbed=cell.disturbed)}"
    # Hyphens and spaces at which no line of a narrow column is broken.
    figures = f"P = {cell.num_parameters:,}: {cell.error_text}, {time}".replace("-", "\N{NON-BREAKING HYPHEN}")
    unbroken = figures.replace(" ", "\N{NO-BREAK SPACE}")
    return f"`{name}`<br>{unbroken}"
