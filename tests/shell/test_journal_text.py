"""Facts as people and programs see them: the exchange's spelling, times in ISO, one line whatever a text holds."""

from __future__ import annotations

import msgspec

from kalshi_daemon.facts import (
    AccountFact,
    AccountOpened,
    Alarmed,
    CashCorrected,
    DriftCause,
    DriftSeen,
    FillSeen,
    HoldKind,
    HoldPlaced,
    OrderIntended,
    OrderSpec,
    PositionOpening,
)
from kalshi_daemon.shell.journal_reader import Entry
from kalshi_daemon.shell.journal_schema import KINDS
from kalshi_daemon.shell.journal_text import FACTS, fields_of, json_line, outline, text_line
from kalshi_daemon.units import BookSide, TimeInForce

AT_MS = 1_792_418_400_123
FILL = FillSeen(AT_MS, "stream", "t-1", "o-1", "kd-1-1", "M-1", BookSide.ASK, 5_600, 1_050, 17_500, True, AT_MS - 23, 2)


def entry(fact: AccountFact) -> Entry:
    return Entry(7, type(fact).__name__, 1, 99, 10, fact)


def test_numbers_are_spelt_as_the_exchange_spells_them() -> None:
    assert fields_of(FILL) == {
        "at_ms": "2026-10-19T14:00:00.123Z",
        "source": "stream",
        "trade_id": "t-1",
        "order_id": "o-1",
        "client_order_id": "kd-1-1",
        "market": "M-1",
        "side": "ask",
        "price": "0.5600",
        "count": "10.50",
        "fee": "0.017500",
        "is_taker": True,
        "ts_ms": "2026-10-19T14:00:00.100Z",
        "exchange_index": 2,
    }
    corrected = CashCorrected(AT_MS, 0, -1_230_000, "a withdrawal")
    assert fields_of(corrected)["change"] == "-1.230000"


def test_the_figures_of_a_drift_are_what_it_is_about() -> None:
    cash = fields_of(DriftSeen(AT_MS, "cash", "0", 4_950_640_600, 4_975_640_600, DriftCause.DEPOSIT))
    assert (cash["ours"], cash["theirs"]) == ("4950.640600", "4975.640600")
    position = fields_of(DriftSeen(AT_MS, "position", "M-1", -300, 50, DriftCause.UNKNOWN))
    assert (position["ours"], position["theirs"]) == ("-3.00", "0.50")


def test_what_is_inside_of_a_field_is_spelt_so_too() -> None:
    """Tuples, values within values, and what may be absent."""
    opened = AccountOpened(AT_MS, ((0, 5_000_000), (3, -7)), (PositionOpening("M-1", -200, 900_000, 1),))
    assert fields_of(opened)["settled"] == [[0, "5.000000"], [3, "-0.000007"]]
    assert fields_of(opened)["positions"] == [
        {"market": "M-1", "count": "-2.00", "cost": "0.900000", "fees": "0.000001"}
    ]
    until = HoldPlaced(AT_MS, HoldKind.EXCHANGE, "", "paused", "the clock", "", AT_MS + 1_000)
    assert fields_of(until)["until_ms"] == "2026-10-19T14:00:01.123Z"
    assert fields_of(HoldPlaced(AT_MS, HoldKind.KILL, "", "", "", "all", None))["until_ms"] is None


def test_every_kind_has_its_writer() -> None:
    assert set(FACTS) == set(KINDS.values())


def test_a_line_of_json_holds_everything() -> None:
    line = json_line(entry(FILL))
    assert "\n" not in line
    read = msgspec.json.decode(line)
    assert read == {"seq": 7, "kind": "FillSeen", "schema": 1, "checksum": 99, "fact": fields_of(FILL)}


def test_a_line_for_people_is_one_line_and_commands_no_terminal() -> None:
    """Escapes, line ends, and signs that turn the writing round are written out; what is long is cut."""
    told = text_line(entry(Alarmed(AT_MS, "odd", "a\n\x1b[2J \u202e\x9b b¢")))
    assert told == (
        "       7  2026-10-19T14:00:00.123Z  Alarmed             "
        r'alarm=odd text="a\n\u001b[2J \u202e\u009b b\u00a2"'
    )
    spec = OrderSpec("M-1", BookSide.BID, 5_600, 100, TimeInForce.GOOD_TILL_CANCELED, True, False, None, 0)
    intended = text_line(entry(OrderIntended(AT_MS, 1, "kd-1-1", spec, 560_000, "policy", 1, "", "A" * 280)))
    assert intended.endswith(f' model="" observation={"A" * 80}...')
    assert '"price":"0.5600"' in intended


def test_a_time_that_no_calendar_has_is_its_number() -> None:
    assert fields_of(Alarmed(10**18, "", ""))["at_ms"] == f"{10**18} ms"


def test_an_outline_has_a_line_for_each_figure() -> None:
    values = {
        "a": 1,
        "empty": "",
        "none": [],
        "b": {"x": "1.00", "y": "two words"},
        "c": {"d": {"e": 2}},
        "f": ["g", "h"],
    }
    assert list(outline(values)) == [
        "a                1",
        'b                x=1.00 y="two words"',
        "c",
        "  d                e=2",
        "f                g",
        "                 h",
    ]
