"""What is said of a run before it begins: work that follows the settings, and times that follow the work."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import nnqmc
from nnqmc.config import Config, Layer, resolve
from nnqmc.cost import machine
from nnqmc.cost.arithmetic import Work, n_operations, work
from nnqmc.cost.forecast import Forecast, forecast, performance, speed_text, trace_step
from nnqmc.job.build import build, n_sweeps, state_template
from nnqmc.messages import rough_duration
from nnqmc.parallel.traces import peak_bytes
from nnqmc.system import molecule
from nnqmc.typing import SignedLog

SMALL = {"layers": 1, "hidden_one": 4, "hidden_two": 2, "n_determinants": 1}
PEAK = 1e11
EXPECTED = Forecast({"total": 125.0}, 1.5 * 2**30, 3e-4, 3.5e-4, (Work(1e9, 4e9), Work(2e9, 5e9)), PEAK)


def configuration(name: str = "H", **sections: dict) -> Config:
    values = {"wavefunction": SMALL, "sampler": {"sweeps": 2}, "train": {"walkers": 8, "steps": 10}}
    for section, settings in sections.items():
        values[section] = values.get(section, {}) | settings
    return resolve(molecule(name), [Layer("test", values)])


def look_ahead(traced: Any, config: Config, **options: Any) -> Forecast:
    components = build(config)
    return forecast(config, components.system, components.wavefunction, traced,
                    **{"n_sweeps": 2, "peak": PEAK} | options)


def exponential(params: dict, electrons: Any, system: Any) -> SignedLog:
    """log psi = -a r."""
    return SignedLog(jnp.ones(()), -params["a"] * jnp.linalg.norm(electrons))


def trace(walkers: int, sweeps: int) -> Any:
    """A training step of the exponential wavefunction."""
    atom, sampler, optimizer = molecule("H"), nnqmc.Metropolis(sweeps=sweeps), nnqmc.spring(exponential)
    step = nnqmc.make_step(exponential, atom, nnqmc.molecular(), sampler, optimizer, chunk_size=4)
    params, electrons = {"a": jnp.ones(())}, jnp.ones((walkers, 1, 3))
    state = nnqmc.init_state(jax.random.key(0), atom, params, electrons, sampler, optimizer)
    return trace_step(step, state)


@pytest.fixture(scope="module")
def traced() -> Any:
    """What isn't about the work itself is tested with a small step."""
    return trace(8, 2)


def sampling(walkers: int, sweeps: int) -> Work:
    """What moving the walkers takes in a training step."""
    walk, _ = trace(walkers, sweeps)
    return work(walk.jaxpr, range(len(jax.tree.leaves(walk.out_info[0]))))


# --- the work in a program --------------------------------------------------------------------------------------------


def test_a_matrix_product_is_counted_as_the_compiler_counts_it() -> None:
    a, b = jnp.ones((5, 3, 7)), jnp.ones((5, 7, 2))
    step = jax.jit(jnp.matmul).trace(a, b)
    assert work(step.jaxpr).flops == 2 * 5 * 3 * 7 * 2 == step.lower().cost_analysis()["flops"]


def test_a_wavefunction_is_counted_nearly_as_the_compiler_counts_it() -> None:
    config = configuration("LiH")
    parts = build(config)
    step = jax.jit(lambda p, r: parts.log_psi(p, r, parts.system).logabs).trace(
        state_template(config, parts).params, jax.ShapeDtypeStruct((4, 3), jnp.float32))
    assert work(step.jaxpr).flops == pytest.approx(step.lower().cost_analysis()["flops"], rel=0.3)


def test_a_loop_counts_as_often_as_it_is_repeated_and_its_operations_once() -> None:
    def repeated(count: int) -> Any:
        return jax.make_jaxpr(lambda x: jax.lax.scan(lambda c, _: (c @ x, None), x, length=count)[0])(jnp.ones((4, 4)))

    once, often = repeated(1), repeated(9)
    assert work(once).flops == 2 * 4**3 and work(often) == work(once).times(9)
    assert n_operations(once) == n_operations(often)


def test_what_nobody_wants_is_not_counted() -> None:
    program = jax.make_jaxpr(lambda x: (x @ x, (x + 1.0) @ x @ x))(jnp.ones((3, 3)))
    product = 2 * 3**3
    assert work(program, [0]).flops == product and work(program, [1]).flops == 2 * product + 9
    assert work(program).flops == 3 * product + 9


def test_of_a_condition_the_cheapest_branch_counts() -> None:
    program = jax.make_jaxpr(lambda x: jax.lax.cond(x[0, 0] > 0, lambda y: y @ y, lambda y: y + y, x))(jnp.ones((5, 5)))
    assert 25 <= work(program).flops < 2 * 5**3


def test_small_products_take_longer_than_their_operations() -> None:
    def effort(size: int) -> float:
        done = work(jax.make_jaxpr(jnp.matmul)(jnp.ones((size, size)), jnp.ones((size, size))))
        return done.effort / done.flops

    assert effort(4) > 5.0 * effort(64) and 1.0 <= effort(4096) < 1.1


def test_memory_is_that_of_arrays_wanted_at_one_time() -> None:
    number = jnp.ones(1000, jnp.float32)
    chain = jax.make_jaxpr(lambda x: jnp.sin(jnp.sin(jnp.sin(jnp.sin(x)))))(number)
    kept = jax.make_jaxpr(lambda x: [jnp.sin(x), jnp.cos(x), jnp.exp(x), jnp.tanh(x)])(number)
    assert [peak_bytes(program, with_inputs=True) for program in (chain, kept)] == [8000, 20000]


# --- a training step --------------------------------------------------------------------------------------------------


def test_twice_the_walkers_are_twice_the_work_of_sampling() -> None:
    assert sampling(32, 2).flops == pytest.approx(2.0 * sampling(16, 2).flops, rel=0.01)


def test_the_work_of_sampling_is_one_evaluation_for_the_start_and_one_for_each_sweep() -> None:
    one, two, five = (sampling(16, n).flops for n in (1, 2, 5))
    assert 0.0 < (five - two) / 3 == pytest.approx(two - one)
    assert n_sweeps(build(configuration(sampler={"sweeps": 5})).sampler) == 5


def test_a_run_of_twice_the_steps_trains_twice_as_long_and_one_that_is_half_done_half_as_long(traced: Any) -> None:
    once, twice = (configuration(train={"steps": n, "burn_in": 0}) for n in (10, 20))
    whole, double, half = look_ahead(traced, once), look_ahead(traced, twice), look_ahead(traced, once, steps_done=5)
    assert double.seconds["train"] == pytest.approx(2.0 * whole.seconds["train"])
    assert half.seconds["train"] == pytest.approx(0.5 * whole.seconds["train"]) and half.seconds["pretrain"] == 0.0


def test_a_machine_of_twice_the_speed_takes_half_the_time_and_another_core_compiles_meanwhile(
    traced: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(train={"steps": 10**7})
    monkeypatch.setattr("nnqmc.cost.forecast.threads", lambda: 1)
    monkeypatch.setattr("nnqmc.cost.forecast.processors", lambda: 1)
    slow, fast = look_ahead(traced, config), look_ahead(traced, config, peak=2.0 * PEAK)
    assert fast.seconds["train"] == pytest.approx(0.5 * slow.seconds["train"])
    stages = [value for name, value in slow.seconds.items() if name != "total"]
    assert sum(stages) == pytest.approx(slow.seconds["total"])
    for name in ("threads", "processors"):
        monkeypatch.setattr(f"nnqmc.cost.forecast.{name}", lambda: 2)
    two = look_ahead(traced, config, peak=2.0 * PEAK)
    assert fast.seconds["train"] < two.seconds["train"] < slow.seconds["train"]
    assert two.seconds["total"] == pytest.approx(sum(
        seconds for name, seconds in two.seconds.items() if name not in ("total", "compile")))


# --- the error bar ----------------------------------------------------------------------------------------------------


def test_the_error_bar_is_the_target_if_that_is_within_reach(traced: Any) -> None:
    def be(max_steps: int) -> Forecast:
        settings = {"target_error": 2e-4, "max_steps": max_steps}
        return look_ahead(traced, configuration("Be", train={"walkers": 512}, evaluate=settings))

    reached, late = be(10**5), be(300)
    assert reached.error == pytest.approx(2e-4, rel=1e-2) and "max_steps" not in str(reached)
    assert late.error > 2e-4 and "evaluate.max_steps comes before" in str(late)
    assert late.seconds["evaluate"] < reached.seconds["evaluate"]
    assert be(1200).error == pytest.approx(0.5 * late.error)


@pytest.mark.parametrize(("name", "trained", "steps", "seen"), [
    ("H2", 500, 200, 0.038e-3), ("He", 500, 200, 0.067e-3), ("Li", 500, 200, 0.17e-3), ("LiH", 500, 200, 0.316e-3),
    ("C", 2000, 3000, 0.46e-3), ("O", 2000, 3000, 1.27e-3),
])
def test_the_error_bars_of_the_benchmarks_are_foreseen_within_a_factor_of_two(
    name: str, trained: int, steps: int, seen: float, traced: Any
) -> None:
    config = configuration(name, train={"walkers": 512, "steps": trained},
                           evaluate={"target_error": 1e-6, "max_steps": steps})
    assert seen / 2.0 < look_ahead(traced, config).error < 2.0 * seen


def test_training_for_less_long_leaves_a_larger_error_bar(traced: Any) -> None:
    errors = [look_ahead(traced, configuration("Be", train={"steps": n}, evaluate={"max_steps": 200})).error
              for n in (0, 100, 500, 5000)]
    assert errors == sorted(errors, reverse=True) and errors[0] < 100.0 * errors[-1]


def test_nothing_is_claimed_of_the_error_bar_of_another_hamiltonian(traced: Any) -> None:
    config = configuration() | {"custom": {"hamiltonian": "mine"}}
    components = build(config, {"hamiltonian": nnqmc.molecular()})
    found = forecast(config, components.system, components.wavefunction, traced, n_sweeps=2, peak=PEAK)
    assert found.error is None and "error" not in str(found) and "error bar" not in dict(found.rows())


# --- in words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "words"), [
    (0.2, "1 s"), (7.4, "7 s"), (44.0, "40 s"), (88.0, "90 s"), (100.0, "2 min"), (745.0, "12 min"), (6000.0, "1.5 h"),
    (9000.0, "2.5 h"), (80000.0, "22 h"), (3e6, "35 days"),
])
def test_times_are_as_rough_as_they_are_known(seconds: float, words: str) -> None:
    assert rough_duration(seconds) == words


def test_speed_follows_from_the_time_of_a_step() -> None:
    numbers = performance(EXPECTED, 512 * 6, 0.1)
    expected = {"walker_sweeps_per_second": 30720, "flops_per_second": 3e10, "matrix_peak": 1e11}
    assert {name: numbers[name] for name in expected} == pytest.approx(expected)
    assert speed_text(numbers) == "30,700 walker sweeps/s, 30.0% of the matrix peak"
    assert speed_text(performance(None, 100, 0.5)) == "200 walker sweeps/s"
    assert speed_text({}) == speed_text(performance(None, 100, 0.0)) == ""


def test_the_result_has_what_was_forecast_beside_what_was_reached() -> None:
    found = performance(EXPECTED, 10, 2.0)
    assert found["walker_sweeps_per_second"] == 5.0 and found["flops_per_second"] == 1.5e9
    assert (found["estimated_seconds"], found["estimated_error"]) == (125.0, 3e-4)
    parts = performance(EXPECTED, 10, 2.0, (0.5, 0.25))
    assert (parts["walk_flops_per_second"], parts["update_flops_per_second"]) == (2e9, 8e9)
    assert performance(None, 10, 2.0, (0.5, 0.25)).keys() <= {"walker_sweeps_per_second", "peak_memory"}


def test_the_machine_is_measured() -> None:
    assert 1e8 < machine.matrix_peak() < 1e16
    assert machine.peak_memory() > 1e7


# --- within a run -----------------------------------------------------------------------------------------------------


def test_a_run_goes_on_if_nothing_can_be_estimated(tiny: dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ArithmeticError("no idea")

    notes = []
    reporter = type("Notes", (nnqmc.job.progress.Reporter,), {"note": lambda self, text: notes.append(text)})()
    monkeypatch.setattr("nnqmc.job.training.forecast", fail)
    result = nnqmc.solve("He", seed=3, out=tmp_path / "run", **tiny | {"progress": reporter})
    assert "no estimate (ArithmeticError: no idea)" in notes
    assert result.performance.keys() <= {"walker_sweeps_per_second", "peak_memory"}
    assert math.isfinite(result.energy.value)
