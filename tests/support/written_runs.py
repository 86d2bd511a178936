"""Directories of runs, written without computing anything."""

from __future__ import annotations

import numpy as np

import nnqmc
from nnqmc.config import config_to_text, resolve
from nnqmc.io import save_series
from nnqmc.job import Result, RunDirectory
from nnqmc.statistics import Estimate
from nnqmc.system import known_energy


def write_run(path, name="LiH", n=40, walkers=512, evaluated=True, energy=-8.0704, result=None, **system):
    """Write the files of a run without computing anything, and return its directory.

    Fields of the result are given as a dict, and those of the molecule as further arguments.
    """
    rng = np.random.default_rng(0)
    path.mkdir(parents=True)
    config = resolve(nnqmc.molecule(system.pop("source", "LiH"), name=name, **system))
    config["train"] |= {"walkers": walkers, "steps": n}
    (path / "config.toml").write_text(config_to_text(config))
    steps = np.arange(1, n + 1)
    series = {"step": steps, "energy": energy + 0.1 * np.exp(-steps / 9.0) + rng.normal(0, 0.002, n),
              "variance": np.full(n, 0.02), "acceptance": np.full(n, 0.4), "rejected": np.zeros(n, int),
              "clipped": np.zeros(n)}
    save_series(path / "train.h5", series, {})
    if evaluated:
        chains = energy + rng.normal(0, 0.1, (64, 256))
        chains[0, 0] += 5.0
        save_series(path / "evaluate.h5", {"energy": chains, "variance": np.full(64, 0.02)}, {})
        found = Estimate(energy, 2e-4, 0.02, 1.5, 1.001, 64 * walkers)
        known = known_energy(config)
        fields = {"steps": n, "planned_steps": n, "settings": config, "reference": known and {
            name: getattr(known, name) for name in ("energy", "uncertainty", "kind", "source")}} | (result or {})
        RunDirectory(path, config).save_result(Result(name, found, **fields))
    return path
