"""
Your own rules in JAX, checked
==============================

Linear, ReLU and ReQU (the square of ReLU) with a reverse rule written by hand, by ``jax.custom_vjp``: what each
computes, and what it hands back. ``gradest.check`` compares the rules with the values of the loss itself, and needs
no tolerance.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gradest
from gradest.training import Budget, GradientDescent

plt.style.use("tableau-colorblind10")
jax.config.update("jax_enable_x64", True)  # a check sees as far as the digits go

# %%
# Forward and backward
# --------------------
#
# ``defvjp`` takes a pair: the forward pass, which also returns what it keeps for the way back (here its inputs), and
# the backward pass, of what was kept and the adjoint g of the output, which returns the adjoint of each input.


def with_rule(function, backward):
    """Return a function with a reverse rule of its own, `(*inputs, g) -> adjoints of the inputs`."""
    ruled = jax.custom_vjp(function)
    ruled.defvjp(lambda *inputs: (function(*inputs), inputs), lambda inputs, g: backward(*inputs, g))
    return ruled


linear = with_rule(lambda x, weight: x @ weight.T, lambda x, weight, g: (g @ weight, g.T @ x))
relu = with_rule(lambda x: jnp.maximum(x, 0.0), lambda x, g: (jnp.where(x > 0, g, 0.0),))
requ = with_rule(lambda x: jnp.maximum(x, 0.0) ** 2, lambda x, g: (2.0 * g * jnp.maximum(x, 0.0),))
# The factor 2 of its derivative forgotten:
half_requ = with_rule(lambda x: jnp.maximum(x, 0.0) ** 2, lambda x, g: (g * jnp.maximum(x, 0.0),))

# %%
# Checked
# -------
#
# Two layers of ours on Fisher's iris data. The check sees the forgotten factor, says where, and what it may be.

IRIS = gradest.datasets.load("iris")
X, LABELS = jnp.asarray(IRIS.features), jnp.asarray(IRIS.labels)


def start() -> dict[str, jax.Array]:
    generator = np.random.default_rng(0)
    return {
        "first": jnp.asarray(generator.standard_normal((8, 4)) / 2),
        "second": jnp.asarray(generator.standard_normal((3, 8)) / 3),
    }


def loss_with(activation):
    def loss(params, x, labels):
        logits = linear(activation(linear(x, params["first"])), params["second"])
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - logits[jnp.arange(len(labels)), labels])

    return loss


ACTIVATIONS = {"ReLU": relu, "ReQU": requ, "half ReQU": half_requ}
checks, by_differences, by_complex_step = {}, {}, {}
for name, activation in ACTIVATIONS.items():
    loss = loss_with(activation)
    own, real, imaginary = (
        gradest.grad(loss, method=method)(start(), X, LABELS)["first"]
        for method in ("reverse", "fd-central", "complex-step")
    )
    by_differences[name] = float(abs(own - real).max() / abs(own).max())
    by_complex_step[name] = float(abs(own - imaginary).max() / abs(own).max())
    checks[name] = gradest.check(loss, start(), None, X, LABELS)
    print(f"{name}: {by_differences[name]:.0e} from differences, {by_complex_step[name]:.0e} from the complex step")
    print(checks[name], "\n")

# %%
# The complex step agrees to the last digit: it evaluates the function and knows no rule. Forward mode is refused: a
# function with ``custom_vjp`` has none, and JAX does not go round the rule. The check uses what there is.

# %%
# Trained
# -------
#
# Half of a derivative still points downhill, so that training goes on, and the curve alone does not tell that
# anything is wrong: the loss is a little higher at each step, as it is with another activation.

figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
ends = {}
for (name, activation), style in zip(ACTIVATIONS.items(), ("-", "-", "--"), strict=True):
    case = gradest.Case(loss_with(activation), start(), (X, LABELS))
    run = gradest.train(case, "reverse", GradientDescent(step_size=0.2), budget=Budget(steps=60))
    ends[name] = run.records[-1].loss
    axes.plot([record.step for record in run.records], [record.loss for record in run.records], style, label=name)
    print(f"{name}: {run.line()}")
axes.set(title="Networks of 4-8-3 units on the iris data, step size 0.2", xlabel="step", ylabel="cross-entropy")
axes.legend()
plt.show()
