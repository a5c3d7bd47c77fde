"""Gates and densities of experts: SciPy's densities, sorting and brute force as oracles."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm

from gaussbook.experts import (
    Experts,
    Gate,
    conditional_density,
    gate_log_weights,
    log_likelihood,
    topk_gate,
)
from gaussbook.experts.model import one_pass

from .problems import problem, tanh

GATES = [
    Gate(),
    Gate(2),
    Gate(2, "slope"),
    Gate(1),
    Gate(activation=tanh),
    Gate(2, "slope", tanh),
]


def by_hand(case, b, gate):
    """Log-weights and log-normals of replication b, point by point."""
    v = case.values
    rows = []
    for x in np.asarray(case.x)[b]:
        t = v["beta1"][b] @ x
        t = t if gate.activation is None else gate.activation(t)[0]
        logits = t + v["beta0"][b]
        rank = logits if gate.select_on == "logit" else t
        active = np.argsort(-rank, kind="stable")[: gate.n_active]
        z = np.full(len(t), -np.inf)
        z[active] = log_softmax(logits[active] / v["tau"][b])
        rows.append(z)
    mean = np.asarray(case.x)[b] @ v["a"][b].T + v["b"][b]
    return np.stack(rows), norm.logpdf(np.asarray(case.y)[b][:, None], mean, v["sigma"][b])


@pytest.mark.parametrize("gate", GATES)
class TestAgainstScipy:
    def test_weights_likelihood_and_responsibilities(self, xp, gate):
        case = problem(xp)
        log_w = np.asarray(gate_log_weights(case.x, case.experts, gate))
        found = one_pass(case.x, case.y, case.experts, gate)
        shares, log_density = map(np.asarray, (found.shares, found.log_density))
        total = np.asarray(log_likelihood(case.x, case.y, case.experts, gate))
        for b in range(2):
            weights, normals = by_hand(case, b, gate)
            np.testing.assert_allclose(log_w[b], weights.T, atol=1e-12)
            joint = weights + normals
            expected = logsumexp(joint, axis=1)
            np.testing.assert_allclose(log_density[b], expected, atol=1e-12)
            np.testing.assert_allclose(shares[b], np.exp(joint - expected[:, None]).T, atol=1e-12)
            assert total[b] == pytest.approx(expected.sum())

    def test_densities_on_a_grid_are_those_of_the_points(self, xp, gate):
        case = problem(xp, n=5)
        grid = np.linspace(-12, 12, 1501)
        density = np.asarray(conditional_density(case.x, xp.asarray(grid), case.experts, gate))
        np.testing.assert_allclose(np.trapezoid(density, grid), 1, atol=1e-6)
        here = xp.asarray(np.full((2, 5), grid[700]))
        log_density = one_pass(case.x, here, case.experts, gate).log_density
        np.testing.assert_allclose(density[:, :, 700], np.exp(np.asarray(log_density)))


class TestTopkGate:
    def test_all_active_is_the_dense_softmax(self, xp):
        rng = np.random.default_rng(1)
        scores, bias = rng.normal(size=(2, 4, 9)), rng.normal(size=(2, 4))
        for select_on in ("logit", "slope"):
            found = topk_gate(xp.asarray(scores), xp.asarray(bias), 4, select_on)
            np.testing.assert_allclose(
                np.asarray(found), log_softmax(scores + bias[:, :, None], axis=1)
            )

    def test_selection_with_and_without_the_bias(self, xp):
        scores, bias = xp.asarray([[[3.0], [2.0], [1.0]]]), xp.asarray([[0.0, 0.0, 5.0]])
        by_logit = np.asarray(topk_gate(scores, bias, 2))[0, :, 0]
        np.testing.assert_allclose(by_logit, [-np.log1p(np.e**3), -np.inf, -np.log1p(np.e**-3)])
        by_slope = np.asarray(topk_gate(scores, bias, 2, "slope"))[0, :, 0]
        np.testing.assert_allclose(by_slope, [-np.log1p(1 / np.e), -np.log1p(np.e), -np.inf])

    def test_of_equal_scores_the_first_is_taken(self, xp):
        found = topk_gate(xp.zeros((1, 4, 1)), xp.zeros((1, 4)), 2)
        assert np.isfinite(np.asarray(found))[0, :, 0].tolist() == [True, True, False, False]

    @settings(max_examples=40, deadline=None)
    @given(st.integers(1, 5), st.integers(0, 10**6))
    def test_k_experts_are_active_and_weights_sum_to_one(self, K, seed):
        rng = np.random.default_rng(seed)
        scores = rng.integers(-3, 4, size=(1, 5, 20)).astype(float)  # with many ties
        log_w = topk_gate(scores, np.zeros((1, 5)), K)
        assert np.all(np.sum(np.isfinite(log_w), axis=1) == K)
        np.testing.assert_allclose(np.exp(log_w).sum(axis=1), 1)

    def test_huge_scores_do_not_overflow(self, xp):
        log_w = topk_gate(xp.asarray([[[1e4], [-1e4], [9e3]]]), xp.zeros((1, 3)), 2)
        np.testing.assert_allclose(np.asarray(log_w)[0, :, 0], [0, -np.inf, -1e3])

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"scores": np.zeros((3, 4))}, "scores"),
            ({"bias": np.zeros((1, 2))}, "bias"),
            ({"n_active": 0}, "n_active"),
            ({"n_active": 4}, "n_active"),
            ({"n_active": 1.5}, "n_active"),
            ({"select_on": "size"}, "select_on"),
        ],
    )
    def test_bad_input_is_named(self, change, name):
        good = {"scores": np.zeros((1, 3, 5)), "bias": np.zeros((1, 3)), "n_active": 2}
        with pytest.raises(ValueError, match=f"^{name}"):
            topk_gate(**(good | change))


class TestInvariances:
    @pytest.mark.parametrize("gate", GATES)
    def test_order_of_the_experts_does_not_matter(self, gate):
        case = problem()
        shuffled = case.experts.take(np.array([2, 0, 1]), axis=1)
        np.testing.assert_allclose(
            log_likelihood(case.x, case.y, shuffled, gate),
            log_likelihood(case.x, case.y, case.experts, gate),
        )

    def test_a_linear_gate_sees_only_differences(self):
        case = problem()
        shifted = case.experts.relative_to(1)
        assert not shifted.beta1[:, 1].any() and not shifted.beta0[:, 1].any()
        np.testing.assert_allclose(
            gate_log_weights(case.x, shifted), gate_log_weights(case.x, case.experts), atol=1e-12
        )

    def test_a_linear_gate_sees_only_ratios_to_the_temperature(self):
        case = problem()
        scaled = Experts(
            **case.values | {name: 3 * case.values[name] for name in ("beta1", "beta0", "tau")}
        )
        before, after = (gate_log_weights(case.x, e) for e in (case.experts, scaled))
        np.testing.assert_allclose(after, before, atol=1e-12)
        changed = gate_log_weights(case.x, scaled, Gate(activation=tanh))
        assert np.max(np.abs(changed - gate_log_weights(case.x, case.experts, GATES[4]))) > 0.1

    def test_limits_of_the_temperature(self):
        values = problem(d=1).values
        hot, cold = (Experts(**values | {"tau": np.full(2, tau)}) for tau in (1e9, 1e-9))
        x = problem(d=1).x
        np.testing.assert_allclose(gate_log_weights(x, hot), -math.log(3), atol=1e-6)
        np.testing.assert_allclose(
            np.exp(gate_log_weights(x, cold)), np.exp(gate_log_weights(x, cold, Gate(1)))
        )

    def test_one_mixture_serves_all_replications(self):
        case = problem()
        one = case.experts.take(np.array([0]))
        both = case.experts.take(np.array([0, 0]))
        for gate in GATES:
            np.testing.assert_allclose(
                log_likelihood(case.x, case.y, one, gate),
                log_likelihood(case.x, case.y, both, gate),
            )


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"beta1": np.zeros((2, 3))}, "beta1"),
            ({"beta0": np.zeros((2, 2))}, "beta0"),
            ({"a": np.zeros((2, 3, 1))}, "a"),
            ({"b": np.full((2, 3), np.nan)}, "b"),
            ({"sigma": np.zeros((2, 3))}, "sigma"),
            ({"tau": -np.ones(2)}, "tau"),
            ({"tau": np.ones(3)}, "tau"),
        ],
    )
    def test_parameters(self, change, name):
        with pytest.raises(ValueError, match=f"^{name} "):
            Experts(**problem().values | change)

    @pytest.mark.parametrize(
        ("arguments", "name"), [({"n_active": 0}, "n_active"), ({"select_on": "x"}, "select_on")]
    )
    def test_gates(self, arguments, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            Gate(**arguments)

    def test_data(self):
        case = problem()
        for x, y, gate, name in (
            (case.x[0], case.y, Gate(), "x"),
            (case.x[:, :, :1], case.y, Gate(), "x"),
            (case.x[:, :0], case.y[:, :0], Gate(), "x"),
            (case.x * np.nan, case.y, Gate(), "x"),
            (case.x, case.y[:, :-1], Gate(), "y"),
            (case.x, case.y * np.inf, Gate(), "y"),
            (case.x, case.y, Gate(4), "gate"),
        ):
            with pytest.raises(ValueError, match=f"^{name} "):
                log_likelihood(x, y, case.experts, gate)
        with pytest.raises(ValueError, match="^grid"):
            conditional_density(case.x, np.zeros((2, 2)), case.experts)
        for axis, reference in ((2, 0), (0, 3)):
            with pytest.raises(ValueError, match="^axis" if axis else "^reference"):
                if axis:
                    case.experts.take(np.array([0]), axis=axis)
                else:
                    case.experts.relative_to(reference)
