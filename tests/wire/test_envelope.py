"""What is left of a frame that does not read."""

from __future__ import annotations

import pytest

from kalshi_daemon.wire.envelope import Envelope, read_envelope


@pytest.mark.parametrize(
    ("frame", "envelope"),
    [
        ('{"type":"orderbook_delta","sid":1,"seq":7,"msg":"nonsense"}', Envelope("orderbook_delta", 1, 7)),
        (b'{"type":"fill","sid":4,"msg":{}}\n', Envelope("fill", 4)),
        ('{"type":"weather"}', Envelope("weather")),
        ('{"sid":1,"seq":7}', None),
        ('{"type":"trade","sid":"1","seq":7}', None),
        ('{"type":"trade","sid":1,"seq":-7}', None),
        ('{"type":"trade","sid":1,"seq":7', None),
        ("[1]", None),
        (b"\xff\xfe", None),
        ("[" * 100_000, None),
        ("", None),
    ],
)
def test_it_says_whose_frame_it_was_or_that_nobody_can(frame, envelope):
    """Type, subscription and number where they are what they should be; else nothing at all, and never an exception."""
    assert read_envelope(frame) == envelope
