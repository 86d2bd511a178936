"""Hartree-Fock by PySCF, restricted or unrestricted; what it returns is converged and tested for stability."""

from __future__ import annotations

import logging
import warnings
from typing import Annotated, Any

import numpy as np

from nnqmc.errors import InputError, SCFError
from nnqmc.messages import counted
from nnqmc.ranges import Between, check
from nnqmc.scf.core import check_cores
from nnqmc.scf.mean_field import MeanField, fix_sign, from_solution
from nnqmc.scf.safe_pyscf import check_basis_name, import_pyscf
from nnqmc.system.nuclei import check_charges, require_molecule
from nnqmc.typing import System

_DEFAULT_BASIS = "cc-pvdz"
_FALLBACK_BASIS = "def2-svp"
_DIFFUSE_BASIS = "aug-cc-pvdz"
_STABILITY_CYCLES = 4
_SAME_ENERGY = 1e-7  # hartree; following an instability must gain more than this

_log = logging.getLogger("nnqmc")


def hartree_fock(
    system: System, *, basis: str = _DEFAULT_BASIS, conv_tol: Annotated[float, Between(1e-14, 1.0)] = 1e-9,
    max_cycles: Annotated[int, Between(1, 10**6)] = 100
) -> MeanField:
    """Solve the Hartree-Fock equations of a molecule.

    Closed shells start restricted, everything else is unrestricted. A solution that DIIS does not reach is continued by
    a second-order method. The result is then tested for stability: an instability, also one from restricted to
    unrestricted (stretched bonds), is followed downhill to the solution below. One thread and no symmetry are used, so
    that the same input gives the same orbitals.

    Args:
        system: the molecule, with all electrons; `charges` must be those of the elements in `symbols`.
        basis: a Gaussian basis set known to PySCF, for all electrons. Where the default lacks an element, that element
            gets def2-SVP, and where it leaves an electron unbound (anions, excited spins) aug-cc-pVDZ replaces it; both
            are logged.
        conv_tol: convergence threshold of the energy, hartree.
        max_cycles: iterations allowed to each of the two solvers.

    Returns:
        Energy, occupied orbitals and populations.

    Raises:
        InputError: the basis set or an option can't be used for this system.
        SCFError: no converged solution was found.

    References:
        R. Seeger, J. A. Pople, J. Chem. Phys. 66, 3045 (1977), doi:10.1063/1.434318 (stability);
        Q. Sun et al., J. Chem. Phys. 153, 024109 (2020), doi:10.1063/5.0006074 (PySCF).
    """
    check(hartree_fock, conv_tol=conv_tol, max_cycles=max_cycles)
    require_molecule(system)
    check_charges(system)
    check_basis_name(basis)
    import_pyscf()
    from pyscf import lib

    with lib.with_omp_threads(1):
        mean_field = _solve(system, basis, conv_tol, max_cycles)
        if basis != _DEFAULT_BASIS or not _has_unbound_electron(mean_field):
            return mean_field
        try:
            diffuse = _solve(system, _DIFFUSE_BASIS, conv_tol, max_cycles)
        except (InputError, SCFError) as error:
            _log.warning("basis %s leaves an electron unbound, but %s failed: %s", basis, _DIFFUSE_BASIS, error)
            return mean_field
    _log.info("basis %s leaves an electron unbound: used %s", basis, _DIFFUSE_BASIS)
    return diffuse


def _has_unbound_electron(mean_field: MeanField) -> bool:
    """Tell whether an occupied orbital has a positive energy."""
    return bool(np.any(mean_field.up_energies > 0) or np.any(mean_field.down_energies > 0))


def gaussian_molecule(system: System, *, basis: str = _DEFAULT_BASIS) -> Any:
    """Return the PySCF `Mole` of a molecule, in bohr, in the orientation and the basis set of `hartree_fock`.

    Raises:
        InputError: the basis set can't be used for this system.
    """
    require_molecule(system)
    check_charges(system)
    check_basis_name(basis)
    import_pyscf()
    return _mole(system, basis)


def all_orbitals(system: System, *, basis: str = _DEFAULT_BASIS) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return PySCF's `Mole`, and the coefficients and occupations of all Hartree-Fock orbitals of spin up.

    Args:
        system: the molecule.
        basis: as in `hartree_fock`; it is used as it is, also where an electron is unbound.

    Returns:
        The `Mole`; (n_functions, n_orbitals) coefficients over its functions, in the order of the orbital energies,
        with a reproducible sign; (n_orbitals,) the number of electrons of both spins in each orbital, the diagonal
        of the one-particle density matrix of the determinant.

    Raises:
        InputError: the basis set can't be used for this system.
        SCFError: no converged solution was found.
    """
    mol = gaussian_molecule(system, basis=basis)
    from pyscf import lib

    with lib.with_omp_threads(1):
        solver = _stable_solution(mol, system, 1e-9, 100)
        solver = solver.to_uhf() if np.ndim(solver.mo_occ) == 1 else solver
        coefficients = fix_sign(np.asarray(solver.mo_coeff[0]))
        density = np.einsum("sik,sk,sjk->ij", solver.mo_coeff, solver.mo_occ, solver.mo_coeff)
        overlap = mol.intor_symmetric("int1e_ovlp")
    projected = overlap @ coefficients
    return mol, coefficients, np.einsum("ik,ij,jk->k", projected, density, projected)


def _solve(system: System, basis: str, conv_tol: float, max_cycles: int) -> MeanField:
    """Solve the Hartree-Fock equations in one basis set."""
    mol = _mole(system, basis)
    try:
        solver = _stable_solution(mol, system, conv_tol, max_cycles)
        if np.ndim(solver.mo_occ) == 1:
            solver = solver.to_uhf()
        mean_field = from_solution(mol, solver.e_tot, solver.mo_coeff, solver.mo_energy, solver.mo_occ)
        if not all(np.isfinite(array).all() for array in vars(mean_field).values()):
            raise FloatingPointError("the solution isn't finite")
    except (ArithmeticError, ValueError) as error:  # numpy.linalg.LinAlgError is a ValueError, as are scipy's
        raise SCFError(
            f"Hartree-Fock of {_label(system)} in basis {basis!r} broke down in linear algebra ({error}): atoms must "
            "not coincide and the basis must not be nearly dependent; check the geometry and its unit, or pass a "
            "smaller basis="
        ) from error
    return mean_field


def _label(system: System) -> str:
    """Return what a message calls the system."""
    name = system.name or "".join(system.symbols)
    return f"{name} ({system.n_up} up, {system.n_down} down electrons)"


def _mole(system: System, basis: str) -> Any:
    """Return a PySCF `Mole` of the system, in bohr and in the given orientation."""
    from pyscf import gto

    atoms = np.asarray(system.atoms, dtype=np.float64)
    mol = gto.M(
        atom=[(symbol, tuple(position)) for symbol, position in zip(system.symbols, atoms, strict=True)],
        basis={symbol: _basis_functions(basis, symbol) for symbol in set(system.symbols)},
        ecp=_pseudopotentials(system),
        charge=system.charge,
        spin=system.spin,
        unit="Bohr",
        cart=False,
        symmetry=False,
        verbose=0,
        dump_input=False,
        parse_arg=False,
    )
    check_cores(mol, basis)
    if mol.nao < max(system.n_up, system.n_down):
        raise InputError(
            f"basis {basis!r} has {counted(mol.nao, 'function')} for {_label(system)}: it needs at least one per "
            "electron of a spin; pass a larger basis= such as 'cc-pvtz'"
        )
    return mol


def _pseudopotentials(system: System) -> dict[str, Any]:
    """Return PySCF's `ecp=` for the system's cores, of which none is known yet."""
    if any(system.core):
        raise InputError(
            f"Hartree-Fock of {_label(system)} has no pseudopotential for cores of {list(system.core)} electrons: "
            "leave core out"
        )
    return {}


def _basis_functions(basis: str, symbol: str) -> Any:
    """Return the all-electron basis set of one element."""
    functions = _load_basis(basis, symbol)
    if functions is None and basis == _DEFAULT_BASIS:
        functions = _load_basis(_FALLBACK_BASIS, symbol)
        if functions is not None:
            _log.warning("basis %s has no %s: that element uses %s", basis, symbol, _FALLBACK_BASIS)
    if functions is None:
        known = _load_basis(basis, "H") is not None or _load_basis(basis, "Ne") is not None
        reason = f"has no all-electron functions for {symbol}" if known else "is not a basis set that PySCF knows"
        raise InputError(
            f"basis {basis!r} {reason}: allowed are PySCF's all-electron Gaussian basis sets, for example 'cc-pvdz', "
            "'cc-pvtz', 'def2-svp', '6-31g' and 'sto-3g', and 'ano' for heavy elements; pass one of them as basis="
        )
    return functions


def _load_basis(basis: str, symbol: str) -> Any:
    """Return PySCF's functions, or None where there are none or where they stand for the valence electrons only."""
    check_basis_name(basis)
    from pyscf import gto
    from pyscf.lib.exceptions import BasisNotFoundError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            functions = gto.basis.load(basis, symbol)
        except (BasisNotFoundError, KeyError, AssertionError, ValueError, TypeError, OSError):
            return None
        try:
            core = gto.basis.load_ecp(basis.split("@")[0], symbol)
        except (BasisNotFoundError, RuntimeError, KeyError, TypeError, OSError):
            core = None
    return None if core else functions


def _stable_solution(mol: Any, system: System, conv_tol: float, max_cycles: int) -> Any:
    """Return a converged PySCF solver at the bottom of the chain of instabilities."""
    from pyscf.scf import hf, uhf

    solver = (hf.RHF if system.spin == 0 else uhf.UHF)(mol)  # plain classes: one electron is no special case
    _configure(solver, conv_tol, max_cycles)
    solver.kernel()
    if not solver.converged:
        _second_order(solver, solver.mo_coeff, solver.mo_occ)
    _require_convergence(solver, system)
    for _ in range(_STABILITY_CYCLES):
        lower = _follow_instability(solver, conv_tol, max_cycles)
        if lower is None:
            return solver
        solver = lower
        _require_convergence(solver, system)
    message = "Hartree-Fock of %s: still unstable after %d steps downhill, kept the lowest solution (%.6f hartree)"
    _log.warning(message, _label(system), _STABILITY_CYCLES, solver.e_tot)
    return solver


def _require_convergence(solver: Any, system: System) -> None:
    """Raise SCFError unless the solver has converged."""
    if not solver.converged:
        raise SCFError(
            f"Hartree-Fock of {_label(system)} did not converge to {solver.conv_tol:g} hartree: max_cycles="
            f"{solver.max_cycle} allowed that many DIIS and second-order cycles, and the last energy was "
            f"{solver.e_tot:.6f} hartree; check the geometry and its unit, the charge and the spin, then raise "
            "max_cycles= or pass a smaller basis="
        )


def _configure(solver: Any, conv_tol: float, max_cycles: int) -> None:
    """Make a solver silent and give it its thresholds."""
    solver.verbose = 0
    solver.chkfile = None
    solver.conv_tol = conv_tol
    solver.max_cycle = max_cycles


def _second_order(solver: Any, coefficients: Any, occupations: Any) -> None:
    """Continue from the given orbitals by Newton steps, leaving the result in `solver`."""
    newton = solver.newton()
    _configure(newton, solver.conv_tol, solver.max_cycle)
    newton.kernel(coefficients, occupations)
    for name in ("converged", "e_tot", "mo_coeff", "mo_energy", "mo_occ"):
        setattr(solver, name, getattr(newton, name))


def _follow_instability(solver: Any, conv_tol: float, max_cycles: int) -> Any:
    """Return a lower solution below an unstable one, or None if the given one is stable."""
    from pyscf.scf import stability, uhf

    occupations = np.asarray(solver.mo_occ)
    if not any(0 < np.count_nonzero(spin) < len(spin) for spin in np.atleast_2d(occupations)):
        return None  # no empty orbital to rotate into
    restricted, stable, lower = occupations.ndim == 1, True, solver.copy()
    if restricted:  # first, because breaking spin symmetry gains more than breaking spatial symmetry
        start, stable = stability.rhf_external(solver, with_symmetry=False, return_status=True)
    if stable:
        # with_symmetry=False seeds the search with the softest rotation; the default seed vanishes with the gradient
        internal = stability.rhf_internal if restricted else stability.uhf_internal
        start, stable = internal(solver, with_symmetry=False, return_status=True)
    else:
        lower, occupations = uhf.UHF(solver.mol), np.stack([occupations, occupations]) / 2
    if stable:
        return None
    _configure(lower, conv_tol, max_cycles)
    _second_order(lower, np.asarray(start), occupations)
    return lower if not lower.converged or lower.e_tot < solver.e_tot - _SAME_ENERGY else None
