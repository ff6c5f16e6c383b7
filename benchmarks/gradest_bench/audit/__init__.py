"""Audits gradient estimators of other packages: length, bias and relative error, beside what they promise."""
