"""MXNet itself, as `mx`, imported beside a NumPy that it was not written for.

Importing this module imports MXNet; the other modules of this package take `mx` from here. What is missing is
reported with the command that installs it.
"""

import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from gradest.errors import MissingDependencyError
from gradest_mxnet.numpy_alias import alias_inside_mxnet, numpy_bool

_INSTALL = "pip install 'gradest[mxnet]'"
_LIBRARIES = "apt-get install libgomp1 libquadmath0"


def import_mxnet() -> Any:
    """Return the module `mxnet`, with `numpy.bool` given back to it alone.

    Raises
    ------
    MissingDependencyError
        MXNet, a package that it imports, or a system library that it links is missing, or NumPy is too new.
    """
    if find_spec("mxnet") is None:
        raise MissingDependencyError(
            f"backend 'mxnet' needs the package 'mxnet', which is not installed; install it with: {_INSTALL} "
            "(linux x86_64, Python 3.11 or 3.12)"
        )
    if int(np.__version__.split(".")[0]) >= 2:
        raise MissingDependencyError(
            f"backend 'mxnet' needs NumPy 1; found {np.__version__}; install it with: pip install 'numpy<2'"
        )
    try:
        # Filters are the process's: a thread that warns during this import loses that warning.
        with numpy_bool(), warnings.catch_warnings():
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, SyntaxWarning):
                warnings.simplefilter("ignore", category)
            mxnet = import_module("mxnet")
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        package = "setuptools" if missing == "distutils" else missing  # Python 3.12 left distutils to setuptools
        raise MissingDependencyError(
            f"backend 'mxnet' needs the module {missing!r}, which MXNet imports and which is not installed; "
            f"install it with: pip install {package}"
        ) from error
    except OSError as error:
        raise MissingDependencyError(
            f"backend 'mxnet' needs system libraries that cannot be loaded ({error}); install them with: {_LIBRARIES}"
        ) from error
    alias_inside_mxnet()
    return mxnet


mx = import_mxnet()

Array = Any
"""An array or a symbol of MXNet, which ships no annotations."""
