"""Holds the daemon's account against the emulated exchange's own books, to the micro-dollar.

Only possible where both live in one process, as in the demo and the simulation. The two may differ while something is
on its way; where both count the same fills and settlements, everything must be equal.
"""

from __future__ import annotations

from kalshi_daemon.core.invariants import Invariants
from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.emulator.accounts import Account
from kalshi_daemon.emulator.exchange import Exchange


class AccountAudit:
    def __init__(self, exchange: Exchange, account: Account, ledger: LedgerView, invariants: Invariants) -> None:
        self.compared = 0
        self._exchange = exchange
        self._account = account
        self._ledger = ledger
        self._invariants = invariants
        self._read_fills = len(account.fills)  # of all subaccounts
        self._fills = 0  # of ours since

    def look(self) -> bool:
        """Compare, unless something is on its way; whether it was compared."""
        new = self._account.fills[self._read_fills :]
        self._read_fills += len(new)
        self._fills += sum(fill.subaccount == self._account.number for fill in new)
        settlements = sum(each.subaccount == self._account.number for each in self._account.settlements)
        there = (self._fills, settlements)
        if not self._ledger.opened or (self._ledger.fills_booked, self._ledger.settlements_booked) != there:
            return False
        self._compare()
        return True

    def conclude(self) -> None:
        """At the end nothing is on its way: not being able to compare is a violation too."""
        if self._ledger.opened:
            at_rest = self.look()
            counts = f"{self._ledger.fills_booked} fills here, {self._fills} at the exchange"
            self._invariants.ask(f"7: the account did not come to rest: {counts}", holds=at_rest)
            resting = sum(len(orders) for orders in self._account.resting.values())
            self._invariants.ask(f"3: {resting} orders rest after the stop", holds=not resting)

    def _compare(self) -> None:
        self.compared += 1
        for shard, cash in self._exchange.balance(self._account).cash:
            ours = self._ledger.settled(shard)
            self._invariants.ask(f"7: cash of shard {shard}: {ours} here, {cash} there", holds=ours == cash)
        for market in {*self._ledger.positions, *self._account.positions}:
            position = self._ledger.positions.get(market)
            theirs = self._account.position(market)
            ours_count, ours_cost = (position.count, position.cost) if position else (0, 0)
            text = f"7: {market}: {ours_count} for {ours_cost} here, {theirs.count} for {theirs.cost} there"
            self._invariants.ask(text, holds=(ours_count, ours_cost) == (theirs.count, theirs.cost))
            if position:
                made, told = (position.realised, position.fees), (theirs.realised, theirs.fees)
                self._invariants.ask(f"7: {market}: profit and fees {made} here, {told} there", holds=made == told)
