"""The suite's problems, one family per file; found by name through `gradest.get_problem`."""
