"""The Hamiltonian that a system calls for, and the systems that have none."""

from __future__ import annotations

import dataclasses
import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import InputError
from nnqmc.hamiltonian import electron_electron, hamiltonian, harmonic_trap, kinetic, molecular
from nnqmc.hamiltonian.molecular import TERMS
from nnqmc.laplacian import loop_laplacian
from nnqmc.system import molecule
from nnqmc.typing import SignedLog

LIH = molecule("LiH")
CARBON = molecule("C", core=2)
CRYSTAL = dataclasses.replace(LIH, lattice=np.eye(3) * 7.7)


def psi(electrons, system):
    return SignedLog(jnp.ones(()), -jnp.sum(jnp.sqrt(1.0 + jnp.sum(electrons**2, axis=-1))))


def value(operator, system, **changes):
    electrons = jnp.asarray(np.random.default_rng(1).normal(size=(system.n_electrons, 3)))
    return jax.jit(lambda r, system: operator(psi, r, system, jax.random.key(0)))(
        electrons, dataclasses.replace(system, **changes))


def test_it_is_the_same_whether_it_knows_its_system_at_once_or_when_it_is_called():
    early, late = value(molecular(LIH), LIH), value(molecular(), LIH)
    assert set(early.terms) == {"kinetic", "electron_electron", "electron_nucleus", "nucleus_nucleus"}
    assert float(early.total) == float(late.total)
    np.testing.assert_allclose(early.total, value(molecular(LIH, laplacian=loop_laplacian), LIH).total, rtol=1e-5)


def test_extra_terms_are_added_by_name():
    with_extra = value(molecular(LIH, more=electron_electron), LIH)
    assert float(with_extra.terms["more"]) == float(with_extra.terms["electron_electron"])
    np.testing.assert_allclose(with_extra.total - value(molecular(), LIH).total, with_extra.terms["more"], rtol=1e-5)


@pytest.mark.parametrize("name", TERMS)
def test_no_extra_term_takes_the_name_of_a_built_in_one(name):
    with pytest.raises(InputError, match=f"has a term '{name}' already: give yours another name"):
        molecular(**{name: electron_electron})


def test_every_maker_takes_the_system_and_the_laplacian():
    assert all(list(inspect.signature(make).parameters) == ["system", "laplacian"] for make in TERMS.values())


@pytest.mark.parametrize(
    ("system", "message"),
    [(CARBON, r"C has cores of \[2\] electrons, and molecular has no pseudopotential.*leave core out.*hamiltonian"),
     (CRYSTAL, "LiH has a lattice, and only molecules are allowed here: leave lattice out")],
    ids=["core", "lattice"],
)
def test_what_no_term_stands_for_is_refused_at_once(system, message):
    with pytest.raises(InputError, match=message):
        molecular(system)


@pytest.mark.parametrize("built_for", [None, molecule("C")], ids=["no system", "all electrons"])
def test_a_core_is_refused_when_the_operator_is_called_whatever_it_was_built_for(built_for):
    with pytest.raises(InputError, match="no pseudopotential"):
        value(molecular(built_for), CARBON)
    with pytest.raises(InputError, match="has a lattice"):
        value(molecular(), CRYSTAL)


def test_a_sum_of_ones_own_terms_may_have_a_core():
    """Effective charges attract: a model of carbon's four valence electrons."""
    own = hamiltonian({"kinetic": kinetic(), "attraction": TERMS["electron_nucleus"](CARBON, loop_laplacian)})
    full = dataclasses.replace(CARBON, charges=np.array([8.0]))
    np.testing.assert_allclose(2.0 * value(own, CARBON).terms["attraction"], value(own, full).terms["attraction"])


@pytest.mark.parametrize(
    "operator",
    [molecular(), molecular(LIH, laplacian=loop_laplacian, trap=harmonic_trap(0.5)),
     hamiltonian({"kinetic": kinetic(), "repulsion": electron_electron})],
    ids=["plain", "with a trap", "a sum"],
)
def test_it_can_be_pickled_and_means_the_same(operator):
    again = pickle.loads(pickle.dumps(operator))
    np.testing.assert_array_equal(value(again, LIH).total, value(operator, LIH).total)
