"""Observables in an evaluation: each with its own mask, form and turn, none with a say in the energy."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.hamiltonian import molecular
from nnqmc.methods import evaluate, make_measure_step, make_measurement, observables_identity
from nnqmc.observables import Observable, by_name, dipole
from nnqmc.samplers import Metropolis
from nnqmc.typing import LocalEnergy, SignedLog, System, Walkers

HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))
SAMPLER = Metropolis(sweeps=10, width=0.6, local=False)
CENTRE, B = np.array([0.4, -0.3, 0.2]), 0.8
WIDTH = 1.0 / math.sqrt(4.0 * B)
N_WALKERS, N_STEPS = 100, 60


def log_psi(params, electrons, system):
    """exp(-b |r - c|^2): the density is normal around c with a standard deviation of 1/sqrt(4 b)."""
    return SignedLog(jnp.ones((), electrons.dtype), -params["b"] * jnp.sum((electrons - CENTRE) ** 2))


def holed(psi, electrons, system, key):
    """x - c_x, and NaN beyond one standard deviation above."""
    x = electrons[0, 0] - CENTRE[0]
    return jnp.where(x > WIDTH, jnp.nan, x)


def twice(psi, electrons, system, key, local_energy):
    return {"total": 2.0 * local_energy.total, "ion": local_energy.terms["kinetic"]}


OBSERVABLES = {
    "mu": dipole(),
    "holed": holed,
    "rare": Observable("rare", "bohr", lambda psi, r, s, key: r[0, 0], every=4),
    "twice": Observable("twice", "hartree", twice, needs_local_energy=True),
    "large": lambda psi, r, s, key: jnp.full((40, 40), 2),
    "moments": Observable("moments", "bohr^2", lambda psi, r, s, key: {"x": r[0], "xx": jnp.outer(r[0], r[0])},
                          lambda mean, covariance: {"value": np.trace(mean["xx"]) - mean["x"] @ mean["x"]}),
    "never": lambda psi, r, s, key: jnp.inf * r[0],
}


@pytest.fixture(scope="module")
def found():
    electrons = CENTRE + WIDTH * np.random.default_rng(0).normal(size=(N_WALKERS, 1, 3))
    walkers = Walkers(jnp.asarray(electrons, jnp.float32), jnp.zeros(N_WALKERS, jnp.float32))
    chains, params = SAMPLER.init(walkers, HYDROGEN), {"b": jnp.float32(B)}
    results = []
    for observables in (OBSERVABLES, None):
        measurement = make_measurement(log_psi, HYDROGEN, molecular(), SAMPLER, observables=observables, chunk_size=100)
        results.append(evaluate(measurement, params, chains, key=jax.random.key(1), max_steps=N_STEPS, burn_in=10))
    return results


def test_observables_change_nothing_about_the_energy(found):
    measured, alone = found
    for name, values in alone.series.items():
        np.testing.assert_allclose(measured.series[name], values, rtol=1e-5, err_msg=name)
    assert measured.excluded == 0.0 and not alone.observables


def test_the_dipole_is_that_of_the_density(found):
    mu = found[0].observables["mu"]
    assert mu.unit == "debye" and mu.n_samples == N_WALKERS * N_STEPS
    assert (np.abs(mu.value + 2.541746473 * CENTRE) < 4.0 * mu.error).all() and (mu.error < 0.1).all()
    length = mu.parts["length"]
    assert abs(length.value - 2.541746473 * np.linalg.norm(CENTRE)) < 4.0 * length.error


def test_a_walker_without_a_finite_value_is_left_out_of_that_observable_only_and_counted(found):
    share = 0.5 * math.erfc(math.sqrt(0.5))
    exact = -WIDTH * math.exp(-0.5) / math.sqrt(2.0 * math.pi) / (1.0 - share)  # of a normal distribution cut at sigma
    cut = found[0].observables["holed"]
    assert abs(cut.value - exact) < 4.0 * cut.error
    left_out = found[0].series["excluded.holed"].mean()
    np.testing.assert_allclose(left_out, share, rtol=0.1)
    assert f"{left_out:.2%} of the samples had no finite value of this observable and were left out" in cut.caveats
    assert cut.n_samples == round(N_WALKERS * N_STEPS * (1.0 - left_out))
    assert found[0].series["excluded.mu"].max() == 0.0 and not cut.trusted


def test_an_observable_without_any_finite_value_has_none_and_says_so(found):
    never = found[0].observables["never"]
    assert np.isnan(never.value).all() and never.value.shape == (3,) and never.n_samples == 0
    assert "no sample had a finite value" in never.caveats and found[0].energy.value == pytest.approx(
        found[1].energy.value)


def test_what_is_measured_at_some_steps_only_has_nan_at_the_others(found):
    series, rare = found[0].series["observable.rare"], found[0].observables["rare"]
    np.testing.assert_array_equal(np.isfinite(series).all(axis=1), np.arange(N_STEPS) % 4 == 0)
    np.testing.assert_array_equal(np.isnan(found[0].series["excluded.rare"]), np.arange(N_STEPS) % 4 != 0)
    assert rare.value == pytest.approx(series[::4].mean()) and rare.n_samples == N_WALKERS * N_STEPS // 4
    assert abs(rare.value - CENTRE[0]) < 4.0 * rare.error


def test_an_observable_may_ask_for_the_local_energy(found):
    twice = found[0].observables["twice"].parts
    assert twice["total"].value == pytest.approx(2.0 * found[0].energy.value, rel=1e-5)
    assert twice["ion"].value == pytest.approx(found[0].terms["kinetic"].value, rel=1e-5)


def test_a_large_array_is_kept_for_few_groups_of_walkers(found):
    assert found[0].series["observable.large"].shape == (N_STEPS, 2, 40, 40)
    assert found[0].series["observable.mu"].shape == (N_STEPS, N_WALKERS, 3)
    np.testing.assert_array_equal(found[0].observables["large"].value, 2.0)


def test_finalize_turns_means_into_what_is_reported(found):
    """The variance of the density, from first and second moments."""
    moments = found[0].observables["moments"]
    assert abs(moments.value - 3.0 * WIDTH**2) < 4.0 * moments.error and not moments.parts
    assert moments.error == pytest.approx(math.sqrt(6.0 / (N_WALKERS * N_STEPS)) * WIDTH**2, rel=0.9)


def plain(psi, electrons, system, key):
    return jnp.sum(electrons)


def test_observables_are_given_by_name_or_as_a_list():
    assert by_name(None) == {} and list(by_name([dipole()])) == ["dipole"]
    named = by_name({"mu": dipole(every=3), "sum": plain})
    assert named["mu"].name == "mu" and named["mu"].every == 3 and named["sum"] == Observable("sum", "", plain)
    assert by_name(named) == named


@pytest.mark.parametrize(("observables", "words"), [
    ({"x": 3}, "observable 'x' = 3: give a function"),
    ([plain], "in a list, or a dict of functions by name"),
    ([dipole(), dipole()], "two observables are called 'dipole'"),
], ids=["a number", "a function in a list", "twice"])
def test_what_is_no_observable_is_refused(observables, words):
    with pytest.raises(InputError, match=words):
        by_name(observables)


@pytest.mark.parametrize("settings", [{"every": 0}, {"every": 1.5}, {"every": True}, {"name": ""}], ids=str)
def test_settings_that_measure_nothing_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        Observable(**{"name": "x", "unit": "", "local": plain} | settings)


@pytest.mark.parametrize(("observables", "words"), [
    ({"x": lambda psi, r, s, key: 1j * r[0, 0]}, "observable 'x' returns .* real number"),
    ({"x": lambda psi, r, s, key: {"a": {"b": r[0, 0]}}}, "observable 'x' returns .* real number"),
    ({"x": lambda psi, r, s, key: {"y": r[0, 0]}, "x.y": plain}, "'observable.x.y' twice"),
    ({"x": lambda psi, r, s, key: r[1:]}, "observable 'x' returns .* real number"),
], ids=["complex", "nested", "one name for two", "nothing"])
def test_what_has_no_mean_is_refused(observables, words):
    chains = SAMPLER.init(Walkers(jnp.ones((4, 1, 3)), jnp.zeros(4)), HYDROGEN)
    measure_step = make_measure_step(log_psi, HYDROGEN, observables=observables, chunk_size=4)
    local = LocalEnergy(jnp.zeros(4), {})
    with pytest.raises(InputError, match=words):
        jax.eval_shape(measure_step, jax.random.key(0), 0, {"b": jnp.float32(B)}, chains, local, {})


def identity(observable):
    return observables_identity(by_name({"x": observable}), HYDROGEN)["x"]


def scaled(factor):
    return lambda psi, electrons, system, key: factor * jnp.sum(electrons)


def test_the_identity_is_that_of_the_mathematics():
    table = np.arange(300.0)
    base = identity(scaled(2.0))
    assert base == identity(scaled(2.0)) == identity(Observable("y", "bohr", scaled(2.0), lambda m, c: {"value": m}))
    others = [scaled(3.0), plain, Observable("x", "", scaled(2.0), every=2),
              lambda psi, r, s, key: 2.0 * jnp.sum(r) + psi(r, s).logabs,
              lambda psi, r, s, key: jnp.sum(r * table[7]), lambda psi, r, s, key: jnp.sum(r * table[9])]
    assert len({base, *(identity(other) for other in others)}) == 1 + len(others)
    long, other = (identity(lambda psi, r, s, key, t=t: r[0, 0] * jnp.asarray(t)) for t in (table, table + 1.0))
    assert long != other, "constants count, also long ones"
    asking = Observable("x", "", lambda psi, r, s, key, e: e.total + e.terms["kinetic"], needs_local_energy=True)
    assert len(identity(asking)) == 32 and identity(dipole()) == identity(dipole())
