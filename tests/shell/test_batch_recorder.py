"""Batches in a recording: every one that was decided, on the books as the records before it leave them."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest
import trio
from daemon_world import LIVELY

from kalshi_daemon import limits
from kalshi_daemon.policy.decided import DecidedBatch
from kalshi_daemon.policy.features import schema_hash
from kalshi_daemon.replay.books import RecordedBooks
from kalshi_daemon.shell.recording_file import SegmentReader, segments_of
from kalshi_daemon.simulation.virtual_day import Stage, run_virtually
from kalshi_daemon.units import Ticker
from kalshi_daemon.wire.records import CLOSING, USABLE, Batch, Checkpoint, PolicyNamed, TermsKnown


def lived(directory: Path, seed: int, decided: list[tuple[DecidedBatch, int, int]]) -> None:
    """Twenty seconds with a reset in their middle; each batch, with the ledger's version and the reserve at it."""

    async def scenario(stage: Stage) -> None:
        parts = stage.daemon.parts
        await parts.preflight.passed.wait()
        assert parts.policy.actor is not None
        record = parts.policy.actor.on_batch
        assert record is not None

        def on_batch(batch: DecidedBatch) -> None:
            record(batch)
            decided.append((batch, parts.ledger.version, parts.reserve()))

        parts.policy.actor.on_batch = on_batch
        await trio.sleep(12.0)
        stage.world.server.drop_streams()
        await trio.sleep(8.0)
        assert parts.recorder is not None
        await parts.recorder.end()
        assert parts.recorder.counts["dropped"] == 0
        parts.policy.actor.on_batch = None

    run_virtually(seed, scenario, LIVELY, {"KALSHI_RECORDING_DIR": str(directory), "KALSHI_PRICING": "join"})


@pytest.mark.parametrize("seed", [1, 2])
def test_every_batch_is_recorded_with_what_it_was_decided_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """In order: versions of books that the records lead to, terms and policy that were said before, and in each
    segment anew; the account's version, the flags and the actions; checksums of what was observed and allowed.
    """
    monkeypatch.setattr(limits, "RECORDING_BLOCK", 8_000)
    monkeypatch.setattr(limits, "RECORDING_SEGMENT", 30_000)
    decided: list[tuple[DecidedBatch, int, int]] = []
    lived(tmp_path, seed, decided)
    books, batches, policies = RecordedBooks(), [], set()
    terms: dict[Ticker, TermsKnown] = {}
    for path in segments_of(tmp_path):
        policy: PolicyNamed | None = None
        for record in SegmentReader(path).records():
            books.apply(record)
            match record:
                case Checkpoint():
                    terms.clear()
                case PolicyNamed():
                    policy = record
                    policies.add((record.policy, record.model, record.schema, record.sizes, record.pricing))
                case TermsKnown():
                    terms[record.market] = record
                case Batch():
                    assert policy is not None
                    batches.append(record)
                    market_terms = [(each.market, terms[each.market]) for each in record.markets]
                    batch = decided[len(batches) - 1][0]
                    assert [(known.fee_multiplier_ppm, known.grid) for _, known in market_terms] == [
                        (market.fee_multiplier_ppm, market.grid) for market in batch.markets
                    ]
                    for each in record.markets:
                        assert books.table.books[each.market].version == each.version
    assert books.checkpoints > 1
    assert policies == {("rules", "rules", schema_hash(), (500,), "join")}
    assert len(batches) == len(decided) > 100
    assert any(each.action for batch in batches for each in batch.markets)
    first = 1
    for number, (recorded, (batch, version, reserve)) in enumerate(zip(batches, decided, strict=True), 1):
        assert (recorded.number, recorded.first_decision, recorded.now_ms) == (number, first, batch.now_ms)
        assert (recorded.account_version, recorded.reserve) == (version, reserve)
        assert recorded.increases_allowed == batch.increases_allowed
        assert recorded.portfolio_value == batch.account.portfolio_value
        assert recorded.elsewhere == []
        assert recorded.observation_crc == crc32(batch.observation.tobytes())
        assert recorded.mask_crc == crc32(batch.allowed.tobytes())
        assert [each.action for each in recorded.markets] == batch.actions.tolist()
        flags = [USABLE | (CLOSING if market.closing else 0) for market in batch.markets]
        assert [each.flags for each in recorded.markets] == flags
        first += len(batch.markets)
