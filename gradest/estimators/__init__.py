"""The estimators, one family per file; found by name through `gradest.get_estimator`."""
