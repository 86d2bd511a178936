"""Conversions agree with independent physics and undo each other."""

import numpy as np
import pytest

from nnqmc import units


def test_the_bohr_radius_and_the_hartree_are_one_coulomb_energy():
    """e^2 / (4 pi eps0 a0) is one hartree: two constants of the module tied by a third, 14.39964548 eV angstrom."""
    assert units.HARTREE_IN_EV * units.BOHR_IN_ANGSTROM == pytest.approx(14.3996454784, rel=1e-9)


def test_known_values():
    assert units.angstrom_to_bohr(1.0) == pytest.approx(1.8897261246, abs=2e-9)
    assert units.HARTREE_IN_KCAL_PER_MOL == pytest.approx(627.50947, abs=1e-5)
    assert units.hartree_to_millihartree(0.0016) == pytest.approx(1.6)
    assert units.CHEMICAL_ACCURACY == pytest.approx(1.5936e-3, abs=1e-7)


def test_each_conversion_of_lengths_undoes_the_other_for_arrays():
    values = np.array([-3.0, 0.0, 1.5e-4])
    np.testing.assert_allclose(units.bohr_to_angstrom(units.angstrom_to_bohr(values)), values, rtol=1e-15)
