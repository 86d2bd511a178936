"""Studies of several runs: curves of the energy, labels for lists of structures, and energy differences by recipe."""
