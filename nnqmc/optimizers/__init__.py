"""Optimizers: optax transformations. Curvature methods take the sample as the keyword `batch` of `update`."""

from nnqmc.optimizers.natural import natural_direction
from nnqmc.optimizers.simple import adam, hyperbolic_decay
from nnqmc.optimizers.spring import min_sr, scale_by_spring, spring

__all__ = ["adam", "hyperbolic_decay", "min_sr", "natural_direction", "scale_by_spring", "spring"]
