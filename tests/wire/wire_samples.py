"""Frames and bodies that the wire's tests share: valid ones as the exchange documents them, and its recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kalshi_daemon.facts import OrderSpec
from kalshi_daemon.units import BookSide, TimeInForce

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "kalshi" / "recordings"
needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="recordings of the exchange are not beside this repository (../shared/kalshi)"
)
MARKET = "KXWTACHALLENGERMATCH-26JUN11JIMLEP-LEP"
MARKET_ID = "f5ed38e2-0991-4c8f-817e-08c4fd9cbfdb"
TRADE = "f4a42159-b500-57c6-efa2-c31d94d916c1"
ORDER = "97ec18b7-10d3-4557-9de0-8598aad625f0"
AT_MS = 1_781_159_489_999
RESTING = OrderSpec(
    market="KXTEST-1-A",
    side=BookSide.BID,
    price=5_600,
    count=1_025,
    time_in_force=TimeInForce.GOOD_TILL_CANCELED,
    post_only=True,
    reduce_only=False,
    expires_s=1781160260,
    exchange_index=2,
)


def demo(name: str) -> bytes:
    """One body recorded on the demo exchange in June 2026, before shards."""
    return (RECORDINGS / "demo-2026-06-11" / f"{name}.json").read_bytes()


def demo_status(name: str) -> int:
    meta = json.loads((RECORDINGS / "demo-2026-06-11" / f"{name}.meta.json").read_bytes())
    return int(meta["status"])


def production(name: str) -> Any:
    return json.loads((RECORDINGS / "prod-2026-08" / f"{name}.json").read_bytes())


def with_shard(body: bytes, *lists: str) -> bytes:
    """The recorded body as it reads since shards exist: every item of `lists` says which it is on."""
    read = json.loads(body)
    for name in lists:
        items = read[name] if isinstance(read[name], list) else [read[name]]
        for item in items:
            item["exchange_index"] = 0
    return json.dumps(read).encode()


SNAPSHOT = {
    "type": "orderbook_snapshot",
    "sid": 1,
    "seq": 1,
    "msg": {
        "market_ticker": MARKET,
        "market_id": MARKET_ID,
        "clock": 4182057,
        "yes_dollars_fp": [["0.0800", "300.00"], ["0.4700", "3.25"]],
        "no_dollars_fp": [["0.4800", "2.00"]],
    },
    "sending_ts_ms": 1781159489000,
}
DELTA = {
    "type": "orderbook_delta",
    "sid": 1,
    "seq": 2,
    "msg": {
        "market_ticker": MARKET,
        "market_id": MARKET_ID,
        "clock": 4182061,
        "price_dollars": "0.9600",
        "delta_fp": "-54.00",
        "side": "no",
        "ts_ms": 1781159489957,
    },
}
TRADE_FRAME = {
    "type": "trade",
    "sid": 2,
    "seq": 9,
    "msg": {
        "trade_id": TRADE,
        "market_ticker": MARKET,
        "yes_price_dollars": "0.5200",
        "no_price_dollars": "0.4800",
        "count_fp": "7.77",
        "taker_outcome_side": "no",
        "taker_book_side": "ask",
        "is_block_trade": False,
        "ts_ms": 1781159370164,
    },
}
FILL = {
    "type": "fill",
    "sid": 3,
    "msg": {
        "trade_id": TRADE,
        "order_id": ORDER,
        "client_order_id": "kd-0a1b2c3d4e-7",
        "market_ticker": MARKET,
        "exchange_index": 2,
        "is_taker": True,
        "yes_price_dollars": "0.5200",
        "count_fp": "1.00",
        "fee_cost": "0.017500",
        "outcome_side": "yes",
        "book_side": "bid",
        "ts_ms": 1781159370164,
        "post_position_fp": "1.00",
    },
}
USER_ORDER = {
    "type": "user_order",
    "sid": 4,
    "msg": {
        "order_id": ORDER,
        "user_id": "f50604b8-d25a-4b0c-b3c9-ce5b48ffcad0",
        "ticker": MARKET,
        "exchange_index": 2,
        "status": "canceled",
        "outcome_side": "no",
        "book_side": "ask",
        "yes_price_dollars": "0.9900",
        "fill_count_fp": "0.25",
        "remaining_count_fp": "0.00",
        "initial_count_fp": "1.00",
        "client_order_id": "kd-0a1b2c3d4e-7",
        "created_ts_ms": 1781159360866,
        "last_updated_ts_ms": 1781159364112,
        "expiration_ts_ms": 1781160260999,
        "last_update_reason": "ExpiryCancel",
    },
}
POSITION = {
    "type": "market_position",
    "sid": 5,
    "msg": {
        "user_id": "f50604b8-d25a-4b0c-b3c9-ce5b48ffcad0",
        "market_ticker": MARKET,
        "position_fp": "-3.00",
        "position_cost_dollars": "2.500000",
        "realized_pnl_dollars": "-0.100000",
        "fees_paid_dollars": "0.018900",
        "position_fee_cost_dollars": "0.018900",
        "volume_fp": "3.00",
    },
}
LIFECYCLE = {
    "type": "market_lifecycle_v2",
    "sid": 6,
    "seq": 3,
    "msg": {
        "market_ticker": MARKET,
        "event_type": "determined",
        "close_ts": 1781160000,
        "result": "yes",
        "settlement_value": "1.0000",
        "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
    },
}
FEES_CHANGED = {
    "type": "event_fee_update",
    "sid": 6,
    "seq": 4,
    "msg": {"event_ticker": "E", "fee_type_override": None, "fee_multiplier_override": 0.5},
}
FRAMES = [SNAPSHOT, DELTA, TRADE_FRAME, FILL, USER_ORDER, POSITION, LIFECYCLE, FEES_CHANGED]
FRAMES += [
    {"id": 1, "type": "subscribed", "msg": {"channel": "orderbook_delta", "sid": 1}, "sending_ts_ms": 1},
    {"id": 4, "type": "ok", "sid": 1, "seq": 2, "msg": {"market_tickers": [MARKET]}},
    {"id": 5, "type": "ok", "msg": [{"channel": "trade", "sid": 2}]},
    {"id": 2, "sid": 1, "seq": 7, "type": "unsubscribed"},
    {"id": 5, "type": "error", "sid": 1, "seq": 8, "msg": {"code": 8, "msg": "Unknown channel name"}},
    {"type": "event_lifecycle", "sid": 6, "seq": 5, "msg": {"event_ticker": "E"}},
]


def text(frame: object) -> bytes:
    """A frame as the socket brings it: JSON with a newline."""
    return json.dumps(frame).encode() + b"\n"


def changed(frame: dict[str, Any], **fields: object) -> bytes:
    """The frame with fields of its `msg` replaced, or removed where the value is `...`."""
    msg = {name: value for name, value in (frame["msg"] | fields).items() if value is not ...}
    return text(frame | {"msg": msg})
