"""core/fee_forecast.py: what fills were charged against what they should be charged."""

from __future__ import annotations

from attrs import evolve

from kalshi_daemon.core.fee_forecast import FeeForecast
from kalshi_daemon.core.fees import fill_fee
from kalshi_daemon.core.market import Market
from kalshi_daemon.facts import FillSeen, SeriesFees
from kalshi_daemon.limits import FEE_FILLS, FEE_ORDERS_MAX
from kalshi_daemon.units import CONTRACT, BookSide, FeeType

FEES = SeriesFees("KXA", FeeType.QUADRATIC, 1_000_000)
FILL = FillSeen(
    at_ms=1,
    source="stream",
    trade_id="t",
    order_id="o",
    client_order_id="",
    market="KXA-1",
    side=BookSide.BID,
    price=5_000,
    count=CONTRACT,
    fee=17_500,
    is_taker=True,
    ts_ms=1,
    exchange_index=0,
)


MARKET = Market(
    ticker="KXA-1",
    event="KXA",
    series="KXA",
    status="active",
    unproven=False,
    grid=(),
    open_ms=0,
    close_ms=9,
    exchange_index=0,
    result="",
    settlement_value=None,
    fees=FEES,
    refused_ms=None,
    active_read_ms=None,
)


def forecast(market: Market = MARKET) -> tuple[FeeForecast, list[str]]:
    told: list[str] = []
    return FeeForecast({"KXA-1": market}.get, lambda _alarm, text: told.append(text)), told


def test_a_fee_as_the_schedule_says_is_nothing_to_tell() -> None:
    """The fills of one order, its rounding fees added up and rebated, are forecast to the micro-dollar."""
    fees, told = forecast()
    gathered = 0
    for _ in range(2 * FEE_FILLS):
        charged = fill_fee(FEES, BookSide.BID, 4_995, 7, gathered, is_taker=True)
        gathered = charged.accumulated
        fees.saw(evolve(FILL, price=4_995, count=7, fee=charged.fee))
    assert (fees.counts, fees.off, told) == ({"made": 40, "without_fees": 0, "waived": 0, "off": 0}, 0, [])


def test_half_a_cent_a_contract_over_twenty_fills_is_told_once() -> None:
    """One fill less, or a micro-dollar less, is not told; a second alarm comes only after it was well between."""
    fees, told = forecast()
    for number in range(FEE_FILLS):
        fees.saw(evolve(FILL, fee=17_500 + 5_000 - (number == 0)))
    assert (told, fees.counts["off"]) == ([], FEE_FILLS)
    fees.saw(evolve(FILL, fee=17_500 + 5_000))
    fees.saw(evolve(FILL, fee=17_500 + 5_000))
    assert len(told) == 1
    assert "the last 20 fills, 20 contracts, were charged $0.10 more than the schedules say" in told[0]
    fees.saw(FILL)
    for _ in range(FEE_FILLS):
        fees.saw(evolve(FILL, fee=17_500 - 5_000))
    assert len(told) == 2
    assert "were charged $0.10 less than the schedules say" in told[1]


def test_a_market_whose_fees_are_not_known_is_not_judged() -> None:
    """It is counted, and nothing else."""
    fees, told = forecast()
    for _ in range(2 * FEE_FILLS):
        fees.saw(evolve(FILL, market="KXB-1", fee=0))
    assert (fees.counts["without_fees"], fees.off, told) == (2 * FEE_FILLS, 0, [])


def test_what_is_charged_under_a_waiver_is_not_judged() -> None:
    """Its extent is not stated; from the moment at which it ends on, fees are held against the schedule again."""
    fees, told = forecast(evolve(MARKET, waived_ms=5))
    for ts_ms in (4, 5):
        for _ in range(2 * FEE_FILLS):
            fees.saw(evolve(FILL, fee=0, ts_ms=ts_ms))
    assert (fees.counts["waived"], fees.counts["made"]) == (2 * FEE_FILLS, 2 * FEE_FILLS)
    assert (fees.off, len(told)) == (2 * FEE_FILLS * -17_500, 1)


def test_what_is_remembered_of_orders_is_bounded() -> None:
    """The order whose fill is longest ago is forgotten first, and begins anew."""
    fees, _ = forecast()
    first = fill_fee(FEES, BookSide.BID, 4_995, 7, 0, is_taker=True)
    fill = evolve(FILL, price=4_995, count=7, fee=first.fee)
    for _ in range(2):
        for number in range(FEE_ORDERS_MAX + 1):
            fees.saw(evolve(fill, order_id=f"o-{number}"))
    assert (fees.off, fees.counts["off"]) == (0, 0)
