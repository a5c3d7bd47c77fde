from itertools import pairwise

import array_api_strict
import numpy as np
import pytest
from autograd.misc import optimizers
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussbook.optim import Adam, cosine_decay

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

    def test_runs_on_the_strict_standard(self):
        start = np.array([1.0, -2.0, 3.0])
        adam, x = Adam(0.05), array_api_strict.asarray(start)
        for _ in range(5):
            x = adam.step({"x": x}, {"x": array_api_strict.asarray(CURVATURE) * x})["x"]
        np.testing.assert_allclose(np.asarray(x), descend(Adam(0.05), start, 5))

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
