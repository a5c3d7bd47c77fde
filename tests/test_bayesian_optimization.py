"""The acquisition functions of the chapter on Bayesian optimisation, in any unit of its targets."""

import ast
from pathlib import Path

import numpy as np
import pytest

CHAPTER = Path(__file__).parents[1] / "book" / "processes" / "bayesian_optimization.py"


@pytest.fixture(scope="module")
def chapter():
    """Return the chapter's imports and the functions above its experiments, without its runs."""
    tree = ast.parse(CHAPTER.read_text(encoding="utf-8"))
    kinds = ast.Import | ast.ImportFrom | ast.FunctionDef
    last = [getattr(node, "name", "") for node in tree.body].index("noisy_ei")
    kept = [node for node in tree.body[: last + 1] if isinstance(node, kinds)]
    names = {"xp": np}
    exec(compile(ast.Module(kept, []), str(CHAPTER), "exec"), names)
    return names


@pytest.mark.parametrize("unit", [1e-9, 1e-5, 1e3, 1e9])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_values_scale_with_the_unit(chapter, unit, noise):
    grid, seen = np.linspace(0, 1, 21), np.array([[2, 9, 16]])
    K = chapter["SquaredExponential"](1.0, 0.15)(grid)
    y = np.array([0.2, 1.0, -0.5])
    found = {}
    for u in (1.0, unit):
        mu, C = chapter["condition"](u**2 * K, seen[0], u * y, u**2 * noise)
        for rule in ("plug_in_ei", "knowledge_gradient", "noisy_ei"):
            value = chapter[rule](mu[None], C[None], seen, u**2 * noise) / u
            found.setdefault(rule, []).append(value)
    for usual, scaled in found.values():
        assert np.max(usual) > 1e-3
        np.testing.assert_allclose(scaled, usual, atol=1e-6)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_a_known_point_without_noise_changes_nothing(chapter, unit):
    grid = np.linspace(0, 1, 11)
    K = unit**2 * chapter["SquaredExponential"](1.0, 0.3)(grid)
    mu, C, i, y = np.zeros((1, 11)), K[None], np.array([4]), np.array([0.7 * unit])
    mu, C = chapter["observe"](mu, C, i, y, 0.0)
    assert mu[0, 4] == pytest.approx(0.7 * unit)
    again = chapter["observe"](mu, C, i, y, 0.0)
    np.testing.assert_array_equal(again[0], mu)
    np.testing.assert_array_equal(again[1], C)
