"""core/degradation.py: the set is what the parts say now, and since when is remembered from look to look."""

from __future__ import annotations

from attrs import evolve

from kalshi_daemon.core.circuit_breaker import CircuitBreaker
from kalshi_daemon.core.degradation import Degradation, Degradations, Degraded, Signs
from kalshi_daemon.core.rate_governor import RateGovernor
from kalshi_daemon.limits import CLOCK_OFFSET_MAX_MS, DEGRADED_NAMED_MAX

WELL = Signs([], [], "", "", RateGovernor().statuses(0.0), [], [], 0, [])


def breaker(name: str, *, shut: bool) -> CircuitBreaker:
    made = CircuitBreaker(name, failures_max=1, window_s=10.0, wait_s=(5.0, 60.0), probe_s=5.0)
    if shut:
        made.failed(0.0, "503")
    return made


def test_nothing_is_degraded_where_all_is_well() -> None:
    """A breaker that is closed and an offset at the limit are well."""
    signs = evolve(WELL, breakers=[breaker("order_writes", shut=False)], offset_ms=-CLOCK_OFFSET_MAX_MS)
    assert Degradations().look(signs, 1_000) == ()


def test_each_sign_has_its_name_and_its_cause() -> None:
    """Every kind at once, in the order in which they are shown."""
    governor = RateGovernor()
    governor.refused("GET", "/markets", 0.0)
    breakers = [breaker(name, shut=True) for name in ("reads", "order_writes", "policy", "market KXA", "market KXB")]
    signs = Signs(
        polled=["KXA"],
        unproven=["KXB"],
        books_detail="503 on the upgrade",
        private="fills is backing_off (503)",
        rates=governor.statuses(0.0),
        breakers=breakers,
        sessions=["market is backing_off (503)"],
        offset_ms=CLOCK_OFFSET_MAX_MS + 1,
        fallbacks=["wss://second.test/ws"],
    )
    found = Degradations().look(signs, 7)
    assert found == (
        Degradation(Degraded.BOOKS_POLLED, "read by REST, for reductions only: KXA: 503 on the upgrade", 7),
        Degradation(Degraded.BOOKS_UNPROVEN, "without a usable book: KXB: 503 on the upgrade", 7),
        Degradation(Degraded.PRIVATE_FEED, "not streamed, so read by REST: fills is backing_off (503)", 7),
        Degradation(Degraded.RATE_LOWERED, "since an answer 429: read requests at 50% of their pace", 7),
        Degradation(Degraded.READS_BREAKER, "reads is open (503)", 7),
        Degradation(Degraded.WRITES_BREAKER, "order_writes is open (503)", 7),
        Degradation(Degraded.SESSION_BREAKER, "market is backing_off (503)", 7),
        Degradation(Degraded.POLICY_BREAKER, "policy is open (503)", 7),
        Degradation(Degraded.MARKET_BREAKER, "market KXA is open (503), market KXB is open (503)", 7),
        Degradation(Degraded.CLOCK_OFFSET, "our clock is +5001 ms from the exchange's", 7),
        Degradation(Degraded.HOST_FALLBACK, "not the first of their lists: wss://second.test/ws", 7),
    )
    assert [each.kind for each in found] == list(Degraded)


def test_since_when_lasts_while_it_lasts_and_the_cause_is_of_now() -> None:
    """Found again it is as old as it was; gone and come back it is new."""
    degradations = Degradations()
    degradations.look(evolve(WELL, private="503"), 1_000)
    assert degradations.look(evolve(WELL, private="silence"), 3_000) == (
        Degradation(Degraded.PRIVATE_FEED, "not streamed, so read by REST: silence", 1_000),
    )
    assert degradations.look(WELL, 4_000) == ()
    (again,) = degradations.look(evolve(WELL, private="503"), 5_000)
    assert again.since_ms == 5_000


def test_a_cause_names_a_few_and_counts_the_rest() -> None:
    """A thousand markets make one line."""
    names = [f"KX{number}" for number in range(1_000)]
    (found,) = Degradations().look(evolve(WELL, unproven=names), 0)
    listed = ", ".join(names[:DEGRADED_NAMED_MAX])
    assert found.cause == f"without a usable book: {listed} and {1_000 - DEGRADED_NAMED_MAX} more"
