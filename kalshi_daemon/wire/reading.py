"""What the readers of frames and bodies share: strict JSON decoding, and the kinds of a `WireError`.

Rules: a decoder's own exceptions end here. The kinds are few and stable, because they label metrics and alarms.
Integers are bounded to what JSON readers agree on (2^53), so that whatever was read can also be journaled; times to the
year 3000, so that whoever asks a calendar is answered, and a time in another unit is an error where it comes in.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec

from kalshi_daemon.errors import WireError
from kalshi_daemon.units import Milliseconds

KINDS: Final[frozenset[str]] = frozenset(
    {
        "unreadable",  # not JSON at all
        "unknown_type",  # a frame of a type that nobody told us of
        "missing_field",
        "wrong_type",  # a field that is not of its type, or out of its bounds
        "unknown_word",  # a word that is not in the list of words of its field
        "bad_number",  # a text that is not the fixed-point number it should be
        "oversized",
        "inconsistent",  # fields that contradict one another, or the request
        "unsupported",  # understood, and not something that we can trade with
    }
)
ERROR_TEXT_MAX: Final = 200  # characters of a decoder's message that we keep: it may quote the input
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
MOMENT_MAX_S: Final = 32_503_680_000  # the year 3000

Id: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Word: TypeAlias = Annotated[str, msgspec.Meta(max_length=256)]
Whole: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Signed: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
Moment: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MOMENT_MAX_S * 1_000)]  # milliseconds
MomentSeconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MOMENT_MAX_S)]
Instant: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]

T = TypeVar("T")


def read(decoder: msgspec.json.Decoder[T], text: bytes | str) -> T:
    """Decode, or raise a `WireError` of one of the first five kinds."""
    try:
        return decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise wire_error(error) from None


def wire_error(error: ValueError | RecursionError) -> WireError:
    """Sort a decoder's exception into a kind. Its message says where: ``at `$.msg.seq` ``."""
    text = str(error)[:ERROR_TEXT_MAX]
    if not isinstance(error, msgspec.ValidationError):
        return WireError("unreadable", text)
    if "missing required field" in text:
        return WireError("missing_field", text)
    if text.startswith("Invalid value"):
        return WireError("unknown_type", text)
    if text.startswith("Invalid enum value"):
        return WireError("unknown_word", text)
    return WireError("wrong_type", text)


def to_ms(moment: datetime) -> Milliseconds:
    """Milliseconds since the epoch, rounded down as the exchange does."""
    return (moment - EPOCH) // MILLISECOND
