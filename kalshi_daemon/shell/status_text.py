"""A status in words: `why` and the status history.

Rules: pure. `why` is one screen: lists have a bound and say what they leave out. The words about a state are the
chart's own sentences. What would have to happen for the next order to pass is said in the order in which the gate
asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from kalshi_daemon.core.chart_states import CHARTS, sentences
from kalshi_daemon.core.exchange_hours import Pause
from kalshi_daemon.core.health_monitor import ChartState
from kalshi_daemon.core.holds import RELEASES, Restriction
from kalshi_daemon.core.market_selection import IN
from kalshi_daemon.shell.logging import iso_time
from kalshi_daemon.shell.status import HistoryLine, MarketStatus, Status
from kalshi_daemon.units import SECOND_MS, Milliseconds

LISTED_MAX: Final = 8  # of any list on one screen
CAUSE_SHOWN_MAX: Final = 160  # characters of one; a divergence names every order and position that differs
TRADES: Final = "trading.normal"
NONE_LEFT: Final = frozenset({"holds", "restrictions", "degraded"})  # the lists that are empty when all is well
FEED_WELL: Final = frozenset({"session.live", "streaming.current"})


def why(status: Status) -> str:
    """One screen: what is active, since when and why, and what the next order waits for."""
    lines = list(_configuration(status))
    lines += _section("holds", [_hold_line(status, index) for index in range(len(status.holds))])
    lines += _section("restrictions", [_restriction_line(status, each) for each in status.restrictions])
    lines += _section(
        "degraded",
        [f"{each.kind}: {shortened(each.cause)}; since {_ago(status, each.since_ms)}" for each in status.degradations],
    )
    lines += _policy_lines(status)
    lines += _section("feeds", list(_feed_lines(status)))
    lines += [f"markets: {markets_line(status)}"]
    lines += [f"  {line}" for line in unread_lines(status)]
    lines += [f"journal: {each.detail}" for each in status.startup if each.name == "journal" and each.detail]
    if status.account_agreed and status.audit_detail:
        lines += [f"account: agreed, and the last audit was not settled: {shortened(status.audit_detail)}"]
    if status.pause is not None:
        lines += [f"known ahead: {pause_line(status, status.pause)}"]
    lines += _section("for the next order to pass", list(what_next(status)) or ["nothing stands in its way"])
    unknown = status.activity.labelled.get("unknown_codes", {})
    if unknown:
        most = sorted(unknown.items(), key=lambda each: -each[1])[:LISTED_MAX]
        named = ", ".join(f"{code} {count}" for code, count in most)
        lines += [f"error codes that this version does not know: {named}; see the exchange's changelog"]
    if status.last_refusal is not None:
        last = status.last_refusal
        refusal = f"{last.code} on {last.market}, {last.control}: {last.figure}, allowed {last.limit}"
        lines += _section("last refusal", [f"{_ago(status, last.at_ms)}: {refusal}"])
    return "\n".join(lines)


def _policy_lines(status: Status) -> Iterator[str]:
    actor = status.actor
    if actor is None:
        return
    chart = next((each for each in status.charts if each.chart == "actor"), None)
    at = "not running" if chart is None else chart.path
    doing = actor.doing if at == "running" else f"{at}; it was {actor.doing}"
    held_back = f", {actor.held_back} markets held back for some 250 ms" if actor.held_back else ""
    if actor.batch_ms is None:
        yield f"policy: {doing}{held_back}; nothing decided yet"
        return
    batch = f"{actor.batch_markets} markets, {actor.batch_proposals} proposals, inferred in {actor.inference_us} us"
    yield f"policy: {doing}{held_back}; last batch {_ago(status, actor.batch_ms)}: {batch}"


def what_next(status: Status) -> Iterator[str]:
    """What keeps the next increasing order from passing, each with what ends it; nothing when nothing does."""
    if status.holds:
        yield from (_lifts(each.kind, each.subject, each.cleared_by) for each in status.holds)
    yield from (
        f"the check {each.name} passes; attempt {each.attempts} is {each.state}, the last error: {each.error}"
        for each in status.startup
        if each.error
    )
    if status.trader.path != TRADES:
        yield f"the trader reaches {TRADES}; it is in {status.trader.path}"
    for restriction in status.restrictions:
        yield f"the restriction {restriction.kind} is lifted: {RELEASES[restriction.kind]}"
    yield from _for_the_feeds(status)
    if not status.account_agreed:
        last = status.audit_detail or status.last_divergence
        yield "an audit of the whole account agrees" + (f"; the last one: {shortened(last)}" if last else "")
    for breaker in status.breakers:
        if breaker.state != "closed":
            probe = "a person resets it" if breaker.probe_in_ms is None else f"probe in {duration(breaker.probe_in_ms)}"
            yield f"the breaker {breaker.name} closes: {breaker.state}, {breaker.cause}; {probe}"
    for order in status.orders:
        if order.state == "unknown":
            yield f"evidence says what became of {order.client_order_id} on {order.market} (that market only)"
    for chart in status.charts:
        if chart.chart == "actor" and chart.path != "running":
            yield f"the policy decides again; it is {chart.path}: {sentences('actor')[chart.path]}"


def _for_the_feeds(status: Status) -> Iterator[str]:
    if not any(status.markets.get(why, 0) for why in IN):
        yield "a market that KALSHI_MARKETS selects opens; `kalshi-daemon markets` says why none is in"
    if not status.feeds_usable:
        yield "some market has a proven book, and the private feed is live"


def history_text(lines: Iterable[HistoryLine], now_ms: Milliseconds) -> str:
    """Lines that can be copied: since, how long (`+`: it lasts), whose state, which, and through which event."""
    return "\n".join(
        f"{iso_time(line.since_ms)}  {_lasted(line, now_ms):>12}  {line.label:<20}  {line.state:<24}  {line.cause}"
        for line in lines
    )


def markets_text(rows: Sequence[MarketStatus], now_ms: Milliseconds) -> str:
    """A table: each market, its state, in or out, since when, and why; those that are in first."""
    if not rows:
        return "no market is known: KALSHI_MARKETS selects none that the exchange lists"
    wide = max(len("MARKET"), *(len(row.market) for row in rows))
    lines = [f"{'MARKET':<{wide}}  {'STATE':<11}  {'':<7}  {'SINCE':>12}  REASON"]
    for row in rows:
        place = ("leaving" if row.leaving else "in") if row.wanted else "out"
        since = duration(max(0, now_ms - row.since_ms))
        lines.append(f"{row.market:<{wide}}  {row.state:<11}  {place:<7}  {since:>12}  {row.why}: {row.text}")
    return "\n".join(lines)


def _lasted(line: HistoryLine, now_ms: Milliseconds) -> str:
    if line.lasted_ms is None:
        return duration(max(0, now_ms - line.since_ms)) + " +"
    return duration(line.lasted_ms)


def shortened(cause: str) -> str:
    """For people; a short one as it is."""
    if len(cause) <= CAUSE_SHOWN_MAX:
        return cause
    return f"{cause[:CAUSE_SHOWN_MAX]}... ({len(cause)} characters, whole in the log and the journal)"


def duration(span_ms: Milliseconds) -> str:
    """`250 ms`, `12.3 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if span_ms < SECOND_MS:
        return f"{span_ms} ms"
    seconds, milli = divmod(span_ms, SECOND_MS)
    if seconds < 60:
        return f"{seconds}.{milli // 100} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def _configuration(status: Status) -> Iterator[str]:
    trader = status.trader
    yield f"trader: {trader.path}, for {duration(max(0, status.at_ms - trader.since_ms))}, through {status.cause}"
    outer = ""
    for name in trader.path.split("."):
        outer = f"{outer}.{name}" if outer else name
        yield f"  {outer}: {sentences('trader')[outer]}"
    for chart in status.charts[1 : LISTED_MAX + 1]:
        yield f"{chart.label}: {chart.path}, for {_span(status, chart)}: {_sentence(chart)}"
    yield f"health: {status.health.verdict}"
    yield from (f"  {each.subject}: {each.text}" for each in status.health.reasons[:LISTED_MAX])


def markets_line(status: Status) -> str:
    """`12 in (series 10, named 2), 40 out (volume 40)`."""
    parts = []
    for word, chosen in (("in", True), ("out", False)):
        counts = {why: count for why, count in status.markets.items() if (why in IN) is chosen}
        whys = ", ".join(f"{why} {count}" for why, count in sorted(counts.items(), key=lambda each: -each[1]))
        parts.append(f"{sum(counts.values())} {word}" + (f" ({whys})" if whys else ""))
    return ", ".join(parts)


def unread_lines(status: Status) -> list[str]:
    """What of the markets could not be read, each with why: it is as it was when it was last read."""
    lines = [f"not read: {what}: {shortened(why)}" for what, why in sorted(status.markets_unread.items())]
    return lines if len(lines) <= LISTED_MAX else [*lines[:LISTED_MAX], f"and {len(lines) - LISTED_MAX} more"]


def pause_line(status: Status, pause: Pause) -> str:
    left_ms = pause.from_ms - status.at_ms
    when = f"in {duration(left_ms)}" if left_ms > 0 else "now"
    return f"the exchange pauses by {pause.cause} {when}, {iso_time(pause.from_ms)} to {iso_time(pause.until_ms)}"


def _hold_line(status: Status, index: int) -> str:
    each = status.holds[index]
    subject = f" on {each.subject}" if each.subject else ""
    until = f"; until {iso_time(each.until_ms)}" if each.until_ms is not None else ""
    since = _ago(status, each.since_ms)
    return f"{each.kind}{subject}: {shortened(each.cause)}; since {since}{until}; cleared by {each.cleared_by}"


def _restriction_line(status: Status, each: Restriction) -> str:
    since = _ago(status, each.since_ms)
    return f"{each.kind}: {shortened(each.cause)}; since {since}; only reductions pass; lifted by {RELEASES[each.kind]}"


def _lifts(kind: str, subject: str, cleared_by: str) -> str:
    return f"the hold {kind}{' on ' + subject + ' (that market only)' if subject else ''} is lifted: {cleared_by}"


def _feed_lines(status: Status) -> Iterator[str]:
    for feed in status.feeds:
        if feed.state not in FEED_WELL or feed.detail:
            yield f"{feed.role}: {feed.state}" + (f"; {feed.detail}" if feed.detail else "")


def _section(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return [f"{title}: none"] if title in NONE_LEFT else [f"{title}: well"]
    left_out = [f"  and {len(lines) - LISTED_MAX} more"] if len(lines) > LISTED_MAX else []
    return [f"{title}:", *(f"  {line}" for line in lines[:LISTED_MAX]), *left_out]


def _sentence(state: ChartState) -> str:
    assert state.chart in CHARTS, f"{state.chart} is no chart: ours to mend"
    return sentences(state.chart)[state.path]


def _span(status: Status, state: ChartState) -> str:
    return duration(max(0, status.at_ms - state.since_ms))


def _ago(status: Status, at_ms: Milliseconds) -> str:
    return f"{iso_time(at_ms)} ({duration(max(0, status.at_ms - at_ms))} ago)"
