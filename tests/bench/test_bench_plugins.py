"""Plug-ins at import: whatever a file does, each command says it in one line and fails."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gradest.registry import import_plugin
from gradest_bench.command.main import main
from gradest_bench.results.loading import load

ESTIMATOR = """
from dataclasses import dataclass
from gradest.estimators.reverse import Reverse

@dataclass(frozen=True)
class Mine(Reverse):
    name = "{name}"
"""
FAULTS = {
    "raise SystemExit(0)": "SystemExit: 0",
    "import sys; sys.exit('bye')": "SystemExit: bye",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "class Own(BaseException): pass\nraise Own('odd')": "Own: odd",
    "def broken(:": "SyntaxError",
    "1 / 0": "ZeroDivisionError",
    "import ctypes; ctypes.string_at(0)": "SIGSEGV",
    "import os; os._exit(0)": "exit code 0",
    "import os; os.kill(os.getpid(), 9)": "SIGKILL",
    "import time; time.sleep(600)": "limit of",
}


def gradest(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def suite(plugins: str, *estimators: str) -> str:
    listed = ", ".join(f'{{ name = "{name}" }}' for name in estimators)
    return f"""
name = "plugged"
plugins = {plugins}
measure = ["accuracy"]
[[grid]]
backends = ["numpy"]
problems = [{{ name = "quadratic", fields = {{ size = 3 }} }}]
estimators = [{listed}]
"""


ONE_OF_A_KIND = ("raise SystemExit(0)", "import ctypes; ctypes.string_at(0)")
"""A fault that Python sees, and one that it does not."""
TRIED = [
    # Each fault on the two ways on which a file is tried: by itself, and where the names of a suite are looked up.
    *((fault, command) for command in ("check", "check-suite of a name") for fault in FAULTS),
    # The plug-ins that a suite lists are tried by the first of them, one by one.
    *((fault, command) for command in ("check-suite", "run") for fault in ONE_OF_A_KIND),
]


@pytest.mark.parametrize(("fault", "command"), TRIED)
def test_a_plug_in_that_ends_the_program_is_a_finding(
    fault: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradest_bench.worker.trial.TRIAL_SECONDS", 2.0 if "sleep" in fault else 60.0)
    (tmp_path / "p.py").write_text(fault + "\n", encoding="utf-8")
    named = tmp_path / "suite.toml"
    plugins, estimators = ("[]", ["p.py:X"]) if "of a name" in command else ('["p.py"]', ["reverse"])
    named.write_text(suite(plugins, *estimators), encoding="utf-8")
    arguments: dict[str, tuple[object, ...]] = {
        "check": ("check", tmp_path / "p.py:X"),
        "run": ("bench", "run", named, "--out", tmp_path / "out"),
    }
    found = gradest(*arguments.get(command, ("bench", "check-suite", named)))
    assert found.exit_code == 2, found.output
    assert FAULTS[fault] in found.output
    assert "Traceback" not in found.output
    assert len(found.output.splitlines()) <= 2
    assert "p.py" in found.output or "names of the suite" in found.output
    assert not (tmp_path / "out").exists()


def test_the_plug_ins_around_a_broken_one_are_judged(tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text("import os; os._exit(3)", encoding="utf-8")
    (tmp_path / "good.py").write_text(ESTIMATOR.format(name="good"), encoding="utf-8")
    (tmp_path / "raises.py").write_text("1 / 0", encoding="utf-8")
    named = tmp_path / "suite.toml"
    named.write_text(suite('["good.py", "dies.py", "raises.py"]', "good:Mine", "good:Yours"), encoding="utf-8")
    lines = gradest("bench", "check-suite", named).output.splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["plugins[1]", "plugins[2]", "grid[0].estimators[1]"]


def test_plug_ins_lie_beside_their_suite_or_else_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, here = tmp_path / "beside", tmp_path / "here"
    for folder, name in ((beside, "both"), (beside, "one"), (here, "both"), (here, "other")):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(ESTIMATOR.format(name=f"{name}-{folder.name}"), encoding="utf-8")
    named = beside / "suite.toml"
    named.write_text(suite('["one.py"]', "one:Mine", "both.py:Mine", "other.py:Mine"), encoding="utf-8")
    monkeypatch.chdir(here)
    assert gradest("bench", "check-suite", named).exit_code == 0
    found = gradest("bench", "run", named, "--out", tmp_path / "run")
    assert found.exit_code == 0, found.output
    assert {record.outcome for record in load(tmp_path / "run").records} == {"ok"}
    (beside / "both.py").write_text("raise RuntimeError('the one beside')", encoding="utf-8")
    assert "the one beside" in gradest("bench", "check-suite", named).output


def test_plug_ins_of_one_name_are_two(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "twice.py").write_text(ESTIMATOR.format(name=folder), encoding="utf-8")
    found = [import_plugin(str(tmp_path / folder / "twice.py")) for folder in "ab"]
    assert [module.Mine.name for module in found] == ["a", "b"]
    assert import_plugin(str(tmp_path / "b" / "twice.py")) is found[1]


@pytest.mark.parametrize("name", ["random", "sched", "gradest_torch", "numpy"])
def test_a_plug_in_takes_no_place_of_a_module_that_can_be_imported(name: str, tmp_path: Path) -> None:
    before = sys.modules.get(name)
    path = tmp_path / f"{name}.py"
    path.write_text(ESTIMATOR.format(name="shadow"), encoding="utf-8")
    found = import_plugin(str(path))
    assert found.Mine.name == "shadow"
    assert sys.modules.get(name) is before
    assert sys.modules[found.__name__] is found
