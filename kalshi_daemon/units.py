"""The units of the house: integers only, one scale per quantity.

| quantity | unit | name in code | on the wire |
|---|---|---|---|
| price | 1/10,000 dollar, of the YES leg | `Price` | `"0.5600"` |
| count | 1/100 contract | `Count` | `"10.00"` |
| money | 1/1,000,000 dollar | `Money` | `"0.520000"` |

Rules: price times count is money, exactly. A NO price is a view: `PRICE_ONE - price`. A position is signed:
positive holds YES, negative holds NO. Times are integers of milliseconds since the epoch and end in `_ms`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

Price: TypeAlias = int
Count: TypeAlias = int
Money: TypeAlias = int
Milliseconds: TypeAlias = int
Ticker: TypeAlias = str

PRICE_ONE: Price = 10_000
CONTRACT: Count = 100
DOLLAR: Money = 1_000_000
CENT: Money = 10_000
PRICE_CENT: Price = 100
FEE_GRAIN: Money = 100  # $0.0001: fees are rounded up, and balances down, to it (api.md 3.3)
SECOND_MS: Milliseconds = 1_000
MINUTE_MS: Milliseconds = 60_000
HOUR_MS: Milliseconds = 3_600_000


class BookSide(StrEnum):
    """A side of the one book, on the YES leg: a bid buys YES, an ask sells YES (or opens NO)."""

    BID = "bid"
    ASK = "ask"

    @property
    def sign(self) -> int:
        """+1 for what raises a position, -1 for what lowers it."""
        return 1 if self is BookSide.BID else -1

    @property
    def opposite(self) -> BookSide:
        return BookSide.ASK if self is BookSide.BID else BookSide.BID


class TimeInForce(StrEnum):
    GOOD_TILL_CANCELED = "good_till_canceled"
    IMMEDIATE_OR_CANCEL = "immediate_or_cancel"
    FILL_OR_KILL = "fill_or_kill"


class FeeType(StrEnum):
    """A series' fee schedule (api.md 3.3). `flat` is not listed: nothing uses it and it is refused."""

    QUADRATIC = "quadratic"
    QUADRATIC_WITH_MAKER_FEES = "quadratic_with_maker_fees"
    QUADRATIC_WITH_COMBO_MAKER_FEES = "quadratic_with_combo_maker_fees"


def dollars(amount: Money) -> str:
    """Money for people: `$12.3456`, at least two decimals, none of the trailing zeros past them."""
    sign = "-" if amount < 0 else ""
    whole, micro = divmod(abs(amount), DOLLAR)
    decimals = f"{micro:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole:,}.{decimals}"


def contracts(count: Count) -> str:
    """A count for people: `10`, `0.25`, `-3.5`."""
    sign = "-" if count < 0 else ""
    whole, hundredths = divmod(abs(count), CONTRACT)
    return f"{sign}{whole}" + (f".{hundredths:02d}".rstrip("0") if hundredths else "")


def cents(price: Price) -> str:
    """A price for people: `56¢`, `0.5¢`, `96.25¢`."""
    whole, hundredths = divmod(price, PRICE_CENT)
    return f"{whole}" + (f".{hundredths:02d}".rstrip("0") if hundredths else "") + "¢"
