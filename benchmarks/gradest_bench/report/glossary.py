"""Says what each column of the table of results means, in words that need no script to be read."""

from collections.abc import Sequence

from gradest_bench.report.printable import escape

MEANINGS = {
    "P": "number of parameters of the problem",
    "relative error": "L2 norm of estimate minus reference gradient, divided by the norm of the reference; of a random "
    "estimate the root mean square over seeds",
    "cosine": "cosine of the angle between one estimate and the reference; 1 is the same direction",
    "norm ratio": "norm of one estimate divided by the norm of the reference",
    "time": "median wall-clock time of one call",
    "IQR": "interquartile range of the samples of the time; empty where one sample was taken",
    "x loss": "time in units of one evaluation of the loss",
    "preparation": "time to prepare the estimator for the problem, once",
    "first call": "time of the first call, compilation included",
    "to backend": "time to bring the parameters to the backend",
    "to NumPy": "time to bring the gradient back to NumPy",
    "loss GFLOP/s": "rate of the matrix products in one evaluation of the loss",
    "evaluations": "values, JVPs and VJPs of the loss that one estimate took",
    "noise scale": "of a problem with examples: squared error of the gradient of one example, relative to the gradient",
    "relative MSE": "mean over seeds of the squared relative error",
    "theory": "relative MSE that theory predicts",
    "z": "measured minus predicted relative MSE, in standard errors; squares are skewed, and with few seeds a z of -3 "
    "is no rarity, one of 3 is",
    "mean cosine": "cosine, as a mean over seeds",
    "cosine by theory": "mean cosine that theory predicts",
    "scale": "slope of the estimates on the reference, as a mean over seeds; 1 is unbiased in length",
    "peak memory": "most memory that one call used above what was in use before it, the estimator being prepared",
    "preparation memory": "the same of preparing the estimator and its first calls, compilation included",
    "processor share": "processor time divided by wall-clock time",
    "path": "how the estimate was computed: native, by the framework's own differentiation, of NumPy's functions by "
    "gradest's rules for them; gradest, by gradest's of a loss in operations; batched, vmap and loop, by whole "
    "evaluations, many at once or one by one; structured, by what has changed alone",
    "verdict": "whether the estimate agrees with the reference or theory, and why not",
}


def glossary(headings: Sequence[str]) -> str:
    """Return a list of the columns that are shown and what they mean, folded away until it is opened."""
    entries = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(MEANINGS[name])}</dd>" for name in headings if name in MEANINGS
    )
    return f"<details><summary>what the columns mean</summary><dl>{entries}</dl></details>"
