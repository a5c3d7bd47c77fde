"""Stacked problems: closed forms, LAPACK as the oracle, and SciPy's optimum."""

import numpy as np
import pytest
from scipy.optimize import minimize

from gaussbook.arrays import to_host
from gaussbook.stacked import differences, maximize_newton, sweep


def test_differences_of_a_quadratic_are_exact(xp):
    A = np.random.default_rng(0).standard_normal((3, 4, 4))
    v = np.random.default_rng(1).standard_normal((3, 4))
    device = xp.asarray(A)
    got = differences(lambda u: (device @ u[..., None])[..., 0] ** 2, xp.asarray(v))
    expected = 2 * np.einsum("rij,rj->ri", A, v)[..., None] * A
    np.testing.assert_allclose(to_host(got), expected, atol=1e-9)


@pytest.mark.parametrize(("central", "order"), [(True, 2), (False, 1)])
def test_the_order_of_the_differences(xp, central, order):
    v = xp.asarray([[0.3, -0.7]])
    errors = []
    for h in (1e-2, 1e-3):
        got = to_host(differences(xp.exp, v, h, central=central))
        errors.append(np.abs(got - np.diag(np.exp([0.3, -0.7]))).max())
    assert np.log10(errors[0] / errors[1]) == pytest.approx(order, abs=0.05)


@pytest.mark.parametrize("d", [1, 3, 5])
def test_sweep_agrees_with_lapack(xp, d):
    rng = np.random.default_rng(d)
    half = rng.standard_normal((2, 7, d, d + 2))
    S, u, corner = half @ np.swapaxes(half, -1, -2), rng.standard_normal((2, 7, d)), np.ones((2, 7))
    minus, solution, rest, log_det = sweep(
        xp.asarray(np.moveaxis(S, 1, -1)), xp.asarray(np.moveaxis(u, 1, -1)), xp.asarray(corner)
    )
    inverse = np.linalg.inv(S)
    x = (inverse @ u[..., None])[..., 0]
    np.testing.assert_allclose(np.moveaxis(to_host(minus), -1, 1), -inverse, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(np.moveaxis(to_host(solution), -1, 1), x, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(to_host(rest), 1 - np.sum(u * x, axis=-1), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(to_host(log_det), np.linalg.slogdet(S)[1], atol=1e-8)


def test_sweep_leaves_its_arguments(xp):
    S, u, corner = xp.ones((1, 1, 2)) * 4.0, xp.ones((1, 2)), xp.ones((2,))
    sweep(S, u, corner)
    assert (to_host(S) == 4).all() and (to_host(u) == 1).all() and (to_host(corner) == 1).all()


@pytest.mark.parametrize("shapes", [((3, 2, 5), (3, 5), (5,)), ((3, 3, 5), (2, 5), (5,))])
def test_sweep_refuses_shapes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="S must be"):
        sweep(*(np.ones(shape) for shape in shapes))


def valley(xp, v, c):
    """Minus Rosenbrock's function, for several c at once."""
    a, b = v[:, 0], v[:, 1]
    return -((1 - a) ** 2) - c * (b - a**2) ** 2


def valley_slope(xp, v, c):
    a, b = v[:, 0], v[:, 1]
    return xp.stack([2 * (1 - a) + 4 * c * a * (b - a**2), -2 * c * (b - a**2)], axis=-1)


def climb(xp, v, c, **options):
    return maximize_newton(
        lambda u: valley(xp, u, c),
        lambda u: valley_slope(xp, u, c),
        lambda u: -differences(lambda w: valley_slope(xp, w, c), u),
        v,
        **options,
    )


def test_newton_finds_the_tops_of_several_functions(xp):
    v, c = xp.asarray([[-1.2, 1.0], [0.5, 2.0], [2.0, -1.0]]), xp.asarray([1.0, 10.0, 3.0])
    top, value = climb(xp, v, c, tol=1e-8, max_iter=200, every=1)
    np.testing.assert_allclose(to_host(top), 1, atol=1e-6)
    np.testing.assert_allclose(to_host(value), 0, atol=1e-12)


def test_newton_agrees_with_scipy_where_it_starts_uphill_of_a_saddle():
    c = np.array([2.0])
    start = np.array([[0.0, 3.0]])  # the information is indefinite here
    top, _ = climb(np, start, c, tol=1e-8, max_iter=200, every=2)
    oracle = minimize(lambda u: -valley(np, u[None], c)[0], start[0], method="BFGS")
    np.testing.assert_allclose(top[0], oracle.x, atol=1e-4)


def test_newton_never_goes_down(xp):
    v, c = xp.asarray([[-1.2, 1.0]]), xp.asarray([10.0])
    values = [float(climb(xp, v, c, max_iter=k, every=1)[1][0]) for k in range(6)]
    assert values == sorted(values)


@pytest.mark.parametrize("options", [{"tol": 0}, {"every": 0}, {"max_iter": -1}])
def test_newton_names_a_bad_option(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        climb(np, np.ones((1, 2)), np.ones(1), **options)


def test_newton_refuses_a_single_vector():
    with pytest.raises(ValueError, match="v"):
        climb(np, np.ones(2), np.ones(1))


def test_differences_refuse_a_step_of_zero():
    with pytest.raises(ValueError, match="h"):
        differences(np.exp, np.ones(2), 0)
