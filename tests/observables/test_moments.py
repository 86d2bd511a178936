"""Radii, quadrupole, virial and density against densities and energies that are known in closed form."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.hamiltonian import molecular
from nnqmc.observables import density, forces, quadrupole, radii, virial
from nnqmc.statistics import ObservableEstimate, Quantity, estimate_observable
from nnqmc.system import molecule
from nnqmc.typing import LocalEnergy, SignedLog, System

HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))
HELIUM = System(np.full((1, 3), 0.3), np.array([2.0]), 1, 1, ("He",))
N, ZETA = 40000, 27.0 / 16.0
"""Walkers, and the exponent of the best product of two exponentials for helium (Kellner 1927)."""
LIH = System(np.array([[0.0, 0, 0], [0, 0, 3.0]]), np.array([3.0, 1.0]), 2, 2, ("Li", "H"))
KEY = jax.random.key(0)


def exponential(zeta, electrons, system):
    """A product of exp(-zeta r)."""
    distances = jnp.linalg.norm(electrons - jnp.asarray(system.atoms[0]), axis=-1)
    return SignedLog(jnp.ones((), electrons.dtype), -zeta * jnp.sum(distances))


psi = partial(exponential, 1.0)


def walkers(zeta, system):
    """Independent samples of exp(-2 zeta r) for each electron: r has a gamma distribution."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(N, system.n_electrons, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    distances = rng.gamma(3.0, 0.5 / zeta, size=(N, system.n_electrons, 1))
    return jnp.asarray(system.atoms[0] + distances * directions, jnp.float32)


def measured(observable, zeta, system):
    """The observable's estimate from independent samples of the product of exponentials."""
    def one(electrons):
        psi = partial(exponential, zeta)
        energy = (molecular()(psi, electrons, system, KEY),) if observable.needs_local_energy else ()
        return observable.local(psi, electrons, system, KEY, *energy)

    values = jax.jit(jax.vmap(one))(walkers(zeta, system))
    series = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(-1, 200, *leaf.shape[1:]), values)
    found = estimate_observable(series, unit=observable.unit, finalize=observable.finalize)
    return observable.judged(system, found)


def holds(quantity, exact, most=None):
    """The value is the exact one within four error bars, and the error bar is a small one."""
    value, error = quantity
    assert (np.abs(np.asarray(value) - exact) <= 4.0 * np.asarray(error) + 1e-6).all(), (value, error, exact)
    assert most is None or np.max(error) < most
    return True


def test_hydrogen_has_the_radii_of_its_exact_wavefunction():
    found = measured(radii(), 1.0, HYDROGEN)
    assert found.unit == "bohr^n" and found.value is None and found.parts.keys() == {"r", "r_squared", "r_inverse"}
    assert holds(found.parts["r"], 1.5, 0.01) and holds(found.parts["r_squared"], 3.0, 0.03)
    assert holds(found.parts["r_inverse"], 1.0, 0.01)


def test_helium_in_two_exponentials_has_the_radii_of_the_closed_form():
    """<r12> = 35/(16 zeta), <r12^2> = 6/zeta^2, <1/r12> = 5 zeta/8 for the product of two exponentials."""
    parts = measured(radii(), ZETA, HELIUM).parts
    assert holds(parts["r"], 1.5 / ZETA, 0.01) and holds(parts["r_squared"], 3.0 / ZETA**2, 0.03)
    assert holds(parts["r_inverse"], ZETA, 0.02) and holds(parts["r12"], 35.0 / 16.0 / ZETA, 0.01)
    assert holds(parts["r12_squared"], 6.0 / ZETA**2, 0.03) and holds(parts["r12_inverse"], 0.625 * ZETA, 0.01)


def test_radii_of_a_molecule_are_about_each_nucleus():
    walker = np.random.default_rng(1).normal(size=(4, 3))
    found = radii().local(psi, jnp.asarray(walker, jnp.float32), LIH, KEY)
    for atom, place in enumerate(np.asarray(LIH.atoms)):
        distances = np.linalg.norm(walker - place, axis=1)
        for name, values in (("r", distances), ("r_squared", distances**2), ("r_inverse", 1.0 / distances)):
            np.testing.assert_allclose(found[name][atom], values.mean(), rtol=1e-5)
    pairs = [np.linalg.norm(walker[i] - walker[j]) for i in range(4) for j in range(i)]
    np.testing.assert_allclose(found["r12"], np.mean(pairs), rtol=1e-5)


@pytest.mark.parametrize(("zeta", "system"), [(1.0, HYDROGEN), (ZETA, HELIUM)])
def test_the_quadrupole_of_a_round_density_vanishes(zeta, system):
    found = measured(quadrupole(), zeta, system)
    assert found.unit == "debye angstrom" and found.value.shape == (3, 3) and found.notes == ()
    assert holds((found.value, found.error), 0.0, 0.05)
    np.testing.assert_allclose(np.trace(found.value), 0.0, atol=1e-6)


@pytest.mark.parametrize("place", [0.0, 1000.0])
def test_of_a_neutral_molecule_without_a_dipole_the_quadrupole_is_that_of_the_charges_wherever_it_lies(place):
    """Two nuclei of charge 1 at +-R/2 and electrons at +-a: Theta_zz = (R^2/2 - 2 a^2) e, in debye angstrom."""
    distance, a = 1.4, 0.9
    atoms = np.array([[0.0, 0, -0.5 * distance], [0.0, 0, 0.5 * distance]]) + place
    h2 = System(atoms, np.ones(2), 1, 1, ("H", "H"))
    electrons = jnp.asarray(np.array([[0.0, 0, a], [0.0, 0, -a]]) + place, jnp.float32)
    found = np.asarray(jax.jit(lambda r: quadrupole().local(psi, r, h2, KEY))(electrons))
    zz = (0.5 * distance**2 - 2.0 * a**2) * 1.345034
    np.testing.assert_allclose(found, np.diag([-0.5 * zz, -0.5 * zz, zz]), atol=1e-5 * (1.0 + place))
    (sentence,) = quadrupole().caveats_for(h2)
    assert "depends on the origin: here the centre of nuclear charge, (" in sentence


@pytest.mark.parametrize(("zeta", "system", "exact"), [(1.0, HYDROGEN, 2.0), (ZETA, HELIUM, 2.0), (1.5, HELIUM, 2.25)])
def test_the_virial_ratio_is_2_for_an_exact_state_and_for_one_whose_scale_is_the_best(zeta, system, exact):
    """Helium in two exponentials: T = zeta^2 and V = -27 zeta/8."""
    found = measured(virial(), zeta, system)
    assert holds((found.value, found.error), exact, 0.02) and found.unit == ""
    assert bool(found.notes) == (exact != 2.0)
    assert not found.notes or "differs from the 2 of an exact wavefunction of an atom" in found.notes[0]


def test_the_virial_of_a_molecule_is_compared_with_2_at_rest_and_with_the_forces_elsewhere():
    stretched = molecule("H 0 0 0; H 0 0 2", unit="bohr")
    (note,) = virial().judged(stretched, ObservableEstimate(1.7, 0.001)).notes
    assert "only at a geometry where no force acts" in note
    at_rest = partial(virial().judged, molecule("H2"))
    assert at_rest(ObservableEstimate(1.9985, 0.0001)).notes == () == at_rest(ObservableEstimate(1.9, 0.03)).notes
    (note,) = at_rest(ObservableEstimate(1.99, 0.001)).notes
    assert note.startswith("the ratio differs from the 2 of an exact wavefunction of a molecule at its equilibrium")


def test_the_virial_of_the_forces_is_that_of_the_energies_or_a_note_says_that_it_is_not():
    """2<T> + <V> and R . F of two nuclei at 2 bohr with forces of -0.1 hartree/bohr along the bond."""
    stretched = molecule("H 0 0 0; H 0 0 2", unit="bohr")
    shapes = {"energy": (), "energy_q": (2, 3), "force": (2, 3), "q": (2, 3)}
    mean = {name: np.zeros(shape) for name, shape in shapes.items()}
    mean["force"][:, 2] = 0.1, -0.1
    covariance = np.zeros((19, 19))
    covariance[[9, 12], [9, 12]] = 0.01**2  # of the components along the bond, each 0.01
    found = forces(stretched).finalize(mean, covariance)["virial"]
    assert np.isclose(found.value, -0.2) and np.isclose(found.error, 2.0 * 0.01 / np.sqrt(2.0))
    excess = virial(system=stretched).finalize({"kinetic": 1.0, "potential": -2.2}, np.zeros((2, 2)))["excess"]
    assert np.isclose(excess, -0.2)
    for value, is_said in ((excess, False), (excess + 0.5, True)):
        check = ObservableEstimate(2.2, 0.01, parts={"excess": Quantity(value, 0.02)})
        others = {"virial": check, "forces": ObservableEstimate(mean["force"], 0.0, parts={"virial": found})}
        notes = virial(system=stretched).compared(check, others).notes
        assert len(notes) == is_said and all("the virial of the forces by 0.5 hartree" in note for note in notes)
    (note,) = virial(system=stretched).compared(check, {"virial": check}).notes
    assert "only at a geometry where no force acts" in note


def test_a_hamiltonian_without_a_kinetic_term_has_no_virial():
    with pytest.raises(InputError, match="a term called 'kinetic', and this one has trap: leave virial out"):
        virial().local(psi, jnp.ones((1, 3)), HYDROGEN, KEY, LocalEnergy(jnp.ones(()), {"trap": jnp.ones(())}))


def test_the_density_of_hydrogen_is_that_of_its_exact_wavefunction():
    """Mean densities of shells: differences of the closed form of the charge inside a sphere."""
    found = measured(density(shells=20, reach=6.0), 1.0, HYDROGEN)
    edges = found.parts["edges"].value
    assert edges[0] == 0.0 and edges[1] == 0.1 and edges[-1] == pytest.approx(6.0) and found.value.shape == (20,)
    inside = 1.0 - np.exp(-2.0 * edges) * (1.0 + 2.0 * edges + 2.0 * edges**2)
    exact = np.diff(inside) / (4.0 / 3.0 * np.pi * np.diff(edges**3))
    seen = found.value > 0.0
    assert seen.sum() >= 16 and holds((found.value[seen], found.error[seen]), exact[seen])
    assert found.error[-1] < 0.1 * exact[-1]
    assert holds(found.parts["outside"], 1.0 - inside[-1], 0.001)
    assert (f"no electron was seen in {20 - seen.sum()} of 20 shells" in " ".join(found.notes)) == (not seen.all())


def test_the_density_counts_every_electron_of_a_molecule_around_each_nucleus():
    walker = jnp.asarray(3.0 * np.random.default_rng(1).normal(size=(4, 3)), jnp.float32)
    observable = density(shells=5, reach=4.0)
    counts = np.asarray(observable.local(psi, walker, LIH, KEY))
    assert counts.shape == (2, 6) and (counts.sum(axis=1) == 4.0).all()
    found = observable.finalize(counts, np.zeros((12, 12)))
    assert found["value"].shape == (2, 5) and found["outside"].shape == (2,)
    volumes = 4.0 / 3.0 * np.pi * np.diff(found["edges"].value ** 3)
    np.testing.assert_allclose(found["value"] @ volumes + found["outside"], 4.0)


@pytest.mark.parametrize("settings", [{"shells": 1}, {"reach": math.nan}, {"every": 0}])
def test_settings_of_the_density_are_checked(settings):
    with pytest.raises(InputError):
        density(**settings)
