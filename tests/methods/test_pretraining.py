"""Pretraining: the network's orbitals become those of Hartree-Fock."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from nnqmc.errors import InputError, NumericalError
from nnqmc.methods import make_log_density, pretrain
from nnqmc.scf import hartree_fock, orbitals, slater_log_psi
from nnqmc.system import molecule
from nnqmc.wavefunctions import FermiNet, init_params

SMALL = {"layers": 2, "hidden_one": 8, "hidden_two": 4, "n_determinants": 2}


@pytest.fixture(scope="module")
def lithium():
    system = molecule("Li")
    return system, hartree_fock(system)


def run(atom, steps, network=None, key=0, **options):
    system, mean_field = atom
    return pretrain(system, network or FermiNet(**SMALL), mean_field, key=jax.random.key(key), n_walkers=64,
                    steps=steps, **options)


@pytest.mark.parametrize("full", [True, False], ids=["full", "blocks"])
def test_the_loss_falls_and_the_orbitals_become_those_of_hartree_fock(lithium, full):
    system, mean_field = lithium
    network = FermiNet(**SMALL, full_determinants=full)
    seen = []
    done = run(lithium, 50, network, progress=lambda steps, loss: seen.append((steps, loss)))
    assert done.loss.shape == (50,) and done.loss.dtype == np.float64
    assert done.loss[-10:].mean() < 0.3 * done.loss[:5].mean()
    assert [steps for steps, _ in seen] == [25, 50] and seen[-1][1] == done.loss[-1]

    def difference(electrons):
        matrices = network.apply(done.params, electrons, system, method="orbitals")
        up, down = orbitals(mean_field, electrons)
        density = jnp.sum(up**2, axis=1) + jnp.sum(down**2, axis=1) + 0.01
        if not full:
            return sum(jnp.sum((m - t) ** 2 / d[:, None]) / 2
                       for m, t, d in zip(matrices, (up[:2], down[2:]), (density[:2], density[2:])))
        target = jnp.zeros((3, 3)).at[:2, :2].set(up[:2]).at[2:, 2:].set(down[2:])
        return jnp.sum((matrices[0] - target) ** 2 / density[:, None]) / 2

    np.testing.assert_allclose(jnp.mean(jax.jit(jax.vmap(difference))(done.electrons)), done.loss[-1], rtol=0.5)


def test_it_is_a_function_of_the_key_and_no_steps_change_no_parameter(lithium):
    first, again = run(lithium, 25), run(lithium, 25)
    for x, y in zip(jax.tree.leaves(first), jax.tree.leaves(again)):
        np.testing.assert_array_equal(x, y)
    nothing, other = run(lithium, 0), run(lithium, 0, key=1)
    assert nothing.loss.shape == (0,)
    assert not np.array_equal(nothing.electrons, other.electrons)
    initial = init_params(FermiNet(**SMALL), jax.random.split(jax.random.key(0))[0], lithium[0])
    for x, y in zip(jax.tree.leaves(nothing.params), jax.tree.leaves(initial)):
        np.testing.assert_array_equal(x, y)
    density = jax.jit(make_log_density(FermiNet(**SMALL).apply, nothing.params, lithium[0]))
    assert np.isfinite(density(nothing.electrons)).all()


@pytest.mark.parametrize("slater", [pytest.param(False, marks=pytest.mark.slow), True],
                         ids=["network", "Slater functions"])
def test_psi_is_small_where_the_electrons_are_on_other_atoms_than_in_hartree_fock(slater):
    """In H2 one electron is on each atom, whatever its spin: ions have next to no density."""
    system = molecule("H 0 0 0; H 0 0 10", unit="bohr")
    mean_field = hartree_fock(system)
    network = FermiNet(**SMALL, slater_functions=slater)
    done = run((system, mean_field), 400, network)  # each determinant sees its own spins in half of the walkers
    log_density = jax.jit(make_log_density(network.apply, done.params, system))
    atoms = jnp.asarray(system.atoms, jnp.float32)
    places = {name: log_density(atoms[jnp.asarray(where)] + 0.3 * jax.random.normal(jax.random.key(1), (64, 2, 3)))
              for name, where in {"first": (0, 1), "other": (1, 0), "both": (0, 0), "both there": (1, 1)}.items()}
    for name in ("both", "both there"):
        assert jax.nn.logsumexp(places[name]) < jax.nn.logsumexp(places["first"]) - 3.0, name
    assert abs(jax.nn.logsumexp(places["first"]) - jax.nn.logsumexp(places["other"])) < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("full", [True, pytest.param(False, marks=pytest.mark.ci)], ids=["full", "blocks"])
def test_a_network_with_slater_functions_starts_as_the_determinant_of_hartree_fock(lithium, full):
    """But for the network's own small part, and for the cusp factor, which is left out; no steps are taken."""
    system, mean_field = lithium
    network = FermiNet(**SMALL, full_determinants=full, slater_functions=True, cusp=False)
    done = run(lithium, 500, network)
    assert done.loss.shape == (0,)
    ours = jax.vmap(lambda r: network.apply(done.params, r, system))(done.electrons)
    theirs = jax.vmap(lambda r: slater_log_psi(mean_field, r, system))(done.electrons)
    difference = np.asarray(ours.logabs - theirs.logabs)
    assert np.median(np.abs(difference - np.median(difference))) < 0.05
    assert abs(np.mean(ours.sign * theirs.sign)) > 0.9
    again = run(lithium, 500, network)
    for x, y in zip(jax.tree.leaves(done), jax.tree.leaves(again)):
        np.testing.assert_array_equal(x, y)


class WithoutOrbitals(nn.Module):
    """A wavefunction that has nothing to pretrain."""

    @nn.compact
    def __call__(self, electrons, system):
        return nn.Dense(1)(electrons.reshape(-1))[0]


@pytest.mark.parametrize("slater", [pytest.param(False, marks=pytest.mark.slow), True],
                         ids=["network", "Slater functions"])
@pytest.mark.parametrize("full", [pytest.param(True, marks=pytest.mark.slow), False], ids=["full", "blocks"])
def test_a_stretched_bond_starts_with_a_wavefunction_that_is_even_under_exchange_of_the_spins(full, slater):
    """As a singlet's is, although Hartree-Fock has the up electron on one atom."""
    system = molecule("H 0 0 0; H 0 0 5", unit="bohr")
    network = FermiNet(**SMALL, full_determinants=full, slater_functions=slater)
    done = run((system, hartree_fock(system)), 200, network)
    psi = jax.jit(jax.vmap(lambda electrons: network.apply(done.params, electrons, system)))
    one, other = psi(done.electrons), psi(done.electrons[:, ::-1])
    assert (one.sign == other.sign).mean() > 0.95
    assert np.median(np.abs(one.logabs - other.logabs)) < 0.3
    on_first = np.asarray(done.electrons[:, 0, 2] < 2.5)
    assert 0.3 < on_first.mean() < 0.7


def test_a_wavefunction_without_orbitals_is_refused_unless_nothing_is_to_be_done(lithium):
    with pytest.raises(InputError, match="WithoutOrbitals has no method orbitals"):
        run(lithium, 5, WithoutOrbitals())
    assert run(lithium, 0, WithoutOrbitals()).electrons.shape == (64, 3, 3)


def test_numbers_out_of_range_are_refused(lithium):
    with pytest.raises(InputError, match="steps = -1: it has to be"):
        run(lithium, -1)
    with pytest.raises(InputError, match="n_walkers = 0: it has to be"):
        pretrain(lithium[0], FermiNet(**SMALL), lithium[1], key=jax.random.key(0), n_walkers=0)


def test_a_loss_that_is_not_finite_is_an_error(lithium):
    with pytest.raises(NumericalError, match="learning_rate"):
        run(lithium, 25, learning_rate=1e30)
