from itertools import pairwise

import numpy as np
import pytest
from autograd.misc import optimizers
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize as scipy_minimize

from gaussbook import autodiff as ad
from gaussbook.arrays import to_host
from gaussbook.optim import (
    SGD,
    Adam,
    AdamW,
    clip_by_global_norm,
    cosine_decay,
    minimize_lbfgs,
    warm_up,
)

CURVATURE = np.array([1.0, 10.0, 100.0])


def descend(adam, x, steps):
    """Minimise the quadratic of the given curvatures."""
    for _ in range(steps):
        x = adam.step({"x": x}, {"x": CURVATURE * x})["x"]
    return x


class TestAdam:
    def test_agrees_with_autograds(self):
        start = np.array([1.0, -2.0, 3.0])
        expected = optimizers.adam(
            lambda x, _: CURVATURE * x, start, num_iters=50, step_size=0.05, eps=1e-3
        )
        np.testing.assert_allclose(descend(Adam(0.05, epsilon=1e-3), start, 50), expected)

    def test_first_step_has_the_size_of_the_rate(self):
        grads = {"a": np.array([1e-3, -5.0]), "b": np.array(1e4)}
        params = {"a": np.zeros(2), "b": np.array(0.0)}
        moved = Adam(0.1, multipliers={"b": 10}).step(params, grads)
        np.testing.assert_allclose(moved["a"], [-0.1, 0.1], rtol=1e-4)
        np.testing.assert_allclose(moved["b"], -1.0)

    def test_a_multiplier_is_a_change_of_unit(self):
        # Training u = c x at rate eta moves x by eta / c: the gradient's own scale drops out.
        c, x = 0.1, np.array([1.0, -2.0, 3.0])
        by_multiplier = Adam(0.01, multipliers={"x": 1 / c}, epsilon=1e-12)
        in_other_units, u = Adam(0.01, epsilon=1e-12), c * x
        for _ in range(20):
            x = by_multiplier.step({"x": x}, {"x": CURVATURE * x})["x"]
            u = in_other_units.step({"u": u}, {"u": CURVATURE * u / c**2})["u"]
        np.testing.assert_allclose(u / c, x)

    def test_leaves_its_arguments_alone(self):
        params, grads = {"x": np.ones(3)}, {"x": np.full(3, 2.0)}
        adam = Adam(0.1)
        adam.step(params, grads)
        adam.step(params, grads)
        np.testing.assert_array_equal(params["x"], 1)
        np.testing.assert_array_equal(grads["x"], 2)

    def test_decay_ends_at_the_minimum(self):
        start = np.array([1.0, -2.0, 3.0])
        end = descend(Adam(cosine_decay(0.1, 500)), start, 500)
        np.testing.assert_allclose(end, 0, atol=1e-3)

    def test_keeps_single_precision(self):
        x = Adam().step({"x": np.ones(2, np.float32)}, {"x": np.ones(2, np.float32)})["x"]
        assert x.dtype == np.float32

    def test_same_in_every_namespace(self, xp):
        start = np.array([1.0, -2.0, 3.0])
        adam, x = Adam(0.05), xp.asarray(start)
        for _ in range(5):
            x = adam.step({"x": x}, {"x": xp.asarray(CURVATURE) * x})["x"]
        np.testing.assert_allclose(to_host(x), descend(Adam(0.05), start, 5))

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            ({"learning_rate": 0}, "learning_rate"),
            ({"learning_rate": float("nan")}, "learning_rate"),
            ({"beta1": 1}, "beta1"),
            ({"beta2": -0.1}, "beta2"),
            ({"epsilon": 0}, "epsilon"),
            ({"multipliers": {"x": -1}}, "multipliers"),
        ],
    )
    def test_bad_settings(self, arguments, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            Adam(**arguments)

    @pytest.mark.parametrize(
        ("multipliers", "grads", "name"),
        [
            ({}, {"y": np.ones(3)}, "grads"),
            ({}, {"x": np.ones(2)}, "grads"),
            ({"z": 2.0}, {"x": np.ones(3)}, "multipliers"),
        ],
    )
    def test_bad_step(self, multipliers, grads, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            Adam(multipliers=multipliers).step({"x": np.ones(3)}, grads)


class TestCosineDecay:
    @settings(max_examples=50, deadline=None)
    @given(st.floats(1e-6, 10), st.integers(1, 10_000), st.floats(0, 1))
    def test_falls_from_one_end_to_the_other(self, initial, steps, share):
        rate = cosine_decay(initial, steps, share * initial)
        values = [rate(t) for t in range(0, steps + 1, max(1, steps // 50))]
        assert values[0] == pytest.approx(initial)
        assert rate(steps) == rate(2 * steps) == pytest.approx(share * initial)
        assert all(a >= b for a, b in pairwise(values))

    def test_half_way_it_is_in_the_middle(self):
        assert cosine_decay(1.0, 10, 0.5)(5) == pytest.approx(0.75)

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [((0.0, 5), "initial"), ((1.0, 0), "steps"), ((1.0, 2.5), "steps"), ((1, 5, -1), "final")],
    )
    def test_bad_input(self, arguments, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            cosine_decay(*arguments)


TREE = {"layers": [{"weight": np.ones((2, 3)), "bias": np.zeros(3)}], "scale": np.array(2.0)}
SLOPES = ad.tree_map(lambda leaf: leaf + 0.5, TREE)


class TestTrees:
    @pytest.mark.parametrize("make", [Adam, AdamW, lambda rate: SGD(rate, momentum=0.9)])
    def test_each_array_moves_as_it_would_alone(self, make):
        joint, tree = make(0.1), TREE
        alone, x = make(0.1), TREE["layers"][0]["weight"]
        for _ in range(3):
            tree = joint.step(tree, SLOPES)
            x = alone.step({"x": x}, {"x": SLOPES["layers"][0]["weight"]})["x"]
        np.testing.assert_array_equal(tree["layers"][0]["weight"], x)
        assert tree["scale"].shape == ()

    def test_multipliers_name_arrays_and_branches(self):
        moved = Adam(0.1, multipliers={"layers": 0, "scale": 2}).step(TREE, SLOPES)
        np.testing.assert_array_equal(moved["layers"][0]["weight"], 1)
        assert moved["scale"] == pytest.approx(1.8)

    def test_structures_must_agree(self):
        with pytest.raises(ValueError, match="^grads"):
            Adam().step(TREE, {"scale": np.array(1.0)})


class TestReindex:
    def test_rows_keep_their_means(self, xp):
        source = np.array([2, 0, -1, 2])
        rows, other = np.arange(6.0).reshape(3, 2), np.ones(2)
        grads = {"rows": xp.asarray(rows - 2.5), "other": xp.asarray(other)}
        adam = Adam(0.1)
        for _ in range(3):
            adam.step({"rows": xp.asarray(rows), "other": xp.asarray(other)}, grads)
        before = to_host(adam._means["rows"][0])
        adam.reindex({"rows": xp.asarray(source)})
        after = to_host(adam._means["rows"][0])
        np.testing.assert_array_equal(after[[0, 1, 3]], before[[2, 0, 2]])
        np.testing.assert_array_equal(after[2], 0)
        larger = xp.asarray(np.zeros((4, 2)))
        moved = adam.step({"rows": larger, "other": xp.asarray(other)}, {**grads, "rows": larger})
        assert moved["rows"].shape == (4, 2)
        assert to_host(moved["rows"])[2, 0] == 0

    def test_one_array_for_all_names_and_before_the_first_step(self):
        sgd = SGD(0.1, momentum=0.5)
        sgd.reindex(np.array([0]))
        params = {"a": np.ones((3, 2)), "b": np.ones(3)}
        sgd.step(params, params)
        sgd.reindex(np.array([1, 1, -1, -1]))
        grown = {"a": np.zeros((4, 2)), "b": np.zeros(4)}
        np.testing.assert_allclose(sgd.step(grown, grown)["b"], [-0.05, -0.05, 0, 0])

    @pytest.mark.parametrize(
        ("source", "name"),
        [
            (np.array([3]), "source"),
            (np.array([-2]), "source"),
            (np.array([0.5]), "source"),
            (np.array([[0]]), "source"),
            ({"z": np.array([0])}, "source"),
        ],
    )
    def test_bad_source(self, source, name):
        adam = Adam()
        adam.step({"x": np.ones(3)}, {"x": np.ones(3)})
        with pytest.raises(ValueError, match=f"^{name}"):
            adam.reindex(source)

    def test_a_changed_shape_without_reindex_is_an_error(self):
        adam = Adam()
        adam.step({"x": np.ones(3)}, {"x": np.ones(3)})
        with pytest.raises(ValueError, match="^params"):
            adam.step({"x": np.ones(4)}, {"x": np.ones(4)})


class TestRules:
    def test_weight_decay_shrinks_matrices(self):
        params = {"W": np.ones((2, 2)), "b": np.ones(2)}
        still = {"W": np.zeros((2, 2)), "b": np.zeros(2)}
        moved = AdamW(0.1, weight_decay=0.5).step(params, still)
        np.testing.assert_allclose(moved["W"], 0.95)
        np.testing.assert_array_equal(moved["b"], 1)
        both = AdamW(0.1, weight_decay=0.5, matrices_only=False).step(params, still)
        np.testing.assert_allclose(both["b"], 0.95)

    @pytest.mark.parametrize("nesterov", [False, True])
    def test_momentum_written_out(self, nesterov):
        start = np.array([1.0, -2.0, 3.0])
        x, u = start, np.zeros(3)
        for _ in range(10):
            g = CURVATURE * x
            u = 0.9 * u + g
            x = x - 1e-3 * (g + 0.9 * u if nesterov else u)
        got = descend(SGD(1e-3, momentum=0.9, nesterov=nesterov), start, 10)
        np.testing.assert_allclose(got, x)

    @pytest.mark.parametrize(
        ("call", "name"),
        [
            (lambda: SGD(0), "learning_rate"),
            (lambda: SGD(momentum=1), "momentum"),
            (lambda: SGD(nesterov=True), "nesterov"),
            (lambda: AdamW(weight_decay=-1), "weight_decay"),
            (lambda: clip_by_global_norm({"a": np.ones(2)}, 0), "limit"),
            (lambda: clip_by_global_norm({}, 1), "grads"),
            (lambda: warm_up(0.1, 0), "steps"),
            (lambda: warm_up(-0.1, 5), "schedule"),
        ],
    )
    def test_bad_settings(self, call, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            call()


class TestClipping:
    def test_joint_norm(self):
        grads = {"a": np.array([3.0, 0.0]), "b": [np.array(4.0)]}
        short, norm = clip_by_global_norm(grads, 1.0)
        assert norm == 5
        np.testing.assert_allclose(short["a"], [0.6, 0])
        np.testing.assert_allclose(short["b"][0], 0.8)
        same, _ = clip_by_global_norm(grads, 5.0)
        np.testing.assert_array_equal(same["a"], grads["a"])

    def test_zero_stays_zero(self):
        np.testing.assert_array_equal(clip_by_global_norm({"a": np.zeros(2)}, 1.0)[0]["a"], 0)


class TestSchedules:
    def test_values(self):
        rate = warm_up(cosine_decay(1.0, 10), 4)
        assert [rate(t) for t in range(5)] == [0.25, 0.5, 0.75, 1, 1]
        assert rate(9) == pytest.approx(0.5)


class TestLBFGS:
    def rosenbrock(self, p):
        return 100 * (p["y"] - p["x"] ** 2) ** 2 + (1 - p["x"]) ** 2

    def test_rosenbrocks_valley(self, xp):
        start = {"x": xp.asarray(-1.2), "y": xp.asarray(1.0)}
        found = minimize_lbfgs(self.rosenbrock, start)
        assert found.converged
        assert float(found.params["x"]) == pytest.approx(1, abs=1e-4)
        assert type(found.params["y"]) is type(start["y"])
        assert found.value == pytest.approx(0, abs=1e-8)

    def test_with_its_own_gradient(self):
        found = minimize_lbfgs(
            lambda p: (np.sum(CURVATURE * p["x"] ** 2), {"x": 2 * CURVATURE * p["x"]}),
            {"x": np.ones(3, np.float32)},
            has_gradient=True,
        )
        assert found.params["x"].dtype == np.float32
        np.testing.assert_allclose(found.params["x"], 0, atol=1e-4)

    def test_turns_back_at_a_wall(self):
        with np.errstate(invalid="ignore", divide="ignore"):
            found = minimize_lbfgs(lambda p: ad.sum(p * 10 - ad.log(p)), np.array([5.0, 0.2]))
        np.testing.assert_allclose(found.params, 0.1, rtol=1e-4)

    @pytest.mark.parametrize(
        ("settings_", "name"),
        [
            ({"max_steps": 0}, "max_steps"),
            ({"tolerance": 0}, "tolerance"),
            ({"memory": 0}, "memory"),
        ],
    )
    def test_bad_input(self, settings_, name):
        with pytest.raises(ValueError, match=f"^{name}"):
            minimize_lbfgs(lambda p: ad.sum(p), np.ones(2), **settings_)
        with pytest.raises(ValueError, match="^params"):
            minimize_lbfgs(lambda p: ad.sum(p) * float("nan"), np.ones(2))


class TestExtremes:
    @pytest.mark.parametrize("size", [1e-30, 1e30])
    def test_clipping_in_single_precision_neither_overflows_nor_underflows(self, size):
        grads = {"a": np.full(3, size, np.float32), "b": np.zeros((0, 2), np.float32)}
        clipped, norm = clip_by_global_norm(grads, size)
        np.testing.assert_allclose(norm, size * 3**0.5, rtol=1e-6)
        np.testing.assert_allclose(clipped["a"], size / 3**0.5, rtol=1e-6)

    def test_two_parameters_of_one_name(self):
        params = {"a/b": np.ones(1), "a": {"b": np.ones(1)}}
        with pytest.raises(ValueError, match="^params has two arrays of one name"):
            Adam().step(params, params)

    def test_lbfgs_wants_floating_parameters(self):
        with pytest.raises(ValueError, match="^params must hold floating"):
            minimize_lbfgs(lambda p: (float(np.sum(p)), p), np.arange(3), has_gradient=True)

    def test_lbfgs_has_evaluations_for_all_steps_it_is_allowed(self, monkeypatch):
        seen = {}

        def recorded(*args, options, **kwargs):
            seen.update(options)
            return scipy_minimize(*args, options=options, **kwargs)

        monkeypatch.setattr("scipy.optimize.minimize", recorded)
        minimize_lbfgs(lambda x: ad.sum(x**2), np.ones(2), max_steps=10_000)
        assert seen["maxfun"] >= 20 * seen["maxiter"]

    def test_a_refused_step_changes_nothing(self):
        adam, twin = Adam(0.1), Adam(0.1)
        params = {"a": np.ones(2), "b": np.ones(3)}
        for optimiser in (adam, twin):
            optimiser.step(params, params)
        grown = params | {"b": np.ones(4)}
        with pytest.raises(ValueError, match=r"^params\['b'\] had shape"):
            adam.step(grown, grown)
        ours, expected = adam.step(params, params), twin.step(params, params)
        np.testing.assert_array_equal(ours["a"], expected["a"])


class TestClippingAtTheEndsOfTheType:
    @pytest.mark.parametrize(
        ("grads", "limit", "right"),
        [
            ([3e38, 3e38], 1.0, [0.5**0.5] * 2),
            ([3e38, 0.0], 2.0, [2.0, 0.0]),
            ([3e38, 3e38], 4e38, [4e38 * 0.5**0.5] * 2),
            ([3e38, 3e38], 1e300, [3e38 * 1.0, 3e38 * 1.0]),
            ([1e-40, 1e-40], 1.0, [1e-40, 1e-40]),
            ([1e-30, 1e-30], 1e-31, [1e-31 * 0.5**0.5] * 2),
            ([0.1, 0.7], 1.0, [0.1, 0.7]),
        ],
    )
    @pytest.mark.filterwarnings("ignore:overflow")
    def test_single_precision(self, xp, grads, limit, right):
        given = xp.asarray(grads, dtype=xp.float32)
        clipped, norm = clip_by_global_norm({"a": given}, limit)
        got = to_host(clipped["a"])
        assert got.dtype == np.float32
        if limit < 1e300:
            np.testing.assert_allclose(got, np.asarray(right, np.float32), rtol=1e-6)
        if not float(norm) > limit:
            np.testing.assert_array_equal(got, to_host(given))  # left as they are, to the bit

    @pytest.mark.filterwarnings("ignore:overflow")
    def test_halves_of_two_arrays(self):
        big = np.full(1, 3e38, np.float32)
        clipped, _ = clip_by_global_norm([big, {"b": -big}], 1.0)
        np.testing.assert_allclose(clipped[0], 0.5**0.5)
        np.testing.assert_allclose(clipped[1]["b"], -(0.5**0.5))


class TestTypesOfParameters:
    """A step leaves every parameter in its own type, whatever the gradient's is."""

    @pytest.mark.parametrize(
        "optimiser", [Adam, AdamW, SGD, lambda: SGD(momentum=0.9), lambda: SGD(0.1, momentum=0.5)]
    )
    @pytest.mark.parametrize("slope", ["float32", "float64"])
    @pytest.mark.parametrize("own", ["float32", "float64"])
    def test_steps(self, xp, optimiser, own, slope):
        x = {"a": xp.ones((2, 2), dtype=getattr(xp, own)), "b": [xp.ones(2, dtype=xp.float64)]}
        rule = optimiser()
        for _ in range(3):
            grads = {"a": xp.ones((2, 2), dtype=getattr(xp, slope)), "b": [xp.ones(2)]}
            x = rule.step(x, grads)
        assert x["a"].dtype == getattr(xp, own)
        assert x["b"][0].dtype == xp.float64

    def test_single_parameters_of_double_data(self):
        data = np.arange(6.0).reshape(3, 2)
        x = {"w": np.zeros(2, np.float32), "s": np.ones((), np.float32)}
        slope = ad.grad(lambda p: ad.sum((data @ p["w"] * p["s"] - 1.0) ** 2))
        for rule in (Adam(), SGD()):
            for _ in range(3):
                x = rule.step(x, slope(x))
            assert {leaf.dtype for leaf in x.values()} == {np.dtype(np.float32)}
        found = minimize_lbfgs(lambda p: ad.sum((data @ p["w"] - 1.0) ** 2) + p["b"] ** 2,
                               {"w": x["w"], "b": np.ones(())})  # fmt: skip
        assert found.converged
        assert found.params["w"].dtype == np.float32
        assert found.params["b"].dtype == np.float64

    @pytest.mark.parametrize(
        ("value", "slope", "name"),
        [
            (np.ones(2, int), np.ones(2), "params"),
            (np.ones(2), np.ones(2, int), "grads"),
            (np.ones(2), np.ones(2, complex), "grads"),
            (np.ones(2, complex), np.ones(2), "params"),
        ],
    )
    def test_other_numbers_are_refused(self, value, slope, name):
        for rule in (Adam(), SGD()):
            with pytest.raises(ValueError, match=f"^{name}"):
                rule.step({"x": value}, {"x": slope})
        with pytest.raises(ValueError, match="^params"):
            minimize_lbfgs(lambda p: ad.sum(p["x"] ** 2), {"x": np.ones(2, int), "y": np.ones(2)})
