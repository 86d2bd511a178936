"""What is written as extended xyz is what ASE reads; what hasn't converged or can't be trusted is no label."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nnqmc.job import Result
from nnqmc.statistics import Estimate, Remaining
from nnqmc.statistics.observed import ObservableEstimate
from nnqmc.studies.extended_xyz import Frame, write_frames
from nnqmc.studies.labels import LABELS, UNCONVERGED, Labels, _keep
from nnqmc.system import molecule

ase_io = pytest.importorskip("ase.io", reason="the file is read by ASE: pip install 'nnqmc[ase]'")
EV, BOHR = 27.211386245981, 0.529177210544


def frame(converged, error=2e-3, caveats=(), last=-0.01):
    system = molecule("H 0 0 0; H 0 0 1.4", unit="bohr")
    energy = Estimate(value=-1.17, error=1e-3, variance=0.1, tau=1.0, r_hat=1.0, n_samples=100)
    values, errors = np.array([[0.0, 0.0, 0.01], [0.0, 0.0, last]]), np.full((2, 3), error)
    forces = ObservableEstimate(values, errors, "hartree/bohr", caveats=caveats)
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


@pytest.mark.parametrize(("given", "sentence"), [
    ({"caveats": ("the sum of the forces is 500.0 error bars away",)}, "forces: the sum of the forces is 500.0 error"),
    ({"last": np.nan}, "forces: they or their error bars aren't finite"),
    ({"error": np.nan}, "forces: they or their error bars aren't finite"),
])
def test_forces_that_are_not_to_be_trusted_make_no_label(given, sentence, tmp_path):
    """The energy has converged; the caveat is printed and kept, and ASE finds neither energy nor forces."""
    labels = Labels({1: frame(True), 2: frame(True, **given)}, {}, 2, tmp_path)
    _keep(labels)
    bad = ase_io.read(tmp_path / UNCONVERGED)
    assert bad.calc is None and not bad.info["converged"] and "unconverged_forces" in bad.arrays
    assert len(ase_io.read(tmp_path / LABELS, index=":")) == 1
    rows = json.loads((tmp_path / "result.json").read_text())["structures"]
    assert [rows[number]["label"] for number in "12"] == [True, False]
    assert sentence in rows["2"]["caveats"][0] and not rows["1"]["caveats"]
    assert f"not to be trusted: {rows['2']['caveats'][0]}" in str(labels) and "1 label in" in str(labels)
