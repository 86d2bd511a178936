"""What training minimises: objectives, each a function that tells a step which gradient to follow."""

from nnqmc.objectives.energy import EnergySample, clipped_energy, energy

__all__ = ["EnergySample", "clipped_energy", "energy"]
