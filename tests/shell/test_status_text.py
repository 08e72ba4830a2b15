"""shell/status_text.py: `why` in one screen, history that can be copied, one line for systemd."""

from __future__ import annotations

import pytest
from attrs import evolve
from status_world import MARKET, START_MS, intended, trading_world

from kalshi_daemon.core.chart_states import sentences
from kalshi_daemon.core.degradation import Degradation, Degraded
from kalshi_daemon.core.exchange_hours import Pause
from kalshi_daemon.core.holds import RELEASES
from kalshi_daemon.errors import ExchangeError
from kalshi_daemon.facts import (
    AccountDiffers,
    HoldKind,
    OrderLost,
    OrderSent,
    RestrictionKind,
    RestrictionPlaced,
)
from kalshi_daemon.shell.feeds import FeedStatus
from kalshi_daemon.shell.status import MarketStatus, RefusalStatus
from kalshi_daemon.shell.status_text import duration, history_text, markets_text, shortened, what_next, why


def test_why_when_all_is_well() -> None:
    """Trading: every active state with its sentence, and nothing in the way."""
    assert why(trading_world().status()).splitlines() == [
        "trader: trading.normal, for 3.0 s, through calibrated",
        f"  trading: {sentences('trader')['trading']}",
        f"  trading.normal: {sentences('trader')['trading.normal']}",
        f"actor: running, for 3.0 s: {sentences('actor')['running']}",
        f"connection market: session.live, for 3.0 s: {sentences('connection')['session.live']}",
        "health: ok",
        "holds: none",
        "restrictions: none",
        "degraded: none",
        "feeds: well",
        "markets: 2 in (series 2), 3 out (volume 3)",
        "for the next order to pass:",
        "  nothing stands in its way",
    ]


def test_why_says_what_is_known_ahead_and_that_no_market_is_in() -> None:
    """The next pause with its times, or that it lasts; without a market in, where to look."""
    world = trading_world()
    now_ms = world.at_ms
    world.pause = Pause(now_ms + 3_600_000, now_ms + 7_200_000, "its weekly hours")
    world.markets = {"unopened": 4}
    text = why(world.status())
    assert "known ahead: the exchange pauses by its weekly hours in 1 h 0 min, 2026-" in text
    assert "markets: 0 in, 4 out (unopened 4)" in text
    assert "a market that KALSHI_MARKETS selects opens; `kalshi-daemon markets` says why none is in" in text
    world.pause = Pause(now_ms - 1, now_ms + 1, "its maintenance")
    assert "the exchange pauses by its maintenance now, " in why(world.status())


def test_why_names_what_of_the_markets_could_not_be_read() -> None:
    """Below the markets, each with why, as many as a screen takes."""
    world = trading_world()
    world.markets_unread = {f"series:KX{number:02d}": "the exchange answered 503" for number in range(10)}
    lines = why(world.status()).splitlines()
    place = lines.index("  not read: series:KX00: the exchange answered 503")
    assert lines[place - 1].startswith("markets: ")
    assert lines[place + 8] == "  and 2 more"


def test_why_names_every_degradation() -> None:
    """Each with its cause and since when."""
    world = trading_world()
    world.degradations = (
        Degradation(Degraded.BOOKS_POLLED, "read by REST, for reductions only: KXA-26", world.at_ms - 61_000),
        Degradation(Degraded.CLOCK_OFFSET, "our clock is +9000 ms from the exchange's", world.at_ms - 2_000),
    )
    lines = why(world.status()).splitlines()
    start = lines.index("degraded:")
    assert lines[start + 1].startswith("  books_polled: read by REST, for reductions only: KXA-26; since 2026-")
    assert lines[start + 1].endswith("(1 min 1 s ago)")
    assert lines[start + 2].startswith("  clock_offset: our clock is +9000 ms from the exchange's; since 2026-")


def test_why_names_the_error_codes_that_nobody_told_us_of() -> None:
    """One line, the most frequent first."""
    world = trading_world()
    for code, count in (("news", 1), ("weather", 3)):
        for _ in range(count):
            world.errors.note(ExchangeError(409, code, "", ""))
    line = "error codes that this version does not know: 409 weather 3, 409 news 1; see the exchange's changelog"
    assert line in why(world.status()).splitlines()


def test_the_table_of_markets() -> None:
    """Each with its state, its place, since when, and why."""
    rows = [
        MarketStatus("KXA-26-T1", "active", True, False, "series", "selected by series:KXA", 0, 9),
        MarketStatus("KXA-26-T10", "closed", True, True, "held", "we have something on it", 60_000, 9),
        MarketStatus("KXB", "active", False, False, "volume", "1 contracts in 24 h, at least 2 wanted", 61_500, 9),
    ]
    assert markets_text(rows, 62_000).splitlines() == [
        "MARKET      STATE                        SINCE  REASON",
        "KXA-26-T1   active       in          1 min 2 s  series: selected by series:KXA",
        "KXA-26-T10  closed       leaving         2.0 s  held: we have something on it",
        "KXB         active       out            500 ms  volume: 1 contracts in 24 h, at least 2 wanted",
    ]
    assert markets_text([], 0) == "no market is known: KALSHI_MARKETS selects none that the exchange lists"


def test_why_names_every_hold_and_restriction_with_what_clears_it() -> None:
    """Two holds at once are both there, strongest first, with cause, since and what clears them."""
    world = trading_world()
    world.hold(HoldKind.OPERATOR, "uid 0: maintenance")
    world.at_ms += 65_000
    world.hold(HoldKind.KILL, "the kill latch is set")
    world.hold(HoldKind.GUARD, "5 refusals", subject=MARKET)
    world.tell(RestrictionPlaced(world.at_ms, RestrictionKind.CASH_RESERVE, "below 20 %"))
    world.step("paused.holding", "hold_placed")
    text = why(world.status())
    assert [line for line in text.splitlines() if line.startswith("  kill:")] == [
        "  kill: the kill latch is set; since 2026-11-24T06:01:10.000Z (0 ms ago); cleared by `kill-clear REASON`"
    ]
    assert "  operator: uid 0: maintenance; since 2026-11-24T06:00:05.000Z (1 min 5 s ago); cleared by `resume`" in text
    assert text.index("  kill:") < text.index("  operator:")
    assert f"  guard on {MARKET}: 5 refusals;" in text
    restriction = next(line for line in text.splitlines() if line.startswith("  cash_reserve: below 20 %;"))
    assert restriction.endswith("; only reductions pass; lifted by cash over the reserve")
    assert list(what_next(world.status())) == [
        "the hold kill is lifted: `kill-clear REASON`",
        f"the hold guard on {MARKET} (that market only) is lifted: its time",
        "the hold operator is lifted: `resume`",
        "the trader reaches trading.normal; it is in paused.holding",
        "the restriction cash_reserve is lifted: cash over the reserve",
    ]


def test_a_long_cause_is_shortened() -> None:
    """A divergence names every order that differs; one screen shows its beginning and says where the whole is."""
    world = trading_world()
    world.hold(HoldKind.DIVERGENCE, "; ".join(f"order {number} is resting there" for number in range(40)))
    text = why(world.status())
    line = next(line for line in text.splitlines() if line.startswith("  divergence: order 0"))
    assert "... (" in line
    assert "whole in the log and the journal); since" in line
    assert len(line) < 360
    assert shortened("short") == "short"


def test_every_restriction_says_what_lifts_it() -> None:
    """The table is whole."""
    assert set(RELEASES) == set(RestrictionKind)


def test_everything_else_that_is_in_the_way() -> None:
    """Feeds, the audit, a breaker, an unknown order and the policy each say what they wait for."""
    world = trading_world()
    world.feeds_usable = False
    world.feeds = (FeedStatus("orderbook", "polling.fresh", START_MS, 9, "no snapshot for 2 s [yet]"),)
    world.breaker.failed(4.5, "503")
    lost = intended(2, world.at_ms)
    world.tell(
        lost,
        OrderSent(world.at_ms, lost.client_order_id),
        OrderLost(world.at_ms, lost.client_order_id, "reset"),
        AccountDiffers(world.at_ms, ("cash: ours $1.00, theirs $2.00",)),
    )
    world.step("disabled", "policy_failed", "actor")
    status = world.status()
    assert list(what_next(status)) == [
        "some market has a proven book, and the private feed is live",
        "an audit of the whole account agrees; the last one: cash: ours $1.00, theirs $2.00",
        "the breaker order_writes closes: open, 503; probe in 4.5 s",
        f"evidence says what became of kd-abcdef0123-2 on {MARKET} (that market only)",
        f"the policy decides again; it is disabled: {sentences('actor')['disabled']}",
    ]
    assert "feeds:\n  orderbook: polling.fresh; no snapshot for 2 s [yet]" in why(status)


def test_what_could_not_be_reached_is_named() -> None:
    """A check that was deferred keeps its cause while it is tried again."""
    world = trading_world()
    world.startup.began("exchange", START_MS)
    world.startup.deferred("exchange", START_MS, "cannot reach demo-api.kalshi.co")
    world.startup.began("exchange", START_MS)
    assert list(what_next(world.status())) == [
        "the check exchange passes; attempt 2 is running, the last error: cannot reach demo-api.kalshi.co"
    ]


def test_one_screen() -> None:
    """Long lists are cut and say how much they leave out; the last refusal is there."""
    world = trading_world()
    for number in range(20):
        world.hold(HoldKind.GUARD, "refusals", subject=f"KXM-{number:02d}")
    world.last_refusal = RefusalStatus(world.at_ms, MARKET, "P5", "cost per order", "$61.20", "$50.00")
    lines = why(world.status()).splitlines()
    assert len(lines) < 45
    assert lines.count("  and 12 more") == 2
    assert lines[-1] == f"  2026-11-24T06:00:05.000Z (0 ms ago): P5 on {MARKET}, cost per order: $61.20, allowed $50.00"


def test_history_is_text_to_copy() -> None:
    """Since, how long, whose, which, through what; the state that lasts is marked."""
    world = trading_world()
    assert history_text(world.status().history, world.at_ms).splitlines() == [
        "2026-11-24T06:00:00.000Z         1.2 s  trader                starting.preflight        start",
        "2026-11-24T06:00:01.250Z        750 ms  trader                calibrating               feeds_ready",
        "2026-11-24T06:00:02.000Z       3.0 s +  trader                trading.normal            calibrated",
    ]


@pytest.mark.parametrize(
    ("span_ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (59_999, "59.9 s"),
        (200_000, "3 min 20 s"),
        (7_500_000, "2 h 5 min"),
        (273_600_000, "3 d 4 h"),
    ],
)
def test_durations(span_ms: int, text: str) -> None:
    """Two units at most, cut and never rounded up."""
    assert duration(span_ms) == text


def test_a_clock_set_back_gives_no_negative_time() -> None:
    """A status from before a state's since shows zero."""
    status = evolve(trading_world().status(), at_ms=START_MS)
    assert why(status).startswith("trader: trading.normal, for 0 ms, through calibrated\n")
