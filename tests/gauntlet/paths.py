"""The columns of the table: which estimator stands for each path, and how near its number has to come."""

from typing import Any

from gauntlet.records import RIGHT, Either, Loss, Outcome, Refused

import gradest

PATHS: dict[str, str] = {
    "reverse": "reverse",
    "forward": "forward",
    "differences": "fd-central",
    "complex-step": "complex-step",
    "full": "es",
    "low-rank": "es-low-rank",
    "shaped": "es-rank",
    "structured": "forward-structured",
}
"""Each path, and the registered name that the tests take it by."""

PATH_OF: dict[str, str] = {
    **dict.fromkeys(("fd-forward", "fd-backward", "fd-central", "fd-five-point", "fd-richardson"), "differences"),
    **dict.fromkeys(("forward-structured", "fd-exact"), "structured"),
    **dict.fromkeys(("es-rank", "es-zscore", "es-sign"), "shaped"),
    "reverse": "reverse",
    "forward": "forward",
    "forward-gradient": "forward",
    "smoothed": "reverse",
    "complex-step": "complex-step",
    "es-low-rank": "low-rank",
    **dict.fromkeys(("es", "es-forward", "es-vanilla", "es-leave-one-out", "spsa", "guided-es"), "full"),
    **dict.fromkeys(("momentum-guided-es", "residual-feedback"), "full"),
    **dict.fromkeys(("es-orthogonal", "es-sphere", "es-coordinates"), "full"),
}
"""The path that each registered name takes, which says what to expect of it."""
NO_CLOSED_FORM = Refused("has none; use '", "UnsupportedError")
NO_LAYERS = Refused("use 'es'", "UnsupportedError")


def outcome(name: str, loss: Loss, backend: str) -> Outcome:
    """Return what the estimator of a name should give: that of its path, or by what it asks of a loss."""
    if name == "null":
        return RIGHT
    if name in loss.expected and name not in PATHS:
        return loss.expected[name]
    always = loss.expected.get(backend)  # parameters that no estimator takes: which of two reasons comes first is open
    if isinstance(always, Refused) and name in ("analytic", "node-perturbation", "es-row-space"):
        return Either(always, NO_CLOSED_FORM if name == "analytic" else NO_LAYERS)
    if name == "analytic":
        return RIGHT if loss.closed_form else NO_CLOSED_FORM
    if name in ("node-perturbation", "es-row-space"):
        # Whether a loss is made of layers alone is gradest's to find out: it must be right, or refused.
        return RIGHT if loss.layers else Either(RIGHT, NO_LAYERS) if loss.text else NO_LAYERS
    return loss.outcome(path_of(name), backend)


def path_of(name: str) -> str:
    """Return the path whose fate an estimator of this name shares."""
    return PATH_OF.get(name, "structured")


NUM_SAMPLES = 3
_SIGMA = {"float64": 0.01, "float32": 0.1}
_EXACT = {"float64": 1e-9, "float32": 2e-4}
_SAMPLED = {"float64": 1e-8, "float32": 2e-3}
_DIFFERENCES = {"float64": 1e-6, "float32": 3e-2}
_ONE_SIDED = {"float64": 1e-5, "float32": 5e-2}
_COARSE = 0.1
"""For half precision, of which a number has two or three digits."""


def estimator(name: str, loss: Loss, dtype: str, asked: Any) -> gradest.Estimator:
    """Return the estimator of a name, with few samples and a radius that suits the dtype."""
    found = gradest.get_estimator(name)
    options: dict[str, Any] = {}
    if hasattr(found, "num_samples"):
        options["num_samples"] = NUM_SAMPLES
    if hasattr(found, "sigma"):
        options["sigma"] = loss.sigma or _SIGMA.get(dtype, 0.25)
    if name == "node-perturbation":
        options["weighting"] = "joint"  # the losses of this table are known as a whole, and so are their replays
    if name == "guided-es":
        with asked.scope():
            options["guides"] = [_guide(asked)]
    return gradest.get_estimator(name, **options)


def _guide(asked: Any) -> Any:
    """Return a guide in the structure of the parameters: their own values, moved."""
    if asked.params is None:
        return {name: values + 0.5 for name, values in asked.f.parameters().items()}
    if asked.on.is_model(asked.params):
        return {name: asked.on.like(asked.on.numpy(p) + 0.5, p) for name, p in asked.on.trainable(asked.params).items()}
    return asked.on.replaced(asked.params, [values + 0.5 for values in asked.leaves()])


def tolerance(name: str, loss: Loss, dtype: str) -> float:
    """Return by how much the number may be off, relative to its length."""
    if dtype not in _EXACT:
        return _COARSE * loss.loose * (2 if name in ("fd-forward", "fd-backward") else 1)
    path = PATH_OF.get(name, "full")
    table = _SAMPLED if path in ("full", "low-rank", "shaped") else _EXACT
    if path == "differences":
        table = _ONE_SIDED if name in ("fd-forward", "fd-backward") else _DIFFERENCES
    return table[dtype] * loss.loose
