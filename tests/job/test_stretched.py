"""A bond that is nearly broken, solved like any other molecule."""

import pytest

import nnqmc


@pytest.mark.slow
def test_two_distant_hydrogen_atoms_have_the_energy_of_two_atoms_with_the_default_preset() -> None:
    result = nnqmc.solve(nnqmc.molecule("H 0 0 0; H 0 0 10", unit="bohr"), progress=False)
    assert result.trusted and result.energy.error < 0.4e-3
    assert abs(result.energy.value + 1.0) < 1.6e-3
