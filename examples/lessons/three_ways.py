"""
Three ways to differentiate: symbolic, numeric, automatic
=========================================================

One function, :math:`f(x) = (1 - e^{-x})/(1 + e^{-x})`, at :math:`x = 1`:

* **symbolic** differentiation makes a formula of a formula, here by SymPy, and evaluates it to as many digits as asked;
* **numeric** differentiation takes values of the function and knows nothing else of it;
* **automatic** differentiation carries the derivative along with each step of the program, exact to rounding.
"""

import matplotlib.pyplot as plt
import numpy as np
import sympy

import gradest

plt.style.use("tableau-colorblind10")

# %%
# Symbolic
# --------

x = sympy.Symbol("x")
formula = (1 - sympy.exp(-x)) / (1 + sympy.exp(-x))
derivative = sympy.simplify(sympy.diff(formula, x))
symbolic = derivative.evalf(25, subs={x: 1})
print(f"f' = {derivative}, at 1: {symbolic}")

# %%
# Numeric
# -------
#
# A central difference with step 0.0001 is right to ten digits or so. Its *exact* value, by SymPy again, shows where
# they end and why: the step leaves out :math:`h^2 f'''/6`, and the digits after that are rounding. Of such a result
# only eleven digits are the same everywhere; printing more of them says nothing.


def f(x: np.ndarray) -> np.ndarray:
    return (1.0 - np.exp(-x)) / (1.0 + np.exp(-x))


AT, STEP = np.array(1.0), 1e-4
numeric = float(gradest.grad(f, method="fd-central", step=STEP)(AT))
h = sympy.Rational(1, 10000)
quotient = ((formula.subs(x, 1 + h) - formula.subs(x, 1 - h)) / (2 * h)).evalf(25)
left_out = (h**2 * formula.diff(x, 3).subs(x, 1) / 6).evalf(3)
print(f"central difference {numeric:.16f}, its exact value {quotient}")
print(f"  it differs from f' by {float(quotient - symbolic):.3g}; h^2 f'''/6 = {left_out}")

# %%
# Automatic
# ---------
#
# Reverse mode, forward mode, and the complex step :math:`\mathrm{Im} f(x + ih)/h`, a difference in which nothing
# cancels.

automatic = {m: float(gradest.grad(f, method=m)(AT)) for m in ("reverse", "forward", "complex-step")}
for method, found in automatic.items():
    print(f"{method:<12} {found:.16f}, off by {abs(found - float(symbolic)):.0e}")

# %%
# Smaller steps are not better
# ----------------------------
#
# A difference errs by its step (the truncation, which falls with h) and by rounding (which grows as h falls). The
# best step is where they meet, and no step gives all digits. The complex step has the first error alone.

steps = 10.0 ** np.arange(-14.0, 0.0, 0.5)
small = steps[steps < 2e-4]  # longer complex steps are refused: they no longer give what real differences give


def errors(method: str, steps: np.ndarray) -> list[float]:
    """Return the absolute errors of a difference at several steps."""
    return [abs(float(gradest.grad(f, method=method, step=h)(AT)) - float(symbolic)) for h in steps]


figure, axes = plt.subplots(figsize=(6.5, 4.4), layout="constrained")
for method, style, allowed in (("fd-forward", "o-", steps), ("fd-central", "s-", steps), ("complex-step", "^-", small)):
    axes.loglog(allowed, np.maximum(errors(method, allowed), 1e-17), style, markersize=4, label=method)
axes.loglog(steps, steps**2 * abs(float(formula.diff(x, 3).subs(x, 1))) / 6, "k:", label="h² |f'''| / 6")
axes.set(
    title="The derivative of f at 1 by differences",
    xlabel="step h",
    ylabel="absolute error (none: 1e-17)",
    ylim=(5e-18, 1.0),
)
axes.legend()
plt.show()

# %%
# By stages
# ---------
#
# The derivative of the sigmoid at 2, step by step: each adjoint is the one after it times the derivative of one step.

sigmoid = gradest.graph(lambda x: 1.0 / (1.0 + np.exp(-x)), np.array(2.0))
by_stages = float(np.asarray(sigmoid.nodes[0].derivative))
sigmoid_symbolic = (1 / (1 + sympy.exp(-x))).diff(x).evalf(25, subs={x: 2})
print(sigmoid)
print(f"by stages {by_stages:.16f}, symbolic {sigmoid_symbolic}")

# %%
# A step with a rule of your own
# ------------------------------
#
# What is not followed well is made a *primitive*: a function with its derivative. The log-sum-exp overflows where it
# is written as it is defined; with its largest entry taken out it does not, and the rule says what it does to an
# adjoint.


@gradest.primitive
def logsumexp(x: np.ndarray) -> np.ndarray:
    largest = x.max()
    return largest + np.log(np.sum(np.exp(x - largest)))


gradest.defvjp(logsumexp, lambda ans, x: lambda g: g * np.exp(x - ans))
gradest.defjvp(logsumexp, lambda g, ans, x: np.sum(g * np.exp(x - ans)))

Y = np.random.default_rng(0).standard_normal(10)
ruled = gradest.grad(lambda y: logsumexp(y**2))(Y)
by_hand = 2.0 * Y * np.exp(Y**2) / np.exp(Y**2).sum()
first_order = gradest.check(lambda y: logsumexp(y**2), Y)
second_order = gradest.check(gradest.get_problem("logsumexp"), order=2)
print(f"d logsumexp(y²): {abs(ruled - by_hand).max():.0e} from 2 y softmax(y²) by hand")
print(first_order)
print("second derivatives, of the log-sum-exp of operations:", second_order)

# %%
# .. note::
#
#    A common version of this lesson prints sixteen digits of the difference, of which eleven are meant, and compares
#    last digits between libraries, which differ by one rounding.
