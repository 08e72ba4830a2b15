"""The rate-limit governor: what the account may still ask for, by the limits and costs that the exchange says it has.

Rules:
- Three buckets, as the exchange keeps them (api.md 4.5, 5): reads, writes, and the balance, which has one of its own.
- A cancel needs its own tokens alone. Orders that increase exposure have a share of what the write bucket is refilled
  with, and leave a share of what it holds for cancels and reductions (risk P16), so that these never wait behind them.
- Until the account's own figures were read, those of the smallest tier hold, with the costs that are documented.
- A request that waits for tokens has not left. Nothing here sends, sleeps or gives up: whoever waits does.
- A 429 empties the bucket that it was paid from and lowers its pace (`rate_limit`).
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final

from attrs import frozen

from kalshi_daemon.core.rate_limit import TokenBucket
from kalshi_daemon.limits import (
    BALANCE_PER_S,
    BALANCE_PER_S_LEAST,
    BALANCE_SPACING,
    CANCEL_BATCH_S,
    READ_TOKENS_LEAST,
    WRITE_SHARE_INCREASES,
    WRITE_SHARE_KEPT,
    WRITE_TOKENS_LEAST,
)
from kalshi_daemon.wire.rest import AccountLimits, EndpointCost, EndpointCosts

BALANCE_PATH: Final = "/portfolio/balance"
SLOW_TIERS: Final = frozenset({"basic", "advanced"})
API_PREFIX: Final = "/trade-api/v2"  # of the paths in the list of costs; ours are without it
DOCUMENTED_COSTS: Final = EndpointCosts(
    10,
    (
        EndpointCost("DELETE", "/portfolio/events/orders", 2),
        EndpointCost("DELETE", "/portfolio/events/orders/:order_id", 2),
        EndpointCost("GET", "/portfolio/orders/:order_id", 2),
    ),
)


class Budget(StrEnum):
    """Whose bucket a request is paid from."""

    READ = "read"
    WRITE = "write"
    BALANCE = "balance"


@frozen
class RateStatus:
    """One bucket at a moment, in tokens (of the balance: calls); the shares are of 1."""

    budget: Budget
    tokens: int
    capacity: int
    spent_share: float
    pace: float
    refusals: int


class RateGovernor:
    def __init__(self) -> None:
        self.tier = ""  # the account's, once its limits were read
        self._buckets = {
            Budget.READ: TokenBucket(READ_TOKENS_LEAST, READ_TOKENS_LEAST, 0.0),
            Budget.WRITE: TokenBucket(WRITE_TOKENS_LEAST, WRITE_TOKENS_LEAST, 0.0),
            Budget.BALANCE: TokenBucket(1, BALANCE_PER_S_LEAST / BALANCE_SPACING, 0.0),
        }
        share = WRITE_TOKENS_LEAST / WRITE_SHARE_INCREASES
        self._increases = TokenBucket(share, share, 0.0)
        self._costs = _by_method(DOCUMENTED_COSTS)
        self._default_cost = DOCUMENTED_COSTS.default

    def bucket(self, budget: Budget) -> TokenBucket:
        return self._buckets[budget]

    # --------------------------------------------------------------------------------------------- what the account has

    def take_limits(self, read: AccountLimits, now: float) -> None:
        """The account's own limits, read at the start and again later: an upgrade changes them."""
        self.tier = read.tier
        self._buckets[Budget.READ].resize(read.read.capacity, read.read.refill, now)
        self._buckets[Budget.WRITE].resize(read.write.capacity, read.write.refill, now)
        capacity, refill = (each / WRITE_SHARE_INCREASES for each in (read.write.capacity, read.write.refill))
        self._increases.resize(capacity, refill, now)
        per_s = BALANCE_PER_S_LEAST if read.tier in SLOW_TIERS or not read.tier else BALANCE_PER_S
        self._buckets[Budget.BALANCE].resize(1, per_s / BALANCE_SPACING, now)

    def take_costs(self, read: EndpointCosts) -> None:
        self._costs = _by_method(read)
        self._default_cost = read.default

    # ------------------------------------------------------------------------------------------------ what is asked for

    def cost(self, method: str, path: str) -> int:
        """What one request costs. No cost is over its bucket: such a request would wait for ever; and none is nothing,
        since what is free would be sent without any pace.
        """
        parts = path.split("/")
        own = next((cost for pattern, cost in self._costs.get(method, ()) if _fits(pattern, parts)), self._default_cost)
        budget = self.budget(method, path)
        return 1 if budget is Budget.BALANCE else max(1, min(own, int(self._buckets[budget].capacity)))

    @staticmethod
    def budget(method: str, path: str) -> Budget:
        if method != "GET":
            return Budget.WRITE
        return Budget.BALANCE if path == BALANCE_PATH else Budget.READ

    def pays(self, method: str, path: str, now: float, *, increases: bool = False) -> float:
        """Take the tokens of one request and give 0, or take none and give the seconds after which to ask again."""
        bucket, cost = self._buckets[self.budget(method, path)], self.cost(method, path)
        if not increases:
            return 0.0 if bucket.take(cost, now) else bucket.wait_s(cost, now)
        share = min(cost, self._increases.capacity)
        most = min(cost + bucket.capacity / WRITE_SHARE_KEPT, bucket.capacity)
        wait_s = max(bucket.wait_s(most, now), self._increases.wait_s(share, now))
        if not wait_s:
            bucket.take(cost, now)
            self._increases.take(share, now)
        return wait_s

    def pays_batch(self, method: str, path: str, wanted: int, now: float) -> tuple[int, float]:
        """For how many of `wanted` such requests in one the tokens were taken, and 0; or for none, and the seconds
        after which to ask again.

        No batch is larger than what a second refills. It goes with what is there, where that is CANCEL_BATCH_S worth.
        """
        bucket, cost = self._buckets[self.budget(method, path)], self.cost(method, path)
        most = min(wanted, max(1, int(min(bucket.capacity, bucket.refill_per_s)) // cost))
        least = min(most, math.ceil(bucket.refill_per_s * CANCEL_BATCH_S / cost))
        if wait_s := bucket.wait_s(least * cost, now):
            return 0, wait_s
        items = max(least, min(most, int(bucket.tokens(now)) // cost))
        bucket.take(items * cost, now)
        return items, 0.0

    def refused(self, method: str, path: str, now: float) -> None:
        """The exchange answered 429."""
        self._buckets[self.budget(method, path)].refused(now)

    def statuses(self, now: float) -> tuple[RateStatus, ...]:
        return tuple(
            RateStatus(
                budget, int(each.tokens(now)), int(each.capacity), each.spent_share(now), each.pace, each.refusals
            )
            for budget, each in self._buckets.items()
        )


def _by_method(costs: EndpointCosts) -> dict[str, list[tuple[list[str], int]]]:
    """By method: the parts of each path and its cost; a path without a variable before the one that it would fit."""
    found: dict[str, list[tuple[list[str], int]]] = {}
    for row in sorted(costs.endpoints, key=lambda row: row.path.count(":")):
        found.setdefault(row.method, []).append((row.path.removeprefix(API_PREFIX).split("/"), row.cost))
    return found


def _fits(pattern: list[str], parts: list[str]) -> bool:
    """Whether a path is of a pattern; `:name` stands for any part."""
    return len(pattern) == len(parts) and all(
        own == part or own.startswith(":") for own, part in zip(pattern, parts, strict=True)
    )
