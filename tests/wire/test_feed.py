"""Frames to facts: exact values, one kind of error for each fault, and the recordings of the exchange."""

from __future__ import annotations

import json

import pytest
from wire_samples import (
    AT_MS,
    DELTA,
    FILL,
    FRAMES,
    LIFECYCLE,
    MARKET,
    ORDER,
    POSITION,
    RECORDINGS,
    SNAPSHOT,
    TRADE,
    TRADE_FRAME,
    USER_ORDER,
    changed,
    needs_recordings,
    production,
    text,
)

from kalshi_daemon import facts, limits
from kalshi_daemon.errors import WireError
from kalshi_daemon.units import BookSide
from kalshi_daemon.wire import feed
from kalshi_daemon.wire.reading import KINDS

FIXED_POINT_FIELDS = [
    (DELTA, "price_dollars"),
    (DELTA, "delta_fp"),
    (TRADE_FRAME, "yes_price_dollars"),
    (FILL, "yes_price_dollars"),
    (FILL, "count_fp"),
    (FILL, "fee_cost"),
    (USER_ORDER, "yes_price_dollars"),
    (USER_ORDER, "fill_count_fp"),
    (USER_ORDER, "remaining_count_fp"),
    (USER_ORDER, "initial_count_fp"),
    (POSITION, "position_fp"),
    (POSITION, "position_cost_dollars"),
    (POSITION, "realized_pnl_dollars"),
    (POSITION, "fees_paid_dollars"),
    (LIFECYCLE, "settlement_value"),
]


def kind_of(frame):
    with pytest.raises(WireError) as refused:
        feed.decode_frame(frame, AT_MS)
    assert refused.value.kind in KINDS
    return refused.value.kind


def test_a_snapshot():
    """Levels become pairs of integers in each leg's own prices, ascending, with the clock and the sending time."""
    assert feed.decode_frame(text(SNAPSHOT), AT_MS) == facts.BookSnapshot(
        sid=1,
        seq=1,
        market=MARKET,
        yes=[(800, 30_000), (4_700, 325)],
        no=[(4_800, 200)],
        clock=4182057,
        request_id=None,
        sending_ms=1781159489000,
    )


def test_a_snapshot_that_says_it_was_sent_when_it_cannot_have_been():
    """The book counts, and has no time; every frame would be refused otherwise, were the unit changed one day."""
    read = feed.decode_frame(text(SNAPSHOT | {"sending_ts_ms": 1_792_418_400_000_000}), AT_MS)
    assert isinstance(read, facts.BookSnapshot)
    assert read.sending_ms is None


def test_a_snapshot_of_an_empty_book():
    """An absent side is an empty side; clock and sending time may be absent too; a reply carries its command's id."""
    frame = changed(SNAPSHOT | {"id": 12}, yes_dollars_fp=..., no_dollars_fp=..., clock=...)
    read = json.loads(frame)
    del read["sending_ts_ms"]
    assert feed.decode_frame(text(read), AT_MS) == facts.BookSnapshot(1, 1, MARKET, [], [], None, 12, None)


def test_a_delta():
    """A signed change in the prices of its own leg; the text may be bytes or str."""
    expected = facts.BookDelta(1, 2, MARKET, yes=False, price=9_600, change=-5_400, ts_ms=1781159489957, clock=4182061)
    assert feed.decode_frame(text(DELTA), AT_MS) == expected
    assert feed.decode_frame(text(DELTA).decode(), AT_MS) == expected


def test_a_delta_in_numbers_that_are_not_in_the_tables():
    """Tenths of cents and hundredths of contracts take the strict way to the same fact."""
    frame = changed(DELTA, price_dollars="0.968", delta_fp="0.25", side="yes", clock=...)
    assert feed.decode_frame(frame, AT_MS) == facts.BookDelta(
        1, 2, MARKET, yes=True, price=9_680, change=25, ts_ms=1781159489957, clock=None
    )


def test_a_trade():
    """A print on the YES leg."""
    assert feed.decode_frame(text(TRADE_FRAME), AT_MS) == facts.TradePrinted(2, 9, MARKET, price=5_200)


def test_a_fill():
    """An execution by id, stamped with our clock and the exchange's; without a client id it is empty, not missing."""
    expected = facts.FillSeen(
        at_ms=AT_MS,
        source="stream",
        trade_id=TRADE,
        order_id=ORDER,
        client_order_id="kd-0a1b2c3d4e-7",
        market=MARKET,
        side=BookSide.BID,
        price=5_200,
        count=100,
        fee=17_500,
        is_taker=True,
        ts_ms=1781159370164,
        exchange_index=2,
    )
    assert feed.decode_frame(text(FILL), AT_MS) == expected
    unnamed = feed.decode_frame(changed(FILL, client_order_id=...), AT_MS)
    assert isinstance(unnamed, facts.FillSeen)
    assert unnamed.client_order_id == ""


def test_an_order_of_ours():
    """The type is `user_order`, in the singular; prices are YES prices and the expiry is in seconds."""
    assert feed.decode_frame(text(USER_ORDER), AT_MS) == facts.OrderSeen(
        at_ms=AT_MS,
        source="stream",
        order_id=ORDER,
        client_order_id="kd-0a1b2c3d4e-7",
        market=MARKET,
        side=BookSide.ASK,
        price=9_900,
        status="canceled",
        filled=25,
        remaining=0,
        initial=100,
        updated_ms=1781159364112,
        expires_s=1781160260,
        reason="ExpiryCancel",
        exchange_index=2,
    )


def test_an_order_that_was_never_updated():
    """Its creation is its last update; with neither time it is an error, because stale facts are told by it."""
    created = feed.decode_frame(changed(USER_ORDER, last_updated_ts_ms=..., expiration_ts_ms=...), AT_MS)
    assert isinstance(created, facts.OrderSeen)
    assert (created.updated_ms, created.expires_s) == (1781159360866, None)
    assert kind_of(changed(USER_ORDER, last_updated_ts_ms=..., created_ts_ms=None)) == "missing_field"


def test_a_position():
    """The exchange's own view of a position: short is negative."""
    assert feed.decode_frame(text(POSITION), AT_MS) == facts.PositionReported(
        AT_MS, MARKET, count=-300, cost=2_500_000, realised=-100_000, fees=18_900
    )


def test_a_market_that_changed():
    """Seconds become milliseconds; what a frame does not carry is None."""
    assert feed.decode_frame(text(LIFECYCLE), AT_MS) == facts.MarketChanged(
        6, 3, MARKET, "determined", 1781160000000, "yes", 10_000, (facts.PriceRange(0, 10_000, 100),)
    )
    bare = changed(LIFECYCLE, event_type="activated", close_ts=..., result=..., settlement_value=..., price_ranges=...)
    assert feed.decode_frame(bare, AT_MS) == facts.MarketChanged(6, 3, MARKET, "activated", None, None, None, None)


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        ({"id": 1, "type": "subscribed", "msg": {"channel": "trade", "sid": 2}}, facts.Subscribed(1, "trade", 2)),
        (
            {"id": 4, "type": "ok", "sid": 1, "seq": 2, "msg": {"market_tickers": ["A", "B"]}},
            facts.SubscriptionUpdated(4, 1, 2, ("A", "B")),
        ),
        ({"id": 4, "type": "ok", "sid": 3}, facts.SubscriptionUpdated(4, 3, None, ())),
        (
            {"id": 5, "type": "ok", "msg": [{"channel": "trade", "sid": 2}]},
            facts.SubscriptionsListed(5, (("trade", 2),)),
        ),
        ({"id": 2, "sid": 1, "seq": 7, "type": "unsubscribed"}, facts.Unsubscribed(2, 1, 7)),
        (
            {"id": 5, "type": "error", "msg": {"code": 8, "msg": "Unknown channel name"}},
            facts.StreamRefused(5, None, None, 8, "Unknown channel name"),
        ),
        (
            {"type": "error", "sid": 1, "seq": 3, "msg": {"code": 25, "msg": "Subscription buffer overflow"}},
            facts.StreamRefused(None, 1, 3, 25, "Subscription buffer overflow"),
        ),
    ],
)
def test_answers_to_commands(frame, answer):
    """Each answer keeps the id of its command and the sequence number that it used up."""
    assert feed.decode_frame(text(frame), AT_MS) == answer


def test_what_becomes_of_an_order_group():
    """The exchange's own word is kept, and the limit where it is said; the channel counts its frames."""
    told = {"event_type": "limit_updated", "order_group_id": "og_123", "contracts_limit_fp": "150.00", "ts_ms": 5}
    frame = {"type": "order_group_updates", "sid": 21, "seq": 7, "msg": told}
    expected = facts.OrderGroupTold(AT_MS, "stream", "og_123", "limit_updated", 5, 15_000)
    assert feed.decode_frame(text(frame), AT_MS) == facts.OrderGroupReported(21, 7, expected)
    stopped = {"event_type": "triggered", "order_group_id": "og_123", "ts_ms": 6}
    expected = facts.OrderGroupTold(AT_MS, "stream", "og_123", "triggered", 6)
    assert feed.decode_frame(text(frame | {"msg": stopped}), AT_MS) == facts.OrderGroupReported(21, 7, expected)


@pytest.mark.parametrize(
    ("frame", "field"),
    [(FILL, "subaccount"), (USER_ORDER, "subaccount_number"), (POSITION, "subaccount")],
    ids=["fill", "order", "position"],
)
def test_what_another_subaccount_does_is_not_ours(frame, field):
    """The private channels tell of all of a member's subaccounts; without a number it is the primary one."""
    ours = feed.decode_frame(text(frame), AT_MS)
    assert feed.decode_frame(changed(frame, **{field: 0}), AT_MS) == ours
    assert feed.decode_frame(changed(frame, **{field: 3}), AT_MS) == facts.FrameIgnored(
        "other_subaccount", frame["sid"], None
    )


@pytest.mark.parametrize("kind", ["event_lifecycle", "ticker"])
def test_frames_that_say_nothing_to_us_still_count(kind):
    """They are named and keep their sequence number: their channel counts them."""
    frame = text({"type": kind, "sid": 6, "seq": 41, "msg": {"event_ticker": "E"}})
    assert feed.decode_frame(frame, AT_MS) == facts.FrameIgnored(kind, 6, 41)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b"", "unreadable"),
        (b"{", "unreadable"),
        (b"\xff\xfe", "unreadable"),
        ("\ud800", "unreadable"),
        (text(DELTA) + b"x", "unreadable"),
        (b"[" * 200_000, "wrong_type"),
        (b'{"type":"ok","msg":' + b"[" * 200_000, "wrong_type"),
        (b'{"type":"ok","more":' + b"[" * 200_000, "unreadable"),
        (b"[]", "wrong_type"),
        (b"null", "wrong_type"),
        (text({"type": "telegram", "msg": {}}), "unknown_type"),
        (text({"sid": 1}), "missing_field"),
        (text({"type": 5}), "wrong_type"),
        (text(DELTA | {"seq": "2"}), "wrong_type"),
        (text(DELTA | {"seq": 2.5}), "wrong_type"),
        (text(DELTA | {"seq": -1}), "wrong_type"),
        (text(DELTA | {"seq": 2**64}), "wrong_type"),
        (text(DELTA | {"seq": True}), "wrong_type"),
        (changed(DELTA, ts_ms=...), "missing_field"),
        (changed(DELTA, side="both"), "unknown_word"),
        (changed(DELTA, market_ticker=""), "wrong_type"),
        (changed(DELTA, ts_ms=1_792_418_400_000_000), "wrong_type"),  # in another unit: no calendar has that day
        (changed(FILL, ts_ms=1_792_418_400_000_000), "wrong_type"),
        (changed(USER_ORDER, last_updated_ts_ms=2**53), "wrong_type"),
        (changed(LIFECYCLE, close_ts=1_792_418_400_000), "wrong_type"),
        (changed(DELTA, price_dollars=0.96), "wrong_type"),
        (changed(DELTA, price_dollars="1.0000"), "bad_number"),
        (changed(FILL, book_side="buy"), "unknown_word"),
        (changed(FILL, count_fp="0.00"), "bad_number"),
        (changed(FILL, fee_cost="-0.010000"), "bad_number"),
        (changed(USER_ORDER, status="unknown"), "unknown_word"),
        (changed(SNAPSHOT, yes_dollars_fp=[["0.5000", "1.00"], ["0.4000", "1.00"]]), "inconsistent"),
        (changed(SNAPSHOT, yes_dollars_fp=[["0.5000", "1.00"], ["0.5000", "1.00"]]), "inconsistent"),
        (changed(SNAPSHOT, yes_dollars_fp=[["0.5000", "0.00"]]), "bad_number"),
        (changed(SNAPSHOT, yes_dollars_fp=[["0.5000"]]), "wrong_type"),
        (changed(LIFECYCLE, price_ranges=[]), "inconsistent"),
        (changed(LIFECYCLE, price_ranges=[{"start": "0", "end": "1", "step": "0.0000"}]), "inconsistent"),
        (b" " * (limits.FRAME_MAX + 1), "oversized"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_each_fault_has_its_kind(frame, kind):
    """A frame that does not read is an error of a known kind, never a fact with a default in it."""
    assert kind_of(frame) == kind


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["type"])
def test_no_required_field_can_go_missing(frame):
    """Without any one field the frame is an error, or the field is one of the few that may be absent."""
    optional = {"id", "sid", "seq", "sending_ts_ms"} if frame["type"] in ("ok", "error", "event_lifecycle") else set()
    optional |= {"sending_ts_ms", "clock", "yes_dollars_fp", "no_dollars_fp", "client_order_id", "market_tickers"}
    optional |= {"close_ts", "result", "settlement_value", "price_ranges"}
    optional |= {"created_ts_ms", "last_updated_ts_ms", "expiration_ts_ms", "last_update_reason"}
    if frame["type"] == "trade":
        optional |= {"trade_id", "count_fp", "taker_book_side", "ts_ms"}
    optional |= {"market_id", "user_id", "outcome_side", "no_price_dollars", "taker_outcome_side", "is_block_trade"}
    optional |= {"post_position_fp", "position_fee_cost_dollars", "volume_fp"}
    if frame["type"] == "event_lifecycle":
        optional |= {"event_ticker", "msg"}
    if frame["type"] == "unsubscribed":
        optional |= {"id", "seq"}
    if frame["type"] == "user_order":
        optional -= {"client_order_id"}
    for name in set(frame) - optional - {"msg"}:
        assert kind_of(text({key: value for key, value in frame.items() if key != name})) == "missing_field", name
    if isinstance(frame.get("msg"), dict):
        for name in set(frame["msg"]) - optional:
            assert kind_of(changed(frame, **{name: ...})) == "missing_field", name


@pytest.mark.parametrize(("frame", "field"), FIXED_POINT_FIELDS, ids=lambda value: value if type(value) is str else "")
def test_every_number_is_read_strictly(frame, field):
    """No numeric field takes an exponent or more decimals than its unit has."""
    for bad in ("1e-1", "0.1234567", "NaN"):
        assert kind_of(changed(frame, **{field: bad})) == "bad_number"


def test_commands():
    """Commands are the exchange's JSON; a subscribe to order books says its orientation, others do not speak of it."""
    assert json.loads(feed.subscribe(1, ["orderbook_delta", "trade"], ["A", "B"])) == {
        "id": 1,
        "cmd": "subscribe",
        "params": {"channels": ["orderbook_delta", "trade"], "market_tickers": ["A", "B"], "use_yes_price": False},
    }
    assert json.loads(feed.subscribe(2, ["fill"], ())) == {
        "id": 2,
        "cmd": "subscribe",
        "params": {"channels": ["fill"]},
    }
    assert json.loads(feed.update_subscription(3, 7, "get_snapshot", ["A"])) == {
        "id": 3,
        "cmd": "update_subscription",
        "params": {"sid": 7, "action": "get_snapshot", "market_tickers": ["A"]},
    }
    assert json.loads(feed.unsubscribe(4, [1, 2])) == {"id": 4, "cmd": "unsubscribe", "params": {"sids": [1, 2]}}
    assert json.loads(feed.list_subscriptions(5)) == {"id": 5, "cmd": "list_subscriptions"}
    with pytest.raises(AssertionError):
        feed.unsubscribe(0, [1])


def test_the_signed_path_of_a_socket():
    """Only the path of the address is signed."""
    assert feed.path_of("wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2") == "/trade-api/ws/v2"


@needs_recordings
def test_a_recorded_session_of_production_reads_whole():
    """All 269 frames of twelve markets read, in the numbers that the recording counted, with contiguous sequence."""
    recorded = production("ws_orderbook_stream")
    read = [feed.decode_frame(text(entry["frame"]), entry["received_ms"]) for entry in recorded["frames"]]
    names = {
        "subscribed": facts.Subscribed,
        "orderbook_snapshot": facts.BookSnapshot,
        "ok": facts.SubscriptionUpdated,
        "orderbook_delta": facts.BookDelta,
    }
    assert {name: sum(type(fact) is kind for fact in read) for name, kind in names.items()} == recorded["counts"]
    assert [fact.seq for fact in read[1:]] == list(range(1, 269))


@needs_recordings
@pytest.mark.parametrize("name", ["ws__orderbook_trade_noleg", "ws__orderbook_trade_yes"])
def test_recorded_sessions_of_the_demo_exchange_read_whole(name):
    """Both orientations of the NO side were recorded; the frames read alike."""
    lines = (RECORDINGS / "demo-2026-06-11" / f"{name}.jsonl").read_bytes().split(b"\n")
    read = [feed.decode_frame(line, AT_MS) for line in lines if line]
    assert [type(fact) for fact in read[:3]] == [facts.Subscribed, facts.Subscribed, facts.BookSnapshot]
    assert all(type(fact) is facts.BookDelta for fact in read[3:])
