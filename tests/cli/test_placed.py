"""The options that say where a command computes."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize("command", [("run", "He"), ("resume", "runs/he"), ("evaluate", "runs/he")], ids=lambda c: c[0])
@pytest.mark.parametrize(("options", "message"), [
    (("--devices", "0"), "0 devices were asked for, and there"),
    (("--devices", "many"), "invalid int value: 'many'"),
    (("--process", "1"), "--process goes with --distributed"),
    (("--distributed", "--process", "1"), "--process without the rest"),
    (("--distributed", "--coordinator", "h:1", "--processes", "2", "--process", "2"), "below the number of processes"),
    (("--distributed", "--coordinator", "here", "--processes", "2", "--process", "1"), "give HOST:PORT"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_what_can_t_be_is_refused_before_anything_is_done(
    command: tuple, options: tuple, message: str, nnqmc_says: Callable
) -> None:
    outcome = nnqmc_says(*command, *options)
    assert outcome.code == 2 and message in outcome.err
