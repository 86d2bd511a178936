"""The hydrogen atom, whose answer is known: Hartree-Fock, sampling, training, evaluation in seconds; no network."""

from __future__ import annotations

from typing import Any, NamedTuple

from nnqmc.errors import NumericalError
from nnqmc.typing import System

_EXACT = -0.5
_START = 0.7
_WALKERS, _STEPS, _LOOKS = 256, 30, 40


class HydrogenCheck(NamedTuple):
    """What was computed for the hydrogen atom with psi = exp(-a r), which is exact at a = 1; energies in hartree."""

    mean_field: float
    exponent: float
    energy: float
    variance: float
    attraction: float
    attraction_error: float

    def problems(self) -> list[str]:
        """What differs from the exact answer by more than rounding and noise: E = -0.5, no variance, <-1/r> = -1."""
        checks = (
            (abs(self.mean_field - _EXACT) < 2e-3, f"Hartree-Fock gives {self.mean_field:.6f} Ha instead of -0.4993"),
            (abs(self.exponent - 1.0) < 1e-2, f"training ends at the exponent {self.exponent:.4f} instead of 1"),
            (abs(self.energy - _EXACT) < 1e-4, f"the energy is {self.energy:.6f} Ha instead of -0.5"),
            (self.variance < 1e-4, f"the variance is {self.variance:.2g} Ha^2 instead of 0"),
            (abs(self.attraction + 1.0) < 6.0 * self.attraction_error + 1e-3 and self.attraction_error < 0.1,
             f"the attraction is {self.attraction:.4f} +- {self.attraction_error:.4f} Ha instead of -1"),
        )
        return [words for is_right, words in checks if not is_right]


def check_hydrogen() -> HydrogenCheck:
    """Hartree-Fock, training of one parameter and evaluation of the hydrogen atom by the public functions.

    Raises:
        NnqmcError: a part failed.
    """
    import nnqmc

    atom = nnqmc.molecule("H")
    mean_field = nnqmc.hartree_fock(atom)
    exponent, chains = _train(atom)
    measure = nnqmc.make_measurement(_slater, atom, nnqmc.molecular(), nnqmc.Metropolis())
    found = nnqmc.evaluate(measure, exponent, chains, key=_key(2), max_steps=_LOOKS)
    attraction = found.terms["electron_nucleus"]
    return HydrogenCheck(float(mean_field.energy), float(exponent["a"]), found.energy.value, found.energy.variance,
                         attraction.value, attraction.error)


def _train(atom: System) -> tuple[dict[str, Any], Any]:
    """Follow the natural gradient from a = 0.7; the parameter and the walkers it ends with."""
    import jax
    import jax.numpy as jnp

    import nnqmc

    sampler, optimizer = nnqmc.Metropolis(), nnqmc.spring(_slater, learning_rate=0.5)
    step = nnqmc.make_step(_slater, atom, nnqmc.molecular(), sampler, optimizer)
    electrons = jax.random.normal(_key(0), (_WALKERS, 1, 3))
    state = nnqmc.init_state(_key(1), atom, {"a": jnp.asarray(_START)}, electrons, sampler, optimizer)
    *_, (_, trained, stats) = nnqmc.train(step, state, _STEPS)
    if stats["rejected"]:
        raise NumericalError("the last training step of the hydrogen check was not finite: report it")
    return trained.params, trained.sampler


def _key(number: int) -> Any:
    import jax

    return jax.random.fold_in(jax.random.key(0), number)


def _slater(params: dict[str, Any], electrons: Any, system: System) -> Any:
    """log psi = -a r, for a nucleus at the origin."""
    import jax.numpy as jnp

    from nnqmc.typing import SignedLog

    radius = jnp.linalg.norm(electrons[0])
    return SignedLog(jnp.ones_like(radius), -params["a"] * radius)
