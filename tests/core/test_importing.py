"""Files that are loaded by their path: what lies beside one can be imported by it, and nothing else changes."""

import subprocess
import sys
from pathlib import Path

import pytest

from gradest.importing import import_file

FILE = "import {beside}\nfrom {beside}_rooms import inside\nvalue = {beside}.value + inside.value\n"


def written(folder: Path, name: str) -> Path:
    beside = f"{name}_beside"
    (folder / f"{beside}_rooms").mkdir()
    (folder / f"{beside}_rooms" / "__init__.py").touch()
    (folder / f"{beside}_rooms" / "inside.py").write_text("value = 2\n", encoding="utf-8")
    (folder / f"{beside}.py").write_text("value = 1\n", encoding="utf-8")
    file = folder / f"{name}.py"
    file.write_text(FILE.format(beside=beside), encoding="utf-8")
    return file


def test_a_file_imports_what_lies_beside_it_and_the_path_is_as_before(tmp_path: Path) -> None:
    before = list(sys.path)
    assert import_file(written(tmp_path, "of_importing_one")).value == 3
    assert sys.path == before


def test_a_file_that_fails_leaves_the_path_as_it_was(tmp_path: Path) -> None:
    before = list(sys.path)
    (tmp_path / "of_importing_two.py").write_text("raise ZeroDivisionError\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError):
        import_file(tmp_path / "of_importing_two.py")
    assert sys.path == before


def test_what_lies_beside_takes_no_place_of_a_module_that_there_is(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("raise RuntimeError('shadow')\n", encoding="utf-8")
    (tmp_path / "of_importing_three.py").write_text("import colorsys\nfile = colorsys.__file__\n", encoding="utf-8")
    assert Path(import_file(tmp_path / "of_importing_three.py").file).parent != tmp_path


CODE = """
import sys
from pathlib import Path
from gradest.importing import import_file
from gradest_bench.worker.versions import source_version
name = import_file(Path(sys.argv[1])).__name__
print(source_version([name], own=[name]))
"""


def version(file: Path) -> str:
    """Return the version of a file's code in a process of its own, as each run has one."""
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": ""}
    command = [sys.executable, "-c", CODE, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


@pytest.mark.parametrize("changed", ["of_importing_four_beside.py", "of_importing_four_beside_rooms/inside.py"])
def test_an_edit_beside_a_file_makes_its_results_stale(changed: str, tmp_path: Path) -> None:
    file = written(tmp_path, "of_importing_four")
    before = version(file)
    assert version(file) == before
    (tmp_path / changed).write_text("value = 5\n", encoding="utf-8")
    assert version(file) != before
