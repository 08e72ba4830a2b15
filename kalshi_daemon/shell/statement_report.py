"""An account statement as people and programs see it: figures side by side, differences named, a verdict."""

from __future__ import annotations

from datetime import date
from typing import Final

from attrs import frozen

from kalshi_daemon.core.statement import Half, JournalHalf, Period
from kalshi_daemon.errors import (
    EXIT_ABSENT,
    EXIT_REFUSED,
    EXIT_STOPPED,
    AccessRefused,
    ClockRefused,
    ExchangeError,
    OperatingError,
    Unreachable,
)
from kalshi_daemon.shell.journal_text import iso
from kalshi_daemon.units import Money, dollars
from kalshi_daemon.wire.fixed_point import format_count, format_money, format_price

LABELS: Final = {
    "opening": "opening balance",
    "bought": "bought (YES)",
    "sold": "sold (YES)",
    "fees": "fees, less rebates",
    "settled": "settlements",
    "changes": "paid in, out, corrected",
    "closing": "closing balance",
}


@frozen
class Statement:
    """`exchange` is None where it could not be read; `failure` is why."""

    day: date
    period: Period
    over: bool  # the day has ended
    journal: JournalHalf
    exchange: Half | None
    found: tuple[str, ...]  # the differences
    failure: OperatingError | None = None
    left_out: Money = 0  # collateral of resting orders that the exchange's balance leaves out

    @property
    def verdict(self) -> str:
        if self.exchange is None:
            return "unread"
        return "differs" if self.found else "equal"

    @property
    def exit_code(self) -> int:
        """0 equal, 1 differs; unread: 69 where the exchange is away, else what the failure ends with."""
        if self.failure is not None:
            away = isinstance(self.failure, Unreachable | ExchangeError)
            person = isinstance(self.failure, AccessRefused | ClockRefused)
            return EXIT_ABSENT if away and not person else self.failure.exit_code
        return EXIT_REFUSED if self.found else EXIT_STOPPED

    def as_dict(self) -> dict[str, object]:
        return {
            "day": self.day.isoformat(),
            "from": iso(self.period.from_ms),
            "to": iso(self.period.to_ms),
            "over": self.over,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "detail": "" if self.failure is None else str(self.failure),
            "differences": list(self.found),
            "journal": {
                **_half(self.journal.half),
                "realised": format_money(self.journal.realised),
                "rebates": format_money(self.journal.rebates),
            },
            "exchange": None if self.exchange is None else _half(self.exchange),
            "collateral_left_out": format_money(self.left_out),
        }

    def as_text(self) -> str:
        """The figures side by side, the positions, the differences, and the verdict last."""
        ours, theirs = self.journal.half, self.exchange
        lines = [
            f"{self.day}, US Eastern: {iso(self.period.from_ms)} to {iso(self.period.to_ms)}"
            + ("" if self.over else ", so far"),
            f"{'':<24}{'journal':>18}{'exchange':>18}",
        ]
        for name, label in LABELS.items():
            shown = "" if theirs is None else dollars(getattr(theirs, name))
            lines.append(f"{label:<24}{dollars(getattr(ours, name)):>18}{shown:>18}".rstrip())
        for label, count in (("fills", "fills"), ("settlements", "settlements")):
            shown = "" if theirs is None else str(len(getattr(theirs, count)))
            lines.append(f"{label:<24}{len(getattr(ours, count)):>18}{shown:>18}".rstrip())
        lines.append(f"{'profit realised':<24}{dollars(self.journal.realised):>18}")
        lines.append(f"{'rebates in the fees':<24}{dollars(self.journal.rebates):>18}")
        lines += list(self._positions())
        if self.left_out:
            lines.append(f"the exchange's balance leaves out {dollars(self.left_out)} of resting orders")
        return "\n".join([*lines, *(f"differs: {each}" for each in self.found), self._last_line()])

    def _positions(self) -> list[str]:
        ours = self.journal.half.positions
        theirs = {} if self.exchange is None else self.exchange.positions
        lines = []
        for market in sorted(ours.keys() | theirs.keys()):
            shown = "" if self.exchange is None else format_count(theirs.get(market, 0))
            lines.append(f"{market:<24}{format_count(ours.get(market, 0)):>18}{shown:>18}".rstrip())
        return lines

    def _last_line(self) -> str:
        if self.failure is not None:
            return f"the exchange's half could not be read: {self.failure}"
        return "journal and exchange are equal, to the cent" if not self.found else f"{len(self.found)} differences"


def _half(half: Half) -> dict[str, object]:
    return {
        **{name: format_money(getattr(half, name)) for name in LABELS},
        "positions": {market: format_count(count) for market, count in sorted(half.positions.items())},
        "fills": [
            {
                "trade_id": fill.trade_id,
                "order_id": fill.order_id,
                "ts": iso(fill.ts_ms),
                "market": fill.market,
                "side": fill.side,
                "price": format_price(fill.price),
                "count": format_count(fill.count),
                "fee": format_money(fill.fee),
                "is_taker": fill.is_taker,
            }
            for fill in sorted(half.fills.values(), key=lambda fill: (fill.ts_ms, fill.trade_id))
        ],
        "settlements": [
            {
                "market": each.market,
                "ts": iso(each.ts_ms),
                "result": each.result,
                "count": format_count(each.count),
                "revenue": format_money(each.revenue),
            }
            for each in sorted(half.settlements.values(), key=lambda each: (each.ts_ms, each.market))
        ],
    }
