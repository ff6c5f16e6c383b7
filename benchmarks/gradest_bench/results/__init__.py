"""What a run leaves behind: records, the folder that keeps them, verdicts on them, two runs side by side.

Imports `suite` alone.
"""
