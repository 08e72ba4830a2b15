"""What the recorder is told of decisions: each batch, and before it what decides, and the terms of its markets.

Rules:
- The features themselves are not recorded, but their checksum: they follow from what is.
- What a checkpoint does not hold and later batches need, the policy and the terms of the markets, is said again behind
  each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from zlib import crc32

from attrs import frozen

from kalshi_daemon.core.ledger_view import LedgerView
from kalshi_daemon.policy.decided import DecidedBatch
from kalshi_daemon.policy.features import schema_hash
from kalshi_daemon.policy.inputs import MarketInput
from kalshi_daemon.shell.book_table import BookTable
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.recorder import Recorder
from kalshi_daemon.units import Count, Milliseconds, Money, Ticker
from kalshi_daemon.wire.records import CLOSING, USABLE, Batch, Decided, PolicyNamed, Record, TermsKnown


@frozen
class BatchSources:
    table: BookTable
    ledger: LedgerView
    clock: Clock
    reserve: Callable[[], Money]
    sizes: Sequence[Count]
    pricing: str


class BatchRecorder:
    def __init__(self, recorder: Recorder, sources: BatchSources) -> None:
        self._recorder = recorder
        self._sources = sources
        self._policy: PolicyNamed | None = None
        self._terms: dict[Ticker, TermsKnown] = {}
        recorder.also = self._said_again

    def decided(self, batch: DecidedBatch) -> None:
        """In the step of the decision, before any proposal of it is made."""
        sources, now_ms = self._sources, self._sources.clock.now_ms()
        self._name_policy(batch, now_ms)
        for market in batch.markets:
            self._know_terms(market, now_ms)
        self._recorder.note(
            Batch(
                number=batch.number,
                first_decision=batch.first_decision,
                now_ms=batch.now_ms,
                offset_ms=sources.clock.offset_ms,
                increases_allowed=batch.increases_allowed,
                account_version=sources.ledger.version,
                reserve=sources.reserve(),
                portfolio_value=batch.account.portfolio_value,
                markets=[
                    Decided(market.market, market.book.version, _flags(market), action)
                    for market, action in zip(batch.markets, batch.actions.tolist(), strict=True)
                ],
                elsewhere=[
                    (held.market, held.value)
                    for held in batch.account.positions
                    if held.market not in sources.table.books
                ],
                observation_crc=crc32(batch.observation.tobytes()),
                mask_crc=crc32(batch.allowed.tobytes()),
            )
        )

    def _name_policy(self, batch: DecidedBatch, now_ms: Milliseconds) -> None:
        selector, known = batch.selector, self._policy
        if known is None or (known.policy, known.model) != (selector.name, selector.model):
            sizes = tuple(self._sources.sizes)
            self._policy = PolicyNamed(
                now_ms, selector.name, selector.model, schema_hash(), sizes, self._sources.pricing
            )
            self._recorder.note(self._policy)

    def _know_terms(self, market: MarketInput, now_ms: Milliseconds) -> None:
        known = self._terms.get(market.market)
        if known is None or known.fee_multiplier_ppm != market.fee_multiplier_ppm or known.grid != market.grid:
            terms = TermsKnown(now_ms, market.market, market.fee_multiplier_ppm, market.grid)
            self._terms[market.market] = terms
            self._recorder.note(terms)

    def _said_again(self) -> Iterator[Record]:
        books = self._sources.table.books
        self._terms = {market: terms for market, terms in self._terms.items() if market in books}
        if self._policy is not None:
            yield self._policy
        yield from self._terms.values()


def _flags(market: MarketInput) -> int:
    return USABLE * market.usable | CLOSING * market.closing
