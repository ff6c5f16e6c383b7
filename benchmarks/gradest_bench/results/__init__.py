"""Keeps what a run leaves behind: records, their folder, verdicts on them, two runs side by side.

Of the other wings it imports `suite` alone.
"""
