"""What estimators along random directions share: the sampler, the evolution kernel, shaping, workers."""
