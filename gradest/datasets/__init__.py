"""Real data for classification problems, read offline: by name, from IDX, CSV and NPZ files, and from arrays.

`load` finds a set by name and never downloads; `validate_classification` is the one judge of what counts as data.
Nothing here knows of problems, backends or estimators; packages that carry data are imported on first use.
"""

from gradest.datasets.archives import load_npz
from gradest.datasets.dataset import Dataset, from_arrays, synthetic_classification
from gradest.datasets.idx import load_idx
from gradest.datasets.idx_format import read_idx
from gradest.datasets.named import available, load
from gradest.datasets.tables import load_csv
from gradest.datasets.validation import validate_classification

__all__ = [
    "Dataset",
    "available",
    "from_arrays",
    "load",
    "load_csv",
    "load_idx",
    "load_npz",
    "read_idx",
    "synthetic_classification",
    "validate_classification",
]
