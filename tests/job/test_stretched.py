"""Bonds that are nearly broken, solved like any other molecule."""

import pytest

import nnqmc


@pytest.mark.slow
@pytest.mark.parametrize(("atoms", "energy"), [("H 0 0 0; H 0 0 10", -1.000009), ("Li 0 0 0; H 0 0 12", -7.97806)],
                         ids=["H2", "LiH"])
def test_two_distant_atoms_have_the_energy_of_two_atoms_with_the_default_preset(atoms: str, energy: float) -> None:
    result = nnqmc.solve(nnqmc.molecule(atoms, unit="bohr"), progress=False)
    assert result.trusted and result.energy.error < 0.4e-3
    assert abs(result.energy.value - energy) < 1.6e-3
