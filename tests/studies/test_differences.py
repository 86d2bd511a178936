"""The parts of a correlated difference: the Jacobian of the warp, and an error bar in which common noise cancels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.job import Result
from nnqmc.job.build import Components
from nnqmc.observables import warped
from nnqmc.samplers import Metropolis
from nnqmc.statistics import Estimate
from nnqmc.studies import differences as module
from nnqmc.studies.differences import _jackknife, difference, log_jacobian
from nnqmc.trained import Trained
from nnqmc.typing import LocalEnergy, SignedLog, System, Walkers

STIFFNESS = 3.0


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


def gaussian(half: float) -> Components:
    """One electron in exp(-a r^2 / 2) at a spring, beside two nuclei, which it feels in nothing but the warp."""
    system = System(np.array([[0.0, 0.0, -half], [0.0, 0.0, half]]), np.ones(2), 1, 0, ("H", "H"))

    def log_psi(params, electrons, system):
        return SignedLog(jnp.ones((), electrons.dtype), -0.5 * params * jnp.sum(electrons**2))

    def hamiltonian(psi, electrons, system, key):
        gradient, hessian = (slope(lambda r: psi(r, system).logabs)(electrons).ravel() for slope in (
            jax.grad, jax.hessian))
        kinetic = -0.5 * (jnp.trace(hessian.reshape(3, 3)) + jnp.sum(gradient**2))
        return LocalEnergy(kinetic + 0.5 * STIFFNESS * jnp.sum(electrons**2), {})

    return Components(system, None, log_psi, hamiltonian, Metropolis(sweeps=5), None, None, None, {})


@pytest.mark.parametrize(("exponents", "halves"), [((1.2, 0.9), (0.7, 1.0)), ((1.0, 1.5), (1.0, 0.7))])
def test_two_gaussians_have_the_difference_of_their_exact_energies(exponents, halves, monkeypatch):
    """E = 3/4 (a + k/a), wherever the nuclei are: moving them is undone by the Jacobian of the warp alone."""
    parts = {str(half): gaussian(half) for half in halves}

    class Opened:
        def __init__(self, half, energy):
            self.config, self.energy = {"wavefunction": {"name": str(half)}, "only": "for this test"}, energy

        def load_result(self):
            return Result("H2+", Estimate(self.energy, 1.0, 1.0, 1.0, 1.0, 1000))

    exact = [0.75 * (a + STIFFNESS / a) for a in exponents]
    runs = {}
    for name, a, half, energy in zip(("one", "other"), exponents, halves, exact, strict=True):
        made = parts[str(half)]
        walkers = Walkers(jax.random.normal(jax.random.key(1), (2048, 1, 3)) / np.sqrt(2.0 * a), jnp.zeros(2048))
        chains = made.sampler.init(walkers, made.system)
        runs[name] = Trained(name, made, jnp.float32(a), chains, 0, Opened(half, energy), {})
    monkeypatch.setattr(module, "load", lambda directory, key_file: runs[directory])
    monkeypatch.setattr(module, "build", lambda config: parts[config["wavefunction"]["name"]])
    found = difference("one", "other", steps=40)
    value, error = found.correlated
    assert error < 0.02 and abs(value - (exact[1] - exact[0])) < 4.0 * error
    assert found.method == "correlated" and found.value == value and found.overlap > 0.3
    assert found.independent[0] == pytest.approx(exact[1] - exact[0])
