"""What training minimises."""

from nnqmc.objectives.energy import EnergySample, clipped_energy

__all__ = ["EnergySample", "clipped_energy"]
