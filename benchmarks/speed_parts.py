"""The parts of a training step, as nnqmc and as its baselines compute them.

The baseline "obvious" is the first implementation that comes to mind: a loop of Hessian-vector products, one explicit
score per walker, and all walkers in one vmap. "folx" is the forward Laplacian of another library with sparsity 6 in one
vmap, and "folx chunked" the same in chunks of walkers. Their steps use the obvious update.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array
from speed_cases import ENERGY, STEP, SWEEPS, Setting

from nnqmc import numerics
from nnqmc.hamiltonian import molecular
from nnqmc.laplacian import loop_laplacian
from nnqmc.methods import init_state, make_local_energy, make_log_density, make_step
from nnqmc.optimizers import hyperbolic_decay
from nnqmc.typing import (
    Electrons,
    LaplacianMethod,
    LaplacianResult,
    LocalOperator,
    Params,
    SignedLog,
    TrainState,
    VMCBatch,
)
from nnqmc.wavefunctions import features, network

NNQMC, OBVIOUS, FOLX, FOLX_CHUNKED = "nnqmc", "obvious", "folx", "folx chunked"
CANDIDATES = (NNQMC, OBVIOUS, FOLX, FOLX_CHUNKED)

_SPARSITY, _DAMPING, _MOMENTUM, _RATE, _DELAY, _LARGEST = 6, 1e-3, 0.9, 0.1, 1000.0, 0.3
_HIGHEST = jax.lax.Precision.HIGHEST


class Candidate(NamedTuple):
    """One way to compute a part.

    function, arguments: what is timed.
    pieces: (function, arguments, times) without loops, whose costs add up to that of one call, since the compiler
        counts the body of a loop once; None if the function has no loop, and empty if nothing is counted.
    flops: the operations of one call if a library call hides them from the compiler.
    divisor: the number of times that one call computes the part.
    """

    function: Callable[..., Any]
    arguments: tuple
    pieces: tuple[tuple[Callable[..., Any], tuple, float], ...] | None = None
    flops: float | None = None
    divisor: int = 1


def candidates(part: str, setting: Setting, chunks: tuple[int, ...]) -> dict[str, Candidate]:
    """Return all ways to compute a part.

    Args:
        part: one of `speed_cases.PARTS`.
        setting: the case.
        chunks: the numbers of walkers to try for "folx chunked N"; none of them leaves folx out.
    """
    return dict(_MAKERS[part](setting, chunks))


def folx_laplacian(function: Callable[[Electrons], Array]) -> Callable[[Electrons], LaplacianResult]:
    """Return the forward Laplacian of folx as one of nnqmc's Laplacian methods."""
    import folx

    def evaluate(electrons: Electrons) -> LaplacianResult:
        out = folx.forward_laplacian(without_choices(function), sparsity_threshold=_SPARSITY)(electrons)
        return LaplacianResult(out.x, out.jacobian.dense_array.reshape(electrons.shape), out.laplacian)

    return evaluate


def without_choices(function: Callable[[Electrons], Array]) -> Callable[[Electrons], Array]:
    """Return the same function with distances that need no `where`, and with JAX's determinant.

    folx gives up sparsity at a choice that depends on the electrons, such as that of a guarded norm. To be measured at
    its best, it gets features of the same values in which only the diagonal, which is known beforehand, is treated
    separately. It also has a rule for `jnp.linalg.slogdet`, but not for the loop that nnqmc uses.
    """
    pairs: list[Array] = []

    def diagonal(vectors: Array) -> Array:
        """Return 1 where a pair is an electron with itself, which is known when the function is traced."""
        is_pair = any(vectors is known for known in pairs)
        return jnp.eye(*vectors.shape[:2], dtype=vectors.dtype) if is_pair else jnp.zeros((), vectors.dtype)

    def norm(vectors: Array) -> Array:
        return jnp.sqrt(jnp.sum(vectors**2, axis=-1) + diagonal(vectors)) * (1.0 - diagonal(vectors))

    def electron_electron(electrons: Electrons) -> tuple[Array, Array]:
        pairs.append(electrons[:, None] - electrons[None])
        return pairs[-1], norm(pairs[-1])

    def log_rescale(vectors: Array, lengths: Array | None = None) -> tuple[Array, Array]:
        lengths = norm(vectors) if lengths is None else lengths
        short = jnp.log1p(lengths)
        return vectors * (short / (lengths + diagonal(vectors)))[..., None], short

    def same(electrons: Electrons) -> Array:
        with (mock.patch.object(network, "electron_electron", electron_electron),
              mock.patch.multiple(features, safe_norm=norm, log_rescale=log_rescale),
              mock.patch.object(numerics, "slogdet", lambda matrices: SignedLog(*jnp.linalg.slogdet(matrices)))):
            return function(electrons)

    return same


def explicit_scores(setting: Setting, params: Params, electrons: Array) -> Array:
    """Return the centred scores (n_walkers, n_params) divided by sqrt(n_walkers).

    They are computed as one explicit gradient per walker in one vmap.
    """

    def score(walker: Electrons) -> Array:
        return ravel_pytree(jax.grad(lambda p: setting.parts.log_psi(p, walker, setting.system).logabs)(params))[0]

    scores = jax.vmap(score)(electrons)
    return (scores - jnp.mean(scores, axis=0)) / jnp.sqrt(electrons.shape[0])


def gram_matrix(scores: Array) -> Array:
    """Return O O^T in float32."""
    return jnp.matmul(scores, scores.T, precision=_HIGHEST)


def solve(gram: Array, target: Array) -> Array:
    """Return (G + 1 1^T/B + damping)^-1 target by a Cholesky decomposition in float64."""
    size = gram.shape[0]
    with jax.enable_x64(True):
        matrix = gram.astype(jnp.float64) + 1.0 / size + _DAMPING * jnp.eye(size, dtype=jnp.float64)
        factor = jax.scipy.linalg.cho_factor(0.5 * (matrix + matrix.T), lower=True)
        return jax.scipy.linalg.cho_solve(factor, target.astype(jnp.float64)).astype(gram.dtype)


def explicit_spring(setting: Setting) -> optax.GradientTransformationExtraArgs:
    """Return SPRING with the explicit matrix of scores, written as its formula (see `nnqmc.optimizers.spring`)."""

    def init(params: Params) -> Array:
        return jnp.zeros_like(ravel_pytree(params)[0])

    def update(grads: Params, last: Array, params: Params | None = None, *, batch: VMCBatch, **unused: Any
               ) -> tuple[Params, Array]:
        scores = explicit_scores(setting, params, batch.electrons)
        residual = batch.residual / jnp.sqrt(batch.residual.shape[0])
        target = residual - _MOMENTUM * jnp.matmul(scores, last, precision=_HIGHEST)
        solution = solve(gram_matrix(scores), target)
        direction = jnp.matmul(solution, scores, precision=_HIGHEST) + _MOMENTUM * last
        return ravel_pytree(params)[1](direction), direction

    return optax.chain(optax.GradientTransformationExtraArgs(init, update),
                       optax.scale_by_learning_rate(hyperbolic_decay(_RATE, _DELAY)),
                       optax.clip_by_global_norm(_LARGEST))


def _log_psi(setting: Setting, chunks: tuple[int, ...]) -> dict[str, Candidate]:
    def run(chunk: int | None, params: Params, electrons: Array) -> Array:
        return make_log_density(setting.parts.log_psi, params, setting.system, chunk)(electrons)

    arguments = (setting.params, setting.electrons)
    whole = partial(run, setting.case.walkers)
    return {NNQMC: Candidate(partial(run, setting.chunk_size), arguments, ((whole, arguments, 1.0),)),
            OBVIOUS: Candidate(whole, arguments)}


def _sweep(setting: Setting, chunks: tuple[int, ...]) -> dict[str, Candidate]:
    def run(chunk: int | None, params: Params, chains: Any) -> Any:
        log_density = make_log_density(setting.parts.log_psi, params, setting.system, chunk)
        return setting.parts.sampler.step(jax.random.key(1), log_density, chains)

    def once(params: Params, electrons: Array) -> Array:
        return make_log_density(setting.parts.log_psi, params, setting.system)(electrons)

    arguments = (setting.params, _state(setting, setting.parts.optimizer).sampler)
    pieces = ((once, (setting.params, setting.electrons), float(SWEEPS)),)
    return {name: Candidate(partial(run, chunk), arguments, pieces, divisor=SWEEPS)
            for name, chunk in ((NNQMC, setting.chunk_size), (OBVIOUS, setting.case.walkers))}


def _local_energy(setting: Setting, chunks: tuple[int, ...]) -> dict[str, Candidate]:
    log_psi, system, key = setting.parts.log_psi, setting.system, jax.random.key(2)
    arguments = (setting.params, setting.electrons)

    def own(chunk: int | None) -> Callable[[Params, Array], Array]:
        energies = make_local_energy(log_psi, system, setting.parts.hamiltonian, chunk)
        return lambda params, electrons: energies(key, params, electrons).total

    def one_walker(laplacian: LaplacianMethod) -> Callable[[Params, Electrons], Array]:
        hamiltonian = molecular(laplacian=laplacian)
        # Compiled for one walker, so that it is traced once for all numbers of walkers: folx takes long over it.
        return jax.jit(lambda params, walker: hamiltonian(partial(log_psi, params), walker, system, key).total)

    loop = jax.vmap(one_walker(loop_laplacian), (None, 0))
    found = {NNQMC: Candidate(own(setting.chunk_size), arguments, ((own(setting.case.walkers), arguments, 1.0),)),
             OBVIOUS: Candidate(loop, arguments, _loop_pieces(setting))}
    if chunks:
        one = one_walker(folx_laplacian)
        whole = jax.vmap(one, (None, 0))
        found[FOLX] = Candidate(whole, arguments)
        for chunk in chunks:
            in_chunks = partial(lambda size, params, electrons: jax.lax.map(
                partial(one, params), electrons, batch_size=min(size, electrons.shape[0])), chunk)
            found[f"{FOLX_CHUNKED} {chunk}"] = Candidate(in_chunks, arguments, ((whole, arguments, 1.0),))
    return found


def _loop_pieces(setting: Setting) -> tuple[tuple[Callable[..., Any], tuple, float], ...]:
    """Return the parts of the loop Laplacian: one gradient, and one Hessian-vector product for each coordinate."""

    def log_abs(params: Params) -> Callable[[Electrons], Array]:
        return lambda walker: setting.parts.log_psi(params, walker, setting.system).logabs

    def gradient(params: Params, electrons: Array) -> Any:
        return jax.vmap(jax.value_and_grad(log_abs(params)))(electrons)

    def product(params: Params, electrons: Array) -> Any:
        return jax.vmap(lambda walker: jax.jvp(jax.grad(log_abs(params)), (walker,), (walker,))[1])(electrons)

    arguments = (setting.params, setting.electrons)
    return (gradient, arguments, 1.0), (product, arguments, 3.0 * setting.system.n_electrons)


def _scores(setting: Setting, chunks: tuple[int, ...]) -> dict[str, Candidate]:
    return {OBVIOUS: Candidate(partial(explicit_scores, setting), (setting.params, setting.electrons))}


def _gram_matrix(setting: Setting, chunks: tuple[int, ...]) -> dict[str, Candidate]:
    shape = (setting.case.walkers, ravel_pytree(setting.params)[0].shape[0])
    return {OBVIOUS: Candidate(gram_matrix, (jax.random.normal(jax.random.key(3), shape),))}


def _solve(setting: Setting, chunks: tuple[int, ...]) -> dict[str, Candidate]:
    n = setting.case.walkers
    root = jax.random.normal(jax.random.key(4), (n, n))
    return {OBVIOUS: Candidate(solve, (root @ root.T / n, _residual(setting)), flops=n**3 / 3.0 + 2.0 * n**2)}


def _update(setting: Setting, chunks: tuple[int, ...]) -> dict[str, Candidate]:
    def way(optimizer: optax.GradientTransformationExtraArgs) -> Candidate:
        def run(params: Params, state: Any, batch: VMCBatch) -> Params:
            return optimizer.update(params, state, params, batch=batch)[0]

        n_walkers = setting.case.walkers
        batch = VMCBatch(setting.electrons, _residual(setting), jnp.zeros(n_walkers), setting.system, jax.random.key(5))
        return Candidate(run, (setting.params, optimizer.init(setting.params), batch))

    # nnqmc's own update loops over chunks: what it computes isn't counted, only how long it takes.
    return {NNQMC: way(setting.parts.optimizer)._replace(pieces=()), OBVIOUS: way(explicit_spring(setting))}


def _step(setting: Setting, chunks: tuple[int, ...]) -> dict[str, Candidate]:
    accepted = inspect.signature(make_step).parameters
    extra = {key: value for key, value in setting.config["train"].items() if key in accepted}

    def way(hamiltonian: LocalOperator, optimizer: optax.GradientTransformationExtraArgs, **changes: Any) -> Candidate:
        step = make_step(setting.parts.log_psi, setting.system, hamiltonian, setting.parts.sampler, optimizer,
                         **(extra | changes))
        return Candidate(step, (_state(setting, optimizer),), ())

    explicit = explicit_spring(setting)
    found = {NNQMC: way(setting.parts.hamiltonian, setting.parts.optimizer),
             OBVIOUS: way(molecular(laplacian=loop_laplacian), explicit, chunk_size=setting.case.walkers)}
    if chunks:
        found[FOLX] = way(molecular(laplacian=folx_laplacian), explicit, chunk_size=setting.case.walkers)
    for chunk in chunks:
        found[f"{FOLX_CHUNKED} {chunk}"] = way(molecular(laplacian=folx_laplacian), explicit, chunk_size=chunk)
    return found


def _state(setting: Setting, optimizer: optax.GradientTransformationExtraArgs) -> TrainState:
    return init_state(jax.random.key(6), setting.system, setting.params, setting.electrons, setting.parts.sampler,
                      optimizer)


def _residual(setting: Setting) -> Array:
    residual = jax.random.normal(jax.random.key(7), (setting.case.walkers,))
    return residual - jnp.mean(residual)


_MAKERS = MappingProxyType({"log psi": _log_psi, "sweep": _sweep, ENERGY: _local_energy, "scores": _scores,
                            "Gram matrix": _gram_matrix, "solve": _solve, "update": _update, STEP: _step})
