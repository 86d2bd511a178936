"""Objectives of a user's own: energy plus penalties whose minimum is known, by Adam and by SPRING.

The hydrogen atom with exp(-a r) has E = a^2/2 - a and <r^2> = 3/a^2. Walkers are the nodes of a quadrature, weighted so
that every average is exact at every a.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nnqmc.errors import InputError
from nnqmc.hamiltonian import hamiltonian, molecular
from nnqmc.methods import init_state, make_step
from nnqmc.objectives import energy
from nnqmc.optimizers import adam, spring
from nnqmc.samplers import Metropolis, resized
from nnqmc.typing import Descent, Objective, SamplerState, SignedLog, System, Walkers

pytestmark = pytest.mark.usefixtures("double_precision")

HYDROGEN = System(np.zeros((1, 3)), np.ones(1), 1, 0, ("H",))
STRENGTH = 0.4
OPTIMIZERS = {"adam": lambda: adam(0.05, delay=50.0),
              "spring": lambda: spring(log_psi, learning_rate=0.2, momentum=0.5, damping=1e-2)}


def log_psi(params, electrons, system):
    """exp(-a r)."""
    return SignedLog(jnp.ones((), electrons.dtype), -params["a"] * jnp.linalg.norm(electrons[0]))


@dataclass(frozen=True)
class Exact:
    """A sampler that moves nothing: the log weight of every node follows the density."""

    def init(self, walkers, system):
        return SamplerState(walkers, ())

    def step(self, key, log_density, state):
        x, weight = np.polynomial.laguerre.laggauss(40)
        electrons = state.walkers.electrons
        log_weight = jnp.asarray(np.log(weight * x**2) + x) + log_density(electrons)
        return SamplerState(Walkers(electrons, log_weight), ()), {"acceptance": jnp.ones(()), "stuck": jnp.zeros(())}

    def freeze(self, state):
        return state

    def resize(self, state, n_walkers):
        return resized(state, n_walkers)


def trained(objective, optimizer, n_steps=200):
    """a and the statistics of the last step."""
    x, _ = np.polynomial.laguerre.laggauss(40)
    electrons = jnp.asarray(np.stack([x / 2.0, 0 * x, 0 * x], axis=-1)[:, None])
    state = init_state(jax.random.key(0), HYDROGEN, {"a": jnp.asarray(0.8)}, electrons, Exact(), optimizer)
    step = make_step(log_psi, HYDROGEN, molecular(), Exact(), optimizer, objective=objective)
    state, stats = jax.jit(lambda state: jax.lax.scan(lambda s, _: step(s), state, None, n_steps))(state)
    return float(state.params["a"]), {name: float(values[-1]) for name, values in stats.items()}


def penalty_on_a_parameter(wanted):
    """E + strength (a - wanted)^2: a gradient besides the residual."""
    plain = energy(clip=1e9)

    def objective(log_psi, params, system, walkers, local, key):
        penalty, gradient = jax.value_and_grad(lambda p: STRENGTH * (p["a"] - wanted) ** 2)(params)
        residual, _, stats = plain(log_psi, params, system, walkers, local, key)
        return Descent(residual, gradient, stats | {"penalty": penalty})

    return objective


def penalty_on_an_observable(wanted):
    """E + strength (<r^2> - wanted)^2: the gradient of an expectation value is made of a residual as well."""
    plain = energy(clip=1e9)

    def objective(log_psi, params, system, walkers, local, key):
        weight, squared = jax.nn.softmax(walkers.log_weight), jnp.sum(walkers.electrons**2, axis=(1, 2))
        off = jnp.sum(weight * squared) - wanted
        residual, gradient, stats = plain(log_psi, params, system, walkers, local, key)
        residual = residual + 2.0 * STRENGTH * off * (squared - wanted - off)
        return Descent(residual, gradient, stats | {"penalty": STRENGTH * off**2})

    return objective


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_penalty_on_a_parameter_moves_the_minimum_where_it_has_to(optimizer):
    """a - 1 + 2 strength (a - 0.5) = 0."""
    a, stats = trained(penalty_on_a_parameter(0.5), optimizer())
    exact = (1.0 + STRENGTH) / (1.0 + 2.0 * STRENGTH)
    np.testing.assert_allclose(a, exact, atol=1e-5)
    np.testing.assert_allclose(stats["penalty"], STRENGTH * (exact - 0.5) ** 2, atol=1e-5)
    np.testing.assert_allclose(stats["energy"], exact**2 / 2.0 - exact, atol=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_penalty_on_an_observable_moves_the_minimum_where_it_has_to(optimizer):
    """The root of the derivative of a^2/2 - a + strength (3/a^2 - 2)^2."""
    a, stats = trained(penalty_on_an_observable(2.0), optimizer())
    slope = np.polynomial.Polynomial([-36.0 * STRENGTH, 0.0, 24.0 * STRENGTH, 0.0, 0.0, -1.0, 1.0])  # times a^5
    exact = next(root.real for root in slope.roots() if abs(root.imag) < 1e-9 and root.real > 0.0)
    np.testing.assert_allclose(a, exact, atol=1e-5)
    np.testing.assert_allclose(stats["penalty"], STRENGTH * (3.0 / exact**2 - 2.0) ** 2, atol=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_an_objective_may_have_a_gradient_and_no_residual(optimizer):
    """Then the parameters go where that gradient leads, whatever the energy does."""
    def objective(log_psi, params, system, walkers, local, key):
        descent = energy()(log_psi, params, system, walkers, local, key)
        return Descent(None, jax.grad(lambda p: (p["a"] - 1.7) ** 2)(params), descent.stats)

    a, _ = trained(objective, optimizer())
    np.testing.assert_allclose(a, 1.7, atol=1e-4)


def test_the_energy_is_what_is_minimised_if_nobody_says_otherwise():
    optimizer = optax.with_extra_args_support(optax.sgd(0.3))
    assert isinstance(energy(), Objective)
    assert trained(None, optimizer, 3) == trained(energy(clip=10.0, floor=10.0), optimizer, 3)
    np.testing.assert_allclose(trained(None, optimizer)[0], 1.0, atol=1e-6)


def test_the_clip_belongs_to_the_energy():
    optimizer = optax.with_extra_args_support(optax.sgd(0.3))
    narrow, wide = (trained(energy(clip=clip, floor=0.0), optimizer, 1)[0] for clip in (0.1, 1e9))
    assert narrow != wide
    for clip in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="clip = "):
            energy(clip)


@pytest.mark.parametrize("name", ["energy", "acceptance", "rejected"])
def test_two_numbers_of_a_step_never_share_a_name(name):
    operator = hamiltonian({name: lambda psi, electrons, system, key: jnp.sum(electrons)})
    step = make_step(log_psi, HYDROGEN, operator, Metropolis(sweeps=1), adam())
    state = init_state(jax.random.key(0), HYDROGEN, {"a": jnp.asarray(0.8)}, jnp.ones((4, 1, 3)), Metropolis(sweeps=1),
                       adam())
    with pytest.raises(InputError, match=f"'{name}'.*another name"):
        jax.eval_shape(step, state)
