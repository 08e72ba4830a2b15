"""Markets over sessions: bounded, even, and staying where they are."""

from __future__ import annotations

import random

import pytest

from kalshi_daemon.core.market_spread import MarketSpread


def test_as_few_sessions_as_hold_them_evenly() -> None:
    spread = MarketSpread(250)
    assert spread.shares == ((),)
    spread.want([f"M{number}" for number in range(250)])
    assert [len(share) for share in spread.shares] == [250]
    fresh = MarketSpread(250)
    fresh.want([f"M{number}" for number in range(1_000)])
    assert [len(share) for share in fresh.shares] == [250] * 4
    even = MarketSpread(250)
    even.want([f"M{number}" for number in range(300)])
    assert [len(share) for share in even.shares] == [150, 150]


def test_a_market_stays_where_it_is() -> None:
    """New ones go where there is most room; a session that nobody needs stays, empty, and is used again."""
    spread = MarketSpread(2)
    spread.want(["A", "B", "C", "D", "E"])
    assert spread.shares == (("A", "D"), ("B", "E"), ("C",))
    spread.want(["D", "C", "F"])
    assert spread.shares == (("D",), ("F",), ("C",))
    spread.want(["F"])
    assert spread.shares == ((), ("F",), ())
    spread.want([])
    assert spread.shares == ((), (), ())


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_wanted_is_carried_once(seed: int) -> None:
    """Every market wanted is in one share, no share is over its size, and none that stays wanted moves."""
    draw = random.Random(seed)
    size = draw.randrange(1, 8)
    spread = MarketSpread(size)
    names = [f"M{number}" for number in range(40)]
    before: dict[str, int] = {}
    for _ in range(200):
        wanted = draw.sample(names, draw.randrange(len(names)))
        spread.want(wanted)
        place = {market: at for at, share in enumerate(spread.shares) for market in share}
        assert sorted(place) == sorted(wanted)
        assert sum(map(len, spread.shares)) == len(wanted)
        assert max(map(len, spread.shares)) <= size
        assert all(place[market] == before[market] for market in before.keys() & place.keys())
        before = place
