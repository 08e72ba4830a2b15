"""What is checked before anything is trusted: journal, key, model, exchange, access, markets, in this order.

A check that fails is one of two things. *Refused*: a person must mend it, and the daemon ends in `failed`, saying so.
*Deferred*: it could not be made because the exchange or the network is away, and it is tried again without end.

Rules: nothing here trades, and nothing is changed at the exchange. Each fact of the journal is verified before it is
folded; what is behind a snapshot is verified later (snapshots.py). A kill latch (kill_latch.py) is a hold like the
others, and is placed before preflight passes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import trio

from kalshi_daemon import limits
from kalshi_daemon.core.exchange_hours import ExchangeHours
from kalshi_daemon.core.holds import hold
from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.startup import StartupTracker
from kalshi_daemon.errors import AccessRefused, ExchangeError, KeyRefused, OperatingError, Unreachable
from kalshi_daemon.facts import AccountFact, HoldKind
from kalshi_daemon.shell.account_identity import AccountIdentity
from kalshi_daemon.shell.clock import Clock
from kalshi_daemon.shell.doctor_advice import for_failure
from kalshi_daemon.shell.journal import Journal
from kalshi_daemon.shell.journal_rotation import JournalRotation
from kalshi_daemon.shell.logging import log
from kalshi_daemon.shell.rest_client import RestClient
from kalshi_daemon.shell.snapshots import Snapshots
from kalshi_daemon.shell.watches import hold_for_hours, hold_for_status, learn_limits
from kalshi_daemon.wire.error_codes import Fault, meaning_of

HEALING: Final = frozenset({Fault.TRANSIENT, Fault.THEIRS})  # tried again: the others are a person's to mend
STEPS = ("journal", "key", "model", "exchange", "access", "markets")


class Preflight:
    def __init__(  # noqa: PLR0913 - one argument for each thing that is checked
        self,
        *,
        ledger: Ledger,
        hours: ExchangeHours,
        rest: RestClient,
        identity: AccountIdentity,
        snapshots: Snapshots,
        rotation: JournalRotation,
        clock: Clock,
        open_key: Callable[[], None],
        load_model: Callable[[], str],
        latched: Callable[[], str],
        settle: Callable[[AccountFact], Awaitable[None]],
        find_markets: Callable[[], Awaitable[str]],
    ) -> None:
        """`open_key` loads the key; `latched` is the kill latch's reason, or empty; `find_markets` says what it
        found.
        """
        self.tracker = StartupTracker(STEPS)
        self.failure: OperatingError | None = None  # why it was refused
        self.journal: Journal | None = None  # handed in by the journal service when the file is open
        self.opened = trio.Event()
        self.replayed = trio.Event()
        self.passed = trio.Event()  # set by the daemon when the chart has heard it
        self._ledger = ledger
        self._hours = hours
        self._clock = clock
        self._open_key = open_key
        self._load_model = load_model
        self._latched = latched
        self._settle = settle
        self._check_markets = find_markets
        self._rest = rest
        self._identity = identity
        self._snapshots = snapshots
        self._rotation = rotation
        self._began_s = 0.0  # the reading of the journal
        self._read = ""  # what it came to, in words
        self._unread: Iterator[tuple[int, AccountFact]] | None = None  # of the journal, while it is being replayed

    async def run(self) -> str:
        """`passed`, `refused` or `deferred`."""
        checks = (
            self._check_journal,
            self._check_key,
            self._check_model,
            self._check_exchange,
            self._check_access,
            self._check_markets,
        )
        for name, check in zip(STEPS, checks, strict=True):
            self.tracker.began(name, self._clock.now_ms())
            try:
                detail = await check()
            except trio.Cancelled:
                self.tracker.deferred(name, self._clock.now_ms(), "cut off before it had an answer")
                raise
            except OperatingError as error:
                if meaning_of(error).fault in HEALING:
                    self.tracker.deferred(name, self._clock.now_ms(), str(error))
                    log.warning("deferred", check=name, cause=str(error), next="tried again, without end")
                    return "deferred"
                self.tracker.refused(name, self._clock.now_ms(), str(error))
                log.error("refused", check=name, cause=str(error), next="a person must mend it")
                self.failure = error
                return "refused"
            self.tracker.passed(name, self._clock.now_ms(), detail)
        return "passed"

    async def prepare_sweep(self) -> None:
        """What a stop needs that comes before preflight has got so far: the journal, and the key where orders live."""
        await self.opened.wait()
        if not self.replayed.is_set():
            await self._replay()
            self.replayed.set()
        if self._ledger.live():
            self._open_key()

    async def _check_journal(self) -> str:
        await self.opened.wait()
        if not self.replayed.is_set():
            await self._replay()
            assert self.journal is not None, "it was replayed"
            await self._rotation.run(self.journal)
            self.replayed.set()
        reason = self._latched()
        if reason and self._ledger.find_hold(HoldKind.KILL) is None:
            await self._settle(hold(HoldKind.KILL, reason, self._clock.now_ms()))
        note = self.journal.note if self.journal is not None else ""
        before = f"goes on from {self._ledger.journal_before}" if self._ledger.journal_before else ""
        rotated = self._rotation.note or before
        return "; ".join(filter(None, (self._read, self._snapshots.beginning.note, rotated, note)))

    async def _replay(self) -> None:
        """Fold the journal. Others get their turn meanwhile; cut in the middle, the next attempt goes on from there."""
        if self._unread is None:
            assert self.journal is not None, "the journal service has opened it"
            self._began_s = trio.current_time()
            beginning = self._snapshots.restore(self.journal)
            self._unread = self.journal.verify_and_read(beginning.seq, beginning.chain)
            if self.journal.note:
                log.warning("journal", detail=self.journal.note, next="the exchange is asked what it held")
        for seq, fact in self._unread:
            self._ledger.apply(fact)
            if seq % limits.REPLAY_BREATH == 0:
                await trio.lowlevel.checkpoint()
        self._identity.check_environment()
        read, took_s = self._ledger.version - self._snapshots.beginning.seq, trio.current_time() - self._began_s
        self._read = f"{read} events verified and replayed in {took_s:.1f} s"
        if self._snapshots.beginning.seq:
            self._read += f", after a snapshot at event {self._snapshots.beginning.seq}"

    async def _check_key(self) -> str:
        self._open_key()
        return "read; its permissions are closed"

    async def _check_model(self) -> str:
        return self._load_model()

    async def _check_exchange(self) -> str:
        status = await self._rest.exchange_status()
        await self._read_hours()
        await hold_for_hours(self._hours, self._ledger, self._clock, self._settle)
        await hold_for_status(status, self._ledger, self._clock, self._settle)
        return f"reached; its clock is {self._clock.offset_ms:+d} ms from ours"

    async def _read_hours(self) -> None:
        """Without the exchange's own schedule the weekly pause is known all the same."""
        with trio.move_on_after(limits.SCHEDULE_WAIT_S):
            try:
                self._hours.learn(await self._rest.exchange_schedule())
            except (ExchangeError, Unreachable) as error:
                log.warning("schedule", cause=str(error), next="the weekly pause is assumed, and it is read again")

    async def _check_access(self) -> str:
        """A signed read: a wrong key, a wrong signature or a missing scope ends here."""
        try:
            tier = await learn_limits(self._rest)
        except AccessRefused as error:
            todo = for_failure("access", error)
            raise KeyRefused(f"the exchange refuses the key: {todo} ({error})") from None
        await self._identity.check_scopes()
        await self._identity.check_key()
        return f"signed reads pass; tier {tier}"
