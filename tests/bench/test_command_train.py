"""`gradest train`: rows that are comparable, refused where they cannot run, and that survive being killed."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gradest.training import TrainingState
from gradest_bench.command.main import main
from gradest_bench.results.outcomes import EXIT_STORAGE

train_command = import_module("gradest_bench.command.train")  # the package names the command so too
SMALL = ["--set", "dataset=iris", "--set", "widths=[4]", "--batch-size", "40", "--held-out", "0.2"]


def gradest(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def untimed(path: Path) -> tuple[Any, ...]:
    """Return all of a state but times."""
    state = TrainingState.from_bytes(path.read_bytes())
    records = [{**record.row(), "seconds": 0.0, "losses": 0.0} for record in state.records]
    return state.step, state.cost, state.ended, state.logging_cost, [x.tolist() for x in state.params], records


def test_rows_are_printed_with_what_they_cost_and_how_they_ended() -> None:
    found = gradest("train", *SMALL, "--estimators", "reverse,es(num_samples=3),random-search", "--steps", 6)
    assert found.exit_code == 0, found.output
    text = " ".join(found.output.split())
    for words in (
        "6 VJPs",
        "36 values",
        "12 values",
        "accuracy",
        "x <- x - s g; 1 value = 1",
        "2N/tr(H)",
        "6 steps were",
    ):
        assert words in text


def test_a_state_that_is_there_is_asked_about_before_any_row_is_trained(tmp_path: Path) -> None:
    kept = ("--state", tmp_path)
    assert gradest("train", *SMALL, "--estimators", "reverse,forward", "--steps", 1, *kept).exit_code == 0
    found = gradest("train", *SMALL, "--estimators", "fd-exact,forward", "--steps", 1, *kept)
    assert found.exit_code == 2
    assert "2-forward.state has a state already; go on from it by --resume" in found.output
    assert "step 0" not in found.output
    assert not (tmp_path / "1-fd-exact.state").exists()


@pytest.mark.parametrize("keeps", [True, False])
def test_a_row_that_is_interrupted_says_how_to_go_on(
    keeps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_command, "train_under", stopped)
    words = ["train", *SMALL, "--steps", "9", *(("--state", str(tmp_path)) if keeps else ())]
    monkeypatch.setattr(sys, "argv", ["gradest", *words])
    found = gradest(*words)
    assert found.exit_code == 130
    assert (f"gradest {shlex.join(words)} --resume\n" in found.output) == keeps
    assert found.output.endswith("gradest: interrupted\n")


def test_the_quality_that_is_asked_for_is_printed() -> None:
    """It was measured, and only --json showed it."""
    found = gradest("train", *SMALL, "--estimators", "reverse,spsa(num_samples=4)", "--steps", 7, "--quality-every", 3)
    text = " ".join(found.output.split())
    for step in (0, 3, 6):
        assert f"reverse: step {step}: relative MSE of the estimate" in text
        assert f"spsa(num_samples=4): step {step}: relative MSE of the estimate" in text
    assert "(theory 8.5), cosine" in text
    assert "cosine 1.0000" in text


def test_a_budget_below_one_step_says_what_a_step_takes() -> None:
    found = gradest("train", *SMALL, "--estimators", "es(num_samples=5)", "--budget", 9)
    assert "more than 9 loss-equivalents in all; one takes 10 values" in " ".join(found.output.split())


def test_a_schedule_multiplies_the_step_size() -> None:
    """Of rows with a step size: a search beside them has none."""
    found = gradest("train", *SMALL, "--estimators", "reverse,random-search", "--steps", 6, "--log-every", 2,
                    "--schedule", "step(every=2, decay=0.5)", "--json")  # fmt: skip
    assert found.exit_code == 0, found.output
    reverse, search = ([each["step_size"] for each in row["records"]] for row in json.loads(found.stdout)["rows"])
    assert reverse == pytest.approx([0.0, 0.1, 0.05, 0.025])
    assert search == [0.0] * 4


def test_a_step_is_told_of_once() -> None:
    found = gradest("train", *SMALL, "--estimators", "reverse", "--steps", 6, "--log-every", 3)
    steps = [line.split(",")[0] for line in found.stderr.splitlines()]
    assert steps == ["reverse: step 0", "reverse: step 3", "reverse: step 6"]


def test_an_estimator_that_cannot_run_is_told_and_the_others_go_on() -> None:
    found = gradest("train", "--set", "dataset=iris", "--estimators", "guided-es,reverse", "--steps", 1)
    assert found.exit_code == 1
    assert "guided-es: not run: guided-es was asked for without guides" in found.output
    assert "reverse: ended: 1 steps were made" in found.output


@pytest.mark.parametrize("where", ["cost", "kernel"])
def test_a_plug_in_that_raises_anything_ends_its_own_row(where: str, tmp_path: Path) -> None:
    """It ended the command, and the rows after it were never trained."""
    (tmp_path / "bad.py").write_text(
        "from gradest import Cost, Estimator\nfrom gradest.estimator import PreparedKernel\n\n\n"
        "class Bad(Estimator):\n    name = 'bad'\n    source = formula = cost_formula = 'none'\n\n"
        f"    def cost(self, layout):\n        return {'{}[1]' if where == 'cost' else 'Cost(values=1)'}\n\n"
        "    def prepare_kernel(self, objective, *, executor=None):\n"
        "        return PreparedKernel(lambda leaves, rng: {}[1], 'bad')\n",
        encoding="utf-8",
    )
    found = gradest("train", *SMALL, "--estimators", f"{tmp_path / 'bad.py'}:Bad,reverse", "--steps", 1)
    assert found.exit_code == 1
    assert "not run: raised KeyError: 1 (" in " ".join(found.output.split())
    assert "reverse: ended: 1 steps were made" in found.output


def test_a_state_that_cannot_be_written_is_no_fault_of_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row was called "not run", with exit code 1, and the next was trained and not kept either."""

    def refuse(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    found = gradest("train", *SMALL, "--estimators", "reverse,forward", "--steps", 1, "--state", tmp_path)
    assert found.exit_code == EXIT_STORAGE
    assert "1-reverse.state cannot be written: No space left on device" in found.stderr


@pytest.mark.filterwarnings("ignore::gradest.NonFiniteWarning", "ignore::RuntimeWarning")
def test_rows_that_all_diverge_are_a_failure(tmp_path: Path) -> None:
    """The command said that all was well; one row that diverges beside others that do not is what it may be about."""
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nfrom gradest import Case\nnan = Case(lambda w: np.nan * w.sum(), np.ones(2))\n"
        "fine = Case(lambda w: (w * w).sum(), np.ones(2))\n",
        encoding="utf-8",
    )
    lost = gradest("train", f"{tmp_path / 'mine.py'}:nan", "--estimators", "reverse,spsa", "--steps", 3)
    assert lost.exit_code == 1
    assert lost.stdout.count("ended: the loss is NaN or infinite at the starting point") == 2
    wild = ["--optimizer", "sgd(step_size=1e300)", "--steps", "3", "--json"]
    some = gradest("train", f"{tmp_path / 'mine.py'}:fine", "--estimators", "reverse,iterative-refinement", *wild)
    assert some.exit_code == 0
    assert [row["diverged"] for row in json.loads(some.stdout)["rows"]] == [True, False]


def test_a_run_that_is_killed_and_resumed_is_the_run_that_was_not(tmp_path: Path) -> None:
    """Killed by SIGKILL in the middle of its first row; what it says of each row is equal, but for times."""
    command = ["train", *SMALL, "--estimators", "es(num_samples=3),reverse", "--optimizer", "adam", "--steps", "1200",
               "--quality-every", "300", "--log-every", "100"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = tmp_path / "killed"
    child = subprocess.Popen(
        [sys.executable, "-m", "gradest_bench.command.main", *command, "--state", str(killed)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    first = killed / "1-es-num-samples-3.state"
    while not (first.exists() and TrainingState.from_bytes(first.read_bytes()).step >= 100):
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert TrainingState.from_bytes(first.read_bytes()).step < 1200, "it was killed too late to show anything"
    resumed = gradest(*command, "--state", killed, "--resume")
    assert resumed.exit_code == 0, resumed.output
    whole = gradest(*command, "--state", tmp_path / "whole")
    assert whole.exit_code == 0, whole.output
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == ["1-es-num-samples-3.state", "2-reverse.state"]
    for name in names:
        assert untimed(killed / name) == untimed(tmp_path / "whole" / name)


def test_states_are_not_written_over(tmp_path: Path) -> None:
    command = ["train", *SMALL, "--estimators", "reverse", "--steps", "2", "--state", tmp_path]
    begun = gradest(*command, "--resume")  # of a folder that is mistyped, say
    assert begun.exit_code == 0
    assert "--resume found no state to go on from" in begun.output
    again = gradest(*command)
    assert again.exit_code == 2
    assert "--resume" in again.output
    (tmp_path / "1-reverse.state").rename(tmp_path / "kept")
    (tmp_path / "1-reverse.state").write_bytes(b"cut short")
    damaged = gradest(*command, "--resume")
    assert damaged.exit_code == 2
    assert "1-reverse.state: a state of training was asked for" in " ".join(damaged.output.split())
    (tmp_path / "kept").replace(tmp_path / "1-reverse.state")
    other = gradest(*command, "--resume", "--seed", "1")
    assert other.exit_code == 1
    assert "of another" in other.output


def test_a_state_is_found_where_its_estimator_stands_elsewhere_in_the_list(tmp_path: Path) -> None:
    """A row that was resumed alone, or in another order, began anew beside its own state, without a word."""
    command = ["train", *SMALL, "--state", tmp_path, "--steps"]
    assert gradest(*command, "2", "--estimators", "reverse,spsa").exit_code == 0
    kept = {path.name for path in tmp_path.iterdir()}
    for estimators in ("spsa", "spsa,reverse"):
        again = gradest(*command, "4", "--estimators", estimators, "--resume")
        assert again.exit_code == 0
        assert "spsa: step 0" not in again.output
        assert {path.name for path in tmp_path.iterdir()} == kept == {"1-reverse.state", "2-spsa.state"}
    assert "2-spsa.state has a state already" in gradest(*command, "4", "--estimators", "spsa").output
    (tmp_path / "3-spsa.state").write_bytes((tmp_path / "2-spsa.state").read_bytes())
    several = gradest(*command, "4", "--estimators", "spsa", "--resume")
    assert several.exit_code == 2
    assert "2-spsa.state, 3-spsa.state" in " ".join(several.output.split())


def test_a_case_of_the_users_own_is_trained(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import numpy as np\ncase = (lambda p: ((p - 1.0) ** 2).sum(), np.zeros(3))\n", encoding="utf-8")
    found = gradest("train", f"{file}:case", "--estimators", "reverse,spsa", "--steps", 30, "--json")
    assert found.exit_code == 0, found.output
    rows = json.loads(found.stdout)["rows"]
    assert [row["records"][-1]["loss"] < 1e-3 for row in rows] == [True, True]
    assert rows[0]["step_limit"] is None
    assert np.isfinite(rows[1]["step_limit"]["limit"])


def test_rows_of_a_loss_with_dropout_see_the_same_masks(tmp_path: Path) -> None:
    """They begin at one loss, and one estimator twice is one run: what a row draws moves no other row."""
    pytest.importorskip("torch", reason="pip install 'gradest[torch]'")
    (tmp_path / "masks.py").write_text(
        "import gradest, torch\n"
        "torch.manual_seed(0)\n"
        "model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))\n"
        "case = gradest.Case(lambda model, x: model(x).square().mean(), model, (torch.randn(9, 3),))\n",
        encoding="utf-8",
    )
    named = "spsa(num_samples=2),reverse,spsa(num_samples=2, sigma=0.01)"
    found = gradest("train", f"{tmp_path / 'masks.py'}:case", "--estimators", named, "--steps", 4, "--json")
    spsa, reverse, again = (row["records"] for row in json.loads(found.stdout)["rows"])
    assert [each["loss"] for each in spsa] == [each["loss"] for each in again]
    assert spsa[0]["loss"] == reverse[0]["loss"]


def test_curves_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pip install 'gradest[report]'")
    plot = tmp_path / "curves.svg"
    assert gradest("train", *SMALL, "--estimators", "reverse", "--steps", 4, "--plot", plot).exit_code == 0
    drawn = plot.read_text(encoding="utf-8")
    assert drawn.startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "a budget is needed"),
        ("--steps 1 --resume", "--state"),
        ("--steps 1 --problem quadratic --held-out 0.2", "no data set to split; leave it away"),
        ("--steps 1 --optimizer adma", "adam"),
        ("--steps 1 --held-out 1.5", "at most 0.99; found 1.5; try 0.495"),
        ("--steps 1 --problem quadratic --set seed=-1", "seed must be"),
        ("--steps 1 --estimators revers", "reverse"),
        ("--steps 1 --schedule cosin", "did you mean 'cosine'"),
        ("--steps 1 --schedule cosine(step=3)", "did you mean 'steps'"),
        ("nowhere.py:case --steps 1 --held-out 0.2", "own data"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_trained(arguments: str, words: str) -> None:
    found = gradest("train", *arguments.split())
    assert found.exit_code == 2
    assert words in found.output
