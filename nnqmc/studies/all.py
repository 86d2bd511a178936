"""The functions behind the studies."""

from nnqmc.studies.curves import curve
from nnqmc.studies.differences import difference
from nnqmc.studies.labels import label
from nnqmc.studies.recipes import recipe
from nnqmc.studies.scan import scan

__all__ = ["curve", "difference", "label", "recipe", "scan"]
