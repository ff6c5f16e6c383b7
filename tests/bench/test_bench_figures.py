"""One description of a figure is drawn alike on the page and on paper: bars, ticks, colours, shapes."""

from pathlib import Path

import msgspec
import pytest
from support.bench_runs import run_suite

from gradest.measurement.timing import Timing
from gradest_bench.report.figure import COLOURS, SHAPES, Axis, Figure, Point, Series, scale_of
from gradest_bench.report.figures_accuracy import step_curves
from gradest_bench.report.figures_cost import cost_curves
from gradest_bench.report.figures_problems import errors_by_problem
from gradest_bench.report.paper import draw_panels, write_figures
from gradest_bench.report.svg import draw
from gradest_bench.results.records import Record
from gradest_bench.suite.cells import Cell, Spec, expand
from gradest_bench.suite.schema import parse_suite

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")


def figure_of(*points: Point, style: str = "line") -> Figure:
    return Figure("key", "title", "sentence.", Axis("x"), Axis("y"), (Series("name", "numpy", points, style),))


def on_paper(figure: Figure, folder: Path) -> str:
    write_figures([figure], folder)
    return (folder / "key.svg").read_text(encoding="utf-8")


def test_error_bars_are_on_the_page_and_on_paper(tmp_path: Path) -> None:
    places = (1.0, 10.0, 100.0)
    barred = figure_of(*(Point(x, x, "", low=x / 2, high=2 * x) for x in places))
    plain = figure_of(*(Point(x, x, "") for x in places))
    assert draw(barred).count('class="bar"') == len(places)
    assert draw(plain).count('class="bar"') == 0
    assert on_paper(barred, tmp_path).count("stroke-opacity: 0.6") == len(places)
    assert on_paper(plain, tmp_path).count("stroke-opacity: 0.6") == 0


@pytest.mark.parametrize(("places", "between"), [((1e-3, 1.0, 1e3), False), ((0.3, 1.0, 7.0), True)])
def test_ticks_have_the_same_words_on_the_page_and_on_paper(
    tmp_path: Path, places: tuple[float, ...], between: bool
) -> None:
    figure = figure_of(*(Point(x, x, "") for x in places))
    paper = on_paper(figure, tmp_path)
    labels = [label for _, label in scale_of(figure.x, list(places)).ticks()]
    assert ({"0.5", "2", "5"} <= set(labels)) is between  # an axis of few decades has ticks between powers of ten
    for label in labels:
        assert f">{label}</text>" in draw(figure)
        assert f"<!-- {label} -->" in paper


@pytest.mark.parametrize("places", [(1e308, 1.7e308), (5e-324, 1e-300), (5e-324, 1.7e308)])
def test_numbers_at_the_ends_of_all_numbers_have_a_place(tmp_path: Path, places: tuple[float, ...]) -> None:
    figure = figure_of(*(Point(x, x, "") for x in places))
    scale = scale_of(figure.x, list(places))
    assert all(0 <= scale.position(place) <= 1 for place in places)
    assert draw(figure).count('role="img"') == len(places)


def test_every_figure_has_files_of_its_own(tmp_path: Path) -> None:
    keys = ["step-a b", "step-a_b", "step-A/B", "step-" + "x" * 300, "step-" + "x" * 301, "step-a-b-2"]
    figures = [
        Figure(key, "title", "sentence.", Axis("x"), Axis("y"), figure_of(Point(1.0, 2.0, "")).series) for key in keys
    ]
    written = write_figures(figures, tmp_path)
    assert len(set(written)) == len(keys)
    assert {path.suffix for path in tmp_path.iterdir()} == {".pdf", ".svg", ".csv"}
    assert len(list(tmp_path.iterdir())) == 3 * len(keys)


def test_colours_and_shapes_begin_again_when_they_run_out() -> None:
    many = tuple(Series(f"s{k}", f"b{k}", (Point(1.0, 1.0, ""),)) for k in range(COLOURS + 1))
    figure = Figure("key", "title", "sentence.", Axis("x"), Axis("y"), many)
    assert [figure.colour(f"s{k}") for k in range(COLOURS + 1)] == [*range(COLOURS), 0]
    assert figure.shape(f"b{len(SHAPES)}") == figure.shape("b0") == SHAPES[0]


def test_kernels_of_one_backend_share_its_shape() -> None:
    series = tuple(Series("s", variant, (Point(1.0, 1.0, ""),)) for variant in ("numpy", "torch native", "torch"))
    figure = Figure("key", "title", "sentence.", Axis("x"), Axis("y"), series)
    assert figure.shape("torch") == figure.shape("torch native") != figure.shape("numpy")
    assert draw(figure).count("mark hollow") == 1


def test_panels_of_one_legend_have_its_colours_and_shapes_though_one_lacks_some(tmp_path: Path) -> None:
    """The second has one backend of two: its marks had the shape that the legend gives the other."""
    both = tuple(Series(name, backend, (Point(1.0, 1.0, ""),)) for name in ("a", "b") for backend in ("numpy", "torch"))
    figures = [
        Figure(dtype, dtype, "sentence.", Axis("x"), Axis("y"), series)
        for dtype, series in (("float64", both), ("bfloat16", both[3:]))
    ]
    panels = draw_panels(figures, title="title").axes
    looks = [
        {(line.get_label(), line.get_color(), line.get_marker()) for line in panel.lines if line.get_marker() != "None"}
        for panel in panels
    ]
    assert {look for look in looks[1] if look[0] == "b torch"} == {look for look in looks[0] if look[0] == "b torch"}
    assert {look[1:] for look in looks[1]} == {("C1", "s")}
    labels = [text.get_text() for text in draw_panels(figures[::-1], title="title").legends[0].get_texts()]
    assert labels == ["b", "a", "torch", "numpy"]


STEPS = """
name = "steps"
measure = ["accuracy"]
[[grid]]
backends = ["numpy"]
problems = [{ name = "rosenbrock" }]
estimators = [
    { name = "fd-central", label = "fd-central, step {step}", vary = { step = [1e-8, 1e-5, 1e-2] } },
    { name = "fd-central", label = "fd-central, step {step}", fields = { step = "auto" } },
    { name = "fd-forward", label = "fd-forward, step {step}", vary = { step = [1e-8, 1e-5, 1e-2] } },
]
"""


def test_the_automatic_step_is_drawn_beside_the_curve_of_its_estimator(tmp_path: Path) -> None:
    records = run_suite(STEPS, tmp_path)
    (figure,) = step_curves(list(records.values()))
    (level,) = [series for series in figure.series if series.name == "fd-central, step auto"]
    expected = records["fd-central, step auto"].accuracy["single"]["relative_error"]
    assert [(point.x, point.y) for point in level.points] == [(1e-8, expected), (1e-2, expected)]
    assert "Level lines are the automatic step" in figure.sentence
    alone = [record for label, record in records.items() if "auto" not in label]
    (figure,) = step_curves(alone)
    assert {series.name for series in figure.series} == {"fd-central", "fd-forward"}
    assert "Level lines" not in figure.sentence


def test_a_dtype_that_numpy_lacks_has_its_line_of_theory(tmp_path: Path) -> None:
    records = [
        msgspec.structs.replace(record, cell=msgspec.structs.replace(record.cell, dtype="bfloat16"))
        for record in run_suite(STEPS, tmp_path).values()
    ]
    (figure,) = step_curves(records)
    assert "bfloat16" in figure.title
    assert {series.name for series in figure.series if series.style == "theory"} == {"fd-central", "fd-forward"}


def test_steps_of_an_estimator_that_is_not_registered_are_drawn_without_theory(tmp_path: Path) -> None:
    records = []
    for record in run_suite(STEPS, tmp_path).values():
        estimator = msgspec.structs.replace(record.cell.estimator, name="no_such_file.py:Mine")
        records.append(msgspec.structs.replace(record, cell=msgspec.structs.replace(record.cell, estimator=estimator)))
    (figure,) = step_curves(records)
    assert {(series.name, series.style) for series in figure.series if "auto" not in series.name} == {
        ("no_such_file.py:Mine", "line")
    }


SIZES = """
name = "sizes"
[[grid]]
backends = ["numpy"]
problems = [{ name = "mlp", vary = { widths = [[8], [16], [32]], batch = [16, 32, 64] } }]
estimators = [{ name = "reverse" }]
"""


def test_curves_of_time_say_which_size_they_hold_fixed() -> None:
    records = []
    for cell in expand(parse_suite(SIZES)):
        (width,), batch = cell.problem.fields["widths"], cell.problem.fields["batch"]
        timing = Timing(preparation_seconds=0.0, first_call_seconds=0.0, median_seconds=1e-6 * width * batch)
        facts = {"num_parameters": 75 * width + 10, "data_entries": 65 * batch}
        records.append(Record(key=cell.key, identity="", suite="", cell=cell, outcome="ok", timing=timing, facts=facts))
    figures = list(cost_curves(records))
    assert len(figures) == 6  # against P at three batches, against the data at three widths
    assert len({figure.key for figure in figures}) == len({figure.title for figure in figures}) == len(figures)
    assert any(figure.title == "Time against entries of data: mlp, float64, P = 610" for figure in figures)
    assert any(figure.title == "Time against parameters P: mlp, float64, 1,040 entries of data" for figure in figures)


def timed(label: str, backend: str, seconds: dict[int, float], *, disturbed: tuple[int, ...] = ()) -> list[Record]:
    cells = []
    for size, median in seconds.items():
        spec = Spec(name=label, label=label)
        problem = Spec(name="quadratic", fields={"size": size}, label=f"size {size}")
        cell = Cell(problem=problem, estimator=spec, backend=backend, worker=backend, dtype="float64")
        timing = Timing(
            preparation_seconds=0.0, first_call_seconds=0.0, median_seconds=median, disturbed=size in disturbed
        )
        facts = {"num_parameters": size, "data_entries": 0}
        cells.append(Record(key=cell.key, identity="", suite="", cell=cell, outcome="ok", timing=timing, facts=facts))
    return cells


def test_growth_over_an_even_number_of_backends_is_their_median() -> None:
    """It was the larger of the two in the middle."""
    slow = timed("reverse", "numpy", {10: 1.0, 100: 10.0, 1000: 100.0})
    (figure,) = cost_curves([*slow, *timed("reverse", "jax", {10: 1.0, 100: 1.0, 1000: 1.0})])
    assert (
        "Over the three largest sizes, time grows (median, and range over backends): reverse as P^0.5"
        in figure.sentence
    )
    seconds = {10: 1.0, 100: 10.0, 1000: 100.0, 10_000: 1.0}
    (figure,) = cost_curves(timed("reverse", "numpy", seconds, disturbed=(10_000,)))
    assert "largest sizes of each at which the machine was undisturbed, time grows" in figure.sentence


def test_forward_mode_is_cheaper_up_to_a_size_only_where_it_is_so_of_all_below() -> None:
    forward, reverse = (dict.fromkeys((10, 100, 1000), seconds) for seconds in (1.0, 2.0))
    (figure,) = cost_curves([*timed("forward", "numpy", forward), *timed("reverse", "numpy", reverse)])
    assert "Forward mode costs less than reverse mode: numpy up to 1,000 (forward)." in figure.sentence
    forward[100] = 3.0
    (figure,) = cost_curves([*timed("forward", "numpy", forward), *timed("reverse", "numpy", reverse)])
    assert "Forward mode costs less than reverse mode: numpy at 10, 1,000 (forward)." in figure.sentence


def test_times_that_one_run_does_not_tell_apart_put_neither_mode_before_the_other() -> None:
    """The lesser of two medians of equal code was called cheaper: a coin's fall, at any size where the modes meet."""
    forward, reverse = {10: 1.0, 100: 1.0, 1000: 1.2, 10_000: 9.0}, dict.fromkeys((10, 100, 1000, 10_000), 1.1)
    forward[10] = 0.5
    (figure,) = cost_curves([*timed("forward", "numpy", forward), *timed("reverse", "numpy", reverse)])
    assert figure.sentence.endswith(": numpy up to 10, alike at 100, 1,000 (forward).")
    assert "median times within a third, which one run does not tell apart" in figure.sentence


def test_an_error_that_is_not_finite_is_named_beside_the_largest() -> None:
    """It counted as none, and the largest of the others was called the largest of all."""
    records = timed("reverse", "numpy", dict.fromkeys((10, 100, 1000), 1.0))
    for record, found in zip(records, (1e-9, "inf", 1e-8), strict=True):
        record.accuracy = {"single": {"relative_error": found, "cosine": 1.0}}
    (figure,) = errors_by_problem(records)
    assert figure.sentence == (
        "The largest error is that of reverse on numpy float64, size 1000: 1.0e-08. "
        "Not finite, and not drawn: reverse on numpy float64, size 100."
    )
