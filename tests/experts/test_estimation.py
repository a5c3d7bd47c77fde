"""Estimation of experts: finite differences, monotone likelihoods, recovery, least squares."""

from dataclasses import replace

import numpy as np
import pytest

from gaussbook.experts import Experts, Gate, fit, gate_log_weights, gradient, log_likelihood, refine
from gaussbook.experts.estimation import _moved, _slope_and_curvature
from gaussbook.experts.model import one_pass

from .problems import problem, tanh

GATES = [Gate(), Gate(2), Gate(2, "slope"), Gate(activation=tanh)]
TRUTH = {
    "beta1": np.array([[[3.0], [0.0], [-3.0]]]),
    "beta0": np.array([[-1.0, 0.0, -1.0]]),
    "a": np.array([[[4.0], [-2.0], [3.0]]]),
    "b": np.array([[3.0, 0.0, -3.0]]),
    "sigma": np.array([[0.5, 0.5, 0.4]]),
}


def sample(n, B=2, gate=None, seed=0):
    """Data from TRUTH, with the truth once for each replication."""
    rng = np.random.default_rng(seed)
    truth = Experts(**{name: np.repeat(value, B, axis=0) for name, value in TRUTH.items()})
    x = rng.uniform(-1, 1, (B, n, 1))
    weights = np.exp(gate_log_weights(x, truth, gate))
    label = np.sum(np.cumsum(weights, axis=1) < rng.random((B, 1, n)), axis=1)
    mean = truth.a @ x.swapaxes(1, 2) + truth.b[:, :, None]
    mean = np.take_along_axis(mean, label[:, None, :], axis=1)[:, 0]
    return x, mean + truth.sigma[0][label] * rng.standard_normal((B, n)), truth


def shaken(experts, size, seed=1):
    rng = np.random.default_rng(seed)
    names = ("beta1", "beta0", "a", "b")
    moved = {
        n: getattr(experts, n) + size * rng.normal(size=getattr(experts, n).shape) for n in names
    }
    return replace(experts, **moved)


class TestDerivatives:
    @pytest.mark.parametrize("gate", GATES)
    def test_gradient_by_finite_differences(self, gate):
        case = problem()
        found = gradient(case.x, case.y, case.experts, gate)
        for name, value in case.values.items():
            for index in np.ndindex(value.shape[1:]):
                bump = np.zeros_like(value)
                bump[(slice(None), *index)] = 1e-5
                up, down = (
                    log_likelihood(case.x, case.y, Experts(**case.values | {name: v}), gate)
                    for v in (value + bump, value - bump)
                )
                np.testing.assert_allclose(
                    found[name][(slice(None), *index)], (up - down) / 2e-5, rtol=1e-5, atol=1e-5
                )

    @pytest.mark.parametrize("gate", GATES[:3])
    def test_curvature_by_finite_differences(self, gate):
        case = problem()
        _, curvature, _ = _slope_and_curvature(
            one_pass(case.x, case.y, case.experts, gate), case.experts
        )
        p = curvature.shape[1] - 1  # but for the temperature, which is held
        for j in range(p):
            step = np.zeros((2, p + 1))
            step[:, j] = 1e-5
            slopes = []
            for sign in (1, -1):
                moved = _moved(case.experts, sign * step)
                slopes.append(_slope_and_curvature(one_pass(case.x, case.y, moved, gate), moved)[0])
            expected = (slopes[1] - slopes[0]) / 2e-5
            np.testing.assert_allclose(curvature[:, :p, j], expected[:, :p], rtol=1e-5, atol=1e-4)

    def test_one_mixture_serves_all_replications(self):
        case = problem()
        one, both = case.experts.take(np.array([1])), case.experts.take(np.array([1, 1]))
        for name, slope in gradient(case.x, case.y, both).items():
            np.testing.assert_allclose(gradient(case.x, case.y, one)[name], slope)
        here = gradient(case.x[:1], case.y[:1], case.experts)
        again = gradient(np.stack([case.x[0]] * 2), np.stack([case.y[0]] * 2), case.experts)
        for name, slope in again.items():
            np.testing.assert_allclose(here[name], slope)

    def test_on_another_backend(self, xp):
        case, host = problem(xp), problem()
        found = gradient(case.x, case.y, case.experts, Gate(2))
        expected = gradient(host.x, host.y, host.experts, Gate(2))
        for name in expected:
            np.testing.assert_allclose(np.asarray(found[name]), expected[name], atol=1e-10)


class TestFit:
    @pytest.mark.parametrize("gate", [Gate(), Gate(2, "slope"), Gate(2, "logit"), Gate(1)])
    def test_the_likelihood_never_falls(self, gate):
        x, y, truth = sample(400, gate=Gate(2, "slope"))
        result = fit(x, y, shaken(truth, 0.5), gate, max_iter=30)
        assert np.min(np.diff(result.history, axis=0)) > -1e-9 * 400
        np.testing.assert_allclose(
            result.log_likelihood, log_likelihood(x, y, result.experts, gate)
        )

    def test_recovers_the_truth(self):
        gate = Gate(2, "slope")
        x, y, truth = sample(20_000, gate=gate)
        result = fit(x, y, shaken(truth, 0.2), gate)
        assert np.all(result.converged)
        found = result.experts.relative_to(1)
        for name, atol in (
            ("a", 0.05),
            ("b", 0.05),
            ("sigma", 0.02),
            ("beta1", 0.5),
            ("beta0", 0.3),
        ):
            np.testing.assert_allclose(getattr(found, name), getattr(truth, name), atol=atol)

    def test_one_expert_is_least_squares(self):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(1, 50, 2)), rng.normal(size=(1, 50))
        zeros = np.zeros((1, 1))
        start = Experts(np.zeros((1, 1, 2)), zeros, np.zeros((1, 1, 2)), zeros, zeros + 1)
        found = fit(x, y, start).experts
        design = np.column_stack([x[0], np.ones(50)])
        line, (square,), *_ = np.linalg.lstsq(design, y[0])
        np.testing.assert_allclose([*found.a[0, 0], found.b[0, 0]], line)
        assert found.sigma[0, 0] == pytest.approx(np.sqrt(square / 50))

    def test_top_one_leaves_the_gate_where_it_is(self):
        x, y, truth = sample(300, gate=Gate(1))
        start = shaken(truth, 0.1)
        found = fit(x, y, start, Gate(1)).experts
        np.testing.assert_array_equal(found.beta1, start.beta1)
        np.testing.assert_array_equal(found.beta0, start.beta0)
        assert np.max(np.abs(found.a - start.a)) > 1e-3

    def test_an_expert_without_points_keeps_its_line(self):
        x, y, truth = sample(200)
        far = replace(truth, beta0=truth.beta0 + np.array([0, 0, -1e3]))
        found = fit(x, y, far, max_iter=5).experts
        np.testing.assert_array_equal(found.b[:, 2], far.b[:, 2])
        assert np.all(np.isfinite(found.sigma))

    def test_a_gate_can_be_held(self):
        x, y, truth = sample(500)
        for method in (fit, refine):
            found = method(x, y, shaken(truth, 0.1), reference=2, max_iter=5).experts
            np.testing.assert_array_equal(found.beta1[:, 2], shaken(truth, 0.1).beta1[:, 2])
            np.testing.assert_array_equal(found.tau, 1)


class TestHardCases:
    @pytest.mark.parametrize("method", [fit, refine])
    @pytest.mark.parametrize("gate", [Gate(), Gate(2), Gate(3, "slope")])
    @pytest.mark.parametrize("shift", [-3.0, 1e5, 1e7, -1e9])
    def test_inputs_far_from_zero(self, method, gate, shift):
        x, y, truth = sample(300, gate=gate)
        x = np.round(x * 2**20) / 2**20  # so that the shift rounds nothing
        start = shaken(truth, 0.3)
        near = method(x, y, start, gate, max_iter=60)
        far = method(x + shift, y, start.shifted(np.full((2, 1), -shift)), gate, max_iter=60)
        # the start's biases are rounded at 1e-16 of the shift
        tolerance = 1e-5 + 1e-10 * abs(shift)
        np.testing.assert_allclose(far.log_likelihood, near.log_likelihood, atol=tolerance)
        assert np.all(np.diff(far.history, axis=0) >= 0)
        np.testing.assert_allclose(far.experts.a, near.experts.a, atol=1e-2)

    @pytest.mark.parametrize("gate", [Gate(activation=tanh), Gate(2, "slope")])
    def test_gates_that_depend_on_the_place_never_fall_either(self, gate):
        x, y, truth = sample(200)
        history = fit(x + 1e4, y, shaken(truth, 0.1), gate, max_iter=20).history
        assert np.all(np.diff(history, axis=0) >= 0) and np.all(np.isfinite(history))

    def test_a_saturated_gate(self, xp):
        x = np.linspace(-1, 1, 20)
        y = np.abs(x) + 0.2 * np.sin(37 * x)
        a = np.array([[[-1.0], [1.0]]])
        start = {"beta1": a, "beta0": np.zeros((1, 2)), "a": a, "b": np.zeros((1, 2))}
        start = Experts(**{k: xp.asarray(v) for k, v in start.items()}, sigma=xp.full((1, 2), 0.2))
        found = fit(xp.asarray(x[None, :, None]), xp.asarray(y[None]), start)
        assert float(found.log_likelihood[0]) == pytest.approx(11.075153, abs=1e-6)

    @pytest.mark.parametrize("method", [fit, refine])
    def test_one_bad_replication_leaves_the_others(self, method):
        x, y, truth = sample(100, B=4)
        start = shaken(truth, 0.1)
        alone = method(x[:1], y[:1], start.take(np.array([0])), max_iter=30)
        x[1], x[2] = 0.5, np.where(x[2] > 0, 1.0, -1.0)  # no slope to be found; two inputs only
        y[3] = 2 * x[3, :, 0] + 1  # one line through all points
        found = method(x, y, start, max_iter=30)
        np.testing.assert_allclose(found.log_likelihood[0], alone.log_likelihood[0], rtol=1e-6)
        assert np.all(np.isfinite(found.history[-1])) and np.all(
            np.diff(found.history, axis=0) >= 0
        )


class TestRefine:
    @pytest.mark.parametrize("gate", [Gate(), Gate(2, "slope")])
    def test_ends_where_the_gradient_is_zero(self, gate):
        x, y, truth = sample(800, gate=gate)
        start = fit(x, y, shaken(truth, 0.1), gate, max_iter=3).experts
        result = refine(x, y, start, gate)
        assert np.all(result.converged) and np.min(np.diff(result.history, axis=0)) >= 0
        for slope in gradient(x, y, result.experts, gate).values():
            assert np.max(np.abs(slope[:-1] if slope.ndim == 1 else slope)) < 0.05

    def test_is_as_likely_as_em_at_its_end(self):
        x, y, truth = sample(500)
        slow, quick = (m(x, y, shaken(truth, 0.1)).log_likelihood for m in (fit, refine))
        np.testing.assert_allclose(quick, slow, atol=1e-4)
        assert np.all(quick >= slow - 1e-9)

    def test_learns_the_temperature_of_an_activation(self):
        gate = Gate(activation=tanh)
        x, y, truth = sample(20_000, gate=gate)
        start = replace(truth, tau=np.full(2, 1.3))
        found = refine(x, y, start, gate, reference=1, learn_tau=True)
        assert np.all(found.converged)
        slopes = gradient(x, y, found.experts, gate)
        assert np.max(np.abs(slopes["tau"])) < 0.05
        assert np.all(found.log_likelihood > log_likelihood(x, y, truth, gate))

    def test_on_another_backend(self, xp):
        x, y, truth = sample(200)
        start = shaken(truth, 0.1)
        there = Experts(**{name: xp.asarray(value) for name, value in vars(start).items()})
        for method in (fit, refine):
            found = method(xp.asarray(x), xp.asarray(y), there, max_iter=4)
            expected = method(x, y, start, max_iter=4)
            np.testing.assert_allclose(np.asarray(found.history), expected.history, rtol=1e-9)


@pytest.mark.parametrize("method", [fit, refine])
@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"tol": -1}, "tol"),
        ({"max_iter": 0}, "max_iter"),
        ({"reference": -4}, "reference"),
        ({"reference": 3}, "reference"),
    ],
)
def test_bad_input_is_named(method, change, name):
    x, y, truth = sample(50)
    with pytest.raises(ValueError, match=f"^{name}"):
        method(x, y, truth, **change)
    with pytest.raises(ValueError, match="^y"):
        method(x, y[:, :-1], truth)
    with pytest.raises(ValueError, match="^start"):
        method(x, y, truth.take(np.array([0])))
