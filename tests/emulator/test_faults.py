"""Faults as values: what their texts mean, that they read back, and what is refused in which words."""

from __future__ import annotations

import pytest

from kalshi_daemon.emulator.fault_figures import FaultRefused
from kalshi_daemon.emulator.fault_text import parse_fault, write_fault
from kalshi_daemon.emulator.faults import (
    ANSWER_LOST,
    FRAME_LOST,
    KINDS,
    NEEDED,
    REQUEST_REFUSED,
    RESET,
    STALLED,
    UPGRADE_REFUSED,
    WRONG_CLOCK,
    Kind,
    PlannedFault,
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("upgrade", PlannedFault(UPGRADE_REFUSED(503))),
        ("upgrade:401@10-60", PlannedFault(UPGRADE_REFUSED(401), 10_000, 60_000)),
        ("error::/orders@1.5-%25x3", PlannedFault(REQUEST_REFUSED(503, "/orders"), 1_500, None, 25.0, 3)),
        ("error:429:GET", PlannedFault(REQUEST_REFUSED(429, "GET"))),
        ("lost:POST/portfolio/events/orders", PlannedFault(ANSWER_LOST("POST/portfolio/events/orders"))),
        ("gap:fill%0.5", PlannedFault(FRAME_LOST("fill"), percent=0.5)),
        ("reset", PlannedFault(RESET(None))),
        ("reset:0x1", PlannedFault(RESET(0), times=1)),
        ("stalled:2.5", PlannedFault(STALLED(2.5))),
        ("gap@0.001-604799.999", PlannedFault(FRAME_LOST(), 1, 604_799_999)),
        ("clock:-30@0-20", PlannedFault(WRONG_CLOCK(-30.0), 0, 20_000)),
    ],
)
def test_a_text_is_a_value_and_reads_back(text: str, meant: PlannedFault) -> None:
    """Kind, figures, times, chance and number; written again it reads as the same value."""
    assert parse_fault(text) == meant
    assert parse_fault(write_fault(meant)) == meant


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_word_of_its_own(kind: Kind) -> None:
    """With no figure but those it needs, each kind is read and written by its word."""
    needed = ":5" if any(each.default is NEEDED for each in kind.figures) else ""
    planned = parse_fault(kind.word + needed)
    assert planned.fault.kind == kind
    assert write_fault(planned) == kind.word + needed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not read as KIND"),
        ("upgrade 503", "does not read as KIND"),
        ("gap@10", "does not read as KIND"),
        ("gap@-5-10", "does not read as KIND"),
        ("gapx", "there is no fault 'gapx': upgrade, error"),
        ("upgrade:404", "'404' is not one of the statuses 401, 403, 429, 502, 503"),
        ("error:503:orders", "'orders' is not a part of a path"),
        ("overflow:1", "overflow has 0 figures at most"),
        ("gap:a:b", "gap has 1 figure at most"),
        ("gap:Trade", "'Trade' is not the type of a frame"),
        ("refused:6", "'6' is not one of the codes 1, 2, 3"),
        ("refused:18:subscribe:fils", "'fils' is not one of orderbook_delta, ticker"),
        ("refused:18:shout", "'shout' is not one of subscribe, unsubscribe"),
        ("slow", "slow needs its seconds: slow:5"),
        ("slow:soon", "'soon' is not a number of seconds"),
        ("slow:-1", "-1 s: not below 0"),
        ("slow:nan", "'nan' is not a number of seconds"),
        ("clock:1e9", "'1e9' is not a number of seconds"),
        ("clock:604801", "604801 s: at most 604800"),
        ("reset:-1", "'-1' is not a number of bytes"),
        ("reset:9999999999", "'9999999999' is not a number of bytes"),
        ("gap@1.2.3-4", "'1.2.3' is not a number of seconds"),
        ("gap@9-9", "'gap@9-9' ends before it begins"),
        ("gap%0", "0 %: above 0 and up to 100"),
        ("gap%101", "101 %: above 0 and up to 100"),
        ("gap%1.2.3", "'1.2.3' is not a percentage"),
        ("gapx0", "0 times: above 0"),
        ("gapx9999999", "9999999 times: above 0 and up to 1000000"),
        ("pause%50", "pause is in force all its time"),
        ("clock:5x2", "clock is in force all its time"),
    ],
)
def test_what_does_not_read_is_refused_in_one_line(text: str, words: str) -> None:
    """The line names the part that is wrong and what is allowed."""
    with pytest.raises(FaultRefused) as refused:
        parse_fault(text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_figure_belongs_to_its_kind() -> None:
    """Defaults fill what is left out; a figure of another kind cannot be asked for, nor one too many be given."""
    assert (REQUEST_REFUSED(429).status, REQUEST_REFUSED(429).target, RESET().after_bytes) == (429, "", None)
    with pytest.raises(KeyError, match="seconds"):
        RESET().seconds  # noqa: B018 - asking is the point
    with pytest.raises(AssertionError, match="stalled lacks a figure"):
        STALLED()
    with pytest.raises(AssertionError, match="reset has 1 figures"):
        RESET(1, 2)
