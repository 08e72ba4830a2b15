"""What can still be said of a frame that does not read: of which type it was, and where it stood in its sequence.

A frame that was lost to us is news of its own: a change of a book, or a fill, was in it. This tells whose.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kalshi_daemon.wire.reading import Whole


class Envelope(msgspec.Struct, frozen=True, gc=False):
    type: str
    sid: Whole | None = None
    seq: Whole | None = None


_decode: Final = msgspec.json.Decoder(Envelope).decode


def read_envelope(frame: bytes | str) -> Envelope | None:
    """None where not even this can be read: then nothing is known of what was lost."""
    try:
        return _decode(frame)
    except (ValueError, RecursionError):
        return None
