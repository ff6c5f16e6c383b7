"""Whether a gradient is right: one given by hand, by a custom rule or by a framework, against what else there is.

`gradest.check` compares a gradient with differences of the loss's values, with forward mode and with the framework's
own reverse mode. This package evaluates through `Objective` and knows no framework.
"""
