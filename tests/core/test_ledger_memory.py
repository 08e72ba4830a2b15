"""A ledger that was restored is the one that was remembered: in what it holds, and in all that it does next."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import msgspec
import pytest
from account_facts import account_opened, settlement, started
from attrs import has
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ledger_properties import MARKETS, Plan, plans, shuffled

from kalshi_daemon.core.ledger import Ledger
from kalshi_daemon.core.ledger_memory import MEMORY, remember, restore
from kalshi_daemon.facts import AccountFact, HoldKind, HoldPlaced, OrderGroupMade

# made with the ledger and the same in every one: bounds, views of what is kept, and the parts themselves
GIVEN = {
    "": {"_cash", "_positions", "_orders", "_fills", "_holds", "_groups", "_handlers", "orders", "positions"},
    "_cash": {"shards"},
    "_positions": {"_sorted_max", "positions"},
    "_orders": {"_cash", "_kept_max", "orders"},
    "_fills": {"_trade_ids_max", "_held_max"},
    "_holds": set(),
    "_groups": set(),
}


def restored(memory: bytes) -> Ledger:
    ledger = Ledger()
    restore(ledger, memory)
    return ledger


def contents(value: Any) -> Any:
    """A value with its type and order, down to the last."""
    if has(type(value)):
        return type(value), [contents(getattr(value, each.name)) for each in value.__attrs_attrs__]
    if isinstance(value, dict):
        return dict, [(key, contents(each)) for key, each in value.items()]
    if isinstance(value, list | tuple | deque):
        return type(value), [contents(each) for each in value]
    return type(value), value


def memory_of(ledger: Ledger) -> Any:
    parts = {part: getattr(ledger, part) if part else ledger for part in MEMORY}
    return {(part, name): contents(getattr(parts[part], name)) for part in MEMORY for name in MEMORY[part]}


def test_nothing_that_a_fact_can_change_is_left_out() -> None:
    """Every attribute of the ledger and its parts is written, or is known to be the same in every ledger."""
    ledger = Ledger()
    for part, kinds in MEMORY.items():
        found = set(vars(getattr(ledger, part) if part else ledger))
        assert found == set(kinds) | GIVEN[part], f"{part or 'the ledger'}: stands in ledger_memory.MEMORY or above"
        assert not set(kinds) & GIVEN[part]
    assert {name for name, each in vars(ledger).items() if hasattr(each, "state")} == set(MEMORY) - {""}


@settings(max_examples=60, deadline=None)
@given(plans(), st.randoms(use_true_random=False), st.integers(0, 1_000))
def test_restoring_and_folding_the_rest_is_folding_it_all(
    plans_: list[Plan], rng: random.Random, per_mille: int
) -> None:
    """Cut anywhere: the same changes from there on, the same bytes, and the same values in the same order."""
    guard = HoldPlaced(1, HoldKind.GUARD, "", "a breaker", "its time", "increasing", 10**15)
    group = OrderGroupMade(1, 0, "group1", 10_000_000)
    told: list[AccountFact] = [started(), account_opened(), guard, group, *shuffled(plans_, rng), started("run0000002")]
    told += [settlement(0, 100, 0, market=MARKETS[0])]
    cut = len(told) * per_mille // 1_000
    whole = Ledger()
    for fact in told[:cut]:
        whole.apply(fact)
    again = restored(remember(whole))
    assert memory_of(again) == memory_of(whole)
    assert remember(again) == remember(whole)
    for fact in told[cut:]:
        assert again.apply(fact) == whole.apply(fact)
    assert memory_of(again) == memory_of(whole)
    assert again.snapshot() == whole.snapshot()
    assert dict(again.orders) == dict(whole.orders)


def test_bytes_that_do_not_fit_change_nothing() -> None:
    """What lacks its end, or is of another shape, is refused before anything is put."""
    ledger = Ledger()
    ledger.apply(started())
    memory, before = remember(ledger), remember(Ledger())
    for wrong in (memory[:-1], b"\x80", msgspec.msgpack.encode({"own": {}})):
        fresh = Ledger()
        with pytest.raises(msgspec.DecodeError):
            restore(fresh, wrong)
        assert remember(fresh) == before
