"""Bond length, harmonic frequency and depth of a diatomic molecule from energies and forces along its bond."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nnqmc.statistics import format_with_error
from nnqmc.units import HARTREE_IN_WAVENUMBERS

_DALTON_IN_ELECTRON_MASSES = 1822.888486
_MOST_HIGHER = 3
"""The powers besides Morse's. Where points are few, what is taken for granted of them keeps the fit determined, and
adds to the errors what the powers may be: Morse's curve alone bends 2 % too much for H2 (omega_e 80 1/cm too high)."""
_POOR = 3.0
"""The mean squared residual in error bars beyond which the fit doesn't describe the curve."""


class Spectroscopic(NamedTuple):
    """The constants of a diatomic molecule.

    Attributes:
        r_e: bond length in bohr, with its standard error.
        omega_e: harmonic frequency in 1/cm, with its standard error.
        energy: at r_e, in hartree, with its standard error.
        d_e: depth below the separated atoms in hartree, with its standard error; None if their energy isn't known.
        parameters: of the fitted curve.
        misfit: mean squared residual in error bars, per degree of freedom; None without any.
    """

    r_e: tuple[float, float]
    omega_e: tuple[float, float]
    energy: tuple[float, float]
    d_e: tuple[float, float] | None
    parameters: tuple[float, ...]
    misfit: float | None

    def __str__(self) -> str:
        lines = [f"r_e = {format_with_error(*self.r_e)} bohr",
                 f"omega_e = {format_with_error(*self.omega_e)} 1/cm (most common isotopes)",
                 f"E(r_e) = {format_with_error(*self.energy)} Ha"]
        if self.d_e is not None:
            lines.append(f"D_e = {format_with_error(*self.d_e)} Ha below the reference energies of the atoms (no "
                         "zero-point energy)")
        if self.misfit is not None and self.misfit > _POOR:
            lines.append(f"note: the fitted curve misses the points by {self.misfit ** 0.5:.1f} error bars (root mean "
                         "square), by which the errors here were multiplied")
        return "\n".join(lines)


class Points(NamedTuple):
    """Bond lengths in bohr, energies in hartree, dE/dr in hartree/bohr (nan where unknown), and standard errors."""

    bonds: np.ndarray
    energies: np.ndarray
    energy_errors: np.ndarray
    slopes: np.ndarray
    slope_errors: np.ndarray


def curve_value(parameters: Any, bonds: Any) -> np.ndarray:
    """Return E(r) = E0 + D y^2 (1 + c y + d y^2 ...) in hartree, with y = 1 - exp(-a (r - r_e)), at bonds in bohr.

    The parameters are r_e, E0, D, a, c, d and so on. It is Morse's curve (P. M. Morse, Phys. Rev. 34, 57 (1929),
    doi:10.1103/PhysRev.34.57) with further powers.
    """
    r_e, lowest, depth, decay, *higher = parameters
    y = 1.0 - np.exp(-decay * (np.asarray(bonds, np.float64) - r_e))
    return lowest + depth * y**2 * np.polynomial.polynomial.polyval(y, [1.0, *higher])


def constants(points: Points, masses: Sequence[float], atoms: float | None = None) -> Spectroscopic | str:
    """Return the constants of a diatomic molecule, or in a sentence why there are none.

    Energies and, where they are known, slopes are fitted with the weights of their error bars, and these errors are
    propagated to the constants to first order.

    Args:
        points: of the curve.
        masses: of both atoms in dalton.
        atoms: energy of the separated atoms in hartree, if it is known.
    """
    order = np.argsort(points.bonds)
    points = Points(*(np.asarray(column, np.float64)[order] for column in points))
    n_data = len(points.bonds) + int(np.isfinite(points.slopes).sum())
    lowest = int(np.argmin(points.energies))
    if len(points.bonds) < 4 or lowest in (0, len(points.bonds) - 1):
        return ("no spectroscopic constants: they need four points or more, and the lowest energy between two others, "
                "so take a longer or a finer range of bonds")
    n_higher = min(n_data - 3, _MOST_HIGHER)
    start = _start(points, n_higher)
    if (fit := _fit(points, start)) is None:
        return "no spectroscopic constants: no curve fits the points"
    best, residual, covariance = fit
    free = n_data - len(best)
    misfit = float(residual @ residual) / free if free > 0 else None
    factor = max(1.0, misfit**0.5) if misfit is not None and misfit > _POOR else 1.0
    errors = factor * np.sqrt(np.diag(covariance))
    r_e, lowest, depth, decay = map(float, best[:4])
    relative = np.array([0.5 / depth, 1.0 / decay])  # the frequency goes as sqrt(D) a
    spread = factor * float(np.sqrt(relative @ covariance[2:4, 2:4] @ relative))
    reduced = masses[0] * masses[1] / (masses[0] + masses[1]) * _DALTON_IN_ELECTRON_MASSES
    omega = float(np.sqrt(2.0 * depth / reduced)) * decay * HARTREE_IN_WAVENUMBERS
    return Spectroscopic((r_e, float(errors[0])), (omega, omega * spread), (lowest, float(errors[1])),
                         None if atoms is None else (atoms - lowest, float(errors[1])), tuple(map(float, best)), misfit)


def _start(points: Points, n_higher: int) -> np.ndarray:
    """Return parameters near the points, from the parabola through the lowest one and its neighbours."""
    lowest = int(np.argmin(points.energies))
    near = slice(lowest - 1, lowest + 2)
    curvature, slope, _ = np.polyfit(points.bonds[near] - points.bonds[lowest], points.energies[near], 2)
    shift = float(np.clip(-0.5 * slope / max(curvature, 1e-6), points.bonds[lowest - 1] - points.bonds[lowest],
                          points.bonds[lowest + 1] - points.bonds[lowest]))
    depth = max(points.energies[-1] - points.energies[lowest], 0.05)
    return np.array([points.bonds[lowest] + shift, points.energies[lowest], depth,
                     max(curvature / depth, 0.1) ** 0.5, *np.zeros(n_higher)])


def _fit(points: Points, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return the parameters that fit best, the residuals in error bars and the covariance; None if nothing fits.

    Coefficients of higher powers are taken to be of the order of 1, so that noise doesn't make them large.
    """
    from scipy.optimize import least_squares

    known = np.isfinite(points.slopes) & (points.slope_errors > 0.0)
    bonds, step = points.bonds[known], 1e-4

    def residuals(parameters: np.ndarray) -> np.ndarray:
        energies = (curve_value(parameters, points.bonds) - points.energies) / points.energy_errors
        slope = (curve_value(parameters, bonds + step) - curve_value(parameters, bonds - step)) / (2.0 * step)
        return np.concatenate([energies, (slope - points.slopes[known]) / points.slope_errors[known], parameters[4:]])

    with np.errstate(over="ignore", invalid="ignore"):
        try:
            found = least_squares(residuals, start, x_scale=np.maximum(np.abs(start), 0.1), max_nfev=500)
            covariance = np.linalg.inv(found.jac.T @ found.jac)
        except (ValueError, np.linalg.LinAlgError):  # it left the numbers, or the points don't decide it
            return None
    is_good = found.success and np.isfinite(found.x).all() and found.x[2] > 0.0 and found.x[3] > 0.0
    n_data = len(points.bonds) + len(bonds)
    return (found.x, found.fun[:n_data], covariance) if is_good else None
