"""How a suite is carried out: cells in groups, groups in worker processes, records as they come."""
