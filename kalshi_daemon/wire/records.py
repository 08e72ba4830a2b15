"""What a recording is made of: frames as they came, what else moved the books, and what was decided on them.

| record | what it says |
|---|---|
| `Head` | the first of each segment: form, run, number of the segment, and the versions of what computes |
| `PolicyNamed` | what decides from here on; said again behind checkpoints |
| `Checkpoint` | all books and windows as they stand here, so that nothing before it is needed |
| `Frame` | one frame of a socket, and whether a book or the list of prints took it |
| `LevelsRead` | levels that were read by REST and put into a book |
| `MarketsWanted` | these markets are kept from here on, and no others |
| `BooksLost` | what stands in these books is not known any more |
| `TermsKnown` | fee multiplier and price grid of a market, before a batch needs them; said again behind checkpoints |
| `Batch` | markets that were decided together: on what, and which actions came of it |
| `Hole` | records that were dropped here; a `Checkpoint` follows it |

Rules:
- Records stand in the order in which things happened: a frame that a book took stands where it was taken.
- A record is an array of msgpack that begins with its kind. Fields are only ever added, at the end, with a default.
- Nothing that was sent to the exchange is in them, so that neither keys nor signatures can be.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from kalshi_daemon.facts import PriceRange
from kalshi_daemon.units import Count, Milliseconds, Money, Price, Ticker

FORMAT: Final = 1
USABLE: Final = 1  # flags of a `Decided`: the book could be acted on,
CLOSING: Final = 2  # and the market took no increase

Levels: TypeAlias = list[tuple[Price, Count]]


class Head(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="head"):
    format: int
    run: str
    segment: int  # from 1 in each run
    at_ms: Milliseconds
    versions: dict[str, str]  # of the daemon, Python, numpy, onnxruntime, and the kind of processor


class PolicyNamed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="policy"):
    at_ms: Milliseconds
    policy: str
    model: str  # the digest of its file, where it is one
    schema: str  # the hash of the observation's names, order and formulas
    sizes: tuple[Count, ...]
    pricing: str


class WindowState(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A `MarketHistory`, field by field."""

    closed_ms: list[Milliseconds]
    closed_mids: list[int]
    closed_changed: list[Count]
    now_ms: Milliseconds
    mid_twice: int
    until_ms: Milliseconds
    sum: Count
    seconds: list[tuple[int, Count]]


class BookState(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An `OrderBook` with its window and its last print."""

    market: Ticker
    yes: Levels
    no: Levels
    known: bool
    version: int
    ts_ms: Milliseconds
    clock: int | None
    contracts_changed: Count
    last_trade: Price | None
    window: WindowState


class Checkpoint(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="checkpoint"):
    at_ms: Milliseconds
    books: list[BookState]


class Frame(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="frame"):
    at_ms: Milliseconds  # when it was received, by our clock
    session: str
    data: bytes
    noted_ms: Milliseconds | None  # the exchange's time that a change of a book was noted at; None: nothing took it


class LevelsRead(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="levels"):
    at_ms: Milliseconds
    market: Ticker
    yes: Levels
    no: Levels
    noted_ms: Milliseconds  # the exchange's time


class MarketsWanted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="wanted"):
    at_ms: Milliseconds
    markets: list[Ticker]


class BooksLost(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="lost"):
    at_ms: Milliseconds
    markets: list[Ticker]


class TermsKnown(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="terms"):
    at_ms: Milliseconds
    market: Ticker
    fee_multiplier_ppm: int
    grid: tuple[PriceRange, ...]


class Decided(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One market of a batch. `version` is of its book."""

    market: Ticker
    version: int
    flags: int
    action: int


class Batch(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="batch"):
    """`account_version` is how many facts the ledger had folded; `now_ms` is the exchange's time, and `offset_ms` what
    has to be added to ours to come to it. `elsewhere`: what positions are worth whose books are not kept any more.
    """

    number: int
    first_decision: int
    now_ms: Milliseconds
    offset_ms: Milliseconds
    increases_allowed: bool
    account_version: int
    reserve: Money
    portfolio_value: Money
    markets: list[Decided]
    elsewhere: list[tuple[Ticker, Money]]
    observation_crc: int  # of the float32 bytes, row by row
    mask_crc: int


class Hole(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="hole"):
    at_ms: Milliseconds
    since_ms: Milliseconds
    records: int
    why: str


Record: TypeAlias = (
    Head | PolicyNamed | Checkpoint | Frame | LevelsRead | MarketsWanted | BooksLost | TermsKnown | Batch | Hole
)

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[Record])
COUNT_SIZE: Final = 5
_ARRAY: Final = 0xDD  # of msgpack: an array whose length stands in the next four bytes


class RecordBlock:
    """Records that are written together: one array of msgpack, which grows by a record at a time."""

    __slots__ = ("count", "data")

    def __init__(self) -> None:
        self.data = bytearray(COUNT_SIZE)
        self.count = 0

    def add(self, record: Record) -> None:
        _ENCODER.encode_into(record, self.data, -1)
        self.count += 1

    def close(self) -> bytearray:
        """The bytes of it, with their count."""
        self.data[:COUNT_SIZE] = bytes((_ARRAY, *self.count.to_bytes(4, "big")))
        return self.data


def read_block(data: bytes) -> list[Record]:
    """Raises msgspec.DecodeError (of which ValidationError is one) for what is no block."""
    return _DECODER.decode(data)
