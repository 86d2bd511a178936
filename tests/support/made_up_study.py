"""A study whose runs are made up, with the energies and forces of a Morse curve."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from nnqmc.job import Result
from nnqmc.statistics import Estimate
from nnqmc.statistics.observed import ObservableEstimate
from nnqmc.studies.spectroscopic import curve_value
from nnqmc.studies.work import Work

MORSE = (1.4, -1.17, 0.17, 1.0)
"""Bond length, energy, depth and decay of a known potential."""


class MadeUp(Work):
    """Stands for the runs of a study: energies and forces are those of a Morse curve, the energies with wide errors."""

    def config(self, system):
        return system

    def done(self, config):
        return None

    def resolved(self, directory, result):
        return True, None

    def solved(self, system, place):
        bond = system.atoms[1] - system.atoms[0]
        length = np.linalg.norm(bond)
        low, energy, high = curve_value(MORSE, length + np.array([-1e-5, 0.0, 1e-5]))
        slope = (high - low) / 2e-5
        on_second = -slope * bond / length
        forces = ObservableEstimate(np.array([-on_second, on_second]), np.full((2, 3), 1e-5), "hartree/bohr")
        estimate = Estimate(value=float(energy), error=1e-2, variance=0.1, tau=1.0, r_hat=1.0, n_samples=100)
        return SimpleNamespace(path=self.folder / "0001"), Result("H2", estimate, observables={"forces": forces})
