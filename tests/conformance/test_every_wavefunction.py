"""What every wavefunction must be: antisymmetric, translation invariant, differentiable, for any electron numbers.

A new wavefunction comes from the catalogue; SETTINGS makes it small where its defaults are too large for a test.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catalogued import catalogued
from compiling import quickly_compiled
from nnqmc.scf import hartree_fock, slater_log_psi
from nnqmc.typing import System
from nnqmc.wavefunctions import FermiNet


def network_case(network):
    """(log_psi, params of a system) of a flax module with random parameters, without compiling its initialisation."""

    def params(system):
        electrons = jnp.zeros((system.n_electrons, 3))
        shapes = jax.eval_shape(lambda k: network.init(k, electrons, system), jax.random.key(0))
        rng = np.random.default_rng(1)

        def random(path, leaf):
            values = (0.5 * rng.normal(size=leaf.shape) + 0.1).astype(np.float32)
            is_exponent = jax.tree_util.keystr(path).endswith("['sigma']")
            return 0.5 + np.abs(values) if is_exponent else values

        return jax.tree_util.tree_map_with_path(random, shapes)

    return network.apply, params


SMALL = {"layers": 2, "hidden_one": 8, "hidden_two": 4, "n_determinants": 2}
ATTENTION = {"width": 8, "heads": 2, "n_determinants": 2}
SETTINGS = {"ferminet": SMALL, "psiformer": ATTENTION | {"layers": 1}, "lapnet": ATTENTION}
NETWORKS = catalogued("wavefunction", SETTINGS) | {
    "ferminet, blocks": FermiNet(**SMALL, full_determinants=False),
    "ferminet, bottleneck": FermiNet(**SMALL, envelope="bottleneck", n_envelopes=3),
    "ferminet, Slater functions": FermiNet(**SMALL, slater_functions=True),
    "ferminet, blocks, bottleneck, no cusp, plain inputs, one layer": FermiNet(
        **SMALL | {"layers": 1}, full_determinants=False, envelope="bottleneck", n_envelopes=1, cusp=False,
        rescale_inputs=False),
}
WAVEFUNCTIONS = {name: network_case(network) for name, network in NETWORKS.items()} | {
    "Hartree-Fock": (slater_log_psi, lambda system: hartree_fock(system, basis="6-31g")),
}
SYSTEMS = {
    "LiH": System(np.array([[0.0, 0, 0], [0, 0, 3.0]]), np.array([3.0, 1.0]), 2, 2, ("Li", "H")),
    "triplet He": System(np.zeros((1, 3)), np.array([2.0]), 2, 0, ("He",)),
    "Li": System(np.zeros((1, 3)), np.array([3.0]), 2, 1, ("Li",)),
    "H": System(np.zeros((1, 3)), np.array([1.0]), 1, 0, ("H",)),
}
CASES = [(w, s) for w in WAVEFUNCTIONS for s in SYSTEMS if (w, s) not in {
    ("ferminet, bottleneck", "Li"), ("ferminet, bottleneck", "H"), ("ferminet, Slater functions", "Li"),
    ("ferminet, blocks, bottleneck, no cusp, plain inputs, one layer", "LiH"),
}]
"""Each wavefunction with each system, except where another variant of the same network covers the system."""


@pytest.fixture(scope="module", params=CASES, ids=lambda case: " - ".join(case))
def case(request):
    """The system and a compiled function (population, displaced atoms) -> SignedLog, in double precision."""
    wavefunction, name = request.param
    (log_psi, make_params), system = WAVEFUNCTIONS[wavefunction], SYSTEMS[name]
    with jax.enable_x64(True):
        params = make_params(system)

        def evaluate(population, shift):
            moved = replace(system, atoms=jnp.asarray(system.atoms) + shift)
            bound = params
            if wavefunction == "Hartree-Fock":  # the atoms of a mean field are among its parameters
                bound = replace(params, primitive_centres=jnp.asarray(params.primitive_centres) + shift,
                                function_centres=jnp.asarray(params.function_centres) + shift)
            return jax.vmap(lambda r: log_psi(bound, r, moved))(population)

        compiled = quickly_compiled(evaluate)
        yield system, lambda r, shift=(0.0, 0.0, 0.0): compiled(jnp.asarray(r), jnp.asarray(shift)), log_psi, params


def population(system, n_walkers=8):
    return np.random.default_rng(2).normal(size=(n_walkers, system.n_electrons, 3))


def test_it_is_a_sign_and_a_finite_logarithm(case):
    system, psi, _, _ = case
    value = psi(population(system))
    assert value.sign.shape == value.logabs.shape == (8,) and value.logabs.dtype == np.float64
    np.testing.assert_array_equal(np.abs(value.sign), 1.0)
    assert np.isfinite(value.logabs).all() and np.std(value.logabs) > 1e-3


def test_exchanging_electrons_of_one_spin_changes_the_sign_and_nothing_else(case):
    system, psi, _, _ = case
    electrons = population(system)
    before = psi(electrons)
    pairs = [(i, j) for first, last in ((0, system.n_up), (system.n_up, system.n_electrons))
             for i in range(first, last) for j in range(first, i)]
    assert pairs or system.n_electrons < 2
    for i, j in pairs:
        order = np.arange(system.n_electrons)
        order[[i, j]] = j, i
        after = psi(electrons[:, order])
        np.testing.assert_array_equal(after.sign, -before.sign)
        np.testing.assert_allclose(after.logabs, before.logabs, atol=1e-10)


def test_moving_nuclei_and_electrons_together_changes_nothing(case):
    system, psi, _, _ = case
    electrons, shift = population(system), np.array([1.3, -0.4, 2.1])
    before, after = psi(electrons), psi(electrons + shift, shift)
    np.testing.assert_array_equal(after.sign, before.sign)
    np.testing.assert_allclose(after.logabs, before.logabs, atol=1e-9)
    assert not np.allclose(psi(electrons + shift).logabs, before.logabs, atol=1e-3)


def test_it_decays_far_from_the_nuclei(case):
    system, psi, _, _ = case
    electrons = population(system)
    near, far = electrons.copy(), electrons.copy()
    far[:, 0] = [60.0, 3.0, -4.0]
    assert (psi(far).logabs < psi(near).logabs - 10.0).all()


def test_it_does_not_vanish_where_opposite_spins_or_an_electron_and_a_nucleus_meet(case):
    system, psi, _, _ = case
    electrons = population(system)
    electrons[0, 0] = system.atoms[0]
    if system.n_down:
        electrons[1, -1] = electrons[1, 0]
    assert np.isfinite(psi(electrons).logabs).all()
    if system.n_up > 1:
        electrons[2, 1] = electrons[2, 0]
        assert psi(electrons).logabs[2] < psi(electrons).logabs[0] - 15.0


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_matters_and_has_a_finite_derivative(name):
    (log_psi, make_params), system = WAVEFUNCTIONS[name], SYSTEMS["LiH"]
    params = make_params(system)
    electrons = jnp.asarray(population(system), jnp.float32)

    def total(params):
        return jnp.sum(jax.vmap(lambda r: jnp.sin(log_psi(params, r, system).logabs))(electrons))

    gradient = quickly_compiled(jax.grad(total))(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        is_constant = "constants" in str(path[0])  # flax's collection of what isn't trained
        assert leaf.dtype == jnp.float32
        assert np.isfinite(leaf).all() and np.any(leaf != 0.0) != is_constant, jax.tree_util.keystr(path)
