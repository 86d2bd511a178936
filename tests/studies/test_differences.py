"""The parts of a correlated difference: the Jacobian of the warp, and an error bar in which common noise cancels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from nnqmc.observables import warped
from nnqmc.studies.differences import _jackknife, log_jacobian


def test_the_jacobian_is_that_of_finite_differences():
    before, after = np.array([[0.0, 0, 0], [0, 0, 1.4]]), np.array([[0.0, 0, 0], [0.1, 0, 1.7]])
    electrons = np.array([[0.3, -0.2, 0.5], [0.1, 0.4, 1.2]], np.float32)
    total, step = 0.0, 1e-2
    for electron in electrons:
        moved = [warped(jnp.asarray(electron + sign * step * axis, jnp.float32), before, after)
                 for axis in np.eye(3) for sign in (1, -1)]
        columns = [(np.float64(moved[2 * i]) - np.float64(moved[2 * i + 1])) / (2 * step) for i in range(3)]
        total += np.log(np.linalg.det(np.stack(columns, axis=1)))
    np.testing.assert_allclose(jax.jit(lambda x: log_jacobian(x, before, after))(electrons), total, atol=2e-3)


def test_what_both_energies_have_in_common_cancels_and_weights_count():
    """Walkers with equal weights and energies that differ by 0.5; then weights that leave one walker in ten."""
    rng = np.random.default_rng(0)
    energies, n = rng.normal(size=200), 200
    ones = np.ones(n)
    (value, error), overlap = _jackknife(np.stack([energies, energies + 0.5, ones, ones, ones], axis=1))
    assert abs(value - 0.5) < 1e-12 and error < 1e-12 and overlap == 1.0
    second = rng.normal(size=n)
    (value, error), _ = _jackknife(np.stack([energies, second, ones, ones, ones], axis=1))
    assert np.isclose(error, np.std(second - energies, ddof=1) / np.sqrt(n), rtol=1e-6)
    few = np.where(np.arange(n) < 20, 1.0, 0.0)
    assert np.isclose(_jackknife(np.stack([energies, few * energies, few, few, ones], axis=1))[1], 0.1)
