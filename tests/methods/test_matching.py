"""Wasserstein QMC and LAVA: third derivatives, gradients that are known, and directions that lower the energy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nnqmc.errors import InputError
from nnqmc.hamiltonian import hamiltonian, harmonic_trap, kinetic, molecular
from nnqmc.methods import Lava, Wasserstein, init_state, make_local_energy
from nnqmc.methods.lava import log_norm_ratio, propagated
from nnqmc.methods.matching import make_slopes, slope_gradient, usual_walkers, weights_of
from nnqmc.numerics import signed_logsumexp, slogdet
from nnqmc.typing import SamplerState, SignedLog, System
from quadrature import Quadrature, nodes

pytestmark = pytest.mark.usefixtures("double_precision")

LITHIUM = System(np.zeros((1, 3)), np.full(1, 3.0), 2, 1, ("Li",))
HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))
NOWHERE = System(np.zeros((0, 3)), np.zeros(0), 1, 0, ())
KEY = jax.random.key(0)
GRADIENT = optax.with_extra_args_support(optax.sgd(1.0))


def determinants(params, electrons, system):
    """Two exponentials for spin up, one for spin down, and a Jastrow factor: psi has a node."""
    r = jnp.linalg.norm(electrons, axis=-1)
    up, sign = slogdet(jnp.exp(-r[:2, None] * params["a"])), 1.0
    apart = jnp.linalg.norm(electrons[0] - electrons[2]) + jnp.linalg.norm(electrons[1] - electrons[2])
    return SignedLog(up.sign * sign, up.logabs - params["b"] * r[2] + 0.3 * jnp.tanh(apart))


PARAMS = {"a": np.array([2.7, 0.8]), "b": np.array(2.5)}


def population(n_electrons=3):
    return jnp.asarray(np.random.default_rng(0).normal(size=(4, n_electrons, 3)))


def test_slopes_of_the_local_energy_are_its_finite_differences():
    energies = jax.jit(make_local_energy(determinants, LITHIUM, molecular()))
    slopes = jax.jit(make_slopes(determinants, LITHIUM, molecular(), 2))(KEY, PARAMS, population())
    steps = 1e-5 * np.eye(9).reshape(9, 1, 3, 3)
    ahead, behind = (np.stack([energies(KEY, PARAMS, population() + s * h).total for h in steps]) for s in (1, -1))
    np.testing.assert_allclose(slopes.energy, energies(KEY, PARAMS, population()).total, rtol=1e-12)
    np.testing.assert_allclose(slopes.energy_slope.reshape(4, 9), (ahead - behind).T / 2e-5, rtol=1e-6, atol=1e-6)


def test_the_gradient_of_slopes_is_that_of_every_walker_by_itself():
    field, weight = jnp.sin(population()), jnp.arange(1.0, 5.0)

    def plain(params):
        score = jax.vmap(jax.grad(lambda r: determinants(params, r, LITHIUM).logabs))(population())
        return 2.0 * jnp.sum(weight * jnp.sum(field * score, axis=(1, 2)))

    found = jax.jit(lambda p: slope_gradient(determinants, p, LITHIUM, population(), field, weight, 2))(PARAMS)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(jax.jit(jax.grad(plain))(PARAMS)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10)


def with_node(params, electrons, system):
    """(1 - b r) exp(-a r) for one electron."""
    r = jnp.linalg.norm(electrons[0])
    return SignedLog(jnp.sign(1.0 - params["b"] * r), jnp.log(jnp.abs(1.0 - params["b"] * r)) - params["a"] * r)


def test_the_target_of_lava_is_what_the_hamiltonian_makes_of_the_sum():
    """E' psi = (H - S)(psi + C psi_t), from the local energy of the sum itself; the two differ in sign somewhere."""
    here, ahead = {"a": 0.8, "b": 0.9}, {"a": 0.9, "b": 0.6}
    log_c, shift, electrons = 0.3, 0.7, population(1)

    def total(electrons, system):
        both = [with_node(p, electrons, system) for p in (here, ahead)]
        return signed_logsumexp(jnp.stack([psi.sign for psi in both]),
                                jnp.stack([both[0].logabs, both[1].logabs + log_c]))

    def plain(r):
        psi, both = with_node(here, r, HYDROGEN), total(r, HYDROGEN)
        energy = molecular()(total, r, HYDROGEN, KEY).total
        return (energy - shift) * both.sign * psi.sign * jnp.exp(both.logabs - psi.logabs)

    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(plain)))(electrons)
    slopes = jax.jit(make_slopes(with_node, HYDROGEN, molecular()))
    first, second = slopes(KEY, here, electrons), slopes(KEY, ahead, electrons)
    assert (first.psi.sign != second.psi.sign).any()
    target = propagated(first, second, jnp.asarray(log_c), jnp.asarray(shift))
    np.testing.assert_allclose(target.energy, values, rtol=1e-8)
    np.testing.assert_allclose(target.slope, gradients, rtol=1e-8, atol=1e-10)


def test_walkers_without_finite_numbers_or_next_to_a_node_have_no_weight():
    slope = jnp.ones((40, 1, 3)).at[0].set(jnp.nan).at[1].set(1e6)
    usual = usual_walkers(slope, jnp.zeros(40).at[2].set(jnp.inf), jnp.ones((40, 1, 3)).at[3, 0, 1].set(jnp.nan),
                          cutoff=5.0)
    np.testing.assert_array_equal(np.flatnonzero(~usual), [0, 1, 2, 3])
    weight = weights_of(usual, jnp.arange(40.0))
    assert not weight[:4].any()
    np.testing.assert_allclose(weight.sum(), 1.0)
    np.testing.assert_allclose(weight[11] / weight[10], np.e)
    assert not weights_of(jnp.zeros(40, bool), jnp.arange(40.0)).any()


# --- hydrogen, whose averages are exact -------------------------------------------------------------------------------


def exponential(params, electrons, system):
    """exp(-a r), whose local energy is -a^2/2 + (a - 1)/r."""
    return SignedLog(jnp.ones(()), -params["a"] * jnp.linalg.norm(electrons[0]))


def moves(method, log_psi, system, operator):
    """How far one step along the gradient takes the parameter from 0.7 and from 1.3, by exact averages."""
    step = jax.jit(method(log_psi, system, operator, Quadrature(), GRADIENT))
    for a in (0.7, 1.3):
        walkers, params = nodes(a), {"a": jnp.asarray(a)}
        start = init_state(KEY, system, params, walkers.electrons, Quadrature(), GRADIENT)
        psi, plain = (jax.vmap(f, (None, 0, None))(params, walkers.electrons, system) for f in (log_psi, exponential))
        walkers = walkers._replace(log_weight=walkers.log_weight + 2.0 * (psi.logabs - plain.logabs))
        state, stats = step(start._replace(sampler=SamplerState(walkers, ())))
        assert not stats["rejected"] and stats["excluded"] == 0.0
        yield float(state.params["a"]) - a


def test_the_wasserstein_gradient_is_that_of_the_exact_integral():
    """2 <(a - 1)/r^2>, since d_a grad log|psi| is -r/|r|."""
    found = list(moves(Wasserstein(bound=1e9, cutoff=1e9), exponential, HYDROGEN, molecular()))
    np.testing.assert_allclose(found, [-4.0 * a**2 * (a - 1.0) for a in (0.7, 1.3)], rtol=1e-8)


def test_the_norms_of_two_functions_come_from_samples_of_both():
    here, there = nodes(0.8), nodes(0.9)
    ratios = [-0.1 * jnp.linalg.norm(x.electrons[:, 0], axis=-1) for x in (here, there)]
    found = log_norm_ratio(ratios[0], here.log_weight, ratios[1], there.log_weight)
    np.testing.assert_allclose(found, 1.5 * np.log(0.9 / 0.8), rtol=1e-6)


# --- directions -------------------------------------------------------------------------------------------------------


def gaussian(params, electrons, system):
    """exp(-a r^2/2), whose energy in the trap is 3/4 (a + 1/a): positive, and lowest at a = 1."""
    return SignedLog(jnp.ones(()), -0.5 * params["a"] * jnp.sum(electrons**2))


TRAP = hamiltonian({"kinetic": kinetic(), "trap": harmonic_trap(1.0)})


@pytest.mark.parametrize("method", [pytest.param(Wasserstein(), marks=pytest.mark.slow), Lava(cutoff=1e9)],
                         ids=["wasserstein", "lava"])
def test_a_positive_energy_falls_on_both_sides_of_the_exact_wavefunction(method):
    up, down = moves(method, gaussian, NOWHERE, TRAP)
    assert up > 1e-3 and down < -1e-3


@pytest.mark.slow
def test_a_shift_below_the_energy_raises_it():
    up, down = moves(Lava(shift=-1.0, cutoff=1e9), gaussian, NOWHERE, TRAP)
    assert up < 0.0 < down


@pytest.mark.parametrize(("maker", "name", "value"), [(Wasserstein, "bound", 0.0), (Wasserstein, "cutoff", -1.0),
                                                      (Lava, "rate", -1e-3), (Lava, "damping", 0.0)])
def test_settings_out_of_range_are_refused(maker, name, value):
    with pytest.raises(InputError, match=f"{maker.__name__} {name} = "):
        maker(**{name: value})
