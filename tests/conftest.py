"""Settings that every test runs under; it knows no backend and no estimator."""

from hypothesis import settings

# The same examples on every run and machine, and no time limit: a slow machine is not a wrong result.
settings.register_profile("gradest", derandomize=True, deadline=None)
settings.load_profile("gradest")
