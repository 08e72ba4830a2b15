"""The short way for the frames that a market's stream consists of: whole texts, as a server sends them.

A WebSocket library in Python spends more on such a frame than all that is done with its content. `PlainFrames` stands
before the library, takes the texts out of the bytes, and leaves everything else to it.

Rules:
- Taken is a text in one frame, unmasked, without reserved bits, of a length written as it should be and within the
  limit, and in UTF-8. Pings and pongs are the library's, in their order.
- Anything else (a close, a part of a message, bytes, a fault of the peer's) and all that comes after it is the
  library's for good: so no message ever overtakes another, and what is a fault is said in one place.
- No more is kept than one frame that is not yet whole, and only while it may become such a text, a ping or a pong.
"""

from __future__ import annotations

from typing import Final

TEXT, PING, PONG = 0x81, 0x89, 0x8A  # first bytes: whole, no reserved bit, and what it is
SHORT_MAX: Final = 125  # a length that the second byte holds; 126 and 127 there say that 2 or 8 bytes of it follow
SECOND_MAX: Final = {TEXT: 127, PING: SHORT_MAX, PONG: SHORT_MAX}  # over it: masked, or longer than it may be
LENGTH_BYTES: Final = {126: (2, SHORT_MAX), 127: (8, 0xFFFF)}  # and what would have had a shorter way to be written


class PlainFrames:
    def __init__(self, size_max: int) -> None:
        self.plain = True  # nothing has come yet that is the library's for good
        self._size_max = size_max
        self._bytes = bytearray()  # that are not yet a whole frame

    def split(self, data: bytes | bytearray) -> tuple[list[str], bytes]:
        """The texts that are whole now, and what is to be handed to the library."""
        if not self.plain:
            return [], bytes(data)
        held = self._bytes
        held += data
        texts: list[str] = []
        others = bytearray()
        at = 0
        while (found := self._find(at)) is not None:
            begin, end = found
            try:
                if not end:
                    raise ValueError  # noqa: TRY301 - like a text that is none
                if held[at] == TEXT:
                    texts.append(str(held[begin:end], "utf-8"))
                else:
                    others += held[at:end]
            except ValueError:
                self.plain = False
                others += held[at:]
                end = len(held)
            at = end
        del held[:at]
        return texts, bytes(others)

    def _find(self, at: int) -> tuple[int, int] | None:
        """Where what the frame at `at` carries begins and ends: 0 is the end of one that is not plain. None while too
        little has come to know.
        """
        held = self._bytes
        head = held[at : at + 2]
        if head and (head[0] not in SECOND_MAX or (head[-1] > SECOND_MAX[head[0]] and len(head) == 2)):
            return at, 0
        if len(head) < 2:
            return None
        length, begin = head[1], at + 2
        if length in LENGTH_BYTES:
            width, least = LENGTH_BYTES[length]
            if len(held) < begin + width:
                return None
            begin += width
            length = int.from_bytes(held[begin - width : begin], "big")
            if not least < length <= self._size_max:
                return begin, 0
        return (begin, begin + length) if begin + length <= len(held) else None
