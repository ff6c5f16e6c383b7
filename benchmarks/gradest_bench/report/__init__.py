"""What people look at afterwards: tables, figures and the page of a run.

Imports `suite` and `results`, and no terminal.
"""
