"""The wavefunction of a run as an object: the same numbers as the run's own, pure functions, and the same refusals."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pyscf.tools import molden

import nnqmc
from nnqmc.errors import CheckpointError, InputError
from nnqmc.hamiltonian import molecular
from nnqmc.job.build import Components, build
from nnqmc.samplers import Metropolis
from nnqmc.statistics import ObservableEstimate, Quantity
from nnqmc.trained import Trained
from nnqmc.typing import SignedLog, System, Walkers

ZETA = 27.0 / 16.0


@pytest.fixture(scope="module")
def trained(finished: Path) -> Trained:
    return nnqmc.load(finished)


def test_it_has_the_system_the_result_and_the_walkers_of_the_run(finished: Path, trained: Trained) -> None:
    assert trained.system.name == "He" and trained.steps == 4 and "He after 4 training steps" in repr(trained)
    assert trained.result.energy.value == pytest.approx(nnqmc.resume(finished, progress=False).energy.value)
    assert trained.chains.n_walkers == 32


def test_its_log_psi_is_that_of_the_network_with_the_averaged_parameters(trained: Trained) -> None:
    network = build(trained.opened.config).wavefunction
    electrons = jnp.array([[0.3, 0.1, -0.2], [-0.5, 0.4, 0.6]])
    found, expected = trained.log_psi(electrons), network.apply(trained.params, electrons, trained.system)
    assert isinstance(found, SignedLog) and found.sign == expected.sign
    np.testing.assert_allclose(found.logabs, expected.logabs, rtol=1e-6)


def test_it_works_under_jit_vmap_and_grad(trained: Trained) -> None:
    walkers = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 3)), jnp.float32)
    one_by_one = [trained.log_psi(walker).logabs for walker in walkers]
    together, slopes = jax.jit(jax.vmap(jax.value_and_grad(lambda r: trained.log_psi(r).logabs)))(walkers)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-5)
    step = jnp.zeros((2, 3)).at[1, 2].set(1e-2)
    numeric = (trained.log_psi(walkers[0] + step).logabs - trained.log_psi(walkers[0] - step).logabs) / 2e-2
    np.testing.assert_allclose(slopes[0, 1, 2], numeric, rtol=1e-2)
    energies = jax.jit(jax.vmap(trained.local_energy))(walkers)
    np.testing.assert_allclose(energies.total, sum(energies.terms.values()), rtol=1e-5)
    np.testing.assert_allclose(energies.total[0], trained.local_energy(walkers[0]).total, rtol=1e-4)


@pytest.mark.parametrize("wrong", [np.zeros((3, 3)), np.zeros((5, 2, 3)), 0.0])
def test_a_wrong_shape_is_one_sentence_also_under_jit(trained: Trained, wrong: object) -> None:
    for function in (trained.log_psi, jax.jit(trained.local_energy)):
        with pytest.raises(InputError, match=r"one walker of He has the shape \(2, 3\); use jax.vmap for many"):
            function(jnp.asarray(wrong))


@pytest.mark.parametrize("n", [0, -1, True])
def test_a_sample_of_no_walkers_is_refused(trained: Trained, n: object) -> None:
    with pytest.raises(InputError, match="n is a whole number of at least 1"):
        trained.sample(n, jax.random.key(0))


@pytest.mark.parametrize(("function", "given", "words"), [
    (Trained.evaluate, (None,), "observe=None: give names of observables"),
    (Trained.evaluate, (["radii", 3],), r"observe=\['radii', 3\]: give names of observables"),
    (Trained.density, ("abc",), "points='abc': give an array of real numbers, in bohr"),
    (Trained.log_psi, ("abc",), "electrons='abc': give an array of real numbers, in bohr"),
    (Trained.log_psi, (np.full((2, 3), 1j),), "these are complex numbers; give real ones, in bohr"),
    (Trained.local_energy, ([[1, 2, 3], [1, 2, 1j]],), "these are complex numbers; give real ones, in bohr"),
    (Trained.sample, (2, 0), r"key=0 is no key: give jax.random.key\(0\)"),
    (Trained.sample, (10**13, jax.random.key(0)), "a sample of 10000000000000 walkers needs .* GiB .*: ask for fewer"),
    (Trained.write_cube, (3,), "3 was given as the path of a cube file"),
])
def test_what_has_the_wrong_type_or_size_is_one_sentence(trained: Trained, function: Callable, given: tuple, words: str
                                                         ) -> None:
    function = getattr(function, "__wrapped__", function)  # without the annotations that the tests enforce
    with pytest.raises(InputError, match=words):
        function(trained, *given)


def test_a_cube_file_without_a_folder_is_refused_before_anything_is_computed(trained: Trained, tmp_path: Path,
                                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trained, "density", lambda *given, **more: pytest.fail("the density was computed"))
    with pytest.raises(InputError, match=r"he\.cube can't be written, since there is no folder .*none: make it"):
        trained.write_cube(tmp_path / "none" / "he.cube")


def test_it_refuses_what_resume_refuses(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        nnqmc.load(tmp_path / "nothing")
    with pytest.raises(InputError, match="unknown argument of load 'hamiltonain': did you mean 'hamiltonian'"):
        nnqmc.load(finished, hamiltonain=None)
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef0123456789abcdef")
    key.chmod(0o600)
    with pytest.raises(nnqmc.SignatureError):
        nnqmc.load(finished, key_file=key)
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace("seed = 3", "seed = 4"))
    with pytest.raises(CheckpointError, match="belongs to another configuration"):
        nnqmc.load(run)
    (run / "config.toml").write_text(config.replace(f'nnqmc = "{nnqmc.__version__}"', 'nnqmc = "0.0.1"'))
    with pytest.raises(nnqmc.NnqmcError, match=r"0\.0\.1"):
        nnqmc.load(run)
    (run / "config.toml").write_text(config)
    for path in run.glob("checkpoint-*"):
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError):
        nnqmc.load(run)
    for path in run.glob("checkpoint-*"):
        path.unlink()
    with pytest.raises(InputError, match="has no checkpoint yet: `nnqmc resume"):
        nnqmc.load(run)


def test_evaluate_measures_what_is_asked_for_and_keeps_it(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    trained = nnqmc.load(tmp_path / "run")
    result = trained.evaluate(["radii", "virial"], max_steps=30, progress=False)
    assert result.observables.keys() == {"radii", "virial", "spin_squared", "cusps"}
    assert trained.result.observables["radii"] == result.observables["radii"]
    assert nnqmc.load(tmp_path / "run").result.energy.n_samples == 30 * 32
    with pytest.raises(InputError, match="unknown observable 'dipol': did you mean 'dipole'"):
        trained.evaluate("dipol")


def test_natural_orbitals_are_written_for_other_programs(finished: Path, tmp_path: Path) -> None:
    """Read by PySCF, with their occupations; helium has five functions in cc-pVDZ."""
    shutil.copytree(finished, tmp_path / "run")
    trained = nnqmc.load(tmp_path / "run")
    with pytest.raises(InputError, match=r"has no natural orbitals: `nnqmc evaluate .* --observe density_matrix`"):
        trained.write_molden(tmp_path / "he.molden")
    orbitals, occupations = np.linalg.qr(np.arange(25.0).reshape(5, 5) ** 0.5)[0], np.array([1.9, 0.1, 0.0, 0.0, -0.01])
    parts = {"orbitals": Quantity(orbitals, 0.0 * orbitals), "occupations": Quantity(occupations, 0.0 * occupations)}
    measured = ObservableEstimate(np.diag(occupations), np.zeros((5, 5)), parts=parts)
    trained.opened.save_result(replace(trained.result, observables={"density_matrix": measured}))
    _, _, coefficients, electrons, *_ = molden.load(str(trained.write_molden(tmp_path / "he.molden")))
    np.testing.assert_allclose(electrons, occupations, atol=1e-4)
    np.testing.assert_allclose(coefficients, orbitals, atol=1e-4)


def exact(charge: float, zeta: float, n_down: int) -> Trained:
    """One or two electrons in exp(-zeta r), whose density is known, as an object without a run."""
    system = System(np.array([[0.0, 0.0, 0.3]]), np.array([charge]), 1, n_down, ("H" if charge == 1 else "He",))

    def log_psi(params: float, electrons: jax.Array, system: System) -> SignedLog:
        distances = jnp.linalg.norm(electrons - jnp.asarray(system.atoms[0], electrons.dtype), axis=-1)
        return SignedLog(jnp.ones((), electrons.dtype), -params * jnp.sum(distances))

    sampler = Metropolis(sweeps=5)
    walkers = Walkers(0.5 * jax.random.normal(jax.random.key(0), (64, 1 + n_down, 3)), jnp.zeros(64))
    parts = Components(system, None, log_psi, molecular(), sampler, None, None, None, {})
    return Trained(Path("none"), parts, jnp.float32(zeta), sampler.init(walkers, system), 0, None, {})


@pytest.mark.parametrize(("charge", "zeta", "n_down"), [(1.0, 1.0, 0), (2.0, ZETA, 1)])
def test_the_density_of_a_product_is_exact_at_every_point(charge: float, zeta: float, n_down: int) -> None:
    """Hydrogen's exact density, and n zeta^3/pi exp(-2 zeta r): without correlation no sample has any noise."""
    model = exact(charge, zeta, n_down)
    points = np.random.default_rng(1).normal(size=(30, 3)) * 1.5
    distances = np.linalg.norm(points - model.system.atoms[0], axis=1)
    expected = (1 + n_down) * zeta**3 / np.pi * np.exp(-2.0 * zeta * distances)
    found = model.density(points, samples=4)
    np.testing.assert_allclose(found.value, expected, rtol=1e-3)
    assert (np.asarray(found.error) < 1e-3 * expected).all()


def test_samples_follow_the_density_and_know_nothing_of_each_other() -> None:
    """<r> = 1.5/zeta; more walkers than the run had are copies that have parted."""
    model = exact(2.0, ZETA, 1)
    walkers = np.asarray(model.sample(600, jax.random.key(1)))
    assert walkers.shape == (600, 2, 3)
    np.testing.assert_array_equal(walkers, model.sample(600, jax.random.key(1)))
    distances = np.linalg.norm(walkers - model.system.atoms[0], axis=-1)
    assert abs(distances.mean() - 1.5 / ZETA) < 4.0 * distances.std() / np.sqrt(1200)
    copies = distances[:576].reshape(9, 64, 2)  # the same walker of the run, nine times
    between = copies.mean(axis=0).var(axis=0, ddof=1).mean() * 9.0 / distances.var()
    assert 0.6 < between < 1.5, "copies of a walker are correlated"


def test_samples_and_densities_can_be_part_of_a_larger_program() -> None:
    model = exact(1.0, 1.0, 0)
    points, key = jnp.array([[0.1, 0.2, 0.3]]), jax.random.key(2)
    walkers, density = jax.jit(lambda points, key: (model.sample(4, key), model.density(points, samples=2).value))(
        points, key)
    np.testing.assert_allclose(walkers, model.sample(4, key), atol=1e-4)
    np.testing.assert_allclose(density, np.exp(-2.0 * np.sqrt(0.05)) / np.pi, rtol=1e-3)


def test_what_no_density_can_be_computed_of_is_one_sentence() -> None:
    model = exact(1.0, 1.0, 0)
    with pytest.raises(InputError, match=r"points of the shape \(3,\): the density needs \(n_points, 3\) in bohr"):
        model.density(np.zeros(3))
    with pytest.raises(InputError, match=r"needs .* GiB and not the 2 that are allowed"):
        model.density(np.zeros((10**4, 3)), samples=10**6)
    with pytest.raises(InputError, match="samples = 1"):
        model.density(np.zeros((1, 3)), samples=1)
    with pytest.raises(InputError, match=r"points from 32 samples needs .* GiB"):
        model.write_cube("never.cube", spacing=0.001)
    assert not Path("never.cube").exists()


def test_a_cube_file_holds_the_density_where_other_programs_look_for_it(tmp_path: Path) -> None:
    """Read by PySCF; the electrons in the box are counted by summing up, as far as a coarse grid can."""
    from pyscf import gto
    from pyscf.tools import cubegen

    model = exact(2.0, 1.0, 1)
    path = model.write_cube(tmp_path / "he.cube", spacing=0.5, margin=3.0, samples=2)
    cube = cubegen.Cube(gto.M(atom="He", verbose=0))
    values = cube.read(str(path))
    assert values.shape == (13, 13, 13) and path.read_text().splitlines()[6].split()[:2] == ["2", "2.000000"]
    places = np.array([-3.0, -3.0, -2.7]) + 0.5 * np.indices(values.shape).reshape(3, -1).T
    distances = np.linalg.norm(places - model.system.atoms[0], axis=1)
    np.testing.assert_allclose(values.ravel(), 2.0 / np.pi * np.exp(-2.0 * distances), rtol=2e-3)
    assert abs(values.sum() * 0.5**3 - 2.0) < 0.2
