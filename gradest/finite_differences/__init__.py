"""The machinery of finite differences, which their estimators in `gradest.estimators` share.

`rules` are weights of difference quotients, `steps` and `noise_level` choose how far to move, `displaced_losses`
evaluates the loss at moved parameters, `sweep` turns all of it into a gradient, and `crossings` finds kinks on the way.
A new rule is a function in `rules` that returns a `QuotientRule`.
"""
