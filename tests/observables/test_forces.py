"""Forces by AC-ZVZB: of H2+ without noise against exact energies, sampled, and what speaks against them."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hydrogen_molecular_ion import averages, exact, ion, points, spheroidal, two_exponentials
from nnqmc.config import resolve
from nnqmc.errors import InputError
from nnqmc.hamiltonian import molecular
from nnqmc.job import solve
from nnqmc.job.build import build
from nnqmc.methods import evaluate, make_measurement
from nnqmc.observables import forces
from nnqmc.observables.forces import ZVZB, doubts, local_zvzb
from nnqmc.samplers import Metropolis
from nnqmc.scf import hartree_fock, slater_log_psi
from nnqmc.statistics import ObservableEstimate, Quantity, estimate_observable
from nnqmc.system import molecule
from nnqmc.typing import LocalEnergy, SignedLog, System, Walkers

KEY = jax.random.key(0)
NO_COVARIANCE = np.zeros((19, 19))  # of two atoms


def atom(charge: float) -> System:
    return System(np.array([[0.3, -0.2, 0.1]]), np.array([charge]), 1, 0, ("X",))


def at_walkers(psi, system, walkers):
    """The energy and the parts of the forces of each walker."""
    def one(electrons):
        energy = molecular()(psi, electrons, system, KEY)
        return {"total": energy.total} | local_zvzb(psi, electrons, system, KEY, energy)

    return jax.jit(jax.vmap(one))(jnp.asarray(walkers, jnp.float32))


def slow_force(psi, electrons, system):
    """The force of Hellmann and Feynman less ((H - E_L) Q psi)/psi, by its definition."""
    def q(r):
        vectors = r[:, None] - system.atoms
        return jnp.sum(system.charges[:, None] * vectors / jnp.linalg.norm(vectors, axis=-1, keepdims=True), axis=0)

    def value(r):
        found = psi(r, system)
        return found.sign * jnp.exp(found.logabs)

    def laplacian(function):
        hessian = jax.hessian(function)(electrons)
        return jnp.einsum("...iaia->...", hessian)

    vectors = electrons[:, None] - system.atoms
    pull = jnp.sum(system.charges[:, None] * vectors / jnp.linalg.norm(vectors, axis=-1, keepdims=True) ** 3, axis=0)
    push = -jax.grad(lambda atoms: system.charges[0] * system.charges[1] / jnp.linalg.norm(atoms[0] - atoms[1])
                     )(system.atoms)
    change = -0.5 * (laplacian(lambda r: q(r) * value(r)) - q(electrons) * laplacian(value)) / value(electrons)
    return pull + push - change


def test_one_walker_has_the_force_of_its_definition():
    """Against second derivatives of Q psi, for three electrons in LiH+ without any symmetry."""
    lih = System(jnp.array([[0.1, 0.0, 0.2], [0.0, 0.3, 3.0]]), jnp.array([3.0, 1.0]), 2, 1, ("Li", "H"))

    def psi(electrons, system):
        near, far = jnp.moveaxis(jnp.linalg.norm(electrons[:, None] - system.atoms, axis=-1), -1, 0)
        near, far = jnp.exp(-2.0 * near) * (1.0 + electrons[:, 0]), jnp.exp(-far)
        value = (near[0] * far[1] - near[1] * far[0]) * (near[2] + 0.5 * far[2])
        return SignedLog(jnp.sign(value), jnp.log(jnp.abs(value)))

    walkers = np.random.default_rng(0).normal(size=(6, 3, 3)) + np.array([0.0, 0.0, 1.0])
    found = at_walkers(psi, lih, walkers)
    slow = jax.jit(jax.vmap(lambda r: slow_force(psi, r, lih)))(jnp.asarray(walkers, jnp.float32))
    np.testing.assert_allclose(found["force"], slow, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(found["energy_q"], found["energy"][:, None, None] * found["q"], rtol=1e-6)


@pytest.mark.parametrize("charge", [1.0, 4.0])
def test_of_an_atom_in_its_exact_state_every_walker_has_the_force_zero(charge):
    """Zero variance and, with the energy the same everywhere, zero bias."""
    def psi(electrons, system):
        return SignedLog(jnp.ones(()), -charge * jnp.linalg.norm(electrons[0] - jnp.asarray(system.atoms[0])))

    walkers = np.random.default_rng(1).normal(size=(40, 1, 3)) / charge
    found = at_walkers(psi, atom(charge), walkers)
    np.testing.assert_allclose(found["force"], 0.0, atol=1e-3 * charge**2)
    np.testing.assert_allclose(found["total"], -0.5 * charge**2, rtol=1e-3)


def parts(psi, electrons, system):
    return local_zvzb(psi, electrons, system, KEY, molecular()(psi, electrons, system, KEY))


def test_for_the_exact_wavefunction_of_the_hydrogen_molecular_ion_the_force_is_exact():
    """The derivative of its exact energies, by differences: pushing at 1.5 bohr and pulling at 3."""
    means, step, found = averages(parts, spheroidal), 0.002, []
    for bond in (1.5, 3.0):
        params = {"c": jnp.asarray(exact(bond)[1], jnp.float32), "decay": jnp.float32(1.4)}
        along_z = forces(ion(bond)).finalize(means(params, ion(bond), points(bond, 2.8, 48, 48)), NO_COVARIANCE)
        found.append(-(exact(bond + step)[0] - exact(bond - step)[0]) / (2.0 * step))
        np.testing.assert_allclose(along_z["value"][:, 2], [-found[-1], found[-1]], atol=2e-4)
    assert found[0] > 0.1 and found[1] < -0.03


def test_what_exact_energies_are_compared_with_is_exact():
    """H2+ at 2 bohr: -0.6026342145 Ha (Scott, Aubert-Frecon, Grotendorst, doi:10.1016/j.chemphys.2005.10.031)."""
    assert abs(exact(2.0)[0] + 0.6026342145) < 1e-7


@pytest.fixture(scope="module")
def lopsided():
    """A wavefunction that is far from an eigenstate and has a node, sampled: what evaluation says, and quadrature."""
    system, params = ion(1.5), {"zeta": jnp.float32(1.2), "c": jnp.float32(-0.3)}
    quadrature = averages(parts, two_exponentials)(params, system, points(1.5, 1.8, 40, 60))
    electrons = jnp.asarray(np.random.default_rng(2).normal(size=(400, 1, 3)), jnp.float32)
    sampler = Metropolis(sweeps=10)
    chains = sampler.init(Walkers(electrons, jnp.zeros(400, jnp.float32)), system)
    measurement = make_measurement(two_exponentials, system, molecular(), sampler, observables=[forces(system)],
                                   chunk_size=400)
    found = evaluate(measurement, params, chains, key=jax.random.key(1), max_steps=100, burn_in=20)
    return found.observables["forces"], forces(system).finalize(quadrature, NO_COVARIANCE)


def test_sampling_gives_the_same_forces_with_error_bars_that_hold(lopsided):
    found, quadrature = lopsided
    z = np.array([2, 2]), np.array([0, 1])
    value, error = (np.asarray(x)[z[::-1]] for x in (found.value, found.error))
    assert (np.abs(value - quadrature["value"][z[::-1]]) < 4.0 * error).all() and (error < 0.05).all()
    assert np.all(np.abs(found.value[:, :2]) < 4.0 * found.error[:, :2]), "across the axis there is no force"


def test_a_sum_that_does_not_vanish_is_said_and_distrusted(lopsided):
    found, quadrature = lopsided
    assert abs(quadrature["sum"][2]) > 0.2
    assert not found.trusted and any("the sum of the forces has to vanish" in words for words in found.caveats)
    assert not any("torque" in words for words in found.caveats)


def test_noise_is_no_reason_for_doubt_and_an_atom_has_no_force():
    zero, noise = Quantity(np.zeros(3), np.full(3, 0.1)), Quantity(np.full(3, 0.2), np.full(3, 0.1))
    sound = ObservableEstimate(np.ones((2, 3)), np.full((2, 3), 0.1), parts={"sum": zero, "torque": noise})
    assert doubts(sound) == ()
    assert doubts(ObservableEstimate(np.zeros((1, 3)), np.zeros((1, 3)))) == ()
    (sentence,) = doubts(ObservableEstimate(np.array([[0.0, 0.0, 0.5]]), np.full((1, 3), 0.1)))
    assert sentence.startswith("the force on a single atom has to vanish and is 5.0 error bars away")
    rng = np.random.default_rng(3)
    series = {"force": rng.normal(size=(200, 8, 1, 3)), "q": rng.normal(size=(200, 8, 1, 3)),
              "energy": rng.normal(size=(200, 8)), "energy_q": rng.normal(size=(200, 8, 1, 3))}
    found = estimate_observable(series, finalize=forces(atom(1.0)).finalize)
    assert found.value.shape == found.error.shape == (1, 3) and not found.parts and doubts(found) == ()


def test_the_torque_of_forces_about_an_axis_is_found():
    water = molecule("H2O")
    turning = np.cross([0.0, 0.0, 0.1], water.atoms - water.atoms.mean(axis=0))
    zero = np.zeros((3, 3))
    found = forces(water).finalize({"force": turning, "q": zero, "energy": 0.0, "energy_q": zero}, np.zeros((28, 28)))
    assert abs(found["torque"][2]) > 0.1 and np.abs(found["torque"][:2]).max() < 1e-9


def test_balanced_forces_neither_move_nor_turn_the_molecule_and_have_error_bars_that_hold():
    """Exact forces with sum and torque 0, measured 1,000 times with five times the noise on oxygen."""
    water, rng = molecule("H2O"), np.random.default_rng(4)
    exact = water.atoms - water.atoms.mean(axis=0)
    is_oxygen = np.array([symbol == "O" for symbol in water.symbols])
    noise = np.where(is_oxygen, 5.0, 1.0)
    balanced, zero = [], np.zeros((3, 3))
    for _ in range(1000):
        covariance = np.zeros((28, 28))
        covariance[10:19, 10:19] = np.diag(np.repeat(noise**2, 3))  # "force" comes after "energy" and "energy_q"
        mean = {"force": exact + noise[:, None] * rng.normal(size=(3, 3)), "q": zero, "energy": 0.3, "energy_q": zero}
        balanced.append(forces(water).finalize(mean, covariance)["balanced"])
    values, errors = (np.array(x) for x in zip(*balanced))
    np.testing.assert_allclose(values.sum(axis=1), 0.0, atol=1e-8)
    np.testing.assert_allclose(np.cross(exact, values).sum(axis=1), 0.0, atol=1e-7)
    assert np.abs(values.mean(axis=0) - exact).max() < 0.15
    np.testing.assert_allclose(values.std(axis=0), errors[0], atol=0.06)
    assert errors[0, is_oxygen].max() < 1.5 and errors[0, ~is_oxygen].max() < 1.01, "hydrogen knows oxygen's force"


def test_forces_that_two_estimators_disagree_on_are_not_trusted():
    def compared(difference, error):
        zeros = np.zeros((2, 3))
        other = ObservableEstimate(zeros, zeros, parts={"difference": Quantity(zeros + difference, zeros + error)})
        both = {"forces": ObservableEstimate(zeros, zeros), "forces_space_warp": other}
        return forces(molecule("H2")).compared(both["forces"], both).caveats

    assert compared(0.01, 0.003) == () == forces(molecule("H2")).compare({})
    (sentence,) = compared(0.01, 0.002)
    assert sentence.startswith("AC-ZVZB and space warp give forces that differ by up to 0.01 hartree/bohr, 5.0 error")


def test_water_mirrored_has_mirrored_forces():
    """By symmetry: a reflection that exchanges the hydrogens changes psi by no more than its sign."""
    water = molecule("H2O")
    hydrogens = np.flatnonzero(np.array(water.symbols) == "H")
    across = np.diff(water.atoms[hydrogens], axis=0)[0]
    mirror = np.eye(3) - 2.0 * np.outer(across, across) / (across @ across)
    order = np.arange(3)
    order[hydrogens] = hydrogens[::-1]
    np.testing.assert_allclose((water.atoms @ mirror)[order], water.atoms, atol=1e-9)
    psi, energy = partial(slater_log_psi, hartree_fock(water)), LocalEnergy(jnp.float32(-76.0), {})
    walkers = np.random.default_rng(6).normal(size=(5, 10, 3)) + water.atoms.mean(axis=0)
    found = jax.jit(jax.vmap(lambda r: local_zvzb(psi, r, water, KEY, energy)))
    one, other = (found(jnp.asarray(x, jnp.float32)) for x in (walkers, walkers @ mirror))
    for name in ("force", "q"):
        np.testing.assert_allclose((other[name] @ mirror)[:, order], one[name], rtol=2e-3, atol=2e-3)
    assert np.abs(one["force"]).max() > 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("atoms", "bond", "preset", "exact"), [
    ("HH", 1.0, "quick", 0.3220), ("HH", 1.401, "quick", 0.0), ("HH", 2.0, "quick", -0.0888),  # doi:10.1063/1.2173250
    (("Li", "H"), 2.5, "standard", 0.0567)])  # CCSD(T) in cc-pCVQZ by PySCF
def test_forces_along_a_bond_are_those_of_exact_energies(atoms, bond, preset, exact):
    first, second = atoms
    found = solve(f"{first} 0 0 0; {second} 0 0 {bond}", unit="bohr", preset=preset, seed=1, observe="forces",
                  evaluate={"max_steps": 400, "target_error": None}, progress=False)
    value, error = (x[1, 2] for x in found.observables["forces"].parts["balanced"])
    assert abs(value - exact) < 3.0 * error + 1e-3 and error < 3e-3, (value, error)


def test_the_covariance_of_forces_is_that_of_forces_of_noisy_means():
    rng = np.random.default_rng(5)
    shapes = {"energy": (), "energy_q": (2, 3), "force": (2, 3), "q": (2, 3)}
    mean = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    root = 1e-3 * rng.normal(size=(19, 19))
    found = []
    for row in rng.normal(size=(20000, 19)) @ root.T:
        parts = np.split(row, [1, 7, 13])
        found.append(ZVZB.forces({name: mean[name] + part.reshape(shape)
                                  for (name, shape), part in zip(shapes.items(), parts)}).ravel())
    predicted = ZVZB.covariance(mean, root @ root.T)
    assert np.abs(np.cov(np.array(found).T) - predicted).max() < 0.05 * np.abs(predicted).max()


def test_hamiltonians_that_it_was_not_derived_for_are_refused_before_anything_is_computed():
    trapped = molecular(trap=lambda psi, electrons, system, key: jnp.sum(electrons**2))
    with pytest.raises(InputError, match="Coulomb Hamiltonian alone, and this one differs in the term 'trap'"):
        forces(molecule("H2"), trapped)
    config = resolve(molecule("H2"), custom={"hamiltonian": "trapped"})
    config["evaluate"]["observe"] = "forces"
    with pytest.raises(InputError, match="'trap'"):
        build(config, {"hamiltonian": trapped})
    with pytest.raises(InputError, match=r"cores of \[2, 0\] electrons"):
        forces(molecule("LiH", core=[2, 0]))
    assert forces(molecule("H2"), molecular()).needs_local_energy
