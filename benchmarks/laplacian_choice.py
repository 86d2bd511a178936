"""Compare rules for traced operations with a Laplacian by hand, for FermiNet's pair stream and an attention block.

    python benchmarks/laplacian_choice.py

The script times `nnqmc.laplacian.forward_laplacian`, which interprets the traced program, against the same mathematics
written by hand for the whole block, in turns in one process, and checks that both agree. LOG.md records the decision.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from speed_clock import compiled, in_turns, ratios

from nnqmc.laplacian import forward_laplacian
from nnqmc.parallel.threads import keep_memory
from nnqmc.typing import Electrons

_HIGHEST = jax.lax.Precision.HIGHEST
_ELECTRONS, _WALKERS, _CHUNK = 14, 128, 8


def _dot(x: Array, y: Array) -> Array:
    return jnp.matmul(x, y, precision=_HIGHEST)


def pair_stream(weights: list[Array], electrons: Electrons) -> Array:
    """Return the sum over two layers of FermiNet's pair stream on the vectors r_i - r_j."""
    two = electrons[:, None] - electrons[None]
    for layer, weight in enumerate(weights):
        update = jnp.tanh(_dot(two, weight) + 0.3)
        two = update + two if layer else update
    return jnp.sum(two)


def pair_stream_by_hand(weights: list[Array], electrons: Electrons) -> Array:
    """Return the Laplacian of `pair_stream` from three derivatives (3, n, n, d) with respect to r_i - r_j."""
    n = electrons.shape[0]
    both = 2.0 * (1.0 - jnp.eye(n))[..., None]
    value = electrons[:, None] - electrons[None]
    slope = jnp.broadcast_to(jnp.eye(3)[:, None, None], (3, n, n, 3))
    curvature = jnp.zeros_like(value)
    for layer, weight in enumerate(weights):
        new = jnp.tanh(_dot(value, weight) + 0.3)
        new_slope, new_curvature = _dot(slope, weight), _dot(curvature, weight)
        first = 1.0 - new**2
        new_curvature = first * (new_curvature - 2.0 * new * both * jnp.sum(new_slope**2, axis=0))
        new_slope = first * new_slope
        if layer:
            new, new_slope, new_curvature = new + value, new_slope + slope, new_curvature + curvature
        value, slope, curvature = new, new_slope, new_curvature
    return jnp.sum(curvature)


def attention(weights: list[Array], electrons: Electrons) -> Array:
    """Return the sum over two applications of one head of self-attention on one-electron features."""
    h = jnp.tanh(_dot(electrons, weights[0]))
    for _ in range(2):
        queries, keys, values = (_dot(h, weight) for weight in weights[1:])
        h = h + _dot(jax.nn.softmax(_dot(queries, keys.T), axis=-1), values)
    return jnp.sum(h)


def attention_by_hand(weights: list[Array], electrons: Electrons) -> Array:
    """Return the Laplacian of `attention`.

    After the first layer it needs the derivatives (3 n, ...) with respect to all electrons.
    """
    n = electrons.shape[0]
    h = jnp.tanh(_dot(electrons, weights[0]))
    first = 1.0 - h**2
    own = first * weights[0][:, None]
    slope = (jnp.eye(n)[:, None, :, None] * own[None]).reshape((3 * n, *h.shape))
    curvature = -2.0 * h * first * jnp.sum(weights[0]**2, axis=0)
    for _ in range(2):
        (q, dq, lq), (k, dk, lk), (v, dv, lv) = (
            (_dot(h, w), _dot(slope, w), _dot(curvature, w)) for w in weights[1:])
        ds = _dot(dq, k.T) + _dot(q, jnp.swapaxes(dk, -1, -2))
        ls = _dot(lq, k.T) + _dot(q, lk.T) + 2.0 * jnp.sum(_dot(dq, jnp.swapaxes(dk, -1, -2)), axis=0)
        p = jax.nn.softmax(_dot(q, k.T), axis=-1)
        apart = ds - jnp.sum(p * ds, axis=-1, keepdims=True)
        squares = jnp.sum(apart**2, axis=0)
        lp = p * (ls + squares - jnp.sum(p * (ls + squares), axis=-1, keepdims=True))
        h = h + _dot(p, v)
        curvature = curvature + _dot(lp, v) + _dot(p, lv) + 2.0 * jnp.sum(_dot(p * apart, dv), axis=0)
        slope = slope + _dot(p * apart, v) + _dot(p, dv)
    return jnp.sum(curvature)


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line for each block; return 1 if the two ways disagree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, metavar="N", help="(default: %(default)s)")
    repeats = parser.parse_args(argv).repeats
    keep_memory()
    rng = np.random.default_rng(0)
    electrons = jnp.asarray(rng.normal(size=(_WALKERS, _ELECTRONS, 3)), jnp.float32)

    def weights(*shapes: tuple[int, int]) -> list[Array]:
        return [jnp.asarray(rng.normal(size=shape) / np.sqrt(shape[0]), jnp.float32) for shape in shapes]

    good = True
    for name, function, by_hand, parameters in (
            ("pair stream", pair_stream, pair_stream_by_hand, weights((3, 16), (16, 16), (16, 16))),
            ("attention", attention, attention_by_hand, weights((3, 64), (64, 64), (64, 64), (64, 64)))):
        good &= _compare(name, function, by_hand, parameters, electrons, repeats)
    return 0 if good else 1


def _compare(name: str, function: Callable, by_hand: Callable, parameters: list[Array], electrons: Array,
             repeats: int) -> bool:
    def interpreted(parameters: list[Array], walker: Electrons) -> Array:
        return forward_laplacian(lambda r: function(parameters, r))(walker).laplacian

    def mapped(one: Callable) -> Callable[[list[Array], Array], Array]:
        return lambda p, population: jax.lax.map(lambda walker: one(p, walker), population, batch_size=_CHUNK)

    programs = {way: compiled(mapped(one), parameters, electrons)
                for way, one in (("interpreted", interpreted), ("by hand", by_hand))}
    times = in_turns(programs, repeats)
    ratio = ratios(times["interpreted"], times["by hand"])[0]
    ours, theirs = (np.asarray(program.call()) for program in programs.values())
    seconds = {way: program.compile_seconds for way, program in programs.items()}
    difference = float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))
    print(f"{name}: interpreted takes {ratio:.2f} of the time by hand ({1e3 * np.median(times['by hand']):.1f} ms); "
          f"compiled in {seconds['interpreted']:.1f} and {seconds['by hand']:.1f} s; relative difference "
          f"{difference:.1e}")
    return difference < 1e-3


if __name__ == "__main__":
    sys.exit(main())
