"""What every observable must be: finite numbers of one walker that know no order of equal electrons.

A new observable comes from the catalogue; SETTINGS has what it needs that has no default.
"""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catalogued import catalogued
from compiling import quickly_compiled
from nnqmc.methods import observables_identity
from nnqmc.observables import Observable
from nnqmc.statistics import ObservableEstimate, estimate_observable
from nnqmc.typing import LocalEnergy, SignedLog, System

SETTINGS = {"cusps": {"reach": 5.0}}  # so that some of the few electrons are near
ROUNDING = {"forces_space_warp": 5e-3}  # third derivatives in float32, near a node
LIH = System(np.array([[0.0, 0, 0], [0, 0, 3.0]]), np.array([3.0, 1.0]), 2, 2, ("Li", "H"))
WALKERS = np.random.default_rng(0).normal(size=(60, 4, 3))
OBSERVABLES, AGAIN = (catalogued("observable", SETTINGS, system=LIH) for _ in range(2))
RARE = catalogued("observable", {name: {**SETTINGS.get(name, {}), "every": 3} for name in OBSERVABLES}, system=LIH)


def psi(electrons, system):
    """A determinant for each spin, of an exponential and a shifted one."""
    near = jnp.exp(-2.0 * jnp.linalg.norm(electrons - jnp.asarray(system.atoms[0]), axis=-1))
    far = jnp.exp(-jnp.linalg.norm(electrons - jnp.asarray(system.atoms[1]), axis=-1))
    psi = (near[0] * far[1] - near[1] * far[0]) * (near[2] * far[3] - near[3] * far[2])
    return SignedLog(jnp.sign(psi), jnp.log(jnp.abs(psi)))


@pytest.fixture(scope="module", params=OBSERVABLES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def values(name):
    """population -> the observable's numbers for each walker."""
    observable, energy = OBSERVABLES[name], LocalEnergy(jnp.float32(-1.0), {"kinetic": jnp.float32(1.0)})
    extra = (energy,) if observable.needs_local_energy else ()
    compiled = quickly_compiled(jax.vmap(lambda one: observable.local(psi, one, LIH, jax.random.key(0), *extra)))
    return lambda population: compiled(jnp.asarray(population, jnp.float32))


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_it_is_called_by_its_name_and_can_be_measured_at_every_so_many_steps(name):
    observable = OBSERVABLES[name]
    assert isinstance(observable, Observable) and observable.every >= 1 and RARE[name].every == 3
    assert observable.name == name and isinstance(observable.unit, str)
    assert all(isinstance(sentence, str) for sentence in observable.caveats_for(LIH))


def test_it_gives_finite_real_numbers_for_each_walker(values):
    found = values(WALKERS)
    assert isinstance(found, dict | jax.Array)
    for leaf in leaves(found):
        assert leaf.shape[0] == len(WALKERS) and leaf.dtype == np.float32 and np.isfinite(leaf).all()


def test_the_order_of_electrons_of_one_spin_does_not_matter(name, values):
    rounding = ROUNDING.get(name, 1e-4)
    for x, y in zip(leaves(values(WALKERS)), leaves(values(WALKERS[:, [1, 0, 3, 2]]))):
        np.testing.assert_allclose(x, y, rtol=rounding, atol=2.0 * rounding)  # some are 0 by cancellation near a node


def test_walkers_do_not_know_of_each_other(values):
    for x, y in zip(leaves(values(WALKERS)), leaves(values(WALKERS[::-1].copy()))):
        np.testing.assert_allclose(x, y[::-1], rtol=1e-5, atol=1e-6)


def test_its_estimate_has_error_bars_of_the_same_form_and_survives_json(name, values):
    observable = OBSERVABLES[name]
    series = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(15, 4, *leaf.shape[1:]), values(WALKERS))
    found = estimate_observable(series, unit=observable.unit, finalize=observable.finalize)
    pairs = [*([(found.value, found.error)] if found.value is not None else []), *found.parts.values()]
    assert pairs and str(found)
    for value, error in pairs:
        assert np.shape(value) == np.shape(error) and np.isfinite(value).all() and (np.asarray(error) >= 0.0).all()
    assert ObservableEstimate.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


def test_an_evaluation_that_is_kept_can_tell_it_from_others(name):
    stranger = Observable("x", "", lambda psi, r, s, key: r[0, 0])
    one, again, other = (observables_identity({"x": observable}, LIH)["x"]
                         for observable in (OBSERVABLES[name], AGAIN[name], stranger))
    assert one == again != other
