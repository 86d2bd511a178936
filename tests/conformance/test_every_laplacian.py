"""What every Laplacian method must do. A new one is one line in LAPLACIANS."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.laplacian import dense_laplacian, forward_laplacian, loop_laplacian
from nnqmc.typing import LaplacianResult

LAPLACIANS = [forward_laplacian, loop_laplacian, dense_laplacian]
ELECTRONS = np.random.default_rng(0).normal(size=(3, 3))


@pytest.fixture(params=LAPLACIANS, ids=lambda f: f.__name__)
def laplacian(request):
    with jax.enable_x64(True):
        yield request.param


def at(method, function, electrons=ELECTRONS):
    result = jax.jit(method(function))(jnp.asarray(electrons))
    assert isinstance(result, LaplacianResult) and result.gradient.shape == electrons.shape
    assert result.value.shape == result.laplacian.shape == ()
    return result


def test_a_quadratic_form_has_twice_its_trace(laplacian):
    matrix = np.random.default_rng(1).normal(size=(9, 9))
    result = at(laplacian, lambda r: r.ravel() @ matrix @ r.ravel())
    flat = ELECTRONS.ravel()
    np.testing.assert_allclose(result.value, flat @ matrix @ flat, rtol=1e-12)
    np.testing.assert_allclose(result.gradient.ravel(), (matrix + matrix.T) @ flat, rtol=1e-12)
    np.testing.assert_allclose(result.laplacian, 2.0 * np.trace(matrix), rtol=1e-12)


def test_one_over_the_distance_is_harmonic(laplacian):
    result = at(laplacian, lambda r: 1.0 / jnp.linalg.norm(r[0] - r[1]))
    np.testing.assert_allclose(result.laplacian, 0.0, atol=1e-12)
    difference = ELECTRONS[0] - ELECTRONS[1]
    np.testing.assert_allclose(result.gradient[0], -difference / np.linalg.norm(difference) ** 3, rtol=1e-12)
    np.testing.assert_array_equal(result.gradient[2], 0.0)


def test_a_plane_wave_has_minus_k_squared(laplacian):
    k = np.random.default_rng(2).normal(size=(3, 3))
    result = at(laplacian, lambda r: jnp.sin(jnp.sum(k * r)))
    np.testing.assert_allclose(result.laplacian, -np.sum(k**2) * result.value, rtol=1e-11)


def test_a_constant_has_no_derivatives(laplacian):
    result = at(laplacian, lambda r: jnp.asarray(1.5))
    assert result.value == 1.5 and result.laplacian == 0.0
    np.testing.assert_array_equal(result.gradient, 0.0)


def test_it_can_be_mapped_over_walkers_and_differentiated_by_parameters(laplacian):
    walkers = jnp.asarray(np.random.default_rng(3).normal(size=(4, 3, 3)))

    def total(a):
        return jnp.sum(jax.vmap(lambda r: laplacian(lambda x: jnp.exp(-a * jnp.sum(x**2)))(r).laplacian)(walkers))

    value, slope = jax.jit(jax.value_and_grad(total))(0.3)
    s = np.sum(np.asarray(walkers) ** 2, axis=(1, 2))
    np.testing.assert_allclose(value, np.sum((0.36 * s - 5.4) * np.exp(-0.3 * s)), rtol=1e-10)
    np.testing.assert_allclose(slope, np.sum((2.4 * s - 18.0 - s * (0.36 * s - 5.4)) * np.exp(-0.3 * s)), rtol=1e-9)
