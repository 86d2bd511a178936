"""Evaluation: right within its error bars, exactly as long as asked, and the same again for the same key."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import InputError, NumericalError
from nnqmc.hamiltonian import hamiltonian, molecular
from nnqmc.methods import evaluate, make_measurement, make_walk
from nnqmc.samplers import Metropolis, first_walkers
from nnqmc.scf import hartree_fock, slater_log_psi
from nnqmc.statistics import estimate
from nnqmc.system import molecule
from nnqmc.typing import SignedLog, System, Walkers

HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))
SAMPLER = Metropolis(sweeps=10, width=0.6)
A = 0.8
EXACT = A**2 / 2.0 - A
N_WALKERS = 300


def log_psi(params, electrons, system):
    return SignedLog(jnp.ones((), electrons.dtype), -params["a"] * jnp.linalg.norm(electrons[0]))


def chains(n_walkers=N_WALKERS):
    electrons = np.random.default_rng(0).normal(size=(n_walkers, 1, 3))
    return SAMPLER.init(Walkers(jnp.asarray(electrons, jnp.float32), jnp.zeros(n_walkers, jnp.float32)), HYDROGEN)


def radius(psi, electrons, system, key):
    return jnp.linalg.norm(electrons[0])


def moments(psi, electrons, system, key):
    r = electrons[0]
    return {"second": r**2, "dipole": r[2], "mass": jnp.outer(r, r)}


def coin(psi, electrons, system, key):
    return jax.random.normal(key)


@pytest.fixture(scope="module")
def measurement():
    observables = {"radius": radius, "moments": moments, "coin": coin}
    return make_measurement(log_psi, HYDROGEN, molecular(), SAMPLER, observables=observables, chunk_size=100)


@pytest.fixture(scope="module")
def params():
    return {"a": jnp.float32(A)}


@pytest.fixture(scope="module")
def result(measurement, params):
    return evaluate(measurement, params, chains(), key=jax.random.key(1), max_steps=200, burn_in=20)


def test_the_walk_is_that_of_a_frozen_sampler_step_by_step(params):
    """The loop has an obvious twin: steps of the sampler with a width that stays, numbered from 0."""
    measurement = make_measurement(log_psi, HYDROGEN, molecular(), SAMPLER, chunk_size=100)
    found = evaluate(measurement, params, chains(), key=jax.random.key(3), max_steps=10, burn_in=5)
    key_burn_in, key_steps = jax.random.split(jax.random.key(3))
    walk, state = jax.jit(make_walk(log_psi, HYDROGEN, molecular(), SAMPLER, 100)), SAMPLER.freeze(chains())
    for key, number in ((key_burn_in, 5), (key_steps, 10)):
        for index in range(number):
            state, local, _ = walk(key, np.int32(index), params, state)
    np.testing.assert_array_equal(found.chains.walkers.electrons, state.walkers.electrons)
    np.testing.assert_allclose(found.series["energy"][-1].mean(), np.mean(local.total), rtol=1e-2)
    assert found.chains.shared.width == np.float32(SAMPLER.width)


def assert_holds(estimate, exact, sigmas=4.0):
    assert (np.abs(estimate.value - exact) < sigmas * np.asarray(estimate.error)).all(), (estimate, exact)


def test_energy_terms_and_observables_are_right_within_their_error_bars(result):
    assert_holds(result.energy, EXACT)
    assert result.energy.error < 0.003 and result.energy.trusted
    assert_holds(result.terms["kinetic"], A**2 / 2.0)
    assert_holds(result.terms["electron_nucleus"], -A)
    assert_holds(result.observables["radius"], 1.5 / A)
    assert_holds(result.observables["coin"], 0.0)
    np.testing.assert_allclose(result.energy.variance, A**2 * (1.0 - A) ** 2, rtol=0.2)
    total = sum(term.value for term in result.terms.values())
    np.testing.assert_allclose(total, result.energy.value, atol=1e-5)


def test_an_observable_of_several_quantities_reports_each_in_its_shape(result):
    assert set(result.observables) == {"radius", "coin", "moments"}
    found = result.observables["moments"]
    assert found.value is None and set(found.parts) == {"second", "dipole", "mass"}
    assert_holds(found.parts["dipole"], 0.0)
    assert_holds(found.parts["second"], 1.0 / A**2)
    assert_holds(found.parts["mass"], np.eye(3) / A**2)
    np.testing.assert_array_equal(np.diag(found.parts["mass"].value), found.parts["second"].value)


def test_the_report_on_the_chain_is_complete(result):
    assert result.series["energy"].shape == (200, 256) and result.series["variance"].shape == (200,)
    np.testing.assert_allclose(result.series["energy"].mean(), result.energy.value, rtol=1e-12)
    assert 0.2 < result.acceptance < 0.9 and result.stuck == 0.0 and result.excluded == 0.0
    assert result.chains.walkers.electrons.shape == (N_WALKERS, 1, 3)


def test_the_same_key_gives_the_same_numbers_and_another_key_others(measurement, params):
    first, again, other = (evaluate(measurement, params, chains(), key=jax.random.key(k), max_steps=20, burn_in=10)
                           for k in (1, 1, 2))
    for name, series in first.series.items():
        np.testing.assert_array_equal(series, again.series[name])
    assert first.observables == again.observables
    np.testing.assert_array_equal(first.chains.walkers.electrons, again.chains.walkers.electrons)
    assert first.energy.value != other.energy.value


@pytest.mark.parametrize("max_steps", [1, 10, 23])
def test_the_limit_of_steps_is_respected_exactly(measurement, params, result, max_steps):
    short = evaluate(measurement, params, chains(), key=jax.random.key(1), max_steps=max_steps, burn_in=20)
    np.testing.assert_array_equal(short.series["energy"], result.series["energy"][:max_steps])
    assert len(short.series["variance"]) == max_steps


def test_it_stops_when_the_error_bar_is_small_enough(measurement, params, result):
    target = 2.0 * result.energy.error
    stopped = evaluate(measurement, params, chains(), key=jax.random.key(1), max_steps=1000, burn_in=20,
                       target_error=target)
    assert 200 <= len(stopped.series["energy"]) < 1000
    assert stopped.energy.error <= target


def rarely_far(measurement, scale=1.0):
    """The measurement with energies made up: constant but for 1e-4 Ha, and one sample in 3,000 far away."""
    rng = np.random.default_rng(1)
    rare = (rng.random((1000, 256)) < 3e-4) * rng.pareto(3.0, (1000, 256))
    energies = jnp.asarray(scale * (1e-4 * rng.normal(size=rare.shape) + rare), jnp.float32)

    def measure_step(key, index, *others):
        return {**measurement.measure_step(key, index, *others), "energy": energies[index]}

    return replace(measurement, measure_step=measure_step), np.asarray(energies, np.float64)


def test_rare_visits_inflate_the_error_bar_and_the_evaluation_goes_on_until_that_is_small(measurement, params):
    measurement, energies = rarely_far(measurement)
    found = evaluate(measurement, params, chains(), key=jax.random.key(1), max_steps=1000, target_error=3.5e-4)
    steps = len(found.series["energy"])
    plain = energies[:200].mean(0).std(ddof=1) / 16.0
    assert plain < 1e-4 and not estimate(energies[:200], harmless=3.5e-4).trusted, "the error bar seems small enough"
    assert 200 < steps < 1000 and found.energy.trusted and not estimate(energies[:steps]).trusted
    assert energies[:steps].mean(0).std(ddof=1) / 16.0 < found.energy.error <= 3.5e-4


def test_heavy_tails_are_not_harmless_because_the_target_is_wide(measurement, params):
    measurement = rarely_far(measurement, 5.0)[0]
    found = evaluate(measurement, params, chains(), key=jax.random.key(1), max_steps=400, target_error=1.0)
    assert 4e-4 < found.energy.error < 1.0 and not found.energy.trusted
    assert any("heavy tails" in caveat for caveat in found.energy.caveats)


def test_a_monitor_sees_the_estimate_and_can_stop(measurement, params):
    seen = []

    def monitor(progress, energy, faults):
        assert faults == {"excluded": 0.0, "reseeded": 0.0, "bad_proposals": 0.0}
        seen.append((progress.steps, energy.value, energy.error))
        return progress.steps >= 40

    stopped = evaluate(measurement, params, chains(), key=jax.random.key(1), max_steps=1000, monitor=monitor)
    steps = len(stopped.series["energy"])
    assert not stopped.finished and steps == seen[-1][0] >= 40 and len(seen) >= 2
    assert seen[-1][1] == pytest.approx(stopped.energy.value) and seen[-1][2] == pytest.approx(stopped.energy.error)
    running = evaluate(measurement, params, chains(), key=jax.random.key(1), max_steps=30, monitor=lambda *_: None)
    assert len(running.series["energy"]) == 30 and running.finished


@pytest.mark.parametrize("stop_at", [10, 200, 210, 230, 260])
def test_an_evaluation_that_was_stopped_goes_on_to_the_same_numbers(measurement, params, result, stop_at):
    """Also from a step at which the error bar was seen to be small enough, but not yet judged."""
    settings = {"key": jax.random.key(1), "max_steps": 1000, "burn_in": 20, "target_error": 2.0 * result.energy.error}
    kept = []

    def monitor(progress, energy, faults):
        kept.append(progress)
        return progress.steps == stop_at

    whole = evaluate(measurement, params, chains(), **settings)
    evaluate(measurement, params, chains(), monitor=monitor, **settings)
    calls = []

    def walk(key, index, params, chains):
        calls.append(int(index))
        return measurement.walk(key, index, params, chains)

    on_disk = kept[-1]._replace(blocks=(kept[-1].rows(),))
    resumed = evaluate(replace(measurement, walk=walk), params, on_disk, **settings)
    assert calls == list(range(kept[-1].steps, len(whole.series["energy"]))), "no burn-in and no step twice"
    assert resumed.energy == whole.energy and resumed.finished
    for name, series in whole.series.items():
        np.testing.assert_array_equal(resumed.series[name], series)


def test_samples_that_are_not_finite_are_left_out_and_counted(params):
    def holed(psi, electrons, system, key):
        return jnp.where(electrons[0, 0] > 1.0, jnp.nan, 2.0)

    operator = hamiltonian({"holed": holed})
    found = evaluate(make_measurement(log_psi, HYDROGEN, operator, SAMPLER), params, chains(), key=jax.random.key(1),
                     max_steps=30, burn_in=10)
    assert found.energy.value == 2.0
    share = 0.5 * np.exp(-2.0 * A) * (1.0 + 2.0 * A / 2.0)  # of exp(-2 a r) beyond the plane x = 1
    np.testing.assert_allclose(found.excluded, share, rtol=0.15)
    np.testing.assert_allclose(found.series["excluded"].mean(), found.excluded)
    sentence = f"{found.excluded:.2%} of the samples had no finite local energy and were left out"
    assert not found.energy.trusted and sentence in found.energy.caveats


def test_places_where_the_wavefunction_is_not_finite_are_a_reason_for_distrust(params):
    """No walker ever gets there, so nothing is left out; and yet the energy is that of another wavefunction."""

    def torn(params, electrons, system):
        sign, logabs = log_psi(params, electrons, system)
        return SignedLog(sign, jnp.where(electrons[0, 0] > 0.5, jnp.nan, logabs))

    found = evaluate(make_measurement(torn, HYDROGEN, molecular(), SAMPLER), params, chains(), key=jax.random.key(1),
                     max_steps=60, burn_in=20)
    assert found.excluded == 0.0 and found.bad_proposals > 0.05
    assert any("moves led where the wavefunction isn't finite" in caveat for caveat in found.energy.caveats)


def test_a_few_absurd_energies_are_a_reason_for_distrust(params):
    def spiked(psi, electrons, system, key):
        return jnp.where(electrons[0, 0] > 6.5, 1e6, -0.5)

    found = evaluate(make_measurement(log_psi, HYDROGEN, hamiltonian({"spiked": spiked}), SAMPLER), params, chains(),
                     key=jax.random.key(1), max_steps=100, burn_in=20)
    assert found.energy.value > 1.0 and not found.energy.trusted


@pytest.mark.parametrize(("n_lost", "trusted"), [(1, True), (30, False)])
def test_walkers_that_are_lost_are_replaced_before_anything_is_measured(measurement, params, result, n_lost, trusted):
    start = chains()
    places = np.resize([np.nan, np.inf, 1e8], n_lost)
    lost = start.walkers.electrons.at[:n_lost].set(places[:, None, None])
    start = start._replace(per_walker=start.per_walker._replace(electrons=lost))
    found = evaluate(measurement, params, start, key=jax.random.key(1), max_steps=200, burn_in=20)
    assert found.reseeded == pytest.approx(n_lost / N_WALKERS) and found.excluded == 0.0
    assert found.energy.trusted == trusted
    assert_holds(found.energy, EXACT)


def test_it_stops_where_nothing_is_finite(params):
    operator = hamiltonian({"nothing": lambda psi, electrons, system, key: jnp.nan * electrons[0, 0]})
    measurement = make_measurement(log_psi, HYDROGEN, operator, SAMPLER)
    with pytest.raises(NumericalError, match="finite"):
        evaluate(measurement, params, chains(20), key=jax.random.key(1), max_steps=10, burn_in=0)


@pytest.mark.parametrize("settings", [{"max_steps": 0}, {"burn_in": -1}, {"target_error": 0.0}], ids=str)
def test_settings_out_of_range_are_refused(measurement, params, settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        evaluate(measurement, params, chains(), key=jax.random.key(1), **settings)


@pytest.mark.parametrize("name", ["He", pytest.param("LiH", marks=[pytest.mark.slow, pytest.mark.ci])])
def test_a_sampled_hartree_fock_determinant_has_the_energy_of_pyscf(name):
    system = molecule(name)
    mean_field = hartree_fock(system)
    sampler = Metropolis(sweeps=10)
    electrons = first_walkers(jax.random.key(0), system, 512, mean_field.populations)
    chains = sampler.init(Walkers(electrons, jnp.zeros(512, jnp.float32)), system)
    measurement = make_measurement(slater_log_psi, system, molecular(), sampler, chunk_size=64)
    found = evaluate(measurement, mean_field, chains, key=jax.random.key(3), max_steps=160, burn_in=50)
    assert found.energy.error < 0.02
    assert_holds(found.energy, float(mean_field.energy))
