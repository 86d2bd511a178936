"""A curve takes the forces of its points with the right sign, and only those that can be trusted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_up_study import MORSE, MadeUp
from nnqmc.studies import curves
from nnqmc.studies.curves import curve


@pytest.mark.parametrize("atoms", [(1, 2), (2, 1)])
def test_forces_along_the_bond_are_those_of_the_potential_and_sharpen_the_fit(atoms, tmp_path, monkeypatch):
    """A bond that is too short pulls its atoms apart, one that is too long pulls them together."""
    monkeypatch.setattr(curves, "Work", MadeUp)
    (tmp_path / "study").mkdir()
    found = curve("H 0.1 0.2 0.3; H 0.7 1.1 1.4", (1.0, 2.5), 6, unit="bohr", atoms=atoms, out=tmp_path / "study")
    r_e, _, depth, decay = MORSE
    for point in found.points:
        y = np.exp(-decay * (point.bond - r_e))
        assert point.force == pytest.approx((-2.0 * depth * decay * (1.0 - y) * y, 1e-5), rel=1e-4)
    assert found.points[0].force[0] > 0.0 > found.points[-1].force[0]
    assert found.constants.r_e[0] == pytest.approx(r_e, abs=1e-3) and found.constants.r_e[1] < 1e-3
    assert found.constants.misfit < 1.0


@pytest.mark.parametrize("spoilt", [{"caveats": ("their sum has to vanish",)}, {"value": np.full((2, 3), np.nan)}])
def test_forces_that_are_not_to_be_trusted_do_not_enter_the_curve_and_it_says_so(spoilt, tmp_path, monkeypatch):
    class Doubtful(MadeUp):
        def solved(self, system, place):
            directory, result = super().solved(system, place)
            forces = replace(result.observables["forces"], **spoilt)
            return directory, replace(result, observables={"forces": forces})

    monkeypatch.setattr(curves, "Work", Doubtful)
    (tmp_path / "study").mkdir()
    found = curve("H2", (1.0, 2.5), 6, out=tmp_path / "study")
    assert [point.force for point in found.points] == [None] * 6
    assert str(found).count("not to be trusted: forces: ") == 6
    assert all(point["caveats"][0].startswith("forces: ") for point in found.to_dict()["points"])
