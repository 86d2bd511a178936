"""What is written as extended xyz is what ASE reads; a structure that hasn't converged is no label."""

from __future__ import annotations

import numpy as np
import pytest

from nnqmc.job import Result
from nnqmc.statistics import Estimate, Remaining
from nnqmc.statistics.observed import ObservableEstimate
from nnqmc.studies.extended_xyz import Frame, write_frames
from nnqmc.system import molecule

ase_io = pytest.importorskip("ase.io", reason="the file is read by ASE: pip install 'nnqmc[ase]'")
EV, BOHR = 27.211386245981, 0.529177210544


def frame(converged):
    system = molecule("H 0 0 0; H 0 0 1.4", unit="bohr")
    energy = Estimate(value=-1.17, error=1e-3, variance=0.1, tau=1.0, r_hat=1.0, n_samples=100)
    values, errors = np.array([[0.0, 0.0, 0.01], [0.0, 0.0, -0.01]]), np.full((2, 3), 2e-3)
    forces = ObservableEstimate(values, errors, "hartree/bohr")
    return Frame(system, Result("H2", energy, observables={"forces": forces}), converged, Remaining(2e-4, 1e-4),
                 {"run": 'a"b\n=c'})


def test_ase_reads_energies_forces_and_their_uncertainties(tmp_path):
    write_frames(tmp_path / "all.xyz", [frame(True), frame(False)])
    good, bad = ase_io.read(tmp_path / "all.xyz", index=":")
    assert good.get_potential_energy() == pytest.approx(-1.17 * EV)
    np.testing.assert_allclose(good.get_forces()[:, 2], [0.01 * EV / BOHR, -0.01 * EV / BOHR], rtol=1e-6)
    assert good.info["energy_uncertainty"] == pytest.approx(1e-3 * EV)
    assert good.info["training_left"] == pytest.approx(2e-4 * EV)
    np.testing.assert_allclose(good.arrays["forces_uncertainty"], 2e-3 * EV / BOHR, rtol=1e-6)
    assert good.get_distance(0, 1) == pytest.approx(1.4 * BOHR) and not good.pbc.any()
    assert good.info["run"] == "a?b??c"
    assert bad.calc is None and not bad.info["converged"] and "energy" not in bad.info
    assert bad.info["unconverged_energy"] == pytest.approx(-1.17 * EV)
