"""REST bodies to facts and values: exact, strict, and against what the exchange was recorded to answer."""

from __future__ import annotations

import json

import pytest
from wire_samples import AT_MS, MARKET, ORDER, TRADE, demo, needs_recordings, production, with_shard

from kalshi_daemon import facts
from kalshi_daemon.errors import WireError
from kalshi_daemon.units import BookSide, FeeType
from kalshi_daemon.wire import rest
from kalshi_daemon.wire.fees import read_series_fees

MARKET_BODY = {
    "ticker": MARKET,
    "event_ticker": "KXWTACHALLENGERMATCH-26JUN11JIMLEP",
    "status": "active",
    "open_time": "2026-06-11T05:39:29Z",
    "close_time": "2026-06-25T16:00:00.250Z",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
    "exchange_index": 3,
    "result": "",
    "market_type": "binary",
    "volume_24h_fp": "1234.50",
    "yes_bid_dollars": "0.4100",
    "yes_ask_dollars": "0.4300",
}
ORDER_BODY = {
    "order_id": ORDER,
    "client_order_id": "kd-0a1b2c3d4e-7",
    "ticker": MARKET,
    "status": "resting",
    "book_side": "ask",
    "yes_price_dollars": "0.4800",
    "fill_count_fp": "0.25",
    "remaining_count_fp": "0.75",
    "initial_count_fp": "1.00",
    "exchange_index": 1,
    "created_time": "2026-06-11T06:29:20.866753Z",
    "last_update_time": "2026-06-11T06:29:24.112341Z",
    "expiration_time": "2026-06-11T06:44:20Z",
}
FILL_BODY = {
    "fill_id": TRADE,
    "order_id": ORDER,
    "ticker": MARKET,
    "book_side": "bid",
    "yes_price_dollars": "0.5200",
    "count_fp": "1.00",
    "fee_cost": "0.017500",
    "is_taker": True,
    "created_time": "2026-06-11T06:29:30.164956Z",
    "exchange_index": 1,
}
SETTLEMENT_BODY = {
    "ticker": MARKET,
    "exchange_index": 2,
    "market_result": "yes",
    "yes_count_fp": "0.00",
    "no_count_fp": "3.25",
    "revenue": 0,
    "settled_time": "2026-06-12T00:00:00Z",
    "fee_cost": "0.018900",
    "value": 100,
}
POSITION_BODY = {
    "ticker": MARKET,
    "exchange_index": 1,
    "position_fp": "-3.00",
    "market_exposure_dollars": "2.500000",
    "total_traded_dollars": "2.500000",
    "realized_pnl_dollars": "-0.100000",
    "fees_paid_dollars": "0.018900",
    "last_updated_ts": "2026-06-11T06:29:30.165032Z",
}
BALANCE = {
    "balance": 9801,
    "balance_dollars": "98.0186",
    "portfolio_value": 198,
    "updated_ts": 1781159348,
    "balance_breakdown": [{"exchange_index": 0, "balance": "90.0000"}, {"exchange_index": 2, "balance": "8.0186"}],
}
STATUS = {
    "exchange_active": True,
    "trading_active": False,
    "exchange_estimated_resume_time": "2026-06-11T09:00:00Z",
    "exchange_index_statuses": [
        {"exchange_index": 2, "description": "Crypto", "exchange_active": True, "trading_active": True}
    ],
}
LIMITS = {
    "usage_tier": "basic",
    "read": {"refill_rate": 200, "bucket_capacity": 400},
    "write": {"refill_rate": 100, "bucket_capacity": 100},
}
BOOKS = {"orderbooks": [{"ticker": MARKET, "orderbook_fp": {"yes_dollars": [["0.4700", "3.00"]], "no_dollars": []}}]}
SERIES = {"ticker": "KXMLBGAME", "fee_type": "quadratic_with_maker_fees", "fee_multiplier": 0.5}


def body(value):
    return json.dumps(value).encode()


def page(name, *items, cursor=""):
    return body({name: list(items), "cursor": cursor})


def at(reader):
    return lambda text: reader(text, AT_MS)


REQUIRED = [
    (rest.read_markets, "markets", MARKET_BODY, {"settlement_value_dollars", "fee_waiver_expiration_time"}),
    (at(rest.read_orders), "orders", ORDER_BODY, {"created_time", "last_update_time", "expiration_time"}),
    (at(rest.read_fills), "fills", FILL_BODY, set()),
    (at(rest.read_settlements), "settlements", SETTLEMENT_BODY, {"value"}),
    (rest.read_positions, "market_positions", POSITION_BODY, set()),
]


def test_a_market():
    """Times are milliseconds, the grid is in prices, and the series is the event's ticker up to the first dash."""
    assert rest.read_market(body({"market": MARKET_BODY})) == facts.MarketRead(
        market=MARKET,
        event="KXWTACHALLENGERMATCH-26JUN11JIMLEP",
        series="KXWTACHALLENGERMATCH",
        status="active",
        open_ms=1781156369000,
        close_ms=1782403200250,
        price_ranges=(facts.PriceRange(0, 10_000, 100),),
        exchange_index=3,
        result="",
        settlement_value=None,
        kind="binary",
        volume_24h=123_450,
        spread=200,
    )
    settled = MARKET_BODY | {"status": "finalized", "result": "scalar", "settlement_value_dollars": "0.3333"}
    assert rest.read_markets(page("markets", settled, cursor="next")).items[0].settlement_value == 3_333
    waived = MARKET_BODY | {"fee_waiver_expiration_time": "2026-06-11T05:39:29Z"}
    assert rest.read_market(body({"market": waived})).waived_ms == 1781156369000


def test_an_order_as_it_is_read():
    """The exchange's microseconds are cut to the milliseconds that the stream shows."""
    assert rest.read_order(body({"order": ORDER_BODY}), AT_MS) == facts.OrderSeen(
        at_ms=AT_MS,
        source="read",
        order_id=ORDER,
        client_order_id="kd-0a1b2c3d4e-7",
        market=MARKET,
        side=BookSide.ASK,
        price=4_800,
        status="resting",
        filled=25,
        remaining=75,
        initial=100,
        updated_ms=1781159364112,
        expires_s=1781160260,
        reason="",
        exchange_index=1,
    )


def test_an_order_without_any_time_is_an_error():
    """Its creation stands in for an update that never was; without both it cannot be ordered among facts."""
    created = ORDER_BODY | {"last_update_time": None, "expiration_time": None}
    assert rest.read_order(body({"order": created}), AT_MS).updated_ms == 1781159360866
    with pytest.raises(WireError, match="missing_field"):
        rest.read_order(body({"order": created | {"created_time": None}}), AT_MS)


def test_a_fill_as_it_is_read():
    """`fill_id` is the stream's trade id, and the client's id is not said."""
    assert rest.read_fills(page("fills", FILL_BODY, cursor="c"), AT_MS) == rest.Page(
        (
            facts.FillSeen(
                at_ms=AT_MS,
                source="read",
                trade_id=TRADE,
                order_id=ORDER,
                client_order_id="",
                market=MARKET,
                side=BookSide.BID,
                price=5_200,
                count=100,
                fee=17_500,
                is_taker=True,
                ts_ms=1781159370164,
                exchange_index=1,
            ),
        ),
        "c",
    )


def test_a_settlement():
    """YES held less NO held is the signed count; cents become money."""
    assert rest.read_settlements(page("settlements", SETTLEMENT_BODY), AT_MS).items == (
        facts.SettlementSeen(
            at_ms=AT_MS,
            market=MARKET,
            result="yes",
            value=10_000,
            count=-325,
            revenue=0,
            fee=18_900,
            ts_ms=1781222400000,
            exchange_index=2,
        ),
    )


@pytest.mark.parametrize(
    ("result", "value", "price"),
    [("yes", None, 10_000), ("no", None, 0), ("no", 0, 0), ("scalar", 33, 3_300)],
)
def test_what_a_contract_paid(result, value, price):
    """Yes and no say it themselves where the value is null."""
    settled = SETTLEMENT_BODY | {"market_result": result, "value": value}
    assert rest.read_settlements(page("settlements", settled), AT_MS).items[0].value == price


@pytest.mark.parametrize(("result", "value", "kind"), [("scalar", None, "missing_field"), ("yes", 101, "bad_number")])
def test_what_a_contract_cannot_have_paid(result, value, kind):
    """A scalar result without its value, and more than a dollar, are errors."""
    settled = SETTLEMENT_BODY | {"market_result": result, "value": value}
    with pytest.raises(WireError, match=kind):
        rest.read_settlements(page("settlements", settled), AT_MS)


def test_a_position_and_a_balance():
    """Signed counts, money to the millionth, and cash by shard."""
    assert rest.read_positions(page("market_positions", POSITION_BODY)).items == (
        rest.PositionRead(MARKET, 1, -300, 2_500_000, 2_500_000, -100_000, 18_900, 1781159370165),
    )
    assert rest.read_balance(body(BALANCE)) == rest.BalanceRead(
        98_018_600, ((0, 90_000_000), (2, 8_018_600)), 1_980_000, 1781159348000
    )


def test_the_state_of_the_exchange():
    """Flags and shards; without a list of shards there are none, and no time of resumption is None."""
    assert rest.read_exchange_status(body(STATUS)) == rest.ExchangeStatus(
        exchange_active=True,
        trading_active=False,
        resume_ms=1781168400000,
        shards=(rest.ShardStatus(2, "Crypto", exchange_active=True, trading_active=True),),
    )
    plain = {"exchange_active": False, "trading_active": False}
    assert rest.read_exchange_status(body(plain)) == rest.ExchangeStatus(False, False, None, ())
    assert rest.read_account_limits(body(LIMITS)) == rest.AccountLimits(
        "basic", rest.Bucket(200, 400), rest.Bucket(100, 100)
    )
    costs = {"default_cost": 10, "endpoint_costs": [{"method": "GET", "path": "/x/:id", "cost": 2}]}
    assert rest.read_endpoint_costs(body(costs)) == rest.EndpointCosts(10, (rest.EndpointCost("GET", "/x/:id", 2),))
    assert rest.read_region_ends(body({"api_keys": []})) is None
    assert rest.read_region_ends(body({"api_keys": [], "api_key_region_expiration_ts": 1_781_168_400})) == 1781168400000
    assert rest.read_as_of(body({"as_of_time": "2026-06-11T06:29:30.165032Z"})) == 1781159370165


def test_a_side_that_is_empty_leaves_a_spread_of_a_dollar():
    """Open it is written as 0 and 1, unopened as 0 and 0; a spread is never below nothing."""
    quotes = [("0.0000", "1.0000"), ("0.0000", "0.0000"), ("0.4100", "0.0000"), ("0.4300", "0.4100")]
    bodies = [MARKET_BODY | {"yes_bid_dollars": bid, "yes_ask_dollars": ask} for bid, ask in quotes]
    assert [rest.read_market(body({"market": each})).spread for each in bodies] == [10_000, 10_000, 5_900, 0]


def test_order_books():
    """By ticker, each leg in its own prices."""
    assert rest.read_orderbooks(body(BOOKS)) == {MARKET: rest.BookRead(MARKET, [(4_700, 300)], [])}


@pytest.mark.parametrize(("reader", "name", "item", "optional"), REQUIRED, ids=[each[1] for each in REQUIRED])
def test_nothing_that_is_needed_can_be_missing(reader, name, item, optional):
    """Each field of an item, the list and the cursor are required, and the error names the one that is not there."""
    assert len(reader(page(name, item)).items) == 1
    for field in set(item) - optional:
        short = {key: value for key, value in item.items() if key != field}
        with pytest.raises(WireError, match=f"missing required field `{field}`"):
            reader(page(name, short))
    for field in (name, "cursor"):
        short = {key: value for key, value in {name: [], "cursor": ""}.items() if key != field}
        with pytest.raises(WireError, match=f"missing required field `{field}`"):
            reader(body(short))


@pytest.mark.parametrize(
    ("item", "change"),
    [
        (MARKET_BODY, {"status": "open"}),
        (MARKET_BODY, {"open_time": "yesterday"}),
        (MARKET_BODY, {"open_time": "2026-06-11T05:39:29"}),
        (MARKET_BODY, {"exchange_index": -1}),
        (MARKET_BODY, {"price_ranges": []}),
        (MARKET_BODY, {"result": "void"}),
    ],
)
def test_a_market_that_is_not_as_documented(item, change):
    """Unknown words, times without a zone and empty grids are errors."""
    with pytest.raises(WireError):
        rest.read_market(body({"market": item | change}))


@needs_recordings
def test_recorded_accounts_read():
    """Balance, limits, status, settlements and book of the demo exchange, as they were answered."""
    assert rest.read_balance(demo("auth__balance_ok")) == rest.BalanceRead(
        98_018_600, ((0, 98_018_600),), 1_980_000, 1781159348000
    )
    assert rest.read_account_limits(demo("account__limits")) == rest.AccountLimits(
        "basic", rest.Bucket(200, 200), rest.Bucket(100, 100)
    )
    assert rest.read_exchange_status(demo("exchange__status")) == rest.ExchangeStatus(True, True, None, ())
    assert rest.read_settlements(demo("settlements__page"), AT_MS) == rest.Page((), "")


@needs_recordings
@pytest.mark.parametrize(
    ("name", "key", "reader"),
    [
        ("portfolio__orders_list", "orders", at(rest.read_orders)),
        ("orders__get_after_cancel", "order", at(rest.read_order)),
        ("fills__after_taker", "fills", at(rest.read_fills)),
        ("portfolio__positions", "market_positions", rest.read_positions),
        ("markets__single", "market", rest.read_market),
        ("markets__status_settled", "markets", rest.read_markets),
        ("markets__status_open", "markets", rest.read_markets),
    ],
)
def test_recordings_from_before_the_shards(name, key, reader):
    """They lack the shard, so they are refused; with it they read: nothing else differs from what we require."""
    with pytest.raises(WireError, match="exchange_index"):
        reader(demo(name))
    assert reader(with_shard(demo(name), key))


@needs_recordings
def test_recorded_fills_to_the_unit():
    """The three recorded fills have the prices, counts and fees that were charged."""
    fills = rest.read_fills(with_shard(demo("fills__after_taker"), "fills"), AT_MS).items
    assert [(fill.price, fill.count, fill.fee, fill.ts_ms) for fill in fills] == [
        (5_200, 100, 17_500, 1781159370164),
        (9_900, 100, 700, 1781159138796),
        (9_900, 100, 700, 1781159123609),
    ]


@needs_recordings
def test_recorded_production_reads():
    """A market, its book and the fees of four series, as production answered them in August 2026."""
    single = production("market_single")
    market = rest.read_market(body(single["single"]))
    assert (market.market, market.series, market.status) == (single["ticker"], "KXNCAAFGAME", "active")
    books = {"orderbooks": [{"ticker": single["ticker"], **single["orderbook"]}]}
    book = rest.read_orderbooks(body(books))[single["ticker"]]
    assert (book.yes[-1], book.no[-1]) == ((8_900, 34_349), (600, 64_100))
    charged = [read_series_fees(body(each)) for each in production("series_fee_fields")["payloads"].values()]
    assert len(charged) == 4
    assert charged[0] == facts.SeriesFees("KXMLBGAME", FeeType.QUADRATIC_WITH_MAKER_FEES, 500_000)


@pytest.mark.parametrize(
    "bucket", [{"refill_rate": 0, "bucket_capacity": 10}, {"refill_rate": 10, "bucket_capacity": 0}]
)
def test_a_bucket_that_never_holds_anything_is_refused(bucket):
    """The governor divides by the refill: a zero is a body that does not read, and ends nothing."""
    with pytest.raises(WireError) as refused:
        rest.read_account_limits(body(LIMITS | {"write": bucket}))
    assert refused.value.kind == "wrong_type"
