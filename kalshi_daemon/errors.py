"""Operating errors: what the world does to us, each with one meaning.

Rules: an error is one line that says what happened, whose fault it is, and what to do. They are raised at the edge and
mapped there; a mistake of our own is an assertion, never one of these. The exit code of the process is theirs to give.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_STOPPED = 0
EXIT_REFUSED = 1  # a daemon answered a command with no, or what was to be verified is not right
EXIT_ABSENT = 69  # no daemon answers, no journal is there, or the exchange cannot be reached
EXIT_CRASHED = 1  # a fault of the process: systemd starts it again
EXIT_UNVERIFIED = 75  # stopped, and something of ours may still rest at the exchange
EXIT_FAILED = 77  # a person must mend something; systemd does not restart it
EXIT_CONFIGURATION = 78


class OperatingError(Exception):
    """The root of what the world can do to us."""

    exit_code: ClassVar[int] = EXIT_FAILED


class ConfigurationError(OperatingError):
    """Ours to mend: one variable has a value that is not allowed."""

    exit_code: ClassVar[int] = EXIT_CONFIGURATION


class WireError(OperatingError):
    """Theirs: a frame or a body that does not read as the protocol says. `kind` is a short label for counting."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


class JournalCorrupt(OperatingError):
    """The journal does not read back as it was written; the message names the event."""


class JournalAbsent(OperatingError):
    """There is no journal, or nothing in it."""

    exit_code: ClassVar[int] = EXIT_ABSENT


class JournalForeign(OperatingError):
    """The journal is of another account than the key's."""


class JournalLocked(OperatingError):
    """A second daemon holds the state directory."""


class JournalLost(OperatingError):
    """The files of the state directory were removed or replaced while the daemon ran."""


class RecordingAbsent(OperatingError):
    """There is no recording, or it cannot be read."""

    exit_code: ClassVar[int] = EXIT_ABSENT


class RecordingDamaged(OperatingError):
    """A recording does not read back as it was written; the message names the segment and the place."""

    exit_code: ClassVar[int] = EXIT_REFUSED


class ModelRefused(OperatingError):
    """The model does not fit the contract; the message names the part that differs."""


class KeyRefused(OperatingError):
    """The private key cannot be read, has open permissions, or is of a kind that the exchange does not take."""


class ExchangeError(OperatingError):
    """The exchange answered, with a code. Branch on `code`, never on `status` alone: 409 has opposite meanings."""

    def __init__(self, status: int, code: str, message: str, details: str = "") -> None:
        super().__init__(f"the exchange answered {status} {code}: {message}" + (f" ({details})" if details else ""))
        self.status = status
        self.code = code
        self.message = message
        self.details = details


class AccessRefused(ExchangeError):
    """401 or 403 for the key, its signature or its scope. A person must mend it."""


class ClockRefused(ExchangeError):
    """401 `header_timestamp_expired`: our clock is off; the offset is learnt from the answer's date and tried again.

    `date`: the answer's Date header, where whoever raises it does not hand it to the clock itself.
    """

    date: str = ""


class RateLimited(ExchangeError):
    """429: too many requests. Nothing was done."""


class Unreachable(OperatingError):
    """No answer, or one that cannot be read: DNS, TCP, TLS, time-out, reset, 5xx, an HTML page.

    `maybe_done` says whether the request may have taken effect: false only when it never left.
    """

    def __init__(self, what: str, *, maybe_done: bool, status: int = 0) -> None:
        """`status`: of an answer that says nothing of the request; 0 where there was none."""
        super().__init__(what)
        self.maybe_done = maybe_done
        self.status = status


class NotSpoken(Unreachable):
    """Whoever answers there does not speak the protocol that was asked for."""


class Withheld(OperatingError):
    """A gate refused at the socket: nothing was sent."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"withheld by {code}: {detail}")
        self.code = code
        self.detail = detail


class DaemonAbsent(OperatingError):
    """Nobody answers at the control socket, or we may not open it."""

    exit_code: ClassVar[int] = EXIT_ABSENT


class CommandRefused(OperatingError):
    """A running daemon does not do what was asked; the message is its own."""

    exit_code: ClassVar[int] = EXIT_REFUSED


class Overflow(OperatingError):
    """A bounded queue is over its limit: the daemon cannot keep up and says so instead of growing."""
