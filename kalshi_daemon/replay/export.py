"""A recording as tables: its frames and its batches, and with the journal what was observed and what was filled.

| table | a row is |
|---|---|
| `frames` | a frame of a socket; `noted_ms` is the exchange's time at which a book took it, empty where none did |
| `batches` | a market that was decided in a batch: on what, and the action |
| `observations` | the 52 features of such a market, as the model was handed them |
| `fills` | an execution that was booked while a recorded run lasted |

Rules:
- Features are not recorded, but their checksum is. They are computed again from the records and the account that the
  journal folds to, and those of a batch are written only where their checksum is the recorded one.
- Units are the journal's: prices in ten-thousandths of a dollar, counts in hundredths of a contract, money in
  micro-dollars, times in milliseconds since 1970.
- The rows of a segment are written when it ends, or `EXPORT_ROWS_MAX` of them are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias
from zlib import crc32

from kalshi_daemon.core.changes import Change, FillBooked
from kalshi_daemon.errors import RecordingDamaged
from kalshi_daemon.facts import AccountFact, RunStarted
from kalshi_daemon.limits import EXPORT_ROWS_MAX
from kalshi_daemon.policy.features import FEATURES, schema_hash
from kalshi_daemon.policy.observation_adapter import observe
from kalshi_daemon.replay.account import RecordedAccount
from kalshi_daemon.replay.books import BooksDiffer, RecordedBooks
from kalshi_daemon.replay.inputs import InputsDiffer, RecordedInputs
from kalshi_daemon.wire.records import CLOSING, USABLE, Batch, Frame, Head, PolicyNamed, Record

Row: TypeAlias = tuple[object, ...]
Facts: TypeAlias = Iterable[tuple[int, AccountFact]]


def _columns(text: str) -> dict[str, str]:
    """Each `name:type`, as pyarrow calls it."""
    return dict(column.split(":") for column in text.split())


_DECIDED: Final = "run:string segment:int32 batch:int64 decision:int64 market:string"
RECORDED: Final[Mapping[str, Mapping[str, str]]] = {
    "frames": _columns("run:string segment:int32 at_ms:int64 session:string noted_ms:int64 data:binary"),
    "batches": _columns(
        f"{_DECIDED} now_ms:int64 offset_ms:int64 book_version:int64 account_version:int64 usable:bool closing:bool "
        "increases_allowed:bool action:int32 reserve:int64 portfolio_value:int64 policy:string model:string "
        "pricing:string"
    ),
}
FOLLOWING: Final[Mapping[str, Mapping[str, str]]] = {  # from the records and the journal
    "observations": {**_columns(_DECIDED), **dict.fromkeys(FEATURES, "float")},
    "fills": _columns(
        "run:string ts_ms:int64 at_ms:int64 market:string side:string price:int64 count:int64 fee:int64 "
        "realised:int64 is_taker:bool trade_id:string order_id:string client_order_id:string"
    ),
}
UNLIKE: Final = "whose observation is not what the records lead to: see `replay RECORDING --journal FILE`"


class Export:
    def __init__(self, write: Callable[[str, Sequence[Row]], None], facts: Callable[[], Facts] | None) -> None:
        """`write` takes rows of a table. `facts` are all of the journal, each time anew; None: there is none."""
        self.left_out: Counter[str] = Counter()  # batches without observations, by why
        self._write = write
        self._rows: dict[str, list[Row]] = {table: [] for table in RECORDED}
        self._head: Head | None = None
        self._policy: PolicyNamed | None = None
        self._account: RecordedAccount | None = None
        self._runs: set[str] = set()  # that were recorded, so far
        if facts is not None:
            self._rows.update({table: [] for table in FOLLOWING})
            self._known = {fact.run_id for _seq, fact in facts() if isinstance(fact, RunStarted)}
            self._account = RecordedAccount(facts(), self._folded)
            self._inputs = RecordedInputs(RecordedBooks(), self._account.ledger)

    def read(self, segment: Iterable[Record]) -> None:
        """One after the other, in their order. Raises OperatingError for what does not read."""
        for record in segment:
            self._apply(record)
            if sum(map(len, self._rows.values())) >= EXPORT_ROWS_MAX:
                self._flush()
        self._flush()

    def finish(self) -> None:
        """What the journal says of the last run after its last batch."""
        if self._account is not None:
            self._account.finish()
        self._flush()

    def _flush(self) -> None:
        for table, rows in self._rows.items():
            self._write(table, rows)
            rows.clear()

    def _apply(self, record: Record) -> None:
        match record:
            case Head():
                self._head = record
                self._runs.add(record.run)
            case PolicyNamed():
                self._policy = record
            case Frame():
                run, segment = self._place()
                row = (run, segment, record.at_ms, record.session, record.noted_ms, record.data)
                self._rows["frames"].append(row)
            case Batch():
                self._rows["batches"].extend(self._decided(record))
        if self._account is not None:
            try:
                self._inputs.apply(record)
            except BooksDiffer as difference:
                raise RecordingDamaged(f"the books do not follow from the records: {difference}") from difference
            if isinstance(record, Batch) and (why := self._observe(record, self._account)):
                self.left_out[why] += 1

    def _place(self) -> tuple[str, int]:
        head = self._head
        assert head is not None, "a segment begins with its head"
        return head.run, head.segment

    def _decided(self, batch: Batch) -> Iterable[Row]:
        policy = self._policy
        named = (policy.policy, policy.model, policy.pricing) if policy else (None, None, None)
        for row, decided in enumerate(batch.markets):
            yield (
                *self._place(),
                batch.number,
                batch.first_decision + row,
                decided.market,
                batch.now_ms,
                batch.offset_ms,
                decided.version,
                batch.account_version,
                bool(decided.flags & USABLE),
                bool(decided.flags & CLOSING),
                batch.increases_allowed,
                decided.action,
                batch.reserve,
                batch.portfolio_value,
                *named,
            )

    def _observe(self, batch: Batch, account: RecordedAccount) -> str:
        """Why its observations are left out; empty where they are not."""
        run, segment = self._place()
        if run not in self._known:
            return "of a run that the journal does not know"
        if not account.advance(batch.account_version):
            return "behind the end of the journal"
        if self._policy is None or self._policy.schema != schema_hash():
            return "of other features than this version's"
        try:
            observation = observe(self._inputs.markets(batch), self._inputs.account(batch), batch.now_ms)
        except InputsDiffer:
            return UNLIKE
        if crc32(observation.tobytes()) != batch.observation_crc:
            return UNLIKE
        rows = zip(batch.markets, observation.tolist(), strict=True)
        self._rows["observations"].extend(
            (run, segment, batch.number, batch.first_decision + row, decided.market, *features)
            for row, (decided, features) in enumerate(rows)
        )
        return ""

    def _folded(self, _fact: AccountFact, changes: Sequence[Change]) -> None:
        assert self._account is not None, "it folds"
        run = self._account.ledger.run_id
        if run not in self._runs:
            return
        for change in changes:
            if isinstance(change, FillBooked):
                fill = change.fill
                self._rows["fills"].append(
                    (
                        *(run, fill.ts_ms, fill.at_ms, fill.market, str(fill.side), fill.price, fill.count, fill.fee),
                        *(change.realised, fill.is_taker, fill.trade_id, fill.order_id, change.client_order_id),
                    )
                )
