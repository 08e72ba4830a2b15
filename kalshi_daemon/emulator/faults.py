"""What the exchange and the network are known to do wrong, as values: one class for each kind.

`PlannedFault` adds when one may act, how likely, and how often. Rules: a fault says what it does to one occasion, never
when; its figures are fields, in the order of its text form (`fault_text.py`).
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal, TypeAlias

from attrs import frozen

from kalshi_daemon.emulator.fault_figures import (
    byte_count,
    figure,
    frame_type,
    one_of,
    seconds,
    skew,
    target,
    word_of,
)
from kalshi_daemon.units import Milliseconds

Place: TypeAlias = Literal["upgrade", "request", "frame", "connection", "state", "handshake", "network"]
NETWORK: Final = "network"
HANDSHAKE: Final = "handshake"
STATE: Final = "state"


@frozen
class UpgradeRefused:
    """The WebSocket upgrade is refused."""

    word: ClassVar[str] = "upgrade"
    place: ClassVar[Place] = "upgrade"
    status: int = figure(one_of(401, 403, 429, 502, 503), 503)


@frozen
class RequestRefused:
    """A request is answered with an error and nothing is done."""

    word: ClassVar[str] = "error"
    place: ClassVar[Place] = "request"
    status: int = figure(one_of(429, 500, 502, 503, 504), 503)
    target: str = figure(target, "")


@frozen
class RequestDropped:
    """A request does not arrive: nothing is done, and the connection is cut."""

    word: ClassVar[str] = "dropped"
    place: ClassVar[Place] = "request"
    target: str = figure(target, "")


@frozen
class RequestLate:
    """A request arrives so much later."""

    word: ClassVar[str] = "late"
    place: ClassVar[Place] = "request"
    seconds: float = figure(seconds)
    target: str = figure(target, "")


@frozen
class AnswerLost:
    """What was asked is done, and the connection is cut before the answer."""

    word: ClassVar[str] = "lost"
    place: ClassVar[Place] = "request"
    target: str = figure(target, "")


@frozen
class AnswerMasked:
    """What was asked is done, and an error is answered."""

    word: ClassVar[str] = "masked"
    place: ClassVar[Place] = "request"
    status: int = figure(one_of(500, 502, 503, 504), 503)
    target: str = figure(target, "")


@frozen
class AnswerSlow:
    """What was asked is done, and the answer comes so much later."""

    word: ClassVar[str] = "slow"
    place: ClassVar[Place] = "request"
    seconds: float = figure(seconds)
    target: str = figure(target, "")


@frozen
class AnswerTruncated:
    """Half of the body arrives, with the length of that half."""

    word: ClassVar[str] = "truncated"
    place: ClassVar[Place] = "request"
    target: str = figure(target, "")


@frozen
class AnswerGarbled:
    """The status is right, and the body is the page of somebody's proxy."""

    word: ClassVar[str] = "garbled"
    place: ClassVar[Place] = "request"
    target: str = figure(target, "")


@frozen
class FrameLost:
    """A frame of a stream is lost: a gap, where it was numbered."""

    word: ClassVar[str] = "gap"
    place: ClassVar[Place] = "frame"
    type: str = figure(frame_type, "")


@frozen
class FrameDoubled:
    """A frame of a stream comes twice."""

    word: ClassVar[str] = "duplicate"
    place: ClassVar[Place] = "frame"
    type: str = figure(frame_type, "")


@frozen
class FrameLate:
    """A frame of a stream comes after the next one."""

    word: ClassVar[str] = "reorder"
    place: ClassVar[Place] = "frame"
    type: str = figure(frame_type, "")


@frozen
class Overflow:
    """A subscription ends with error 25, as if its reader were too slow."""

    word: ClassVar[str] = "overflow"
    place: ClassVar[Place] = "frame"


@frozen
class Reset:
    """A connection is reset when so many more bytes have gone out; None: at any byte of what is being written."""

    word: ClassVar[str] = "reset"
    place: ClassVar[Place] = "connection"
    after_bytes: int | None = figure(byte_count, None)


@frozen
class HalfOpen:
    """A connection goes silent so many bytes later: nothing passes any more, either way, and nothing is closed."""

    word: ClassVar[str] = "half-open"
    place: ClassVar[Place] = "connection"
    after_bytes: int | None = figure(byte_count, None)


@frozen
class Stalled:
    """A connection sends nothing for so long, from any byte on, and then goes on."""

    word: ClassVar[str] = "stalled"
    place: ClassVar[Place] = "connection"
    seconds: float = figure(seconds)


@frozen
class StaleReads:
    """Reads of the account lag by so much, and more than the settings say."""

    word: ClassVar[str] = "stale"
    place: ClassVar[Place] = "state"
    seconds: float = figure(seconds)


@frozen
class WrongClock:
    """The exchange judges signatures and dates its answers by a clock that is ahead by so much, or behind."""

    word: ClassVar[str] = "clock"
    place: ClassVar[Place] = "state"
    seconds: float = figure(skew)


@frozen
class TradingPaused:
    """No order on any market; cancels pass."""

    word: ClassVar[str] = "pause"
    place: ClassVar[Place] = "state"


@frozen
class Maintenance:
    """503 for everything, the status with a body of its own, and no streams."""

    word: ClassVar[str] = "maintenance"
    place: ClassVar[Place] = "state"


@frozen
class NameLost:
    """The exchange's name has no address. Acts in the simulation's network."""

    word: ClassVar[str] = "dns"
    place: ClassVar[Place] = "network"


@frozen
class CertificateWrong:
    """The exchange shows a certificate of another name, or one that has expired. Acts where TLS is served, and in the
    simulation's network."""

    word: ClassVar[str] = "tls"
    place: ClassVar[Place] = "handshake"
    why: str = figure(word_of("name", "expired"), "name")


FrameFault: TypeAlias = FrameLost | FrameDoubled | FrameLate
RequestFault: TypeAlias = (
    RequestRefused
    | RequestDropped
    | RequestLate
    | AnswerLost
    | AnswerMasked
    | AnswerSlow
    | AnswerTruncated
    | AnswerGarbled
)
StateFault: TypeAlias = StaleReads | WrongClock | TradingPaused | Maintenance
Fault: TypeAlias = (
    UpgradeRefused
    | RequestFault
    | FrameFault
    | Overflow
    | Reset
    | HalfOpen
    | Stalled
    | StateFault
    | NameLost
    | CertificateWrong
)
KINDS: Final[tuple[type[Fault], ...]] = Fault.__args__


@frozen
class PlannedFault:
    """A fault and when it may act: its times count from when it is given to a schedule.

    `percent`: of the occasions in that time. `times`: at most; None: as often as they come. A fault of the exchange's
    state is in force all the time, and has neither.
    """

    fault: Fault
    from_ms: Milliseconds = 0
    to_ms: Milliseconds | None = None
    percent: float = 100.0
    times: int | None = None
