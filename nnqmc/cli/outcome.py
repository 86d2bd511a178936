"""How a command ends: its exit code, and what is said where something went wrong."""

from __future__ import annotations

import traceback

from nnqmc.errors import InputError, Interrupted, NnqmcError
from nnqmc.messages import say

DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 3


def explain(error: BaseException) -> int:
    """Say what an exception means, with its traceback if it is a mistake of this program, and return the exit code."""
    text, code = str(error), FAILED
    if isinstance(error, KeyboardInterrupt):
        code = STOPPED
        text = text if isinstance(error, Interrupted) else "stopped at once; checkpoints written so far are good"
    elif isinstance(error, NnqmcError):
        code = BAD_INPUT if isinstance(error, InputError) else FAILED
    elif isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "Out of memory" in text:
        text = f"out of memory: use fewer --walkers, a smaller train.chunk_size or wavefunction. ({text[:200]})"
    elif isinstance(error, OSError):
        text = "" if isinstance(error, BrokenPipeError) else f"the operating system refused: {text}"
    else:
        traceback.print_exception(error)
        text = ("this should not have happened; please report it with the lines above. Checkpoints written so far are "
                "good: `nnqmc resume DIR` goes on from them")
    if text:  # else another process says it, or there is nobody to read it
        say(f"nnqmc: {'' if code == STOPPED else 'error: '}{text}")
    return code
