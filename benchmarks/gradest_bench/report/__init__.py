"""Makes what people look at afterwards: tables, figures and the page of a run.

Of the other wings it imports `suite` and `results`; it knows no terminal.
"""
