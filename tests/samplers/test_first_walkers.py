"""First walkers: whole electrons on the right atoms, at the right distances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.samplers.first_walkers import first_walkers
from nnqmc.system import molecule
from nnqmc.typing import System

_CHARGES = {"H": 1.0, "He": 2.0, "Li": 3.0, "C": 6.0, "O": 8.0, "Fe": 26.0, "Ne": 10.0}


def _row_of(symbols, n_up, n_down, spacing=60.0):
    """Atoms so far apart that the nearest one is the one an electron was put on."""
    atoms = np.arange(len(symbols))[:, None] * np.array([[0.0, 0.0, spacing]])
    return System(atoms, np.array([_CHARGES[symbol] for symbol in symbols]), n_up, n_down, tuple(symbols))


def _counts(walkers, system):
    """(n_walkers, n_atoms, 2): electrons of each spin nearest to each atom."""
    distance = np.linalg.norm(np.asarray(walkers)[:, :, None] - system.atoms, axis=-1)
    on_atom = np.eye(system.n_atoms)[np.argmin(distance, axis=-1)]
    return np.stack([on_atom[:, : system.n_up].sum(axis=1), on_atom[:, system.n_up :].sum(axis=1)], axis=-1)


def _distances(system, populations=None, n_walkers=4000):
    populations = np.array([[system.n_up, system.n_down]], dtype=float) if populations is None else populations
    return np.linalg.norm(np.asarray(first_walkers(jax.random.key(1), system, n_walkers, populations)), axis=-1)


def test_shape_precision_and_finiteness():
    system = _row_of(["Li", "H"], 2, 2, spacing=3.0)
    walkers = first_walkers(jax.random.key(0), system, 256, np.array([[1.4, 1.4], [0.6, 0.6]]))
    assert walkers.shape == (256, 4, 3) and walkers.dtype == jnp.float32
    assert bool(jnp.all(jnp.isfinite(walkers)))
    separation = jnp.linalg.norm(walkers[:, :, None] - walkers[:, None], axis=-1) + jnp.eye(4)
    assert float(separation.min()) > 0


def test_the_key_and_nothing_else_decides():
    system, populations = _row_of(["Li"], 2, 1), np.array([[2.0, 1.0]])
    first, again, other = (first_walkers(jax.random.key(seed), system, 8, populations) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.any(np.asarray(first) == np.asarray(other))


def test_whole_electrons_average_to_the_populations():
    system = _row_of(["O", "H", "H"], 5, 5)
    populations = np.array([[4.32, 4.1], [0.33, 0.5], [0.35, 0.4]])
    n_walkers = 8000
    counts = _counts(first_walkers(jax.random.key(0), system, n_walkers, populations), system)
    np.testing.assert_array_equal(counts.sum(axis=1), np.tile([5, 5], (n_walkers, 1)))
    assert np.all(np.abs(counts - populations) < 1)
    np.testing.assert_allclose(counts.mean(axis=0), populations, atol=5 * 0.5 / np.sqrt(n_walkers))


def test_whole_populations_are_met_by_every_walker():
    system = _row_of(["Li", "H"], 3, 1)
    populations = np.array([[2.0, 1.0], [1.0, 0.0]])
    counts = _counts(first_walkers(jax.random.key(0), system, 500, populations), system)
    assert np.all(counts == populations)


def test_a_shared_pair_starts_as_neutral_atoms():
    """H2 with half an electron of each spin per atom: one electron per atom, in both arrangements."""
    system = _row_of(["H", "H"], 1, 1)
    counts = _counts(first_walkers(jax.random.key(0), system, 2000, np.full((2, 2), 0.5)), system)
    assert np.all(counts.sum(axis=2) == 1)
    assert counts[:, 0, 0].mean() == pytest.approx(0.5, abs=0.06)


def test_hydrogen_starts_in_its_exact_density():
    """<r> = 3/2 and <r^2> = 3 bohr^2 in the 1s state."""
    distance = _distances(_row_of(["H"], 1, 0), n_walkers=20000)
    assert distance.mean() == pytest.approx(1.5, abs=0.03)
    assert (distance**2).mean() == pytest.approx(3.0, abs=0.15)


def test_directions_have_no_preference():
    system = _row_of(["H"], 1, 0)
    position = np.asarray(first_walkers(jax.random.key(0), system, 20000, np.array([[1.0, 0.0]])))[:, 0]
    direction = position / np.linalg.norm(position, axis=-1, keepdims=True)
    np.testing.assert_allclose(direction.T @ direction / len(direction), np.eye(3) / 3, atol=0.015)
    np.testing.assert_allclose(direction.mean(axis=0), 0, atol=0.02)


def test_electrons_fill_shells_at_the_distances_of_hartree_fock():
    """Mean distances from the nucleus within 15 % of the numerical Hartree-Fock ones (Fischer 1977)."""
    lithium = _distances(_row_of(["Li"], 2, 1)).mean(axis=0)
    np.testing.assert_allclose(lithium, [0.573, 3.874, 0.573], rtol=0.15)
    neon = _distances(_row_of(["Ne"], 5, 5)).mean(axis=0)
    np.testing.assert_allclose(neon[[0, 5]], 0.158, rtol=0.15)
    np.testing.assert_allclose(neon[[1, 2, 3, 4]], 0.93, rtol=0.15)


def test_d_electrons_stay_inside_the_outer_s_shell():
    iron = _distances(_row_of(["Fe"], 15, 11), n_walkers=500).mean(axis=0)
    outer_s, three_d = iron[9], iron[10:15]
    assert np.all(three_d < 0.6 * outer_s)


@pytest.mark.parametrize(
    ("symbol", "n_up", "n_down"), [("He", 2, 0), ("He", 0, 2), ("H", 1, 1), ("H", 2, 1), ("Li", 1, 1), ("H", 70, 0)]
)
def test_ions_and_high_spin_atoms_stay_compact(symbol, n_up, n_down):
    distance = _distances(_row_of([symbol], n_up, n_down), n_walkers=200)
    assert np.all(np.isfinite(distance)) and distance.mean() < 25


@pytest.mark.parametrize(
    ("name", "last", "distances"),
    [
        ("H", [1.2180378437042236, -0.9657328128814697, 1.0262600183486938], 3.6186202764076434),
        ("C", [-0.17363078892230988, 1.114848017692566, 0.7908008694648743], 13.686805334686346),
        ("Fe", [1.2778863906860352, -0.4851721525192261, 1.0798454284667969], 51.16029058882393),
        ("Kr", [-1.8772820234298706, 0.27150455117225647, 0.7858993411064148], 52.7419155214608),
        ("LiH", [0.38302311301231384, -0.26354795694351196, -3.355196952819824], 12.33213241875149),
        ("H2O", [0.8440266251564026, 0.4489370882511139, -1.2620770931243896], 26.775118080526084),
    ],
)
def test_a_key_gives_these_walkers_in_every_version(name, last, distances):
    """The position of the last electron, and the sum of all distances from the origin."""
    system = molecule(name)
    populations = np.outer(system.charges / system.charges.sum(), [system.n_up, system.n_down])
    walkers = np.asarray(first_walkers(jax.random.key(7), system, 2, populations))
    np.testing.assert_array_equal(walkers[1, -1], np.array(last, np.float32))
    assert np.linalg.norm(walkers.astype(np.float64), axis=-1).sum() == pytest.approx(distances, rel=1e-12)


def test_with_a_core_the_valence_electrons_are_where_they_were():
    """Iron with a neon core: the mean distances of 3s 3p, 4s and 3d electrons are those of the whole atom."""
    whole = _distances(molecule("Fe", spin=0))[:, :13].mean(axis=0)
    cored = _distances(molecule("Fe", spin=0, core=10))[:, :8].mean(axis=0)
    np.testing.assert_allclose(cored, whole[5:], rtol=0.05)
    assert _distances(molecule("C", core=2)).min(axis=1).mean() > 2.0 * _distances(molecule("C")).min(axis=1).mean()


@pytest.mark.parametrize(
    "populations",
    [np.ones((2, 2)), np.array([[2.0, 2.0]]), np.array([[-1.0, 1.0]]), np.array([[np.nan, 1.0]])],
    ids=["atoms", "sum", "negative", "nan"],
)
def test_populations_that_do_not_fit_are_refused(populations):
    with pytest.raises(InputError, match=r"do not fit: they must be 1 rows.*sum to 2 and 1.*hartree_fock"):
        first_walkers(jax.random.key(0), _row_of(["Li"], 2, 1), 4, populations)


def test_no_walkers_are_refused():
    with pytest.raises(InputError, match="n_walkers is 0: it must be at least 1"):
        first_walkers(jax.random.key(0), _row_of(["Li"], 2, 1), 0, np.array([[2.0, 1.0]]))


def test_scattered_walkers_have_one_or_two_electrons_on_atoms_drawn_at_random():
    """Half of them one, half of them two of two electrons; the other half of the walkers are left where they were."""
    system, populations = _row_of(["H", "H"], 1, 1), np.array([[1.0, 0.0], [0.0, 1.0]])
    n_walkers = 8000
    walkers = first_walkers(jax.random.key(0), system, n_walkers, populations, scattered=0.5)
    counts = _counts(walkers, system)
    np.testing.assert_array_equal(counts.sum(axis=1), 1)
    np.testing.assert_array_equal(counts[::2], np.broadcast_to(populations, (n_walkers // 2, 2, 2)))
    shares = [np.mean((counts[1::2, 0] == on_first).all(axis=1)) for on_first in ((1, 0), (0, 1), (1, 1), (0, 0))]
    np.testing.assert_allclose(shares, [0.375, 0.125, 0.25, 0.25], atol=5 * 0.5 / np.sqrt(n_walkers / 2))


def test_heavier_atoms_get_more_of_the_scattered_electrons():
    system, n_walkers = _row_of(["H", "Li"], 1, 0), 4000
    counts = _counts(first_walkers(jax.random.key(0), system, n_walkers, np.array([[1.0, 0.0], [0, 0]]), 1.0), system)
    np.testing.assert_allclose(counts[:, 1, 0].mean(), 0.75, atol=5 * 0.5 / np.sqrt(n_walkers))


def test_nothing_is_scattered_on_an_atom_and_no_other_share_than_one_is_taken():
    system, populations = _row_of(["Li"], 2, 1), np.array([[2.0, 1.0]])
    plain, scattered = (first_walkers(jax.random.key(0), system, 8, populations, share) for share in (0.0, 0.5))
    np.testing.assert_array_equal(plain, scattered)
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(InputError, match="scattered = "):
            first_walkers(jax.random.key(0), system, 8, populations, share)
