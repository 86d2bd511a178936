"""The dipole moment: of densities whose moment is known, wherever the molecule lies, and a length without bias."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.job import Result
from nnqmc.methods.evaluation import summarised
from nnqmc.observables import dipole
from nnqmc.statistics import covariance_of_mean, estimate_observable
from nnqmc.system import molecule
from nnqmc.typing import SignedLog, System

DEBYE = 2.541746473


def psi(electrons, system):
    return SignedLog(jnp.ones(()), -jnp.sum(electrons**2))


def local(system, walkers):
    """The local dipole of every walker, by the compiled function."""
    one = jax.jit(lambda r: dipole().local(psi, r, system, jax.random.key(0)))
    return np.array([one(jnp.asarray(walker, jnp.float32)) for walker in walkers])


def by_definition(system, walkers):
    """sum_I Z_I R_I - sum_i r_i in debye, in float64."""
    nuclei = sum(charge * place for charge, place in zip(np.asarray(system.charges), np.asarray(system.atoms)))
    return DEBYE * np.array([nuclei - walker.sum(axis=0) for walker in walkers])


@pytest.mark.parametrize("place", [0.0, 1000.0])
def test_of_a_neutral_molecule_it_is_the_definition_and_knows_no_origin(place):
    system = System(np.array([[0.0, 0, 0], [0, 0, 3.0]]) + place, np.array([3.0, 1.0]), 2, 2, ("Li", "H"))
    walkers = np.random.default_rng(0).normal(size=(5, 4, 3)) + place
    np.testing.assert_allclose(local(system, walkers), by_definition(system, walkers), atol=1e-5 * (1.0 + place))
    assert dipole().caveats_for(system) == ()


def test_of_an_ion_it_is_about_the_centre_of_nuclear_charge_and_says_so():
    ion = molecule("He 0 0 0; H 0 0 1.5", unit="bohr", charge=1)
    walkers = np.random.default_rng(1).normal(size=(5, 2, 3))
    about_origin = by_definition(ion, walkers)
    shift = (3.0 - 2.0) * np.array([0.0, 0.0, 0.5])  # the charge times the centre of nuclear charge
    np.testing.assert_allclose(local(ion, walkers), about_origin - DEBYE * shift, atol=1e-5)
    (sentence,) = dipole().caveats_for(ion)
    assert "charge +1" in sentence and "the centre of nuclear charge, (0, 0, 0.5) bohr" in sentence


def test_where_the_origin_of_an_ion_is_speaks_against_no_number():
    """The sentence belongs to the value: neither the dipole nor the energy is distrusted for it."""
    rng, nothing = np.random.default_rng(2), np.zeros(400)
    series = {"energy": rng.normal(size=(400, 8)), "observable.dipole": rng.normal(size=(400, 8, 3)),
              "acceptance": nothing + 0.5, "stuck": nothing, "variance": nothing + 1.0, "excluded": nothing,
              "excluded.dipole": nothing, "reseeded": nothing, "bad_proposals": nothing}
    chains = SimpleNamespace(walkers=SimpleNamespace(electrons=np.zeros((8, 2, 3))))
    ion = molecule("He 0 0 0; H 0 0 1.5", unit="bohr", charge=1)
    found = summarised(series, chains, 0.0, ion, {"dipole": dipole()})
    assert found.observables["dipole"].notes == dipole().caveats_for(ion) != ()
    assert found.observables["dipole"].trusted and found.observables["dipole"].caveats == ()
    result = Result("HeH+", found.energy, observables=found.observables)
    assert result.trusted and result.to_dict()["observables"]["dipole"]["trusted"]


def test_of_a_gaussian_density_it_is_where_the_gaussian_lies():
    """Two electrons around (0.3, -0.2, 0.9) in hydrogen: the mean is known, and so is the error bar."""
    system, centre = molecule("H2"), np.array([0.3, -0.2, 0.9])
    middle = np.asarray(system.atoms).mean(axis=0)
    samples = centre + 0.7 * np.random.default_rng(2).normal(size=(2000, 2, 3))
    found = estimate_observable(local(system, samples).reshape(100, 20, 3), unit=dipole().unit,
                                finalize=dipole().finalize)
    exact = 2.0 * DEBYE * (middle - centre)
    assert (np.abs(found.value - exact) < 4.0 * found.error).all() and found.trusted
    np.testing.assert_allclose(found.error, DEBYE * 0.7 * np.sqrt(2.0 / 2000.0), rtol=0.5)
    length = found.parts["length"]
    assert abs(length.value - np.linalg.norm(exact)) < 4.0 * length.error
    assert str(found).startswith("(") and ") debye, length " in str(found)


@pytest.mark.parametrize(("exact", "bias"), [(2.0, 0.1), (5.0, 0.03), (20.0, 0.01)])
def test_its_length_has_no_bias_and_an_error_bar_that_holds(exact, bias):
    """A vector known to within 1 in each direction, 4,000 times: the plain norm is too long by about 1/|mu|."""
    rng = np.random.default_rng(3)
    found, plain = [], []
    for _ in range(4000):
        blocks = 8.0 * rng.normal(size=(64, 3)) + np.array([exact, 0.0, 0.0])
        found.append(dipole().finalize(blocks.mean(axis=0), covariance_of_mean(blocks))["length"])
        plain.append(np.linalg.norm(blocks.mean(axis=0)))
    lengths, errors = np.array(found).T
    noise = lengths.std() / np.sqrt(4000)
    assert abs(lengths.mean() - exact) < bias + 3.0 * noise < abs(np.mean(plain) - exact) + 3.0 * noise
    assert abs(np.mean(np.abs(lengths - exact) < errors) - 0.68) < 0.08


def test_a_dipole_that_is_zero_has_a_length_compatible_with_it():
    """Never 0 with an error of 0, which would claim to be exact."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        blocks = 8.0 * rng.normal(size=(64, 3))
        length, error = dipole().finalize(blocks.mean(axis=0), covariance_of_mean(blocks))["length"]
        assert 0.0 <= length < 4.0 * error and 0.7 < error < 1.3
