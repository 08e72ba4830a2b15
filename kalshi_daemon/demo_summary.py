"""What a demo has shown: as a value, as JSON, as text; and whether that is what a demo is to show."""

from __future__ import annotations

import json
from typing import Final

from attrs import asdict, frozen

from kalshi_daemon.daemon import Daemon
from kalshi_daemon.errors import EXIT_STOPPED
from kalshi_daemon.shell.status import ProfitStatus
from kalshi_daemon.units import SECOND_MS, Milliseconds, contracts, dollars
from kalshi_daemon.wire.fixed_point import format_money, parse_money

NEVER_SENT: Final = frozenset({"intended", "denied"})


@frozen
class StateEntered:
    state: str
    at_s: float
    cause: str


@frozen
class Asked:
    """The questions of `core/invariants.py` and of the audit, and those that were answered with no."""

    checked: int
    violated: tuple[str, ...]


@frozen
class Profit:
    """`total` is realised and unrealised less fees; `unmarked` counts the positions that had no price at the end."""

    total: str
    realised: str
    unrealised: str
    fees: str
    unmarked: int

    @classmethod
    def of(cls, found: ProfitStatus) -> Profit:
        total = found.realised + found.unrealised - found.fees
        return cls(
            format_money(total),
            format_money(found.realised),
            format_money(found.unrealised),
            format_money(found.fees),
            found.unmarked,
        )

    def __str__(self) -> str:
        realised, unrealised, fees = (_shown(part) for part in (self.realised, self.unrealised, self.fees))
        unmarked = f", {self.unmarked} positions without a price" if self.unmarked else ""
        return f"{_shown(self.total)} (realised {realised}, unrealised {unrealised}, fees {fees}{unmarked})"


@frozen
class Summary:
    """Cash and profit in dollars, to the micro-dollar, and positions in contracts, both as text."""

    states: tuple[StateEntered, ...]
    seconds_to_trading: float | None
    deltas: int
    decisions: int
    orders: int
    fills: int
    refused: dict[str, int]
    cash_start: str
    cash_end: str
    profit: Profit | None
    positions: dict[str, str]
    invariants: Asked
    daemon_exit_code: int

    def shortfall(self, *, recorded: bool) -> str:
        """What a demo must show and this one did not; empty where it did. Recorded liquidity need not fill anything."""
        if self.daemon_exit_code != EXIT_STOPPED:
            return f"the daemon ended with {self.daemon_exit_code}"
        if self.invariants.violated:
            return "an invariant was violated"
        if self.seconds_to_trading is None:
            return "it never reached trading"
        if not self.decisions:
            return "it took no decision"
        if not self.fills and not recorded:
            return "no order was filled (try longer)"
        return ""

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    def as_text(self) -> str:
        lines = ["states"]
        lines += [f"  {each.at_s:8.2f} s  {each.state:<24} {each.cause}" for each in self.states]
        lines += [
            "",
            f"{self.deltas} deltas, {self.decisions} decisions, {self.orders} orders, {self.fills} fills",
            f"refused     {', '.join(f'{code} {count}' for code, count in self.refused.items()) or 'none'}",
            f"cash        {_shown(self.cash_start)} before, {_shown(self.cash_end)} after",
            f"profit      {self.profit or 'unknown'}",
            f"invariants  {self.invariants.checked} checked, {len(self.invariants.violated)} violated",
        ]
        lines += [f"  {each}" for each in self.invariants.violated]
        lines += [f"position    {market} {count}" for market, count in self.positions.items()]
        return "\n".join(lines)


def _shown(money: str) -> str:
    return dollars(parse_money(money))


def sum_up(daemon: Daemon, began_ms: Milliseconds, code: int) -> Summary:
    parts, reporter = daemon.parts, daemon.surface.reporter
    status = reporter.status()
    ledger, invariants = parts.ledger, parts.invariants
    states = tuple(
        StateEntered(line.state, (line.since_ms - began_ms) / SECOND_MS, line.cause)
        for line in reporter.history()
        if line.label == "trader"
    )
    return Summary(
        states=states,
        seconds_to_trading=next((each.at_s for each in states if each.state.startswith("trading")), None),
        deltas=parts.books.counts["deltas"],
        decisions=parts.policy.actor.decisions if parts.policy.actor else 0,
        orders=sum(record.state not in NEVER_SENT for record in ledger.orders.values()),
        fills=ledger.fills_booked,
        refused={**parts.gates.refused, **reporter.refused_by_exchange},
        cash_start=format_money(sum(cash for _, cash in ledger.opening)),
        cash_end=format_money(ledger.settled_total),
        profit=Profit.of(status.profit) if status is not None else None,
        positions={market: contracts(held.count) for market, held in ledger.positions.items() if held.count},
        invariants=Asked(invariants.checked, tuple(invariants.violated)),
        daemon_exit_code=code,
    )
