"""Fixed-point texts: exact in both directions, and nothing but the exchange's own spelling of a number is one."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_daemon.errors import WireError
from kalshi_daemon.units import PRICE_ONE
from kalshi_daemon.wire import fixed_point as fp

NOT_NUMBERS = [
    "",
    " ",
    ".",
    "-",
    "--1",
    "+1",
    "1.",
    ".5",
    "1 ",
    " 1",
    "1\n",
    "1e2",
    "1E2",
    "0x1",
    "NaN",
    "nan",
    "Infinity",
    "1_0",
    "1,0",
    "1.0.0",
    "01",
    "00.1",
    "٣",
    "1.٣",
    "²",
    "1\N{NO-BREAK SPACE}",
    "\x00",
    "9999999999999",
]
PARSERS = [fp.parse_price, fp.parse_quote, fp.parse_change, fp.parse_count, fp.parse_money, fp.parse_fee]


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_what_is_not_a_plain_decimal_is_refused(parse, text):
    """Exponents, spaces, foreign digits, signs, leading zeros and too many digits are errors of one kind."""
    with pytest.raises(WireError) as refused:
        parse(text)
    assert refused.value.kind == "bad_number"


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("value", [0.56, 1, None, b"0.56", True, ["0.56"]])
def test_only_texts_are_read(parse, value):
    """A float, or anything that is not a text, never becomes money."""
    with pytest.raises(WireError) as refused:
        parse(value)
    assert refused.value.kind == "bad_number"


@pytest.mark.parametrize(
    ("parse", "text", "units"),
    [
        (fp.parse_price, "0", 0),
        (fp.parse_price, "1.0000", 10_000),
        (fp.parse_price, "0.56", 5_600),
        (fp.parse_price, "0.960", 9_600),
        (fp.parse_price, "0.0001", 1),
        (fp.parse_quote, "0.9999", 9_999),
        (fp.parse_change, "-54.00", -5_400),
        (fp.parse_change, "-0.00", 0),
        (fp.parse_change, "-7", -700),
        (fp.parse_count, "966425.00", 96_642_500),
        (fp.parse_count, "0.5", 50),
        (fp.parse_count, "3", 300),
        (fp.parse_money, "98.0186", 98_018_600),
        (fp.parse_money, "-0.000001", -1),
        (fp.parse_fee, "0.017500", 17_500),
    ],
)
def test_known_texts(parse, text, units):
    """What the recordings hold reads to the last unit, in full and in shortened spelling."""
    assert parse(text) == units


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (fp.parse_price, "1.0001"),
        (fp.parse_price, "-0.5000"),
        (fp.parse_price, "0.00001"),
        (fp.parse_quote, "0.0000"),
        (fp.parse_quote, "1.0000"),
        (fp.parse_change, "1.001"),
        (fp.parse_count, "-1.00"),
        (fp.parse_count, "1.001"),
        (fp.parse_money, "0.0000001"),
        (fp.parse_fee, "-0.000001"),
    ],
)
def test_numbers_out_of_their_range_are_refused(parse, text):
    """More decimals than the unit has are not rounded, and a sign or a size that cannot be is an error."""
    with pytest.raises(WireError):
        parse(text)


def test_an_error_repeats_only_the_beginning_of_a_long_text():
    """A megabyte of digits does not end up in a log line."""
    with pytest.raises(WireError) as refused:
        fp.parse_price("1" * 1_000_000)
    assert len(str(refused.value)) < 150


def test_the_tables_hold_what_the_strict_parsers_read():
    """The fast way and the strict way agree on every text of the tables, which are bounded."""
    assert len(fp.PRICES) == PRICE_ONE + 1
    assert len(fp.CHANGES) == 2 * fp.COMMON_CONTRACTS + 1
    assert {text: fp.parse_price(text) for text in fp.PRICES} == fp.PRICES
    assert {text: fp.parse_change(text) for text in fp.CHANGES} == fp.CHANGES


@given(st.integers(0, PRICE_ONE))
def test_prices_go_there_and_back(price):
    """Every price survives being written and read."""
    assert fp.parse_price(fp.format_price(price)) == price


@given(st.integers(-(10**14) + 1, 10**14 - 1))
def test_counts_go_there_and_back(count):
    """Every count of up to twelve whole digits survives, signed; unsigned the negative ones are errors."""
    text = fp.format_count(count)
    assert fp.parse_change(text) == count
    if count >= 0:
        assert fp.parse_count(text) == count
    else:
        with pytest.raises(WireError):
            fp.parse_count(text)


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_money_goes_there_and_back(amount):
    """Every amount survives being written and read, to the millionth."""
    assert fp.parse_money(fp.format_money(amount)) == amount


@given(st.integers(0, 10**9), st.integers(0, 10**6 - 1), st.integers(1, 6))
def test_shortened_decimals_are_the_same_money(whole, fraction, digits):
    """Trailing zeros may be left out and mean nothing."""
    shown = f"{fraction:06d}"[:digits]
    assert fp.parse_money(f"{whole}.{shown}") == whole * 10**6 + int(shown.ljust(6, "0"))


@given(st.text(alphabet="0123456789.-+eE _x٣²", max_size=8))
def test_any_text_is_a_number_or_a_wire_error(text):
    """What the grammar allows reads as Decimal reads it; everything else is the one error."""
    plain = re.fullmatch(r"-?(0|[1-9][0-9]{0,11})([.][0-9]{1,2})?", text)
    if plain:
        assert fp.parse_change(text) == Decimal(text) * 100
    else:
        with pytest.raises(WireError, match="bad_number"):
            fp.parse_change(text)
