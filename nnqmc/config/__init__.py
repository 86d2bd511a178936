"""The configuration of a run: a plain nested mapping, resolved from a preset, a TOML file, flags and `--set`.

The keyword arguments of the functions that do the work are the schema; see `nnqmc.config.schema`.
"""

from nnqmc.config.files import config_from_text, config_to_text, read_config
from nnqmc.config.resolve import Config, Layer, config_digest, parse_assignment, resolve
from nnqmc.config.schema import sections

__all__ = ["Config", "Layer", "config_digest", "config_from_text", "config_to_text",
           "parse_assignment", "read_config", "resolve", "sections"]
