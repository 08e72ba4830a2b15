"""Fixed-point texts of the wire, to and from the integers of `units.py`.

Rules: a number is ASCII digits with at most one point, digits on both sides of it, no sign but a leading minus where a
quantity is signed; no exponent, no spaces, no leading zeros, never a float. More decimals than the unit has are an
error, not rounded. What the order books repeat by the hundred thousand is looked up: every price in the exchange's own
spelling, and whole counts to a thousand contracts. Both tables are fixed, so neither grows; any other spelling goes
through the strict parsers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from kalshi_daemon.errors import WireError
from kalshi_daemon.units import CONTRACT, DOLLAR, PRICE_ONE, Count, Money, Price

PRICE_DECIMALS: Final = 4
COUNT_DECIMALS: Final = 2
MONEY_DECIMALS: Final = 6
WHOLE_DIGITS_MAX: Final = 12  # a trillion dollars in millionths still fits 64 bits
SHOWN_MAX: Final = 40  # characters of a bad text that an error repeats
COMMON_CONTRACTS: Final = 1_000
PPM: Final = 1_000_000
MULTIPLIER_PPM_MAX: Final = 100 * PPM  # real ones are 0, 0.5 and 1
JSON_NUMBER: Final = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?")


def format_price(price: Price) -> str:
    """`5600` -> `"0.5600"`."""
    whole, fraction = divmod(price, PRICE_ONE)
    return f"{whole}.{fraction:04d}"


def format_count(count: Count) -> str:
    """`-5400` -> `"-54.00"`."""
    sign = "-" if count < 0 else ""
    whole, fraction = divmod(abs(count), CONTRACT)
    return f"{sign}{whole}.{fraction:02d}"


def format_money(amount: Money) -> str:
    """`17500` -> `"0.017500"`."""
    sign = "-" if amount < 0 else ""
    whole, fraction = divmod(abs(amount), DOLLAR)
    return f"{sign}{whole}.{fraction:06d}"


PRICES: Final[Mapping[str, Price]] = {format_price(price): price for price in range(PRICE_ONE + 1)}
CHANGES: Final[Mapping[str, Count]] = {
    format_count(count * CONTRACT): count * CONTRACT for count in range(-COMMON_CONTRACTS, COMMON_CONTRACTS + 1)
}


_is_spelt_as_count: Final = re.compile(rf"-?(?:0|[1-9][0-9]{{0,{WHOLE_DIGITS_MAX - 1}}})\.[0-9]{{2}}").fullmatch


def bad_number(text: object, meaning: str) -> WireError:
    """The error for a text that is not a `meaning`; it repeats no more than the beginning of it."""
    return WireError("bad_number", f"{repr(text)[:SHOWN_MAX]} is not {meaning}")


def parse_price(text: str) -> Price:
    """A price from 0 to 1 dollar, at most 4 decimals. Raises `WireError`."""
    price = _unsigned(text, PRICE_DECIMALS)
    if price is None or price > PRICE_ONE:
        raise bad_number(text, "a price from 0 to 1 with at most 4 decimals")
    return price


def parse_quote(text: str) -> Price:
    """A price that somebody may trade at: more than 0, less than 1. Raises `WireError`."""
    price = parse_price(text)
    if not 0 < price < PRICE_ONE:
        raise bad_number(text, "a price between 0 and 1")
    return price


def parse_change(text: str) -> Count:
    """A signed count: a position, or the change of a level. Raises `WireError`."""
    if isinstance(text, str) and _is_spelt_as_count(text):  # the exchange's own spelling, twice as fast
        return int(text.replace(".", ""))
    return _signed(text, COUNT_DECIMALS, "a count with at most 2 decimals")


def parse_count(text: str) -> Count:
    """A count that cannot be negative. Raises `WireError`."""
    count = parse_change(text)
    if count < 0:
        raise bad_number(text, "a count of zero or more")
    return count


def parse_money(text: str) -> Money:
    """A signed amount, at most 6 decimals. Raises `WireError`."""
    return _signed(text, MONEY_DECIMALS, "an amount with at most 6 decimals")


def parse_fee(text: str) -> Money:
    """An amount that cannot be negative. Raises `WireError`."""
    amount = _unsigned(text, MONEY_DECIMALS)
    if amount is None:
        raise bad_number(text, "an unsigned amount with at most 6 decimals")
    return amount


def parse_multiplier(number: bytes) -> int:
    """A JSON number in millionths, exactly: a float would have rounded it before we could look. Raises `WireError`."""
    text = number.decode("ascii", "replace")
    if not JSON_NUMBER.fullmatch(text):
        raise bad_number(text, "a fee multiplier: a number of zero or more")
    ppm = Decimal(text) * PPM
    if ppm != ppm.to_integral_value() or ppm > MULTIPLIER_PPM_MAX:
        raise bad_number(text, "a fee multiplier: at most 100 and no finer than a millionth")
    return int(ppm)


def _signed(text: str, decimals: int, meaning: str) -> int:
    negative = isinstance(text, str) and text.startswith("-")
    units = _unsigned(text[1:] if negative else text, decimals)
    if units is None:
        raise bad_number(text, meaning)
    return -units if negative else units


def _unsigned(text: str, decimals: int) -> int | None:
    """The text in units of the last decimal, or None. `isdigit` alone would take the digits of every script."""
    if not isinstance(text, str) or not text.isascii():
        return None
    whole, point, fraction = text.partition(".")
    if not whole.isdigit() or len(whole) > WHOLE_DIGITS_MAX or (whole[0] == "0" and len(whole) > 1):
        return None
    if point and not (fraction.isdigit() and len(fraction) <= decimals):
        return None
    return int(whole + fraction.ljust(decimals, "0"))
