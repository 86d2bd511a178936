"""Objectives: what training minimises, each a function that returns the gradient to follow."""

from nnqmc.objectives.energy import EnergySample, clipped_energy, energy

__all__ = ["EnergySample", "clipped_energy", "energy"]
