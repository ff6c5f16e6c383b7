"""Says which estimator suits which loss, each row with what the committed record, or a figure of the gallery, shows."""

from dataclasses import dataclass

from committed_results import LINK, Found, measured

from gradest_bench.report.units import mark


@dataclass(frozen=True)
class Advice:
    """One row: what a loss is like, what to take for it and why, and the cells of the record that show it."""

    loss: str
    take: str
    because: str
    shown: tuple[tuple[str, str], ...] = ()
    elsewhere: str = ""


ROWS = (
    Advice(
        "is differentiable code of a framework, or NumPy",
        "`reverse`",
        "one pass costs two to four losses, whatever P is",
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
        "2 P evaluations; it says how large its error is",
        (("small", "fd-central"), ("small", "fd-richardson")),
    ),
    Advice(
        "can only be evaluated, and is noisy",
        '`fd-central` with `step="noise"`, or `es` with a large `sigma`',
        "the step is chosen by the noise found",
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
        "`es` with `sigma` of the size of the parameters",
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
        shown = "<br>".join([*found, row.elsewhere or LINK])
        lines.append(f"| {row.loss} | {row.take} | {row.because} | {shown} |")
    return "\n".join(lines) + "\n"


def _shown(name: str, cell: Found) -> str:
    error = f"{cell.relative_error:{'.0e' if cell.relative_error < 0.1 else '.2g'}}"
    time = f"{cell.loss_units:,.1f}{mark(disturbed=cell.disturbed)}"
    # Hyphens and spaces at which no line of a narrow column is broken.
    figures = f"P = {cell.num_parameters:,}: {error}, {time}".replace("-", "\N{NON-BREAKING HYPHEN}")
    unbroken = figures.replace(" ", "\N{NO-BREAK SPACE}")
    return f"`{name}`<br>{unbroken}"
