"""Frames that cannot be read are counted by kind, and said once a kind and minute."""

from __future__ import annotations

import pytest

from kalshi_daemon.errors import WireError
from kalshi_daemon.limits import FRAME_LOG_INTERVAL_S
from kalshi_daemon.shell.frame_faults import FrameFaults
from kalshi_daemon.wire.feed import decode_frame


class Told:
    def __init__(self):
        self.now_s = 1_000.0
        self.lines = []
        self.faults = FrameFaults(lambda: self.now_s, self.lines.append)

    def read(self, frame):
        with pytest.raises(WireError) as caught:
            decode_frame(frame, 0)
        self.faults.note(caught.value)


def test_each_kind_has_its_number_and_its_line():
    """Two kinds, many times each: two lines, which say what was wrong."""
    told = Told()
    for _ in range(500):
        told.read("{")
        told.read('{"type":"weather"}')
    assert told.faults.counts == {"unreadable": 500, "unknown_type": 500}
    assert len(told.lines) == 2
    assert told.lines[0].startswith("the exchange sent a frame that cannot be read (unreadable: ")
    assert "weather" in told.lines[1]


def test_a_minute_later_it_is_said_again():
    """Once the interval is over, not before, and counted from the line and not from the last frame."""
    told = Told()
    for _ in range(6):
        told.read("{")
        told.now_s += FRAME_LOG_INTERVAL_S / 3
    assert len(told.lines) == 2
    told.now_s += 10 * FRAME_LOG_INTERVAL_S
    told.read("{")
    assert len(told.lines) == 3
    assert told.faults.counts == {"unreadable": 7}
