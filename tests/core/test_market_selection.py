"""Which markets are in and why: the reasons, the cap, patience with filters, and what we have something on."""

from __future__ import annotations

from typing import Any

import pytest
from account_facts import NOON, TAKER_FEES, market
from attrs import evolve

from kalshi_daemon.config_values import Selection, selection
from kalshi_daemon.core.market import Market
from kalshi_daemon.core.market_selection import Filters, MarketSelection, Place
from kalshi_daemon.limits import FILTER_PATIENCE_MS, GONE_KEPT_MS
from kalshi_daemon.units import CONTRACT, HOUR_MS, MINUTE_MS, PRICE_CENT

EVENT, SERIES = "KXRAIN-26NOV22", "KXRAIN"
A, B, C = f"{EVENT}-T1", f"{EVENT}-T2", f"{EVENT}-T3"
FILTERS = Filters(
    volume_min=100 * CONTRACT, spread_max=5 * PRICE_CENT, close_min_ms=10 * MINUTE_MS, close_max_ms=24 * HOUR_MS
)


def one(ticker: str = A, **changes: Any) -> Market:
    """An active market that passes every filter, closing in an hour."""
    fields = {"volume_24h": 500 * CONTRACT, "spread": 2 * PRICE_CENT, "close_ms": NOON + HOUR_MS}
    return evolve(market(fees=TAKER_FEES), ticker=ticker, **{**fields, **changes})


def known(*markets: Market) -> dict[str, Market]:
    return {each.ticker: each for each in markets}


def chosen(text: str, *markets: Market, held: tuple[str, ...] = (), markets_max: int = 10) -> dict[str, Place]:
    choice = MarketSelection([selection(part) for part in text.split()], FILTERS, markets_max)
    choice.choose(known(*markets), held, NOON)
    return dict(choice.places)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("KXRAIN-26NOV22-T1", Selection("market", A)),
        ("event:KXRAIN-26NOV22", Selection("event", EVENT)),
        ("series:KXRAIN", Selection("series", SERIES)),
    ],
)
def test_the_three_kinds_read_and_are_said_as_they_were_written(text: str, read: Selection) -> None:
    """A ticker alone names a market; each kind covers its own and nothing else."""
    assert selection(text) == read
    assert str(read) == text
    assert read.covers(A, EVENT, SERIES)
    assert not read.covers("KXSNOW-26NOV22-T1", "KXSNOW-26NOV22", "KXSNOW")


@pytest.mark.parametrize("text", ["evnt:KXA", ":KXA", "event:", "event:series:KXA", "series:KXA-26", "event: KXA", ""])
def test_what_is_no_selection_is_refused(text: str) -> None:
    """A misspelt kind is not taken for a ticker."""
    with pytest.raises(ValueError, match=r"^$|before the colon|has no dash"):
        selection(text)


@pytest.mark.parametrize(
    ("text", "why", "words"),
    [
        (A, "named", f"selected by {A}"),
        (f"event:{EVENT}", "event", f"selected by event:{EVENT}"),
        (f"series:{SERIES}", "series", f"selected by series:{SERIES}"),
        (f"series:{SERIES} {A}", "series", f"selected by series:{SERIES}"),
    ],
)
def test_a_market_is_in_by_what_selects_it(text: str, why: str, words: str) -> None:
    """The first selection that covers it is the reason."""
    assert chosen(text, one())[A] == Place(A, wanted=True, leaving=False, why=why, text=words, since_ms=NOON)


@pytest.mark.parametrize(
    ("changes", "why", "words"),
    [
        ({"volume_24h": 99 * CONTRACT}, "volume", "99 contracts in 24 h, at least 100 wanted"),
        ({"spread": 6 * PRICE_CENT}, "spread", "a spread of 6¢, at most 5¢ wanted"),
        ({"close_ms": NOON + 9 * MINUTE_MS}, "closes_soon", "closes in 9 min, at least 10 min wanted"),
        ({"close_ms": NOON + 25 * HOUR_MS}, "closes_late", "closes in 25 h, at most 24 h wanted"),
        ({"status": "initialized"}, "unopened", "it has not opened yet"),
        ({"status": "closed"}, "over", "it is closed"),
        ({"status": "finalized"}, "over", "it is finalized"),
        ({"status": "inactive", "listed": False}, "unlisted", "the exchange does not list it any more"),
        ({"kind": "scalar"}, "kind", "it is scalar: only binary markets are traded"),
        ({"fees_refused": "fee type 'flat'"}, "fees", "fee type 'flat'"),
        ({"event": "KXSNOW-1", "series": "KXSNOW"}, "unselected", "nothing in KALSHI_MARKETS selects it"),
    ],
)
def test_a_market_is_out_for_a_reason_with_its_figures(changes: dict[str, Any], why: str, words: str) -> None:
    """Each control's own word, and what it found against what is wanted."""
    place = chosen(f"series:{SERIES}", one(**changes))[A]
    assert (place.wanted, place.why, place.text) == (False, why, words)


def test_filters_do_not_judge_a_named_market() -> None:
    """Who names a market wants it; what cannot be traded is out all the same."""
    poor = one(volume_24h=0, spread=99 * PRICE_CENT, close_ms=NOON + MINUTE_MS)
    assert chosen(A, poor)[A].why == "named"
    assert chosen(A, one(kind="scalar"))[A].why == "kind"


def test_a_halted_market_stays_in() -> None:
    """It may be activated again, and what rests there is kept."""
    assert chosen(f"series:{SERIES}", one(status="inactive"))[A].wanted


def test_the_cap_keeps_what_traded_most_and_named_ones_first() -> None:
    """Over the cap a market says so; a named one and one that we hold take the room first."""
    rows = [one(A, volume_24h=100 * CONTRACT), one(B, volume_24h=300 * CONTRACT), one(C, volume_24h=200 * CONTRACT)]
    places = chosen(f"series:{SERIES}", *rows, markets_max=2)
    assert {ticker: each.wanted for ticker, each in places.items()} == {A: False, B: True, C: True}
    assert (places[A].why, places[A].text) == ("cap", "2 markets are in, which is the most")
    places = chosen(f"{A} series:{SERIES}", *rows, markets_max=2)
    assert [ticker for ticker, each in places.items() if each.wanted] == [A, B]
    places = chosen(f"{A} series:{SERIES}", *rows, markets_max=1, held=(C,))
    assert [ticker for ticker, each in places.items() if each.wanted] == [C, A]


def test_one_that_is_in_is_not_pushed_out_by_a_busier_one() -> None:
    """Under the cap the order of arrival holds: subscriptions do not follow the volume up and down."""
    choice = MarketSelection([selection(f"series:{SERIES}")], FILTERS, 1)
    assert choice.choose(known(one(A)), (), NOON)
    assert not choice.choose(known(one(A), one(B, volume_24h=9_000 * CONTRACT)), (), NOON + 1)
    assert choice.wanted == (A,)
    assert choice.places[B].why == "cap"


def test_what_we_have_something_on_stays_and_only_leaves() -> None:
    """Closed, unselected or filtered: it is in as `held` with the reason it would be out, until it is flat."""
    choice = MarketSelection([selection(f"series:{SERIES}")], FILTERS)
    choice.choose(known(one()), (A,), NOON)
    assert choice.places[A].leaving is False
    assert not choice.choose(known(one(status="closed")), (A,), NOON + 1)
    assert choice.places[A] == Place(A, True, True, "held", "we have something on it; else out: it is closed", NOON + 1)
    assert choice.choose(known(one(status="finalized")), (), NOON + 2)
    assert choice.wanted == ()
    assert (choice.places[A].why, choice.places[A].since_ms) == ("over", NOON + 2)


def test_a_spread_that_blinks_moves_nothing() -> None:
    """One that is in goes when the filter refused it all the while; one refusal less begins the wait anew."""
    choice = MarketSelection([selection(f"series:{SERIES}")], FILTERS)
    wide, well = known(one(spread=9 * PRICE_CENT)), known(one())
    choice.choose(well, (), NOON)
    assert not choice.choose(wide, (), NOON + 1)
    assert not choice.choose(wide, (), NOON + FILTER_PATIENCE_MS)
    assert not choice.choose(well, (), NOON + FILTER_PATIENCE_MS + 1)
    assert not choice.choose(wide, (), NOON + FILTER_PATIENCE_MS + 2)
    assert not choice.choose(wide, (), NOON + 2 * FILTER_PATIENCE_MS + 1)
    assert choice.choose(wide, (), NOON + 2 * FILTER_PATIENCE_MS + 2)
    assert choice.places[A].why == "spread"
    assert choice.choose(well, (), NOON + 2 * FILTER_PATIENCE_MS + 3)
    assert choice.wanted == (A,)


def test_what_is_over_is_remembered_for_a_while_and_a_named_one_for_good() -> None:
    """Since when it is out stays what it was while the reason does; then it may be forgotten."""
    choice = MarketSelection([selection(A), selection(f"series:{SERIES}")], FILTERS)
    markets = known(one(A, status="closed"), one(B, status="closed"), one(C, volume_24h=0))
    choice.choose(markets, (), NOON)
    choice.choose(markets, (), NOON + GONE_KEPT_MS)
    assert choice.places[B].since_ms == NOON
    assert choice.gone(NOON + GONE_KEPT_MS - 1) == []
    assert choice.gone(NOON + GONE_KEPT_MS) == [B]
    del markets[B]
    choice.choose(markets, (), NOON + GONE_KEPT_MS)
    assert set(choice.places) == {A, C}


def test_a_market_not_read_yet_is_known_by_its_ticker() -> None:
    """What the lifecycle channel names belongs to a selection by the shape of its ticker."""
    choice = MarketSelection([selection(f"event:{EVENT}"), selection("series:KXSNOW")])
    assert choice.brings(B) == Selection("event", EVENT)
    assert choice.brings("KXSNOW-26NOV23-T9") == Selection("series", "KXSNOW")
    assert choice.brings("KXHAIL-26NOV23-T9") is None
