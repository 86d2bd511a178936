"""Text for people: quantities in words, nothing that a terminal would obey, and no failure by a stream."""

from __future__ import annotations

import pytest

from nnqmc.messages import TolerantStream, duration, gibibytes, printable, say


@pytest.mark.parametrize(("seconds", "text"), [
    (0.2, "0 s"), (59.6, "1 min 0 s"), (61, "1 min 1 s"), (3599.7, "1 h 0 min"), (7300, "2 h 1 min"), (-3, "0 s"),
])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(2**36, "64 GiB"), (1.536 * 2**30, "1.54 GiB"), (2**20, "0.000977 GiB")])
def test_bytes(size: float, text: str) -> None:
    assert gibibytes(size) == text


def test_control_characters_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("a\tb\nä→\x1b[2J\x9b\x07\u202e") == "a\tb\nä→?[2J???"
    say("name\x1b]0;title\x07")
    assert capsys.readouterr().err == "name?]0;title?\n"


def test_a_stream_that_can_do_nothing_is_used_all_the_same() -> None:
    for stream in (None, object()):
        tolerant = TolerantStream(stream)
        assert tolerant.write("abc") == 3 and not tolerant.isatty()
        tolerant.flush()


def test_mistakes_of_the_caller_are_not_hidden() -> None:
    class Strict:
        def write(self, text: str) -> int:
            raise TypeError("no text")

    with pytest.raises(TypeError, match="no text"):
        TolerantStream(Strict()).write("abc")
