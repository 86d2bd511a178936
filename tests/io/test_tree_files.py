"""A pytree read back is the pytree that was written, bit for bit; a file of another tree is refused with reasons."""

from typing import NamedTuple

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nnqmc.errors import CheckpointError, InputError
from nnqmc.io import from_arrays, load_arrays, save_tree


def load_tree(path, like):
    arrays, attributes = load_arrays(path, like)
    return from_arrays(arrays, like), attributes


class State(NamedTuple):
    step: jax.Array
    key: jax.Array
    params: dict
    opt_state: tuple
    extra: dict


def make_state(width=3, walkers=4):
    normal = np.random.default_rng(0).normal
    kernel = jnp.asarray(normal(size=(2, width)), jnp.float32)
    params = {"params": {"layer_0": {"kernel": kernel}, "b/c.d %": jnp.ones(2)}}
    optimizer = optax.chain(optax.clip(1.0), optax.adam(1e-3))
    extra = {
        "walkers": jnp.asarray(normal(size=(walkers, 2, 3)), jnp.float32),
        "special": jnp.asarray([1.5, -0.0, np.nan]),
        "double": normal(size=(2, 1)),
        "big_endian": np.arange(3, dtype=">i4"),
        "transposed": np.arange(6.0).reshape(2, 3).T,
        "mask": jnp.asarray([True, False]),
        "numbers": (np.bool_(True), np.int64(-7), np.float64(0.1), np.float32(2.5)),
        "empty": jnp.zeros((0, 3)),
        "nothing": (None, (), {}),
        "keys": jax.random.split(jax.random.key(5, impl="rbg"), 2),
    }
    return State(jnp.asarray(7), jax.random.key(42), params, optimizer.init(params), extra)


def make_other_extra(name, leaf):
    state = make_state()
    return state._replace(extra=state.extra | {name: leaf})


def bits(leaf):
    if hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return str(leaf.dtype), np.asarray(jax.random.key_data(leaf)).tobytes()
    array = np.asarray(leaf)
    return array.dtype.name, array.shape, array.astype(array.dtype.newbyteorder("=")).tobytes()


def assert_same(one, two):
    assert jax.tree.structure(one) == jax.tree.structure(two)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert bits(a) == bits(b)


def test_every_leaf_comes_back_bit_for_bit_and_of_its_kind(tmp_path):
    state = make_state()
    save_tree(tmp_path / "a.h5", state, {"note": "ä\n", "list": (1, 2.5, None), "n": np.int64(3)})
    loaded, attributes = load_tree(tmp_path / "a.h5", jax.tree.map(lambda leaf: leaf, state))
    assert_same(state, loaded)
    assert attributes == {"note": "ä\n", "list": [1, 2.5, None], "n": 3}
    assert all(isinstance(number, np.ndarray) for number in loaded.extra["numbers"])
    assert isinstance(loaded.extra["double"], np.ndarray) and isinstance(loaded.extra["walkers"], jax.Array)
    assert jax.random.uniform(loaded.key) == jax.random.uniform(state.key)


def test_shapes_alone_are_enough_to_read(tmp_path):
    state = {"x": jnp.ones((2, 3)), "key": jax.random.key(1), "step": jnp.asarray(3)}
    save_tree(tmp_path / "a.h5", state, {})
    loaded, _ = load_tree(tmp_path / "a.h5", jax.eval_shape(lambda: state))
    assert_same(state, loaded)


def test_the_same_tree_gives_the_same_bytes(tmp_path):
    for name in "ab":
        save_tree(tmp_path / name, make_state(), {"b": 1, "a": 2})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_hdf5_tool_can_read_the_numbers(tmp_path):
    save_tree(tmp_path / "a.h5", {"params": {"w": jnp.arange(3.0)}}, {})
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["params.w"][:].tolist() == [0, 1, 2]


def test_arrays_can_be_read_without_knowing_the_tree(tmp_path):
    save_tree(tmp_path / "a.h5", make_state(), {"x": 1})
    arrays, attributes = load_arrays(tmp_path / "a.h5")
    assert attributes == {"x": 1}
    assert arrays["params.params.layer_0.kernel"].shape == (2, 3)
    assert arrays["key.threefry2x32"].dtype == np.uint32 and arrays["extra.keys.rbg"].shape == (2, 4)
    assert arrays["extra.mask.bool"].tolist() == [1, 0]
    assert "params.params.b%2Fc%2Ed%20%25" in arrays
    assert load_arrays_of(tmp_path, jnp.ones(2))["value"].tolist() == [1, 1]


def load_arrays_of(tmp_path, tree):
    save_tree(tmp_path / "one.h5", tree, {})
    return load_arrays(tmp_path / "one.h5")[0]


@pytest.mark.parametrize(
    ("make_other", "words"),
    [
        (
            lambda: make_state(width=5),
            ["params.params.layer_0.kernel: float32[2,3] in the file, float32[2,5] expected", "opt_state.1.0.mu"],
        ),
        (lambda: make_state(walkers=8), ["extra.walkers: float32[4,2,3]", "float32[8,2,3]", "number of walkers"]),
        (lambda: make_state()._replace(step=np.float64(1)), ["step: int32[] in the file, float64[] expected"]),
        (
            lambda: make_state()._replace(key=jax.random.key(0, impl="rbg")),
            ["key.rbg: nothing in the file, uint32[4] expected", "key.threefry2x32: uint32[2] in the file"],
        ),
        (lambda: make_state()._replace(opt_state=()), ["opt_state.1.0.count: int32[] in the file, nothing expected"]),
        (lambda: {"new": np.int64(1)}, ["new: nothing in the file, int64[] expected", "places"]),
        (lambda: make_other_extra("mask", np.zeros(2, np.int32)), ["mask: nothing in the file", "mask.bool: uint8[2]"]),
    ],
)
def test_a_file_of_another_tree_is_refused_by_naming_the_differences(tmp_path, make_other, words):
    save_tree(tmp_path / "a.h5", make_state(), {})
    with pytest.raises(CheckpointError) as caught:
        load_tree(tmp_path / "a.h5", make_other())
    for word in [*words, "a.h5", "Use the settings"]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "word"),
    [
        ({"a": "text"}, "str"),
        ({"a": np.asarray([{}])}, "object"),
        ({"a": np.zeros(2, "datetime64[s]")}, "datetime64"),
        ({"a": np.zeros(2, [("x", "f4")])}, "void"),
        ({"a": 1.0}, "Python float"),
        ({"a": True}, "Python bool"),
        ({"a": jnp.ones(2, jnp.bfloat16)}, "bfloat16"),
        ({"a": jnp.ones(2, complex)}, "complex"),
        ({"a": {"1": 0}}, "a.1 is a Python int"),
        ([{"a": object()}], "0.a"),
    ],
)
def test_leaves_that_are_no_numbers_are_refused_and_nothing_is_written(tmp_path, tree, word):
    with pytest.raises(InputError, match=word):
        save_tree(tmp_path / "a.h5", tree, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("attributes", [{"a": object()}, {"a": {1j}}, {"a": 1j}, {"a": "x" * 2**23}])
def test_attributes_that_are_no_plain_data_are_refused(tmp_path, attributes):
    with pytest.raises(InputError, match="ttributes"):
        save_tree(tmp_path / "a.h5", {}, attributes)


def test_a_nested_attribute_of_endless_depth_is_refused(tmp_path):
    endless = []
    endless.append(endless)
    with pytest.raises(InputError, match="Attributes"):
        save_tree(tmp_path / "a.h5", {}, {"a": endless})


def test_float64_is_never_narrowed_silently(tmp_path):
    save_tree(tmp_path / "a.h5", {"x": np.ones(2)}, {})
    with pytest.raises(InputError, match="jax_enable_x64"):
        load_tree(tmp_path / "a.h5", {"x": jax.ShapeDtypeStruct((2,), np.float64)})


def test_the_form_may_depend_on_the_attributes_and_refuse_them(tmp_path):
    def like(attributes):
        if attributes["config"] != "abc":
            raise CheckpointError("of another run")
        return {"x": np.zeros(attributes["n"])}

    for config, n, words in (("abc", 2, None), ("abc", 3, "holds something else"), ("abd", 2, "of another run")):
        save_tree(tmp_path / "a.h5", {"x": np.ones(2)}, {"config": config, "n": n})
        if words is None:
            assert load_arrays(tmp_path / "a.h5", like)[0]["x"].tolist() == [1, 1]
        else:
            with pytest.raises(CheckpointError, match=words):
                load_arrays(tmp_path / "a.h5", like)
