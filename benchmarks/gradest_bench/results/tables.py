"""Makes data frames of rows. pandas is imported when the first is asked for: most commands make none."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gradest.errors import MissingDependencyError

if TYPE_CHECKING:
    import pandas as pd


def frame(rows: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """Return rows as a pandas data frame.

    Raises
    ------
    MissingDependencyError
        pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError(
            "a data frame needs the package 'pandas', which is not installed; "
            "install it with: pip install 'gradest[report]'"
        ) from error
    return pd.DataFrame(list(rows))
