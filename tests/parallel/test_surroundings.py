"""Whatever JAX was told before, a run gives its numbers, or one sentence says why it can't."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnqmc
from nnqmc.errors import InputError
from nnqmc.io import load_series
from nnqmc.parallel import n_devices, over_devices
from nnqmc.parallel.surroundings import check_devices, usual_rules

ROOT = Path(__file__).resolve().parents[2]
RULES = (("jax_numpy_rank_promotion", "raise", "allow"), ("jax_numpy_dtype_promotion", "strict", "standard"),
         ("jax_disable_jit", True, False), ("jax_check_tracer_leaks", True, False), ("jax_debug_infs", True, False),
         ("jax_transfer_guard", "disallow", "allow"))


@pytest.fixture
def strict() -> Iterator[None]:
    """Every rule of debugging is in force, in all threads, and there is a mesh of somebody else's."""
    before = {name: getattr(jax.config, name) for name, _, _ in RULES}
    with jax.set_mesh(jax.make_mesh((1,), ("x",))):
        for name, value, _ in RULES:
            jax.config.update(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                jax.config.update(name, value)


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_gives_the_same_numbers_by_any_rules(strict: None, tiny: dict, finished: Path, tmp_path: Path) -> None:
    nnqmc.solve("He", out=tmp_path / "he", seed=3, **tiny)
    for name in ("train.h5", "evaluate.h5"):
        one, two = load_series(finished / name)[0], load_series(tmp_path / "he" / name)[0]
        assert all(np.array_equal(one[key], two[key], equal_nan=True) for key in one)


def test_the_rules_are_usual_inside_and_as_before_outside(strict: None) -> None:
    with usual_rules():
        assert [getattr(jax.config, name) for name, _, _ in RULES] == [usual for _, _, usual in RULES]
        assert jax.sharding.get_mesh().empty
    assert [getattr(jax.config, name) for name, _, _ in RULES] == [value for _, value, _ in RULES]
    assert jax.sharding.get_mesh().axis_names == ("x",)


def test_nothing_is_done_where_all_is_as_usual() -> None:
    """A function that was compiled outside is not compiled again inside."""
    function = jax.jit(lambda x: x + 1.0)
    function(jnp.ones(3))
    with usual_rules():
        function(jnp.ones(3))
    assert function._cache_size() == 1


def test_a_mesh_of_nnqmc_s_own_stays() -> None:
    with over_devices(1), usual_rules():
        assert jax.sharding.get_mesh().axis_names == ("walkers",) and n_devices() == 1
    explicit = jax.make_mesh((1,), ("walkers",), axis_types=(jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(explicit), usual_rules():
        assert jax.sharding.get_mesh().empty


@pytest.mark.parametrize("variable", ["JAX_PLATFORM_NAME", "JAX_DEFAULT_DEVICE"])
def test_a_device_that_is_missing_is_said_in_one_sentence(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(backend: object = None) -> list:
        raise RuntimeError("Unable to initialize\nbackend 'gpu' (set JAX_PLATFORMS='' to choose)")

    check_devices()
    monkeypatch.setenv(variable, "gpu")
    monkeypatch.setattr(jax, "local_devices", fail)
    with pytest.raises(InputError, match=rf"compute with .*{variable}=gpu: Unable to initialize backend 'gpu'\. Unset"):
        nnqmc.solve("He", progress=False)


@pytest.mark.parametrize("platform", ["cuda", pytest.param("tpu", marks=pytest.mark.slow),
                                      pytest.param("rocm", marks=pytest.mark.slow)])
def test_a_platform_that_jax_lacks_is_named_by_run_and_doctor(platform: str, tmp_path: Path) -> None:
    if platform == {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend()):
        pytest.skip("it is here")
    code = ("from nnqmc.cli import main; from nnqmc.cli.doctor import devices, findings; import nnqmc.cli.doctor as d\n"
            "d.versions = d.machine = d.folders = lambda: ()\n"
            "code = main(['run', 'He', '--out', 'he']); found = [each.wrong for each in findings() if each.wrong]\n"
            f"assert code == 2 and found and all('JAX_PLATFORMS={platform}: ' in each for each in found), found")
    environment = os.environ | {"JAX_PLATFORMS": platform, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"JAX_PLATFORMS={platform}") == 1 and done.stderr.startswith("nnqmc: error: ")
    assert not list(tmp_path.iterdir())
