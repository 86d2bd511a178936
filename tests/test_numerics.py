"""Norms, sums of signed exponentials and determinants: equal to NumPy, and finite where they are delicate."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiling import quickly_compiled
from nnqmc.numerics import guarded_inverse, log_rescale, log_sum_det, safe_norm, signed_logsumexp, slogdet

pytestmark = pytest.mark.usefixtures("double_precision")


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# --- norms and means --------------------------------------------------------------------------------------------------


def test_the_norm_is_the_euclidean_norm():
    vectors = random(4, 5, 3)
    np.testing.assert_allclose(safe_norm(jnp.asarray(vectors)), np.linalg.norm(vectors, axis=-1), rtol=1e-14)


def test_the_norm_of_the_zero_vector_has_derivatives_zero():
    zero = jnp.zeros(3)
    assert safe_norm(zero) == 0.0
    np.testing.assert_array_equal(jax.grad(safe_norm)(zero), np.zeros(3))
    np.testing.assert_array_equal(jax.hessian(safe_norm)(zero), np.zeros((3, 3)))


def test_the_gradient_of_the_norm_is_the_unit_vector():
    vector = random(3)
    np.testing.assert_allclose(jax.grad(safe_norm)(jnp.asarray(vector)), vector / np.linalg.norm(vector), rtol=1e-13)


def test_rescaled_vectors_keep_their_direction_and_have_length_log_1_plus_r():
    vectors = 10.0 ** np.arange(-3, 4)[:, None] * random(7, 3)
    short, length = log_rescale(jnp.asarray(vectors))
    r = np.linalg.norm(vectors, axis=-1)
    np.testing.assert_allclose(length, np.log1p(r), rtol=1e-13)
    np.testing.assert_allclose(np.linalg.norm(short, axis=-1), np.log1p(r), rtol=1e-13)
    np.testing.assert_allclose(short / length[:, None], vectors / r[:, None], rtol=1e-12)


def test_rescaling_is_the_identity_near_zero_and_differentiable_at_it():
    jacobian = jax.jacfwd(lambda v: log_rescale(v)[0])(jnp.zeros(3))
    np.testing.assert_allclose(jacobian, np.eye(3))
    assert np.isfinite(jax.hessian(lambda v: jnp.sum(log_rescale(v)[0]) + log_rescale(v)[1])(jnp.zeros(3))).all()


# --- sums of signed exponentials --------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4], ids=["of order 1", "huge", "tiny"])
def test_a_sum_of_signed_exponentials_is_the_sum(offset):
    sign, logabs = np.sign(random(20, 5)), random(20, 5, seed=1)
    direct = np.sum(sign * np.exp(logabs), axis=-1)
    total = signed_logsumexp(jnp.asarray(sign), jnp.asarray(logabs + offset))
    np.testing.assert_array_equal(total.sign, np.sign(direct))
    np.testing.assert_allclose(total.logabs - offset, np.log(np.abs(direct)), atol=1e-11)


def test_exact_cancellation_and_empty_terms_give_zero_and_finite_derivatives():
    cases = [([1.0, -1.0], [0.3, 0.3]), ([1.0, 1.0], [-jnp.inf, -jnp.inf]), ([0.0, 0.0], [-jnp.inf, -jnp.inf])]
    for sign, logabs in cases:
        total = signed_logsumexp(jnp.array(sign), jnp.array(logabs))
        assert total.sign == 0.0 and total.logabs == -jnp.inf
        gradient = jax.grad(lambda x, s=sign: signed_logsumexp(jnp.array(s), x).logabs)(jnp.array(logabs))
        assert np.isfinite(gradient).all()


def test_the_derivative_of_a_sum_of_exponentials_is_the_share_of_each_term():
    sign, logabs = jnp.array([1.0, -1.0, 1.0, 0.0]), jnp.array([0.2, -0.5, 1.0, -jnp.inf])
    terms = np.array([1.0, -1.0, 1.0, 0.0]) * np.exp(np.array([0.2, -0.5, 1.0, -np.inf]))
    gradient = jax.grad(lambda x: signed_logsumexp(sign, x).logabs)(logabs)
    np.testing.assert_allclose(gradient, terms / terms.sum(), rtol=1e-13)


def test_a_term_that_is_not_a_number_is_not_hidden():
    assert np.isnan(signed_logsumexp(jnp.ones(2), jnp.array([jnp.nan, 0.0])).logabs)
    assert np.isnan(log_sum_det(jnp.stack([jnp.full((2, 2), jnp.nan), jnp.eye(2)])).logabs)


# --- determinants -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 16, 17])
def test_the_determinant_is_that_of_numpy(n):
    matrices = random(6, n, n, seed=n)
    sign, logabs = np.linalg.slogdet(matrices)
    ours = quickly_compiled(slogdet)(jnp.asarray(matrices))
    np.testing.assert_array_equal(ours.sign, sign)
    np.testing.assert_allclose(ours.logabs, logabs, atol=1e-10)


def test_the_determinant_of_nothing_is_one():
    sign, logabs = slogdet(jnp.zeros((3, 0, 0)))
    np.testing.assert_array_equal(sign, np.ones(3))
    np.testing.assert_array_equal(logabs, np.zeros(3))
    assert guarded_inverse(jnp.zeros((3, 0, 0))).shape == (3, 0, 0)


def test_the_determinant_of_a_permutation_is_its_sign():
    for order in ([1, 0, 2, 3], [1, 2, 0, 3], [3, 2, 1, 0], [1, 2, 3, 0]):
        matrix = np.eye(4)[order]
        value = slogdet(jnp.asarray(matrix))
        assert value.sign == np.round(np.linalg.det(matrix)) and value.logabs == 0.0


def test_matrices_that_need_pivoting_keep_their_digits():
    matrix = np.array([[1e-18, 1.0, 0.0], [1.0, 1.0, 2.0], [0.0, 3.0, 1e-12]])
    value, inverse = quickly_compiled(lambda m: (slogdet(m).logabs, guarded_inverse(m)))(jnp.asarray(matrix))
    np.testing.assert_allclose(value, np.linalg.slogdet(matrix)[1], rtol=1e-12)
    np.testing.assert_allclose(inverse, np.linalg.inv(matrix), atol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 17])
def test_first_and_second_derivatives_of_the_determinant_follow_jacobi(n):
    matrix, first, second = random(n, n), random(n, n, seed=1), random(n, n, seed=2)

    def log_det(a, b):
        return slogdet(jnp.asarray(matrix) + a * first + b * second).logabs

    inverse = np.linalg.inv(matrix)
    by_mode = [jax.grad(jax.grad(log_det), 1), jax.jacfwd(jax.jacfwd(log_det), 1), jax.jacfwd(jax.grad(log_det), 1)]
    along, *mixed = quickly_compiled(lambda a, b: [slope(a, b) for slope in (jax.grad(log_det), *by_mode)])(0.0, 0.0)
    np.testing.assert_allclose(along, np.trace(inverse @ first), rtol=1e-9)
    np.testing.assert_allclose(mixed, -np.trace(inverse @ second @ inverse @ first), rtol=1e-8)


@pytest.mark.parametrize("n", [1, 2, 4, 17])
def test_singular_matrices_have_determinant_zero_and_finite_derivatives(n):
    matrix = random(n, n)
    matrix[-1] = 0.0
    value = quickly_compiled(slogdet)(jnp.asarray(matrix))
    assert value.sign == 0.0 and value.logabs == -jnp.inf
    assert np.isfinite(guarded_inverse(jnp.asarray(matrix))).all()

    def along(t):
        return slogdet(jnp.asarray(matrix) * (1.0 + t)).logabs

    assert np.isfinite(quickly_compiled(lambda t: (jax.grad(along)(t), jax.grad(jax.grad(along))(t)))(0.0)).all()


# --- sums of determinants ---------------------------------------------------------------------------------------------

SIZES = [(4,), (1,), (2, 3), (1, 2), (2, 1), (1, 1), (2, 0), (0, 1), (3, 1)]


def direct_sum(blocks):
    """sum_k prod_b det as plain numbers."""
    dets = [np.array([np.linalg.det(m) if m.size else 1.0 for m in block]) for block in blocks]
    return np.sum(np.prod(dets, axis=0))


@pytest.mark.parametrize("n_determinants", [1, 3])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_sum_of_determinants_and_its_gradient_are_those_of_numpy(sizes, n_determinants):
    blocks = [random(n_determinants, n, n, seed=n) for n in sizes]
    directions = [random(n_determinants, n, n, seed=10 + n) for n in sizes]

    def log_psi(t):
        return log_sum_det(*[jnp.asarray(b) + t * jnp.asarray(d) for b, d in zip(blocks, directions)]).logabs

    psi = direct_sum(blocks)
    value, slope = quickly_compiled(lambda t: (log_sum_det(*map(jnp.asarray, blocks)), jax.grad(log_psi)(t)))(0.0)
    np.testing.assert_allclose(value.sign * np.exp(value.logabs), psi, rtol=1e-11)
    h = 1e-5
    ahead, behind = (direct_sum([b + s * d for b, d in zip(blocks, directions)]) for s in (h, -h))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * h * psi), rtol=1e-6)


def test_no_electrons_at_all_count_as_one():
    value = log_sum_det(jnp.zeros((3, 0, 0)), jnp.zeros((3, 0, 0)))
    assert value.sign == 1.0 and value.logabs == 0.0


def test_a_vanishing_one_electron_factor_keeps_its_exact_derivative():
    factor, other = np.array([0.0, 0.7]), random(2, 2, 2)
    dets = np.linalg.det(other)

    def log_psi(x, block):
        return log_sum_det(x[:, None, None], block).logabs

    gradient = jax.grad(log_psi)(jnp.asarray(factor), jnp.asarray(other))
    np.testing.assert_allclose(gradient, dets / np.sum(factor * dets), rtol=1e-12)
    two_factors = jax.grad(log_psi)(jnp.asarray(factor), jnp.ones((2, 1, 1)))
    np.testing.assert_allclose(two_factors, np.ones(2) / factor.sum(), rtol=1e-12)


def test_singular_determinants_in_a_sum_do_no_harm():
    blocks = random(3, 3, 3)
    blocks[0, 2] = 2.0 * blocks[0, 1]
    blocks[1] = 0.0
    value = quickly_compiled(log_sum_det)(jnp.asarray(blocks))
    np.testing.assert_allclose(value.sign * np.exp(value.logabs), np.linalg.det(blocks[2]), rtol=1e-10)
    assert np.isfinite(quickly_compiled(jax.grad(lambda b: log_sum_det(b).logabs))(jnp.asarray(blocks))).all()


def test_a_wavefunction_that_vanishes_has_log_minus_infinity_and_finite_derivatives():
    for blocks in ([np.zeros((2, 3, 3))], [np.zeros((2, 1, 1)), np.ones((2, 2, 2))], [np.zeros((2, 1, 1))]):
        arrays = [jnp.asarray(b) for b in blocks]
        value = quickly_compiled(log_sum_det)(*arrays)
        assert value.sign == 0.0 and value.logabs == -jnp.inf
        for gradient in quickly_compiled(jax.grad(lambda a: log_sum_det(*a).logabs))(arrays):
            assert np.isfinite(gradient).all()


def test_determinants_far_below_the_smallest_float_are_still_right():
    blocks = random(2, 4, 4)
    small = jnp.asarray(blocks * 1e-20, jnp.float32)
    value = quickly_compiled(log_sum_det)(small)
    assert value.logabs.dtype == jnp.float32
    np.testing.assert_allclose(value.logabs, np.log(np.abs(direct_sum([blocks]))) + 4 * np.log(1e-20), rtol=1e-5)
