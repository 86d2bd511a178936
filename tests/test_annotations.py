"""While the tests run, what annotations say is enforced: types, shapes, and axes of one name."""

from __future__ import annotations

import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

from nnqmc.laplacian import forward_laplacian
from nnqmc.messages import printable
from nnqmc.wavefunctions.features import rescaled

pytestmark = pytest.mark.skipif(not hasattr(printable, "__wrapped__"), reason="NNQMC_TYPECHECK=0 switches it off")


def test_the_type_of_an_argument() -> None:
    with pytest.raises(TypeCheckError):
        printable(3)


def test_axes_of_one_name_have_one_length() -> None:
    assert rescaled(jnp.ones((2, 3)), jnp.ones(2), True).shape == (2, 4)
    with pytest.raises(TypeCheckError):
        rescaled(jnp.ones((2, 3)), jnp.ones(3), True)


def test_functions_within_functions_each_time_they_are_made() -> None:
    for _ in range(2):
        with pytest.raises(TypeCheckError):
            forward_laplacian(jnp.sum)(jnp.ones((2, 2)))
