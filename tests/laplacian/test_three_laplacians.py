"""The forward Laplacian equals its two slow twins on whatever a wavefunction may be made of."""

from __future__ import annotations

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiling import quickly_compiled
from nnqmc.laplacian import dense_laplacian, determinants, forward_laplacian, loop_laplacian, rules
from nnqmc.numerics import log_rescale, safe_norm, slogdet
from nnqmc.typing import System
from nnqmc.wavefunctions import FermiNet, LapNet, Psiformer

pytestmark = pytest.mark.usefixtures("double_precision")
RNG = np.random.default_rng(5)
WEIGHT = RNG.normal(size=(3, 6))
SQUARE = RNG.normal(size=(6, 6)) / 2.0
N = 4


def agree(function, electrons, twins=(loop_laplacian,), rtol=1e-10):
    """Assert that the forward Laplacian and its twins give the same finite value, gradient and Laplacian."""
    methods = (forward_laplacian, *twins)
    ours, *exact = quickly_compiled(lambda r: [method(function)(r) for method in methods])(jnp.asarray(electrons))
    assert np.isfinite(ours.laplacian)
    for result in exact:
        for part, twin in zip(ours, result):
            assert part.shape == twin.shape and part.dtype == twin.dtype
            np.testing.assert_allclose(part, twin, rtol=rtol, atol=rtol * max(1e-3, float(np.max(np.abs(twin)))))


def features(r):
    return jnp.tanh(r @ WEIGHT)


def pairs(r):
    vectors = r[:, None] - r[None]
    return jnp.concatenate([vectors, safe_norm(vectors)[..., None]], axis=-1)


# --- everyday wavefunctions -------------------------------------------------------------------------------------------

MOLECULES = {
    "He": System(np.zeros((1, 3)), np.array([2.0]), 1, 1, ("He",)),
    "LiH": System(np.array([[0.0, 0, 0], [0, 0, 3.0]]), np.array([3.0, 1.0]), 2, 2, ("Li", "H")),
    "B": System(np.zeros((1, 3)), np.array([5.0]), 3, 2, ("B",)),
    "N2": System(np.array([[0.0, 0, 0], [0, 0, 2.07]]), np.array([7.0, 7.0]), 7, 7, ("N", "N")),
}
SMALL = {"layers": 2, "hidden_one": 8, "hidden_two": 4, "n_determinants": 2}
NETWORKS = [
    ("He", FermiNet(**SMALL, full_determinants=False, envelope="bottleneck", n_envelopes=3)),
    ("LiH", FermiNet(**SMALL)),
    pytest.param("B", FermiNet(**SMALL | {"hidden_one": 4}, full_determinants=False, rescale_inputs=False),
                 marks=pytest.mark.slow),
    pytest.param("N2", FermiNet(1, 4, 2, n_determinants=1, full_determinants=False),
                 marks=[pytest.mark.slow, pytest.mark.ci]),
    ("LiH", Psiformer(layers=2, width=4, heads=2, layer_norm=True, n_determinants=1)),
    ("He", LapNet(layers=2, width=4, heads=2, n_determinants=1)),
]


def some_params(module, system, seed=0):
    """Random parameters without compiling an initialisation."""
    electrons = jnp.zeros((system.n_electrons, 3))
    shapes = jax.eval_shape(lambda k: module.init(k, electrons, system), jax.random.key(0))
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32) * 0.5 + 0.1, shapes)


@pytest.mark.parametrize(("name", "network"), NETWORKS)
def test_the_methods_agree_on_a_network(name, network):
    system = MOLECULES[name]
    params = some_params(network, system)
    agree(lambda r: network.apply(params, r, system).logabs, RNG.normal(size=(system.n_electrons, 3)),
          twins=(loop_laplacian, dense_laplacian) if network is NETWORKS[0][1] else (loop_laplacian,))


STACK = RNG.normal(size=(N, 6, N))
DETERMINANTS = {
    "weights mapped": lambda r: jax.vmap(lambda w: slogdet(features(r) @ w).logabs)(jnp.asarray(STACK)).sum(),
    "batch in the middle": lambda r: jax.vmap(lambda m: slogdet(m).logabs, 1)(
        jnp.einsum("id,kdj->ikj", features(r), STACK)).sum(),
    "batch last": lambda r: jax.vmap(lambda m: slogdet(m).logabs, 2)(
        jnp.einsum("id,kdj->ijk", features(r), STACK)).sum(),
    "batch first": lambda r: slogdet(jnp.einsum("id,kdj->kij", features(r), STACK)).logabs.sum(),
    "transposed": lambda r: slogdet(jnp.einsum("id,dj->ji", features(r), STACK[0])).logabs,
    "of coordinates": lambda r: slogdet(r[:3] + 0.1 * r[1:]).logabs,
    "empty": lambda r: slogdet(r[:0, :0]).logabs + jnp.sum(r**3),
}


@pytest.mark.parametrize("name", DETERMINANTS)
def test_determinants_in_every_form(name):
    agree(DETERMINANTS[name], RNG.normal(size=(N, 3)))


@pytest.mark.parametrize(("name", "times"), [("batch first", 1), ("weights mapped", 0), ("batch in the middle", 0)])
def test_determinants_of_the_last_two_axes_have_a_rule_of_their_own(name, times, monkeypatch):
    seen = []
    rule = determinants.slogdet
    monkeypatch.setattr(determinants, "slogdet", lambda jet: seen.append(jet) or rule(jet))
    jax.eval_shape(lambda r: forward_laplacian(DETERMINANTS[name])(r).laplacian, jnp.zeros((N, 3)))
    assert len(seen) == times


@pytest.mark.parametrize("size", [3, 18])
def test_the_laplacian_can_be_differentiated(size):
    matrix = jnp.asarray(np.random.default_rng(size).normal(size=(size, 3, size)) / size)

    def function(r):
        return slogdet(jnp.eye(size) + jnp.einsum("jd,kdj->kj", jnp.tanh(r[:1]), matrix)).logabs

    def slope(method):
        return jax.grad(lambda r: method(function)(r).laplacian)

    ours, exact = quickly_compiled(lambda r: (slope(forward_laplacian)(r), slope(dense_laplacian)(r)))(
        jnp.asarray(RNG.normal(size=(2, 3))))
    np.testing.assert_allclose(ours, exact, rtol=1e-8, atol=1e-8)


def test_everything_is_finite_where_particles_meet():
    system, network = MOLECULES["LiH"], FermiNet(**SMALL)
    params = some_params(network, system)
    start = np.random.default_rng(2).normal(size=(4, 3))
    on_nucleus, antiparallel, parallel, all_in_one = start.copy(), start.copy(), start.copy(), np.zeros((4, 3))
    on_nucleus[0] = system.atoms[1]
    antiparallel[3] = antiparallel[0]
    parallel[1] = parallel[0]
    method = quickly_compiled(jax.vmap(forward_laplacian(lambda r: network.apply(params, r, system).logabs)))
    value, gradient, laplacian = method(jnp.stack([on_nucleus, antiparallel, parallel, all_in_one]))
    assert np.isfinite(gradient).all() and np.isfinite(laplacian).all()
    assert np.isfinite(value[:2]).all() and np.all(value[2:] < -20.0), "psi vanishes where parallel electrons meet"


# --- attention and what has no rule -----------------------------------------------------------------------------------


def traced(function):
    """Trace the forward Laplacian and compute nothing."""
    jax.eval_shape(lambda r: forward_laplacian(function)(r).laplacian, jnp.zeros((N, 3)))


@pytest.mark.parametrize("own_derivatives", [False, True])
def test_softmax_has_rules_in_both_forms_in_which_jax_traces_it(own_derivatives, caplog):
    before = jax.config.jax_softmax_custom_jvp
    rules.say_slow.cache_clear()
    try:
        jax.config.update("jax_softmax_custom_jvp", own_derivatives)
        with caplog.at_level(logging.WARNING, "nnqmc"):
            agree(lambda r: jnp.sum(jax.nn.softmax(jnp.sin(r @ r.T), axis=0) * r[:, :1]), RNG.normal(size=(N, 3)))
    finally:
        jax.config.update("jax_softmax_custom_jvp", before)
    assert not caplog.records


def test_an_operation_without_a_rule_is_named_once(caplog):
    rules.say_slow.cache_clear()
    with caplog.at_level(logging.WARNING, "nnqmc"):
        for _ in range(2):
            traced(lambda r: jnp.sum(jnp.cumsum(jnp.cumsum(r, axis=0), axis=1) ** 2))
    assert [record.getMessage() for record in caplog.records] == [
        "forward Laplacian: no rule for 'cumsum', differentiated coordinate by coordinate (right, but slower)"]


@pytest.mark.parametrize("network", [FermiNet(**SMALL, slater_functions=True), Psiformer(layers=2, layer_norm=True),
                                     LapNet(layers=2)], ids=lambda network: type(network).__name__)
def test_our_own_networks_have_rules_for_everything(network, caplog):
    rules.say_slow.cache_clear()
    params = some_params(network, MOLECULES["LiH"])
    with caplog.at_level(logging.WARNING, "nnqmc"):
        traced(lambda r: network.apply(params, r, MOLECULES["LiH"]).logabs)
    assert not caplog.records


# --- the vocabulary of user functions ---------------------------------------------------------------------------------


def attention(r):
    h = features(r)
    logits = (h @ SQUARE) @ h.T / 3.0
    mixed = jax.nn.softmax(logits, axis=-1) @ (h @ SQUARE.T)
    normal = (mixed - mixed.mean(-1, keepdims=True)) * jax.lax.rsqrt(mixed.var(-1, keepdims=True) + 1e-3)
    return jnp.sum(jax.nn.gelu(normal) * h)


def attention_with_heads(r):
    heads = jnp.einsum("nd,dhk->hnk", r, WEIGHT.reshape(3, 2, 3))
    weights = jax.nn.softmax(jnp.einsum("hnk,hmk->hnm", heads, heads), axis=-1)
    return jnp.sum(jnp.einsum("hnm,hmk->nhk", weights, heads) ** 2)


def pair_convolution(r):
    h, two = features(r), jnp.tanh(pairs(r) @ RNG_PAIR)
    return jnp.sum(jnp.einsum("ijd,jd->id", two, h) ** 2) + jnp.sum(two * jnp.swapaxes(two, 0, 1))


RNG_PAIR = np.random.default_rng(9).normal(size=(4, 6))


def gathering(r):
    i, j = np.triu_indices(N, 1)
    order = jnp.argsort(r[:, 0])
    return (jnp.sum(jnp.exp(-jnp.sum((r[i] - r[j]) ** 2, -1))) + jnp.sum(jnp.sin(r[order][0]) * r[1, 2])
            + jnp.take(r, jnp.array([2, 0]), axis=0).prod() + jax.lax.dynamic_slice(r, (1, 0), (2, 2)).sum() ** 3)


def scattering(r):
    table = jnp.zeros((5, 3)).at[jnp.array([0, 2, 2])].add(r[:3] ** 2).at[1].set(r[3])
    return jnp.sum(jnp.sin(table) * table[::-1])


def joined_electrons(r):
    swapped = jnp.concatenate([r[2:] ** 2, r[:2]], axis=0)
    halves = jnp.split(jnp.concatenate([swapped, r, jnp.ones((N, 3))], axis=1), [2, 5], axis=1)
    return jnp.sum(jnp.tanh(swapped * r)) + sum(jnp.sum(jnp.sin(h) ** 2) for h in halves)


def electrons_among_nuclei(r):
    particles = jnp.sin(jnp.concatenate([jnp.ones((2, 3)), r, jnp.ones((1, 3))], axis=0))
    return jnp.sum(particles.mean(0) ** 2) * jnp.sum(particles[1:4] ** 3)


def nuclei_taken_out_again(r):
    before, after = (jnp.concatenate(x, axis=0) for x in ((jnp.ones((5, 3)), r), (r, jnp.ones((5, 3)))))
    return jnp.sum((before**2)[:2].sum(0) * r.sum(0) ** 2) + jnp.sum((after**2)[N + 2:].sum(0) * r.sum(0) ** 2)


@jax.custom_jvp
def own_softplus(x):
    return jnp.log1p(jnp.exp(x))


own_softplus.defjvps(lambda t, y, x: t * jax.nn.sigmoid(x))


@jax.custom_jvp
def own_mixture(x):
    return jnp.cumsum(x, axis=0) ** 2


@own_mixture.defjvp
def _own_mixture_jvp(primals, tangents):
    (x,), (t,) = primals, tangents
    return own_mixture(x), 2.0 * jnp.cumsum(x, axis=0) * jnp.cumsum(t, axis=0)


@jax.custom_vjp
def own_square(x):
    return x**2


own_square.defvjp(lambda x: (x**2, x), lambda x, g: (2.0 * x * g,))


def own_derivatives(r):
    return jnp.sum(own_softplus(r @ WEIGHT)) + jnp.sum(jnp.sin(own_mixture(r))) + jnp.sum(own_square(r) * r)


def silu(x):
    """Not what others call silu."""
    return jnp.sin(x) * x**2


def with_a_famous_name(r):
    return jnp.sum(jax.jit(silu)(r @ WEIGHT))


def activations(r):
    x = r @ WEIGHT
    functions = (jax.nn.silu, jax.nn.gelu, jax.nn.softplus, jax.nn.elu, jax.nn.sigmoid, jax.nn.log_sigmoid, jnp.arctan,
                 jnp.sinh, jax.scipy.special.erf, jnp.expm1, lambda y: jnp.log(1.5 + jnp.cos(y)), jax.nn.relu)
    return sum(jnp.sum(f(x) ** 2 * (k + 1)) for k, f in enumerate(functions))


def two_arguments(r):
    x, y = r[:2], r[2:]
    total = jnp.arctan2(x, y) + jnp.maximum(x, y) ** 2 + x / (2.0 + y**2) + (1.5 + jnp.cos(x)) ** y
    return jnp.sum(total + jnp.hypot(x, y) + jnp.logaddexp(x, y) + jnp.where(x > y, x * y, jnp.sin(y)))


def powers_and_limits(r):
    x = jnp.abs(r) + 0.3
    return jnp.sum(x**2.5 + x**-3 + jnp.sqrt(x) + jnp.cbrt(x) + jnp.clip(r, -0.5, 0.5) ** 2 + jnp.sign(r) * r
                   + 2.0**r + jnp.square(r) * jax.lax.stop_gradient(r) + jnp.floor(r) * r)


def reductions(r):
    return (jnp.max(r * r[::-1]) + jnp.min(jnp.sin(r), axis=0).sum() + jnp.prod(r, axis=1).sum()
            + jnp.sort(r, axis=0)[1] @ r[0] + jax.nn.logsumexp(r) + jnp.std(r) + jnp.linalg.norm(r)
            + jnp.median(r[:, 0]) + jnp.sum(jnp.cumsum(r**2, axis=0)[2]))


def scanned(r):
    def body(carry, x):
        return jnp.tanh(carry @ SQUARE[:3, :3] + x), jnp.sum(carry * x)
    last, series = jax.lax.scan(body, jnp.ones(3), r)
    return jnp.sum(last) + jnp.sum(series**2) + jax.lax.fori_loop(0, 3, lambda i, x: jnp.sin(x) * x[i], r[:3, 0]).sum()


def branched(r):
    inner = jax.lax.cond(r[0, 0] > 0.0, lambda x: jnp.sum(x**3), lambda x: jnp.sum(jnp.cos(x)), r)
    return inner + jax.lax.switch(jnp.int32(r[1, 1] > 0.0), [lambda x: x[0] @ x[1], lambda x: x[2] @ x[3]], r)


def rearranged(r):
    x = jnp.stack([r.T, 2.0 * r.T]).reshape(2, 3, 2, 2)[:, :, ::-1]
    y = jnp.tile(r[:, None], (1, 3, 1)) * jnp.flip(r, 0)[:, :, None]
    z = jnp.pad(r, ((1, 0), (0, 2)), constant_values=0.5)
    return (jnp.sum(jnp.sin(jnp.squeeze(x[:1], 0))) + jnp.sum(y**2) + jnp.sum(jnp.roll(z, 1, 0) * z)
            + jnp.sum(jnp.repeat(r, 2, axis=0)[1::2] ** 3) + jnp.sum(jnp.ravel(r)[::3] ** 2)
            + jnp.sum(jnp.broadcast_to(r[:, :1], (N, N)) * r[:, 1]))


def linear_algebra(r):
    orbitals = jnp.exp(-0.3 * jnp.sum(r**2, -1, keepdims=True)) * jnp.sin(r @ WEIGHT[:, :4] + np.arange(4))
    overlap = r.T @ r + jnp.eye(3)
    return (jnp.linalg.slogdet(orbitals)[1] + jnp.log(jnp.linalg.det(overlap)) + jnp.trace(jnp.linalg.inv(overlap))
            + jnp.sum(jnp.linalg.cholesky(overlap)) + jnp.linalg.solve(overlap, r[0]) @ r[1])


def nested_calls(r):
    inner = jax.checkpoint(lambda x: jnp.sin(x @ WEIGHT))
    return jnp.sum(jax.jit(lambda x: inner(jax.jit(jnp.tanh)(x)))(r)) + jnp.sum(jax.vmap(lambda x: x[0] * x @ x)(r))


def derivative_inside(r):
    return jnp.sum(jax.grad(lambda x: jnp.sum(jnp.sin(x) * x[:, :1]))(r) ** 2)


def rescaled(r):
    vectors, length = log_rescale(pairs(r)[..., :3] + np.eye(N)[..., None])
    return jnp.sum(jnp.sin(vectors)) + jnp.sum(length**2)


FUNCTIONS = [attention, attention_with_heads, pair_convolution, gathering, scattering, joined_electrons,
             electrons_among_nuclei, own_derivatives, with_a_famous_name, activations, two_arguments, powers_and_limits,
             reductions, scanned, branched, rearranged, linear_algebra, nested_calls, derivative_inside, rescaled,
             nuclei_taken_out_again]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_the_methods_agree_on(function):
    agree(function, RNG.normal(size=(N, 3)))


@pytest.mark.parametrize("n", [1, 2])
def test_one_and_two_electrons_are_no_special_case(n):
    def function(r):
        two = jnp.sum(jnp.tanh(pairs(r + 0.1) @ RNG_PAIR), axis=1)
        return jnp.sum(jnp.sin(r.reshape(-1)) ** 2) * jnp.sum(features(r) * two.mean(0, keepdims=True))

    agree(function, RNG.normal(size=(n, 3)))


def test_complex_intermediate_results_are_right_or_refused():
    def function(r):
        wave = jnp.exp(1j * jnp.sum(r, axis=-1))
        return jnp.abs(jnp.sum(wave * (r[:, 0] + 1j * r[:, 1])))

    try:
        agree(function, RNG.normal(size=(N, 3)))
    except NotImplementedError as error:
        assert "loop_laplacian" in str(error)
