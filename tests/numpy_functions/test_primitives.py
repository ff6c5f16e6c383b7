"""`gradest.primitives`: a user's own rules, in Autograd's argument order; and a wrong one is seen."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from support.numpy_cases import CASES

import gradest
from gradest import InvalidInputError, UnsupportedError, primitives
from gradest.primitives import defjvp, defvjp, primitive
from gradest_numpy.differentiation import rules, value_and_gradient, value_and_jvps

X = np.array([0.3, 1.1, -0.4])


def logsumexp_primitive(*, factor: float = 1.0) -> primitives.Primitive:
    @primitive
    def logsumexp(x: Any, *, scale: float = 1.0) -> Any:
        """Return the log of the sum of exponentials."""
        z = np.zeros(len(x))  # a primitive may write: its arguments are plain arrays
        z[:] = x
        return scale * (z.max() + np.log(np.sum(np.exp(z - z.max()))))

    defvjp(logsumexp, lambda ans, x, scale=1.0: lambda g: factor * g * scale * np.exp(x - ans / scale))
    defjvp(logsumexp, lambda g, ans, x, scale=1.0: factor * scale * np.sum(g * np.exp(x - ans / scale)))
    return logsumexp


def both(function: Any, *leaves: np.ndarray) -> tuple[Any, Any]:
    _, gradient = value_and_gradient(lambda nodes, data: function(*nodes))(leaves, None)
    tangents = [np.eye(x.size).reshape(x.size, *x.shape) if k == 0 else np.zeros((leaves[0].size, *x.shape))
                for k, x in enumerate(leaves)]  # fmt: skip
    return gradient, value_and_jvps(lambda nodes, data: function(*nodes))(leaves, tangents, None)[1]


def test_a_primitive_is_followed_by_its_rules_in_both_modes() -> None:
    function = logsumexp_primitive()
    (g,), jvps = both(lambda x: function(2 * x, scale=3.0), X)
    wanted = 6.0 * np.exp(2 * X) / np.sum(np.exp(2 * X))
    np.testing.assert_allclose(g, wanted, rtol=1e-14)
    np.testing.assert_allclose(jvps, wanted, rtol=1e-14)
    assert function(X) == pytest.approx(np.log(np.sum(np.exp(X))))
    assert function.name == "logsumexp"
    assert "log of the sum" in str(function.__doc__)


def test_rules_by_argnums_none_and_same() -> None:
    @primitive
    def scaled(n: int, x: Any, y: Any) -> Any:
        return n * x * np.floor(y)

    defvjp(scaled, lambda ans, n, x, y: lambda g: n * g * np.floor(y), None, argnums=(1, 2))
    defjvp(scaled, "same", None, argnums=(1, 2))
    (gx, gy), jvps = both(lambda x, y: np.sum(scaled(3, x, y)), X, np.array([1.5, 2.5, 3.5]))
    np.testing.assert_allclose(gx, [3.0, 6.0, 9.0])
    np.testing.assert_allclose(jvps, [3.0, 6.0, 9.0])
    np.testing.assert_array_equal(gy, np.zeros(3))


def test_a_rule_for_a_function_of_a_library_that_has_none() -> None:
    with pytest.raises(UnsupportedError, match=r"numpy\.i0 was called.*gradest\.primitive"):
        both(lambda x: np.sum(np.i0(x)), X)
    series = lambda x: sum((x / 2) ** (2 * k + 1) / np.prod(np.arange(1.0, k + 1)) ** 2 / (k + 1) for k in range(12))  # noqa: E731
    defvjp(np.i0, lambda ans, x: lambda g: g * series(x))
    defjvp(np.i0, lambda g, ans, x: g * series(x))
    try:
        (g,), jvps = both(lambda x: np.sum(np.i0(x)), X)
        h = 1e-5
        np.testing.assert_allclose(g, (np.i0(X + h) - np.i0(X - h)) / (2 * h), rtol=1e-8)
        np.testing.assert_allclose(jvps, g, rtol=1e-15)
    finally:
        primitives._given.pop(np.i0)


def test_a_mode_without_a_rule_is_refused_by_name() -> None:
    @primitive
    def cube(x: Any) -> Any:
        return x**3

    with pytest.raises(UnsupportedError, match=r"cube has no rule by its argument 0.*defvjp"):
        value_and_gradient(lambda nodes, data: np.sum(cube(nodes[0])))((X,), None)
    defvjp(cube, lambda ans, x: lambda g: 3 * g * x**2)
    _, (g,) = value_and_gradient(lambda nodes, data: np.sum(cube(nodes[0])))((X,), None)
    np.testing.assert_allclose(g, 3 * X**2)
    with pytest.raises(UnsupportedError, match=r"cube has no rule by its argument 0.*defjvp"):
        value_and_jvps(lambda nodes, data: np.sum(cube(nodes[0])))((X,), (np.eye(3),), None)


def test_wrong_definitions_are_refused() -> None:
    function = logsumexp_primitive()
    with pytest.raises(InvalidInputError, match="a rule for each argument"):
        defvjp(function, None, argnums=(0, 1))
    with pytest.raises(InvalidInputError, match="'same' or None"):
        defjvp(function, "other")


def test_a_returned_cotangent_that_is_kept_elsewhere_is_not_handed_out() -> None:
    kept = np.ones(3)

    @primitive
    def total(x: Any) -> Any:
        return np.sum(x)

    defvjp(total, lambda ans, x: lambda g: kept)
    _, (g,) = value_and_gradient(lambda nodes, data: total(nodes[0]))((X,), None)
    g[0] = 5.0
    assert kept.tolist() == [1.0, 1.0, 1.0]


def differs(function: Any) -> bool:
    """Return whether a gradient disagrees with central differences of the function's values."""
    _, (g,) = value_and_gradient(lambda nodes, data: function(nodes[0]))((X,), None)
    h = 1e-5
    wanted = [(function(X + h * e) - function(X - h * e)) / (2 * h) for e in np.eye(3)]
    return not np.allclose(g, wanted, rtol=1e-7)


def test_a_wrong_rule_of_a_primitive_is_seen() -> None:
    assert not differs(logsumexp_primitive())
    assert differs(logsumexp_primitive(factor=1.0001))


@pytest.mark.parametrize("function", [np.exp, np.multiply, np.matmul, np.cumsum, np.sort, np.linalg.inv])
def test_a_wrong_rule_of_the_table_is_seen(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison that the tests of the rules make rejects a table with an entry that is off by a ten-thousandth."""
    name = rules.name_of(function)
    case = next(case for case in CASES if case.name.startswith(f"{name}:"))
    arrays = case.arrays()
    tangents = [np.ones((1, *x.shape)) for x in arrays]

    def agrees() -> bool:
        _, gradient = value_and_gradient(lambda leaves, data: case.loss(np, leaves))(arrays, None)
        _, jvps = value_and_jvps(lambda leaves, data: case.loss(np, leaves))(arrays, tangents, None)
        return bool(np.isclose(sum(np.sum(g) for g in gradient), jvps[0], rtol=1e-11))

    assert agrees()
    rule = rules.RULES[function]
    wrong = tuple(partial(off_by_a_little, entry) for entry in rule.vjps)
    monkeypatch.setitem(rules.RULES, function, replace(rule, vjps=wrong))
    assert not agrees()


def off_by_a_little(entry: Any, g: Any, *rest: Any, **options: Any) -> Any:
    return 1.0001 * entry(g, *rest, **options)


@pytest.mark.parametrize(
    ("maker", "told"),
    [
        (
            lambda g, ans, x: g * 3 * x**2,
            r"was to be maker\(ans, \*args\), which returns a function of the cotangent g",
        ),
        (lambda ans, x: 3 * x**2, r"returns a function of the cotangent g; found ndarray"),
    ],
    ids=["as a JVP is written", "no function of g"],
)
def test_a_rule_of_another_form_is_told_that_of_its_kind(maker: Any, told: str) -> None:
    cube = gradest.primitive(lambda x: x**3)
    gradest.defvjp(cube, maker)
    with pytest.raises(gradest.InvalidTypeError, match=told):
        gradest.grad(lambda p: np.sum(cube(p)), method="reverse")(np.ones(3))


def test_a_jvp_of_another_form_is_told_so_and_an_error_inside_a_rule_stays_its_own() -> None:
    cube = gradest.primitive(lambda x: x**3)
    as_vjp: Any = lambda ans, x: lambda g: g * 3 * x**2  # noqa: E731 - of the other kind, on purpose
    gradest.defjvp(cube, as_vjp)
    with pytest.raises(gradest.InvalidTypeError, match=r"was to be jvp\(g, ans, \*args\)"):
        gradest.grad(lambda p: np.sum(cube(p)), method="forward")(np.ones(3))
    gradest.defjvp(cube, lambda g, ans, x: g * len(3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"object of type 'int' has no len") as error:
        gradest.grad(lambda p: np.sum(cube(p)), method="forward")(np.ones(3))
    assert not isinstance(error.value, gradest.GradestError)
