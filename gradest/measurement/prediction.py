"""What theory predicts for an estimator on one objective. A prediction that fails costs a cell nothing but itself."""

import numpy as np

from gradest.errors import UnsupportedError
from gradest.estimator import Estimator
from gradest.measurement.reference_record import Reference
from gradest.objective import Objective
from gradest.situation import Situation
from gradest.theory import Prediction


def predicted_error(estimator: Estimator, objective: Objective, reference: Reference) -> tuple[Prediction | None, str]:
    """Return the prediction where the reference gradient is, or None, and what went wrong, or "".

    An estimator for which no formula is derived says None or refuses; an error of another kind is a fault of its
    `predict`, told in words beside what was measured.
    """
    at = Situation(
        objective.layout,
        np.asarray(reference.gradient, dtype=np.float64),
        value=float(reference.value),
        objective=objective,
    )
    try:
        return estimator.predict(at), ""
    except UnsupportedError:
        return None, ""
    except Exception as error:  # noqa: BLE001  # a plug-in's `predict` may raise anything; the cell was measured
        return None, f"the prediction failed: {type(error).__name__}: {error}"
