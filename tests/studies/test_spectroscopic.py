"""Spectroscopic constants are those of the curve that the points come from, within their error bars."""

from __future__ import annotations

import numpy as np
import pytest

from nnqmc.studies.spectroscopic import Points, Spectroscopic, constants, curve_value

H2 = np.array([  # Kolos and Wolniewicz: bohr, hartree
    (1.0, -1.1245398), (1.1, -1.1500574), (1.2, -1.1649352), (1.3, -1.1723471), (1.4, -1.1744757), (1.5, -1.1728550),
    (1.6, -1.1685834), (1.8, -1.1550688), (2.0, -1.1381330), (2.2, -1.1201321), (2.4, -1.1024227), (2.6, -1.0857913)])
PROTON = 1.007825
NOTHING = np.full(len(H2), np.nan)


def noisy(error, seed=0):
    noise = np.random.default_rng(seed).normal(size=len(H2)) * error
    return Points(H2[:, 0], H2[:, 1] + noise, np.full(len(H2), error), NOTHING, NOTHING)


def test_the_exact_curve_of_h2_has_its_known_constants():
    """r_e = 1.4011 bohr, omega_e = 4401 1/cm, E = -1.174476 Ha, and D_e = 0.174476 Ha below two hydrogen atoms."""
    found = constants(noisy(1e-5), (PROTON, PROTON), atoms=-1.0)
    assert abs(found.r_e[0] - 1.4011) < 2e-3 and abs(found.omega_e[0] - 4401) < 20
    assert abs(found.energy[0] + 1.174476) < 3e-5 and abs(found.d_e[0] - 0.174476) < 3e-5


def test_error_bars_are_those_of_the_noise():
    """Over many draws of noise the pulls of r_e are of the order of 1, and a tenfold error is a tenfold error bar."""
    found = [constants(noisy(1e-4, seed), (PROTON, PROTON)) for seed in range(20)]
    pulls = np.array([(each.r_e[0] - 1.4011) / each.r_e[1] for each in found])
    assert 0.4 < np.sqrt(np.mean(pulls**2)) < 1.8
    wide = constants(noisy(1e-3), (PROTON, PROTON))
    assert 4.0 < wide.r_e[1] / found[0].r_e[1] < 25.0


@pytest.mark.parametrize("part", [slice(0, 9, 2), slice(0, 8, 2), slice(2, 7)])
def test_few_points_have_errors_that_hold(part):
    """The bend of H2 at its minimum isn't Morse's, so that error bars of his curve alone would be far too small."""
    found = [constants(Points(*(column[part] for column in noisy(4e-5, seed))), (PROTON, PROTON)) for seed in range(5)]
    pulls = [(each.omega_e[0] - 4401.0) / each.omega_e[1] for each in found]
    assert np.sqrt(np.mean(np.square(pulls))) < 1.8, pulls


def test_slopes_sharpen_the_constants():
    r_e, decay = 1.4, 1.0
    bonds = np.linspace(1.0, 3.0, 6)
    y = np.exp(-decay * (bonds - r_e))
    slopes = 2.0 * 0.17 * decay * (1.0 - y) * y
    points = Points(bonds, curve_value((r_e, -1.0, 0.17, decay), bonds), np.full(6, 1e-4), slopes, np.full(6, 1e-4))
    without = points._replace(slopes=np.full(6, np.nan), slope_errors=np.full(6, np.nan))
    both, one = (constants(each, (PROTON, PROTON)) for each in (points, without))
    assert both.r_e[1] < 0.5 * one.r_e[1] and abs(both.r_e[0] - r_e) < 1e-3


@pytest.mark.parametrize("part", [slice(0, 3), slice(5, None)])
def test_a_curve_without_a_minimum_has_no_constants_and_says_why(part):
    found = constants(Points(*(column[part] for column in noisy(1e-4))), (PROTON, PROTON))
    assert not isinstance(found, Spectroscopic) and "the lowest energy between two others" in found


def test_a_fit_that_misses_its_points_says_so_and_has_larger_errors():
    points = noisy(1e-4)
    points.energies[6] += 5e-3
    found = constants(points, (PROTON, PROTON))
    assert "misses the points by" in str(found) and found.r_e[1] > 3.0 * constants(noisy(1e-4), (PROTON, PROTON)).r_e[1]
