"""What a fill was charged, held against what core/fees.py says that it should be charged.

Rules: the exchange's fee is the truth and is booked; the forecast only tells when we do not know what we are charged.
The two are compared over the last fills, by the contract. What an order has gathered of rounding fees is known from its
first fill in this process; of an older one it may be off by the rebate, once. A market whose fees were not read, or
are waived at the time, is not forecast.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kalshi_daemon.core.fees import fill_fee
from kalshi_daemon.core.market import Market
from kalshi_daemon.facts import FillSeen
from kalshi_daemon.limits import FEE_FILLS, FEE_OFF_MAX, FEE_ORDERS_MAX
from kalshi_daemon.units import CONTRACT, Count, Money, Ticker, contracts, dollars


class FeeForecast:
    def __init__(self, market_of: Callable[[Ticker], Market | None], alarm: Callable[[str, str], None]) -> None:
        self.counts = {"made": 0, "without_fees": 0, "waived": 0, "off": 0}
        self.off: Money = 0  # what all fills were charged more than was forecast
        self._market_of = market_of
        self._alarm = alarm
        self._gathered: dict[str, Money] = {}  # order id -> its rounding fees so far, the newest last
        self._last: deque[tuple[Money, Count]] = deque(maxlen=FEE_FILLS)
        self._told = False

    def saw(self, fill: FillSeen) -> None:
        """A fill was booked, in its order."""
        market = self._market_of(fill.market)
        if market is None or market.fees is None:
            self.counts["without_fees"] += 1
            return
        if market.waived_ms is not None and fill.ts_ms < market.waived_ms:
            self.counts["waived"] += 1
            return
        gathered = self._gathered.pop(fill.order_id, 0)
        forecast = fill_fee(market.fees, fill.side, fill.price, fill.count, gathered, is_taker=fill.is_taker)
        self._gathered[fill.order_id] = forecast.accumulated
        if len(self._gathered) > FEE_ORDERS_MAX:
            del self._gathered[next(iter(self._gathered))]
        self.counts["made"] += 1
        self.counts["off"] += fill.fee != forecast.fee
        self.off += fill.fee - forecast.fee
        self._last.append((fill.fee - forecast.fee, fill.count))
        self._judge()

    def _judge(self) -> None:
        """The alarm is told once for as long as it lasts."""
        off, count = sum(each[0] for each in self._last), sum(each[1] for each in self._last)
        beyond = len(self._last) == FEE_FILLS and abs(off) * CONTRACT >= FEE_OFF_MAX * count
        if beyond and not self._told:
            self._alarm(
                "fee_forecast",
                f"the last {FEE_FILLS} fills, {contracts(count)} contracts, were charged {dollars(abs(off))}"
                f" {'more' if off > 0 else 'less'} than the schedules say: read the exchange's fees again, or tell the"
                " exchange",
            )
        self._told = beyond
