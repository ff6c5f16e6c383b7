"""The full product as a page of the documentation: which estimator takes which kind of loss on which backend."""

import datetime
import platform
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from gauntlet import outcomes, paths, table

import gradest
from gradest.registry import BACKENDS, ESTIMATORS

COLUMNS = (*paths.PATHS, "by layers", "closed form")
"""The paths, and what asks for a loss of a particular form."""
_COLUMN_OF = {"analytic": "closed form", "node-perturbation": "by layers", "es-row-space": "by layers"}


@dataclass(frozen=True)
class Cell:
    """One estimator on one loss.

    Attributes
    ----------
    kind
        What was found: "right", "warned", "refused", or what may never be.
    verdict
        "expected", "pending" or "unexpected".
    """

    loss: str
    of_kind: str
    name: str
    backend: str
    dtype: str
    kind: str
    text: str
    verdict: str


def installed(backend: str) -> bool:
    """Return whether a backend can be had here."""
    try:
        gradest.get_backend(backend)
    except gradest.MissingDependencyError:
        return False
    return True


def column(name: str) -> str:
    """Return the column that an estimator of this name is in."""
    return _COLUMN_OF.get(name) or paths.path_of(name)


def carry_out_unit(unit: tuple[str, str, str]) -> list[Cell]:
    """Return the cells of all registered names for one loss on one backend in one dtype."""
    name_of_loss, backend, dtype = unit
    loss = next(loss for loss in table.LOSSES if loss.name == name_of_loss)
    found = []
    for name in ESTIMATORS:
        if name == "null":  # a control, which estimates nothing
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the plain loops; a cell's own are recorded
            try:
                cell = outcomes.carry_out(loss, backend, dtype, name)
            except Exception as error:  # noqa: BLE001  # of the plain loop: a fault of the judge ends no run of minutes
                text = f"the judge fails: {type(error).__name__}: {error}"
                found.append(Cell(loss.name, loss.kind, name, backend, dtype, "raw error", text, "unexpected"))
                continue
        complaint = outcomes.complaint(cell, paths.outcome(name, loss, backend))
        pending = table.pending_name(loss, name, backend, dtype)
        verdict = "expected" if not complaint else "pending" if pending else "unexpected"
        text = cell.text if verdict != "unexpected" else complaint
        found.append(Cell(loss.name, loss.kind, name, backend, dtype, cell.kind, text, verdict))
    return found


# -- the page ------------------------------------------------------------------------------------------------------
def written(cells: Sequence[Cell]) -> str:
    """Return the page in Markdown."""
    notes = Notes()
    losses = "\n\n".join(_kind(kind, group, notes) for kind, group in _grouped(cells, "of_kind"))
    parts = (_opening(cells), _by_estimator(cells), "## By loss", _HOW_TO_READ, losses, notes.written())
    return "\n\n".join(parts) + "\n"


def _opening(cells: Sequence[Cell]) -> str:
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    backends = [name for name in BACKENDS if any(cell.backend == name for cell in cells)]
    versions = ", ".join(f"{name} {version(BACKENDS[name].package or name)}" for name in backends)
    kinds = Counter(cell.kind if cell.verdict == "expected" else "not yet as it should be" for cell in cells)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    number = len({cell.loss for cell in cells})
    return (
        "# The gauntlet: which estimator takes which loss\n\n"
        f"Written by `make gauntlet` on {date}: gradest {gradest.__version__}, {versions}, "
        f"Python {platform.python_version()}.\n\n"
        f"{number} losses in one dtype or two, by {len({cell.name for cell in cells})} registered estimators: "
        f"{len(cells)} cells, of which {counts}.\n\n"
        "A number is *right* if it equals an independent gradient (a closed form, or the framework's own derivative), "
        "and for random directions if it equals, to rounding, a plain float64 loop over the same directions that calls "
        "the user's function directly. *Refused* is an error of gradest's that names what to use; *warned* a warning "
        "that says what is wrong with the number. In every cell the parameters, arguments, module and random state "
        "are checked to be left as they were. The losses stand in `tests/gauntlet/`."
    )


def _by_estimator(cells: Sequence[Cell]) -> str:
    backends = [name for name in BACKENDS if any(cell.backend == name for cell in cells)]
    lines = [
        "## By estimator",
        "",
        "Cells that are right / warned / refused, of all losses that a backend can state.",
        "",
    ]
    lines += [f"| estimator | {' | '.join(backends)} |", f"| --- |{' --- |' * len(backends)}"]
    for name, group in _grouped(cells, "name"):
        shares = []
        for backend in backends:
            kinds = Counter(cell.kind for cell in group if cell.backend == backend and cell.verdict == "expected")
            shares.append(" / ".join(str(kinds[kind]) for kind in ("right", "warned", "refused")))
        lines.append(f"| `{name}` | {' | '.join(shares)} |")
    return "\n".join(lines)


_HOW_TO_READ = (
    "Backends with the same outcomes share a row. A path stands for all estimators that take it: *differences* for "
    "`fd-forward`, `fd-central`, `fd-richardson` and their relatives, *full* for `es`, `spsa` and theirs, *shaped* for "
    "`es-rank`, `es-zscore` and `es-sign`, *structured* for `forward-structured`, `fd-exact` and "
    "`reverse-checkpointed`, *by layers* for `node-perturbation` and `es-row-space`, *closed form* for `analytic`. "
    "Where some of them differ, they are named. Letters refer to the remedies below."
)


def _kind(kind: str, cells: Sequence[Cell], notes: "Notes") -> str:
    lines = [f"### {kind[0].upper()}{kind[1:]}", "", f"| loss | backends | {' | '.join(COLUMNS)} |"]
    lines.append(f"| --- | --- |{' --- |' * len(COLUMNS)}")
    for loss, group in _grouped(cells, "loss"):
        rows: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for backend, on_it in _grouped(group, "backend"):
            rows[tuple(_outcome(on_it, title, notes) for title in COLUMNS)].append(backend)
        lines += [f"| {loss} | {', '.join(backends)} | {' | '.join(row)} |" for row, backends in rows.items()]
    return "\n".join(lines)


def _outcome(cells: Sequence[Cell], title: str, notes: "Notes") -> str:
    """Return what one loss gives in one column: the commonest outcome, and the estimators that have another."""
    found = [cell for cell in cells if column(cell.name) == title]
    common = Counter(map(word, found)).most_common(1)[0][0]
    others: dict[str, list[str]] = defaultdict(list)
    for cell in found:
        if word(cell) != common and cell.name not in others[word(cell)]:
            others[word(cell)].append(cell.name)
    shown = [f"{other}: {', '.join(f'`{name}`' for name in names)}" for other, names in others.items()]
    letters = dict.fromkeys(notes.letter(cell) for cell in found if cell.verdict == "expected" and cell.kind != "right")
    return "; ".join([common, *shown]) + (f" ({', '.join(letters)})" if letters else "")


def word(cell: Cell) -> str:
    """Return a cell's outcome in a word."""
    return cell.kind if cell.verdict == "expected" else "**not yet**"


class Notes:
    """The remedies of the page, each with a letter, in the order in which they occur."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def letter(self, cell: Cell) -> str:
        return self._letters.setdefault(shortened(cell.text), _letters(len(self._letters)))

    def written(self) -> str:
        lines = [f"- ({letter}) {remedy}" for remedy, letter in self._letters.items()]
        return "\n".join(["## What the errors and warnings say", "", *lines])


def shortened(text: str) -> str:
    """Return the last clause of a message, which says what to do, without the numbers of one loss."""
    clause = text.strip().splitlines()[0].split("; ")[-1]
    clause = re.sub(r"\d+(\.\d+)?(e[-+]?\d+)?", "n", clause)
    return clause.replace("|", "\\|")[:320]


def _letters(index: int) -> str:
    """Return a, b, ..., z, aa, ab, ..."""
    return (chr(96 + index // 26) if index >= 26 else "") + chr(97 + index % 26)


def _grouped(cells: Iterable[Cell], attribute: str) -> list[tuple[str, list[Cell]]]:
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[getattr(cell, attribute)].append(cell)
    order = {loss.name: k for k, loss in enumerate(table.LOSSES)}
    kinds = {loss.kind: k for k, loss in reversed(list(enumerate(table.LOSSES)))}
    rank = {**{name: k for k, name in enumerate((*ESTIMATORS, *BACKENDS))}, **order, **kinds}
    return sorted(groups.items(), key=lambda item: rank[item[0]])
