"""Optimizers: optax transformations. Curvature methods take the sample as the keyword `batch` of `update`."""

from nnqmc.optimizers.guard import guarded
from nnqmc.optimizers.kfac import kfac, scale_by_kfac
from nnqmc.optimizers.natural import natural_direction
from nnqmc.optimizers.preconditioned import preconditioned_adam
from nnqmc.optimizers.simple import adam, hyperbolic_decay, lamb
from nnqmc.optimizers.spring import min_sr, robust_spring, scale_by_spring, spring

__all__ = ["adam", "guarded", "hyperbolic_decay", "kfac", "lamb", "min_sr", "natural_direction", "preconditioned_adam",
           "robust_spring", "scale_by_kfac", "scale_by_spring", "spring"]
