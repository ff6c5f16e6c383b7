"""The process that measures the cells of one backend, and the parent's end of the line to it.

Imports `suite` and `results`.
"""
