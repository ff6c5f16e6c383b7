"""The benchmark harness of gradest: sweeps, worker processes, results, reports and the command line."""
