"""What the exchange and the network are known to do wrong: a table of kinds, and faults as values of them.

`PlannedFault` adds when one may act, how likely, and how often. Rules: a fault says what it does to one occasion, never
when; its figures stand in the order of its text form (`fault_text.py`), and a figure that its kind does not have cannot
be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from attrs import frozen

from kalshi_daemon.emulator.channels import CHANNELS, ERRORS
from kalshi_daemon.emulator.fault_figures import byte_count, frame_type, one_of, seconds, skew, target, word_of
from kalshi_daemon.units import Milliseconds

Place: TypeAlias = Literal["upgrade", "request", "command", "frame", "connection", "state", "handshake", "network"]
NETWORK: Final = "network"
HANDSHAKE: Final = "handshake"
STATE: Final = "state"
COMMANDS: Final = ("subscribe", "unsubscribe", "update_subscription", "list_subscriptions")
NEEDED: Final = object()  # in the place of a default: the figure may not be left out


@frozen
class Figure:
    """What a kind is told besides its word: `read` makes the value of its text, or raises FaultRefused."""

    name: str
    read: Callable[[str], Any]
    default: Any = NEEDED


@frozen
class Kind:
    """`place` is what it has for an occasion. Called with figures, it gives the fault; those left out at the end have
    their defaults."""

    word: str
    place: Place
    figures: tuple[Figure, ...] = ()

    def __call__(self, *values: Any) -> Fault:
        values += tuple(figure.default for figure in self.figures[len(values) :])
        assert len(values) == len(self.figures), f"{self.word} has {len(self.figures)} figures"
        assert NEEDED not in values, f"{self.word} lacks a figure"
        return Fault(self, values)


@frozen
class Fault:
    """A kind with its figures, in their order."""

    kind: Kind
    values: tuple[Any, ...]

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self._figure("status"))

    @property
    def seconds(self) -> float:
        return float(self._figure("seconds"))

    @property
    def target(self) -> str:
        """Which requests are meant."""
        return str(self._figure("target"))

    @property
    def type(self) -> str:
        """Which frames are meant; empty: all."""
        return str(self._figure("type"))

    @property
    def after_bytes(self) -> int | None:
        """None: at any byte of what is being written."""
        after: int | None = self._figure("bytes")
        return after

    @property
    def code(self) -> int:
        """Of a stream's error."""
        return int(self._figure("code"))

    @property
    def command(self) -> str:
        """Which commands of a stream are meant; empty: all."""
        return str(self._figure("command"))

    @property
    def channel(self) -> str:
        """Which channels' subscribing is meant; empty: any command."""
        return str(self._figure("channel"))

    @property
    def why(self) -> str:
        return str(self._figure("why"))

    def _figure(self, name: str) -> Any:
        """Raises KeyError for one that its kind does not have."""
        return dict(zip([figure.name for figure in self.kind.figures], self.values, strict=True))[name]


def _status(*allowed: int) -> Figure:
    return Figure("status", one_of("statuses", allowed), 503)


_SECONDS: Final = Figure("seconds", seconds)
_TARGET: Final = Figure("target", target, "")
_TYPE: Final = Figure("type", frame_type, "")
_CODE: Final = Figure("code", one_of("codes", ERRORS), 18)
_COMMAND: Final = Figure("command", word_of(*COMMANDS), "")
_CHANNEL: Final = Figure("channel", word_of(*CHANNELS), "")
_BYTES: Final = Figure("bytes", byte_count, None)

UPGRADE_REFUSED: Final = Kind("upgrade", "upgrade", (_status(401, 403, 429, 502, 503),))
# Nothing is done: an error is answered, the connection is cut; or it is done, but later.
REQUEST_REFUSED: Final = Kind(
    "error", "request", (_status(400, 401, 403, 404, 409, 410, 429, 500, 502, 503, 504), _TARGET)
)
REQUEST_DROPPED: Final = Kind("dropped", "request", (_TARGET,))
REQUEST_LATE: Final = Kind("late", "request", (_SECONDS, _TARGET))
# It is done: the connection is cut before the answer, an error is answered, the answer comes later; half of the body
# arrives, with the length of that half; the status is right, and the body is the page of somebody's proxy.
ANSWER_LOST: Final = Kind("lost", "request", (_TARGET,))
ANSWER_MASKED: Final = Kind("masked", "request", (_status(500, 502, 503, 504), _TARGET))
ANSWER_SLOW: Final = Kind("slow", "request", (_SECONDS, _TARGET))
ANSWER_TRUNCATED: Final = Kind("truncated", "request", (_TARGET,))
ANSWER_GARBLED: Final = Kind("garbled", "request", (_TARGET,))
# A stream's command is not obeyed, and answered with an error.
COMMAND_REFUSED: Final = Kind("refused", "command", (_CODE, _COMMAND, _CHANNEL))
# A frame is lost (a gap, where it was numbered), comes twice, comes after the next one.
FRAME_LOST: Final = Kind("gap", "frame", (_TYPE,))
FRAME_DOUBLED: Final = Kind("duplicate", "frame", (_TYPE,))
FRAME_LATE: Final = Kind("reorder", "frame", (_TYPE,))
OVERFLOW: Final = Kind("overflow", "frame")  # a subscription ends with error 25, as if its reader were too slow
# When so many more bytes have gone out, the connection is reset, or goes silent: nothing passes any more, either way,
# and nothing is closed. A stalled one sends nothing for so long, from any byte on, and then goes on.
RESET: Final = Kind("reset", "connection", (_BYTES,))
HALF_OPEN: Final = Kind("half-open", "connection", (_BYTES,))
STALLED: Final = Kind("stalled", "connection", (_SECONDS,))
STALE_READS: Final = Kind("stale", "state", (_SECONDS,))  # they lag by so much more than the settings say
WRONG_CLOCK: Final = Kind("clock", "state", (Figure("seconds", skew),))  # signatures are judged and answers dated by it
TRADING_PAUSED: Final = Kind("pause", "state")  # no order on any market; cancels pass
MAINTENANCE: Final = Kind("maintenance", "state")  # 503 for everything, and no streams
NAME_LOST: Final = Kind("dns", "network")  # the exchange's name has no address: in the simulation's network
# A certificate of another name, or one that has expired: where TLS is served, and in the simulation's network.
CERTIFICATE_WRONG: Final = Kind("tls", "handshake", (Figure("why", word_of("name", "expired"), "name"),))

KINDS: Final = (
    *(UPGRADE_REFUSED, REQUEST_REFUSED, REQUEST_DROPPED, REQUEST_LATE),
    *(ANSWER_LOST, ANSWER_MASKED, ANSWER_SLOW, ANSWER_TRUNCATED, ANSWER_GARBLED),
    *(COMMAND_REFUSED, FRAME_LOST, FRAME_DOUBLED, FRAME_LATE, OVERFLOW, RESET, HALF_OPEN, STALLED),
    *(STALE_READS, WRONG_CLOCK, TRADING_PAUSED, MAINTENANCE, NAME_LOST, CERTIFICATE_WRONG),
)


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
