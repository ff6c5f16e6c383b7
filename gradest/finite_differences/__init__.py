"""What estimators by finite differences share: rules, steps, the noise level, the sweep along coordinates."""
