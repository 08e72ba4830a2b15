"""Decides again what was decided in a recording, and holds both against each other, byte for byte.

A batch is observed, masked and selected as live, from the recorded books and the account that the journal folds to.
Compared are versions of books, what the portfolio is worth, the checksums of mask and observation, each action, and
what the journal says was meant of it (order, amend, observation).

Rules:
- The first difference is named and ends it: what comes after may follow from it.
- What cannot be judged is said and counted, and is no difference: batches behind the end of the journal, of another
  model than the one at hand, or of runs that the journal does not know.
"""

from __future__ import annotations

from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final
from zlib import crc32

import msgspec
import numpy as np
from attrs import Factory, define

from kalshi_daemon.commands import Proposal, ProposeAmend
from kalshi_daemon.core.changes import Change
from kalshi_daemon.facts import AccountFact, AmendIntended, OrderIntended, RunStarted
from kalshi_daemon.limits import PROPOSALS_COMPARED
from kalshi_daemon.policy.action_executor import execute
from kalshi_daemon.policy.action_selector import Observation, Selector
from kalshi_daemon.policy.features import FEATURES, schema_hash
from kalshi_daemon.policy.inputs import MarketInput
from kalshi_daemon.policy.mask import mask
from kalshi_daemon.policy.observation_adapter import observe
from kalshi_daemon.policy.pricing import Pricing
from kalshi_daemon.replay.account import RecordedAccount
from kalshi_daemon.replay.books import BooksDiffer, RecordedBooks
from kalshi_daemon.replay.inputs import InputsDiffer, RecordedInputs
from kalshi_daemon.wire.records import Batch, Head, Hole, PolicyNamed, Record

EQUAL: Final = "equal"
DIFFERENT: Final = "different"
UNDECIDED: Final = "undecided"


class Different(Exception):
    """The first difference, in words."""


@define
class Compared:
    """What came of it. `unjudged`: batches by why nothing can be said of them."""

    batches: int = 0
    decisions: int = 0
    orders: int = 0  # intents of the journal that were found again
    checkpoints: int = 0
    holes: int = 0
    unjudged: dict[str, int] = Factory(dict)
    difference: str = ""
    versions: dict[str, tuple[str, str]] = Factory(dict)  # recorded and here, where they are others

    def as_dict(self) -> dict[str, object]:
        versions = {name: {"recorded": recorded, "here": here} for name, (recorded, here) in self.versions.items()}
        return {
            "verdict": self.verdict,
            "difference": self.difference,
            "batches": self.batches,
            "decisions": self.decisions,
            "orders": self.orders,
            "checkpoints": self.checkpoints,
            "holes": self.holes,
            "unjudged": self.unjudged,
            "other_versions": versions,
        }

    @property
    def verdict(self) -> str:
        if self.difference:
            return DIFFERENT
        return EQUAL if self.batches else UNDECIDED


class DecisionReplay:
    def __init__(
        self,
        facts: Callable[[], Iterable[tuple[int, AccountFact]]],
        select: Callable[[PolicyNamed], Selector | None],
        versions: Mapping[str, str],
    ) -> None:
        """`facts` are all of the journal, each time anew. `select`: what decides as the named one does; None where it
        is not at hand. `versions` are of what computes here.
        """
        self.compared = Compared()
        self._select = select
        self._versions = versions
        self._runs = {fact.run_id for _seq, fact in facts() if isinstance(fact, RunStarted)}
        self._account = RecordedAccount(facts(), self._folded)
        self._books = RecordedBooks()
        self._inputs = RecordedInputs(self._books, self._account.ledger)
        self._run = ""
        self._policy: PolicyNamed | None = None
        self._selector: Selector | None = None  # of that policy
        self._proposals: dict[int, Proposal | None] = {}  # by decision; None: it proposed nothing
        self._proposed: deque[int] = deque()  # their numbers, oldest first

    def compare(self, records: Iterable[Record]) -> Compared:
        """Raises RecordingDamaged, and what reading the journal raises."""
        compared = self.compared
        try:
            for record in records:
                self._apply(record)
            self._account.finish()
        except (BooksDiffer, InputsDiffer, Different) as difference:
            compared.difference = str(difference)
        compared.checkpoints = self._books.checkpoints
        return compared

    def _apply(self, record: Record) -> None:
        self._inputs.apply(record)
        match record:
            case Head():
                self._run = record.run
                differ = {name: (was, self._versions.get(name, "")) for name, was in record.versions.items()}
                self.compared.versions.update({name: both for name, both in differ.items() if both[0] != both[1]})
            case PolicyNamed():
                self._name_policy(record)
            case Hole():
                self.compared.holes += 1
            case Batch():
                unjudged = self._decide(record)
                if unjudged:
                    self.compared.unjudged[unjudged] = self.compared.unjudged.get(unjudged, 0) + 1

    def _name_policy(self, policy: PolicyNamed) -> None:
        """Checkpoints say it again."""
        known = self._policy
        if known is None or msgspec.structs.replace(policy, at_ms=known.at_ms) != known:
            self._selector = self._select(policy)
        self._policy = policy

    def _decide(self, batch: Batch) -> str:
        """Why nothing can be said of it; empty where it is equal. Raises Different."""
        if self._run not in self._runs:
            return "of a run that the journal does not know"
        if not self._account.advance(batch.account_version):
            return "behind the end of the journal"
        ledger, policy = self._account.ledger, self._policy
        if (ledger.run_id, ledger.version) != (self._run, batch.account_version):
            raise Different(
                f"batch {batch.number}: the account is at {ledger.version} of run {ledger.run_id}, and was at "
                f"{batch.account_version} of run {self._run}"
            )
        selector = self._selector
        if policy is None or selector is None or selector.model != policy.model:
            return f"of the model {policy.model[:12] if policy else 'not recorded'}, which is not at hand"
        if policy.schema != schema_hash():
            return "of other features than this version's"
        try:
            markets, account = self._inputs.markets(batch), self._inputs.account(batch)
        except InputsDiffer as difference:
            raise Different(f"batch {batch.number}: {difference}") from difference
        pricing = Pricing(policy.pricing)
        observation = observe(markets, account, batch.now_ms)
        allowed = mask(markets, policy.sizes, pricing, increases_allowed=batch.increases_allowed)
        self._propose(batch, markets, observation, policy, pricing)
        if crc32(allowed.tobytes()) != batch.mask_crc:
            raise Different(f"batch {batch.number}: its mask is another")
        if crc32(observation.tobytes()) != batch.observation_crc:
            self._account.finish()  # an order of it that the journal knows says which feature
            raise Different(f"batch {batch.number}: its observation is another")
        actions = selector.select(observation, allowed).tolist()
        for decided, action in zip(batch.markets, actions, strict=True):
            if action != decided.action:
                raise Different(f"batch {batch.number}, {decided.market}: action {action}, and it was {decided.action}")
        self.compared.batches += 1
        self.compared.decisions += len(actions)
        return ""

    def _propose(
        self,
        batch: Batch,
        markets: Sequence[MarketInput],
        observation: Observation,
        policy: PolicyNamed,
        pricing: Pricing,
    ) -> None:
        """What the recorded actions propose, until the journal says what was meant of it."""
        for row, (market, decided) in enumerate(zip(markets, batch.markets, strict=True)):
            number = batch.first_decision + row
            self._proposals[number] = execute(
                decided.action, market, policy.sizes, pricing, number, policy.model, observation[row]
            )
            self._proposed.append(number)
        while len(self._proposed) > PROPOSALS_COMPARED:
            self._proposals.pop(self._proposed.popleft(), None)

    def _folded(self, fact: AccountFact, _changes: Sequence[Change]) -> None:
        if isinstance(fact, RunStarted):
            self._proposals.clear()  # decisions are numbered from 1 in each run
            self._proposed.clear()
        elif isinstance(fact, OrderIntended | AmendIntended) and fact.decision in self._proposals:
            difference = _difference(self._proposals.pop(fact.decision), fact)
            if difference:
                raise Different(f"decision {fact.decision}, {fact.spec.market}: {difference}")
            self.compared.orders += 1


def _difference(proposal: Proposal | None, meant: OrderIntended | AmendIntended) -> str:
    """Between what is proposed here and what the journal says; empty where there is none."""
    if proposal is None:
        return f"nothing is proposed, and {meant.client_order_id} was meant"
    for feature, here, there in zip(FEATURES, *map(_features, (proposal.observation, meant.observation)), strict=True):
        if here.tobytes() != there.tobytes():
            return f"{feature} is {here!r}, and was {there!r}"
    if isinstance(proposal, ProposeAmend) != isinstance(meant, AmendIntended):
        return f"{type(proposal).__name__} is proposed, and {type(meant).__name__} was meant"
    ours, theirs = _terms(proposal), _meant(meant, amend=isinstance(proposal, ProposeAmend))
    return "" if ours == theirs else f"{ours} is proposed, and {theirs} was meant"


def _terms(proposal: Proposal) -> tuple[object, ...]:
    if isinstance(proposal, ProposeAmend):
        return proposal.client_order_id, proposal.price, proposal.count, proposal.model
    return proposal.market, str(proposal.side), proposal.price, proposal.count, proposal.model


def _meant(meant: OrderIntended | AmendIntended, *, amend: bool) -> tuple[object, ...]:
    spec = meant.spec
    if amend:
        return meant.client_order_id, spec.price, spec.count, meant.model
    return spec.market, str(spec.side), spec.price, spec.count, meant.model


def _features(text: str) -> Observation:
    return np.frombuffer(b64decode(text), dtype="<f4")
