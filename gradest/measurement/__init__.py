"""The one way to measure an estimator: accuracy, time, counts, reference; `compare` and the harness both use it."""
