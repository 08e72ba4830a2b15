"""What the parts of a daemon count and measure, under the names that the metrics and the status have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from kalshi_daemon.parts import Parts
from kalshi_daemon.shell.session import Session
from kalshi_daemon.units import SECOND_MS

SECOND_US: Final = 1_000_000


def counters(parts: Parts, chart: Mapping[str, int]) -> Mapping[str, int]:
    """Everything that a part counts, under the part's name."""
    sessions = parts.coordinator.sessions
    counted: dict[str, Mapping[str, int]] = {
        "book": parts.books.counts,
        "session": {"reconnects": sum(each.reconnects for each in sessions), **_summed(sessions)},
        "bus": parts.bus.counts,
        "poller": parts.account_poller.counts,
        "journal": parts.journal.counts if parts.journal else {},
        "snapshots": parts.snapshots.counts,
        "rotation": parts.rotation.counts,
        "recorder": parts.recorder.counts if parts.recorder else {},
        "writer": parts.writer.counts,
        "sync": parts.sync.counts,
        "calibration": parts.calibration.counts,
        "stream": parts.stream_figures.counts,
        "market": parts.universe.counts,
        "discovery": parts.market_watch.counts,
        "fees": parts.market_watch.fees.counts,
        "forecast": parts.fee_forecast.counts,
        "invariants": {"checked": parts.invariants.checked, "violated": parts.invariants.violations},
        "notify": {"failed": parts.notifier.failures},
        "policy": _policy_counts(parts),
        "chart": chart,
        "clock": {"frames_disbelieved": parts.clock.frames_disbelieved},
    }
    return {f"{part}_{name}": count for part, counts in counted.items() for name, count in counts.items()}


def _policy_counts(parts: Parts) -> Mapping[str, int]:
    actor = parts.policy.actor
    if actor is None:
        return {}
    return {
        "decisions": actor.decisions,
        "batches": actor.batches,
        "senseless": parts.policy.senseless,
        "throttled": actor.throttled,
        **{f"rows_{what}": count for what, count in actor.observations.counts.items()},
    }


def gauges(parts: Parts) -> Mapping[str, int]:
    actor = parts.policy.actor
    return {
        "bus_waiting": parts.bus.waiting,
        "writer_waiting": parts.writer.waiting,
        "writer_on_the_wire": parts.writer.on_the_wire,
        "clock_offset_milliseconds": parts.clock.offset_ms,
        "stream_lag_milliseconds": max([session.lag_ms for session in parts.coordinator.sessions], default=0),
        **_book_gauges(parts),
        "bankroll_microdollars": parts.ledger.bankroll,
        "fees_off_forecast_microdollars": parts.fee_forecast.off,
        "rest_latency_milliseconds": round(parts.rest.latency_s * SECOND_MS),
        "journal_slowest_commit_milliseconds": round(parts.journal.slowest_commit_s * SECOND_MS)
        if parts.journal
        else 0,
        "journal_file_bytes": parts.journal.file_bytes if parts.journal else 0,
        "journal_file_bytes_max": parts.rotation.bytes_max,
        **({"recorder_waiting": parts.recorder.waiting} if parts.recorder else {}),
        "policy_held_back": actor.held_back if actor else 0,
        "policy_inference_microseconds": round(actor.inference_s * SECOND_US) if actor else 0,
    }


def _book_gauges(parts: Parts) -> Mapping[str, int]:
    """Of the markets that are open; the age is the greatest of a usable book's evidence."""
    books = parts.books
    usable = [market for market in books.open_markets if books.usable(market)]
    age_s = max([books.evidence_age_s(market) for market in usable], default=0.0)
    return {
        "books_open": len(books.open_markets),
        "books_usable": len(usable),
        "books_polled": sum(1 for market in usable if books.is_polled(market)),
        "books_left_out": books.reader.left_out,
        "book_audit_round_milliseconds": round(books.audit.round_s * SECOND_MS),
        "book_evidence_milliseconds": round(age_s * SECOND_MS),
    }


def labelled(parts: Parts) -> Mapping[str, Mapping[str, int]]:
    actor = parts.policy.actor
    return {
        "refused": parts.gates.refused,
        "frames_malformed": parts.faults.counts,
        "errors": parts.rest.tally.by_fault,
        "unknown_codes": parts.rest.tally.unknown_codes,
        "requests": {f"{kind} {outcome}": count for (kind, outcome), count in parts.rest.counts.items()},
        "actions": {str(action): count for action, count in actor.actions.items()} if actor else {},
    }


def _summed(sessions: Iterable[Session]) -> Counter[str]:
    total: Counter[str] = Counter()
    for session in sessions:
        total.update(session.counts)
    return total
