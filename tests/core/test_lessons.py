"""The lessons run to their end, and what they print is within the bands that theory or repeated runs give.

Each is run as its page runs it: the numbers read here are those that it prints, not copies of them.
"""

import ast
import io
import runpy
import sys
import tokenize
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.turns import WITH_NUMPY_2

import gradest

LESSONS = Path(__file__).resolve().parents[2] / "examples" / "lessons"
MOST_LINES = 60
FRAMEWORKS = ("numpy", "jax", "torch", "mxnet")


@pytest.fixture(autouse=True)
def unchanged_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Draw figures and show none; leave no style, figure, random state or precision behind for other tests."""
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="Matplotlib is not installed: pip install matplotlib")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    before = pyplot.get_backend()
    pyplot.switch_backend("agg")
    with pyplot.rc_context():
        yield
    pyplot.close("all")
    pyplot.switch_backend(before)


def run(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the names of a lesson that was run to its end, in its short form."""
    monkeypatch.setattr(sys, "argv", [name])
    return runpy.run_path(str(LESSONS / f"{name}.py"), run_name="__main__")


def installed() -> set[str]:
    found = set()
    for name in FRAMEWORKS:
        try:
            gradest.get_backend(name)
        except gradest.MissingDependencyError:
            continue
        found.add(name)
    return found


def code_lines(text: str) -> int:
    """Return the lines that are neither empty, nor comment, nor decorator, nor part of a docstring."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            documented |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
        documented |= {each.lineno for each in getattr(node, "decorator_list", ())}
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in ignored:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - documented)


@pytest.mark.parametrize("path", sorted(LESSONS.glob("*.py")), ids=lambda path: path.stem)
def test_a_lesson_is_short_and_has_a_title(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    title, rule = (ast.get_docstring(ast.parse(text)) or "").splitlines()[:2]
    assert set(rule) == {"="}
    assert len(rule) == len(title)
    assert code_lines(text) <= MOST_LINES, code_lines(text)


def test_comments_decorators_and_docstrings_are_no_code() -> None:
    assert code_lines('"""A\nb."""\n\n# c\nx = [\n    1,\n]\n\n\n@d\ndef f():\n    """D."""\n    return x  # e\n') == 5


def test_graphs_have_one_gradient_on_every_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run("computational_graphs", monkeypatch)
    pairs = {(backend, name) for backend in installed() for name in ("analytic", "reverse", "forward", "complex-step")}
    pairs.discard(("mxnet", "complex-step"))  # which has no complex arrays
    for name, expected in {"cubic-graph": (20.0, 24.0, 4.0), "log-graph": (21.693147180559947, 12.5, 10.0)}.items():
        assert found["agreed"][name] == dict.fromkeys(pairs, expected)
    assert [float(node.derivative) for node in found["backward"].nodes[:2]] == [24.0, 4.0]
    assert float(found["along_x"].nodes[-1].derivative) == 24.0
    assert float(found["along_y"].nodes[-1].derivative) == 4.0


def test_matrix_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run("matrix_chains", monkeypatch)
    assert (found["first"], found["last"]) == (1_001_000_000, 2_000_000)
    assert found["textbook"] == (15_125, "((A1 (A2 A3)) ((A4 A5) A6))")  # Cormen et al. 2009, section 15.2
    forward, reverse, best = found["wide"][1]
    assert reverse == best == 3 * 100**2
    assert forward == 2 * 100**3 + 100**2
    assert forward // reverse == 67
    assert all(least <= min(pair) for *pair, least in found["wide"].values())
    assert found["narrow"][2] < min(found["narrow"][:2])


@WITH_NUMPY_2
def test_first_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means over 20 seeds of a heavy-tailed law, in bands of a factor 10 about the expectation; seeds are fixed."""
    found = run("initial_weights", monkeypatch)
    for c, lengths in found["by_variance"].items():
        assert 0.1 < lengths[-1].mean() / (c / 2) ** 20 < 10
    assert 150 < found["dead"][4] < 225
    assert found["dead"][16] == found["dead"][64] == 0
    for width, spread in found["spread"].items():
        assert 0.8 < spread / np.sqrt(5 * 20 / width) < 2  # the leading term, which narrow networks are well above
    assert 1e-14 < found["vanishing"][0] / found["vanishing"][-1] < 1e-11
    assert found["from_zero"]["tanh"] == found["from_zero"]["relu"] == [0.0] * 4
    assert found["from_zero"]["sigmoid"][:3] == [0.0] * 3
    assert found["from_zero"]["sigmoid"][3] == pytest.approx(0.37, abs=0.01)


def test_zig_zag_has_its_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run("zig_zag", monkeypatch)
    assert {backend for backend, _ in found["exact"]} == installed()
    assert max(error for rows in found["exact"].values() for pair in rows for error in pair) < 1e-12
    assert np.abs(found["perfect"]).max(axis=1)[1:].max() < 1e-15  # b = 1: there in a step, and no 0/0 after
    assert found["by_differences"][0.9] > 1
    assert 1e-4 < found["by_differences"][0.5] < 0.1


@WITH_NUMPY_2
def test_two_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands over seeds: with the sum of squares the weights arrive, with the mean they have not."""
    found = run("sgd_two_weights", monkeypatch)
    ends, distance = found["paths"]["sum of 4 squares"][:, -1], found["distance"]
    assert ((ends > [0.29, 0.10]) & (ends < [0.47, 0.38])).all()
    assert distance["sum of 4 squares"].mean(axis=0)[490] < 0.1
    left = distance["mean of 4 squares"].mean(axis=0)
    assert 0.25 < left[500] / left[0] < 0.4  # a third of the way
    assert max(found["by_others"][name] for name in ("reverse", "fd-central", "complex-step")) < 1e-10
    assert 1e-6 < found["by_others"]["es, 100 pairs"] < 5e-3  # two decimals of weights below 1


def own_modules(
    name: str, monkeypatch: pytest.MonkeyPatch, differences: str = "differences"
) -> tuple[dict[str, Any], str]:
    found = run(name, monkeypatch)
    right, also, wrong = found[differences]
    assert max(found[differences][right], found[differences][also]) < 1e-9
    assert found[differences][wrong] == pytest.approx(1.0, abs=1e-6)
    assert found["checks"][right]
    assert found["checks"][also]
    assert found["checks"][wrong].defects[0].cause == "a factor of 1/2"
    assert not found["checks"][wrong]
    assert max(found["ends"].values()) < 0.6  # log 3 = 1.1 at the start
    return found, wrong


@WITH_NUMPY_2
def test_own_modules_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
    with torch.random.fork_rng():
        own_modules("own_modules_torch", monkeypatch)


@WITH_NUMPY_2
def test_own_rules_of_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'gradest[jax]'")
    before = jax.config.jax_enable_x64
    try:
        found, wrong = own_modules("own_modules_jax", monkeypatch, "by_differences")
    finally:
        jax.config.update("jax_enable_x64", before)
    by_complex_step = dict(found["by_complex_step"])
    assert by_complex_step.pop(wrong) == pytest.approx(1.0)
    assert max(by_complex_step.values()) < 2e-15


# MXNet asks SciPy for a sparse class by its old name when it makes an array.
@pytest.mark.filterwarnings("ignore:Please import `csr_matrix`:DeprecationWarning")
def test_own_functions_of_mxnet(monkeypatch: pytest.MonkeyPatch) -> None:
    if "mxnet" not in installed():
        pytest.skip("MXNet is not installed (it needs NumPy 1)")
    own_modules("own_modules_mxnet", monkeypatch)


def test_three_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sympy", reason="SymPy is not installed: pip install 'gradest[examples]'")
    found = run("three_ways", monkeypatch)
    exact = 0.39322386648296370  # sech(1/2)^2 / 2
    assert exact == pytest.approx(0.5 / np.cosh(0.5) ** 2, rel=1e-15)
    assert float(found["symbolic"]) == pytest.approx(exact, rel=1e-15)
    assert all(value == pytest.approx(exact, rel=1e-15) for value in found["automatic"].values())
    assert found["numeric"] == pytest.approx(0.39322386636521177, abs=5e-12)  # the quotient itself, exactly computed
    assert abs(found["numeric"] - exact) > 1e-10  # which is no derivative
    assert found["by_stages"] == pytest.approx(0.1049935854035065, rel=1e-15)
    np.testing.assert_allclose(found["ruled"], found["by_hand"], rtol=0, atol=1e-15)
    assert found["first_order"]
    assert found["second_order"]


@WITH_NUMPY_2
def test_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands over seeds (of 20 seeds: w 3.97 to 4.20, b 8.5 to 9.9); the short form has fewer, of the same numbers."""
    found = run("regression", monkeypatch)
    w, b = np.array(found["line"]).T
    assert ((w > 3.9) & (w < 4.3)).all()
    assert ((b > 8.4) & (b < 10.0)).all()
    assert 0.3 < found["b_off"] < 1.0  # not there yet, and not far
    coefficients, loss = found["poly"][0]
    assert ((coefficients > [-1.5, 9.5, -10.6, -0.1, 0.9]) & (coefficients < [1.2, 10.9, -9.2, 0.02, 1.05])).all()
    assert 5.5 < loss < 7.5
    assert found["eigenvalues"][[0, -1]] == pytest.approx([0.217, 805], rel=0.01)


@WITH_NUMPY_2
def test_a_small_network_ends_where_its_start_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 24 seeds 5.6 to 134, about 290 for a network that is dead: the three of the short form tell of the spread."""
    found = run("regression_network", monkeypatch)
    ends = list(found["ends"].values())
    assert max(ends) > 5 * min(ends)  # the start decides
    assert all(5 < end < 290 for end in ends)
    assert all(record.loss < 500 for record in found["runs"][0].records)


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # MXNet's own, of SciPy's old names
@pytest.mark.skipif(find_spec("mxnet") is None, reason="MXNet is not installed (it needs NumPy 1)")
@pytest.mark.skipif(find_spec("mlxtend") is None, reason="pip install mlxtend")
def test_from_random_search_to_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands: luck 8.5 to 14 and 7 to 21 % right of ten draws, of which refinement takes 0.2 to 3; SGD 88.5 to 90 %."""
    found = run("softmax_gluon", monkeypatch)
    # log(e + e^2 + e^3 + e^4) - 4 in 40 digits, rounded once
    assert found["by_hand"] == pytest.approx(0.44018969856119530, rel=1e-15)
    assert 1e-6 < abs(found["by_gluon"] - found["by_hand"]) < 5e-6
    for drawn, refined in found["searches"]:
        assert 8.5 < drawn.records[-1].loss < 14.0
        assert 0.2 < drawn.records[-1].loss - refined.records[-1].loss < 3.0
        assert 0.07 < drawn.records[-1].held_out_metrics["accuracy"] < 0.21
    assert found["was_kept"] == [1.0, 1.0, 1.0]
    assert max(found["errors"]) < 2e-6
    formula, gluon = found["formula"].records[-1], found["gluon"].records[-1]
    assert 0.885 < formula.held_out_metrics["accuracy"] < 0.90
    for record in (formula, gluon):
        assert 0.30 < record.loss < 0.32
    assert abs(formula.held_out_loss - gluon.held_out_loss) < 0.02


@pytest.mark.skipif(find_spec("sklearn") is None, reason="pip install scikit-learn")
@WITH_NUMPY_2
def test_gradients_without_backpropagation(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a common step backpropagation looks worse than evolution strategies; each at its best, it is far ahead."""
    found = run("fashion_evolution", monkeypatch)
    ends = {at: each.records[-1].loss for at, each in found["small"].items()}
    best = {name: min(loss for (row, _), loss in ends.items() if row == name) for name, _ in ends}
    for name in ("es-forward, N = 10", "es-low-rank, 30 pairs"):
        assert ends[name, 0.3] < 0.9 * ends["reverse", 0.3], name
        assert best[name] > 3 * best["reverse"], name
    assert ends["es-vanilla, N = 10", 0.03] > 1e100
    assert max(step for name, step in ends if name == "directional difference") == 0.1  # 2/tr(H) is 0.28
    # The length of 2,368 normal numbers is known to 1/sqrt(2 * 2368), and five of those are 0.073; the cosine of such a
    # direction with any other has a deviation of 1/sqrt(2368), and five are 0.103. A false alarm: probability 1e-6.
    assert abs(1.0 - np.linalg.norm(found["flat"]) / found["noise"]) < 0.073
    assert abs(found["cosine"]) < 0.103
    first, last = found["counted"][0.5][0], found["counted"][0.5][-1]
    assert last < 0.25 * first
    assert len(set(found["counted"][1e-9])) == 1  # nothing is smoothed
    assert any("FlatLossWarning" in each.category.__name__ for each in found["told"])


def test_a_copy_that_finds_no_record_says_where_to_run_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "downloaded.py"
    copy.write_text((LESSONS / "fashion_mnist.py").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"fashion-mnist\.json of a clone of gradest"):
        runpy.run_path(str(copy), run_name="__main__")


def test_the_kept_table_of_fashion_mnist_is_within_its_bands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Bands of training under SGD at 0.01, known from other runs; errors that are as predicted."""
    monkeypatch.chdir(tmp_path)  # a script finds its record wherever it is called from
    found = run("fashion_mnist", monkeypatch)
    table, kept = found["table"], found["kept"]
    assert {run["seed"] for run in found["full"]} == {0, 1, 2}
    assert len(found["full"]) == 3 * len(table)
    common = {name: values for (name, step), values in table.items() if step == kept["common_step"]}
    best = {name: table[name, step] for name, step in kept["best_steps"].items() if step is not None}
    assert set(common) == set(kept["estimators"])
    assert 1.284 < common["reverse"]["loss"][0] < 1.312
    assert 0.600 < common["reverse"]["test_accuracy"][0] < 0.645
    for name in ("es-low-rank, 100 pairs", "es-forward, N = 10"):  # the trap, and the way out of it
        assert common[name]["loss"][0] < common["reverse"]["loss"][0] - 0.1
        assert best[name]["test_accuracy"][0] < best["reverse"]["test_accuracy"][0] - 0.04  # "four points"
    assert kept["best_steps"]["es-vanilla, N = 100"] is None
    for run_ in found["full"]:
        assert run_["diverged"] == (run_["row"] == "es-vanilla, N = 100")
        if (
            run_["predicted_mse"] is not None
        ):  # four replicates of relative deviation sqrt(2/N) or so: a factor, no more
            assert 0.3 < run_["relative_mse"] / run_["predicted_mse"] < 3.0
    limits = {name: limit and limit["limit"] for name, limit in kept["limits"].items()}
    assert limits["reverse"] is None
    assert limits["es-forward, N = 10"] == pytest.approx(10 * limits["directional difference"], rel=1e-3)
