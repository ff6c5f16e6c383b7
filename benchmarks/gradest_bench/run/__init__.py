"""Carries out a suite: cells go in groups to worker processes, and records come back one by one.

How a cell travels, and what it is called on the way:

1. `suite.cells.Cell`: what is asked. `expand` makes them from a suite; `sweep` looks which have a result already.
2. `schedule.PlannedCell`: a cell that is to run, identified by its worker, so that its size is known.
   `schedule.groups` sorts them into groups that share a problem; `rounds` says in which order a group is timed.
3. `cell_run.CellRun`: a cell under way in its worker, with what has been measured of it so far. `group` carries out a
   whole group: all prepared, then timed in turns, then judged.
4. `results.records.Record`: how the cell ended. `sweep` writes each to the disk before it goes on.

A group may be measured elsewhere: `tasks` makes plain data of it, `executors` says where. `stopping` is for signals.
"""
